"""The operators' policy: one TOML document, checked as a whole, that routes a number to a plan.

Pure: text in, a frozen Policy out, or every problem at once. Must not know where the text lies or what is
secret; an upstream's token is only named here.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from marshmallow import Schema, ValidationError, fields, post_load, validate

from otp_service import messages
from otp_service.challenge import Plan, Step
from otp_service.errors import ChannelNotAvailable, ConfigurationError, NoRoute
from otp_service.phone import Number, is_country

CHANNELS = ("sms",)
MINUTE = 60
MAX_TTL = 10 * MINUTE
"""Seconds; a code must not live longer (NIST SP 800-63B 3.1.3.2, ASVS 6.5.5)."""
_UNITS = {"s": 1, "m": MINUTE, "h": 60 * MINUTE, "d": 24 * 60 * MINUTE}
KeyKind = Literal["publishable", "secret"]


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A client of the service. Keys are SHA-256 hashes in hex; origins are exact."""

    name: str
    brand: str
    origins: tuple[str, ...] = ()
    publishable_keys: tuple[str, ...] = ()
    secret_keys: tuple[str, ...] = ()

    def host(self, origin: str | None) -> str:
        """Give the host that the code is bound to: that of the page that asks, else of the first origin."""
        chosen = origin if origin in self.origins else next(iter(self.origins), "")
        return urlsplit(chosen).hostname or "" if chosen else ""


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` within any `seconds`."""

    limit: int
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the guard allows: per number and per client address."""

    number: tuple[Window, ...] = (Window(1, 30), Window(3, 600), Window(5, 3600), Window(10, 86400))
    address: tuple[Window, ...] = (Window(10, 60),)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeRules:
    """How challenges are made; times in seconds."""

    code_length: int = 6
    ttl: int = 300
    max_attempts: int = 5
    max_sends: int = 3
    cooldown: tuple[int, ...] = (30, 60, 120)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sms:
    """How SMS leave through an upstream account."""

    service: str
    sender: str
    entity_id: str | None = None
    template_id: str | None = None
    webhook_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """An account at an upstream. `token_env` names the setting that holds its token."""

    name: str
    kind: str
    base_url: str
    token_env: str
    auth: Literal["header", "query", "body"] = "header"
    sms_path: str = "sms/send"
    balance_paths: tuple[str, ...] = ("account/balance", "finance/balance")
    connect_timeout: float = 2.0
    total_timeout: float = 5.0
    sms: Sms | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """For some destinations, an ordered list of steps; empty matches match all."""

    countries: frozenset[str] = frozenset()
    apps: frozenset[str] = frozenset()
    purposes: frozenset[str] = frozenset()
    steps: tuple[Step, ...]

    def serves(self, number: Number, app: str, purpose: str) -> bool:
        """Say whether this route is for the number, app and purpose."""
        return (
            (not self.countries or number.country in self.countries)
            and (not self.apps or app in self.apps)
            and (not self.purposes or purpose in self.purposes)
        )

    def covers(self, other: "Route") -> bool:
        """Say whether all that `other` could serve comes here first."""
        pairs = (
            (self.countries, other.countries),
            (self.apps, other.apps),
            (self.purposes, other.purposes),
        )
        return all(not mine or (theirs and theirs <= mine) for mine, theirs in pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The whole document."""

    apps: Mapping[str, App]
    upstreams: Mapping[str, Upstream]
    routes: tuple[Route, ...]
    ops_keys: tuple[str, ...] = ()
    challenge: ChallengeRules = field(default_factory=ChallengeRules)
    limits: Limits = field(default_factory=Limits)
    templates: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def key_owner(self, digest: str) -> tuple[App, KeyKind] | None:
        """Give the app and kind of the API key with this SHA-256 digest in hex."""
        for app in self.apps.values():
            if digest in app.publishable_keys:
                return app, "publishable"
            if digest in app.secret_keys:
                return app, "secret"
        return None

    def plan(self, number: Number, app: str, purpose: str, channel: str | None) -> Plan:
        """Route a number. A channel that was asked for is tried first.

        Raises NoRoute, or ChannelNotAvailable when no step has the channel that was asked for.
        """
        route = next((r for r in self.routes if r.serves(number, app, purpose)), None)
        if route is None:
            raise NoRoute
        steps = route.steps
        if channel is not None:
            steps = tuple(s for s in steps if s.channel == channel)
            if not steps:
                raise ChannelNotAvailable
            steps += tuple(s for s in route.steps if s.channel != channel)
        rules = self.challenge
        return Plan(steps, rules.code_length, rules.ttl, rules.max_attempts, rules.max_sends, rules.cooldown)


class _Duration(fields.Field[int]):
    """Seconds, written as "30s", "5m", "24h" or "1d"."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:  # noqa: ANN401 - marshmallow's signature
        match = re.fullmatch(r"([0-9]{1,6})([smhd])", value) if isinstance(value, str) else None
        if not match:
            raise ValidationError('must be a time such as "30s", "5m" or "24h"')
        return int(match[1]) * _UNITS[match[2]]


class _Window(fields.Field[Window]):
    """A limit in a time, written as "3/10m"."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Window:  # noqa: ANN401 - marshmallow's signature
        match = (
            re.fullmatch(r"([1-9][0-9]{0,6})/([1-9][0-9]{0,4})?([smhd])", value)
            if isinstance(value, str)
            else None
        )
        if not match:
            raise ValidationError('must be a limit such as "3/10m" or "5/h"')
        window = Window(int(match[1]), int(match[2] or 1) * _UNITS[match[3]])
        if window.seconds > _UNITS["d"]:
            raise ValidationError("must not look back further than a day, as idempotency keys do")
        return window


def _between(low: int, high: int) -> validate.Range:
    return validate.Range(low, high, error=f"must be from {low} to {high}")


def _tuple(inner: fields.Field[Any], **kwargs: Any) -> fields.List[Any]:  # noqa: ANN401 - as fields.List
    return fields.List(inner, validate=validate.Length(min=1, error="must not be empty"), **kwargs)


_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_ONE_LINE = validate.Regexp(r"[^\n\r]{1,40}\Z", error="must be 1 to 40 signs on one line")


def _key_hash() -> fields.String:
    rule = "must be the SHA-256 of a key in hex, as otp-service keys prints it"
    return fields.String(validate=validate.Regexp(r"[0-9a-f]{64}\Z", error=rule))


_ORIGIN = validate.Regexp(
    r"(https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?|http://(localhost|127\.0\.0\.1))(:[0-9]{1,5})?\Z",
    error="must be an origin as browsers send it, such as https://app.example.com, nothing after the host",
)


class _Part(Schema):
    """A table of the document; becomes its dataclass, lists becoming tuples."""

    shape: type

    @post_load
    def _build(self, data: dict[str, Any], **_: Any) -> Any:  # noqa: ANN401 - whatever `shape` is
        return self.shape(**{k: tuple(v) if isinstance(v, list) else v for k, v in data.items()})


class _AppSchema(_Part):
    shape = dict
    brand = fields.String(required=True, validate=_ONE_LINE)
    origins = fields.List(fields.String(validate=_ORIGIN))
    publishable_keys = fields.List(_key_hash())
    secret_keys = fields.List(_key_hash())


class _OpsSchema(_Part):
    shape = dict
    keys = fields.List(_key_hash())


class _ChallengeSchema(_Part):
    shape = ChallengeRules
    code_length = fields.Integer(strict=True, validate=_between(6, 10))
    ttl = _Duration(validate=_between(MINUTE, MAX_TTL))  # messages tell it in minutes
    max_attempts = fields.Integer(strict=True, validate=_between(1, 5))
    max_sends = fields.Integer(strict=True, validate=_between(1, 10))
    cooldown = _tuple(_Duration(validate=_between(1, MAX_TTL)))


class _LimitsSchema(_Part):
    shape = Limits
    number = _tuple(_Window())
    address = fields.List(_Window())


class _SmsSchema(_Part):
    shape = Sms
    service = fields.String(required=True, validate=_ONE_LINE)
    sender = fields.String(required=True, validate=_ONE_LINE)
    entity_id = fields.String(validate=_ONE_LINE)
    template_id = fields.String(validate=_ONE_LINE)
    webhook_id = fields.String(validate=_ONE_LINE)


class _UpstreamSchema(_Part):
    shape = dict
    kind = fields.String(required=True, validate=validate.OneOf(["mobtexting"], error="must be mobtexting"))
    base_url = fields.Url(required=True, schemes={"http", "https"}, require_tld=False)
    token_env = fields.String(
        required=True,
        validate=validate.Regexp(r"OTP_UPSTREAM_[A-Z0-9_]+\Z", error="must start with OTP_UPSTREAM_"),
    )
    auth = fields.String(
        validate=validate.OneOf(["header", "query", "body"], error="must be header, query or body")
    )
    sms_path = fields.String(validate=_ONE_LINE)
    balance_paths = _tuple(fields.String(validate=_ONE_LINE))
    connect_timeout = fields.Float(validate=validate.Range(0.05, 10, error="must be from 0.05 to 10"))
    total_timeout = fields.Float(validate=validate.Range(0.1, 6, error="must be from 0.1 to 6"))
    sms = fields.Nested(_SmsSchema)


class _StepSchema(_Part):
    shape = Step
    channel = fields.String(
        required=True,
        validate=validate.OneOf(CHANNELS, error=f"must be one of {', '.join(CHANNELS)}"),
    )
    upstream = fields.String(required=True)
    wait = _Duration(load_default=30, validate=_between(5, MAX_TTL))


class _MatchSchema(_Part):
    shape = dict
    country = fields.List(
        fields.String(validate=validate.Regexp(r"[A-Z]{2}\Z", error="must be two capital letters"))
    )
    app = fields.List(fields.String())
    purpose = fields.List(fields.String())


class _RouteSchema(_Part):
    shape = dict
    match = fields.Nested(_MatchSchema, load_default=dict)
    steps = _tuple(fields.Nested(_StepSchema), required=True)


class _TemplatesSchema(_Part):
    shape = dict
    sms = fields.Dict(keys=fields.String(), values=fields.String())


class _DocumentSchema(Schema):
    app = fields.Dict(keys=fields.String(), values=fields.Nested(_AppSchema), required=True)
    upstream = fields.Dict(keys=fields.String(), values=fields.Nested(_UpstreamSchema), required=True)
    route = _tuple(fields.Nested(_RouteSchema), required=True)
    ops = fields.Nested(_OpsSchema)
    challenge = fields.Nested(_ChallengeSchema)
    limits = fields.Nested(_LimitsSchema)
    template = fields.Nested(_TemplatesSchema)


def parse(text: str) -> Policy:
    """Read a policy document. Raises ConfigurationError with every problem and its place in the document."""
    try:
        document = _DocumentSchema().load(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError([f"policy: is no TOML: {error}"]) from None
    except ValidationError as error:
        found = error.normalized_messages()  # type: ignore[no-untyped-call]
        raise ConfigurationError([f"policy: {line}" for line in _lines(found)]) from None
    policy = _build(document)
    if problems := list(_contradictions(policy)):
        raise ConfigurationError([f"policy: {problem}" for problem in problems])
    return policy


def _build(document: Mapping[str, Any]) -> Policy:
    return Policy(
        apps={name: App(name=name, **table) for name, table in document["app"].items()},
        upstreams={name: Upstream(name=name, **table) for name, table in document["upstream"].items()},
        routes=tuple(
            Route(
                countries=frozenset(route["match"].get("country", ())),
                apps=frozenset(route["match"].get("app", ())),
                purposes=frozenset(route["match"].get("purpose", ())),
                steps=route["steps"],
            )
            for route in document["route"]
        ),
        ops_keys=document.get("ops", {}).get("keys", ()),
        challenge=document.get("challenge", ChallengeRules()),
        limits=document.get("limits", Limits()),
        templates=(templates := document.get("template", {}).get("sms", {})),
        warnings=tuple(_warnings(document, templates)),
    )


def _lines(messages_: Any, place: str = "") -> Iterator[str]:  # noqa: ANN401 - marshmallow nests freely
    """Flatten marshmallow's nested messages to `place: rule` lines, in TOML's own notation."""
    if isinstance(messages_, Mapping):
        for key, inner in messages_.items():
            if key in {"value", "key"} and place:
                yield from _lines(inner, place)
            elif isinstance(key, int):
                yield from _lines(inner, f"{place}[{key}]")
            else:
                yield from _lines(inner, place if key == "_schema" else f"{place}.{key}".lstrip("."))
    else:
        for rule in messages_ if isinstance(messages_, list) else [messages_]:
            yield f"{place}: {rule[0].lower()}{rule[1:].rstrip('.')}"


def _contradictions(policy: Policy) -> Iterator[str]:
    """Name what each table alone cannot show."""
    for kind, names in (("app", policy.apps), ("upstream", policy.upstreams)):
        for name in names:
            if not _NAME.fullmatch(name):
                yield f"{kind}.{name}: a name is small letters, digits, - and _, 32 at most"
    for name, upstream in policy.upstreams.items():
        if upstream.connect_timeout > upstream.total_timeout:
            yield f"upstream.{name}.connect_timeout: must not be above total_timeout"
    yield from _doubled_keys(policy)
    for place, route in enumerate(policy.routes):
        yield from _route_contradictions(policy, f"route[{place}]", route)
    for locale, template in policy.templates.items():
        for problem in messages.problems(template):
            yield f"template.sms.{locale}: {problem}"


def _doubled_keys(policy: Policy) -> Iterator[str]:
    seen: set[str] = set()
    for name, app in policy.apps.items():
        for digest in (*app.publishable_keys, *app.secret_keys):
            if digest in seen or digest in policy.ops_keys:
                yield f"app.{name}: the key {digest[:8]}... stands twice in the document"
            seen.add(digest)


def _route_contradictions(policy: Policy, place: str, route: Route) -> Iterator[str]:
    for app in sorted(route.apps - policy.apps.keys()):
        yield f"{place}.match.app: there is no app {app}"
    for country in sorted(country for country in route.countries if not is_country(country)):
        yield f"{place}.match.country: there are no numbers of a country {country}"
    for at, earlier in enumerate(policy.routes):
        if earlier is route:
            break
        if earlier.covers(route):
            yield f"{place}: nothing reaches this route, route[{at}] serves it all"
            break
    for at, step in enumerate(route.steps):
        upstream = policy.upstreams.get(step.upstream)
        if upstream is None:
            yield f"{place}.steps[{at}].upstream: there is no upstream {step.upstream}"
        elif getattr(upstream, step.channel) is None:
            yield f"{place}.steps[{at}]: upstream {step.upstream} has no {step.channel} table"
        if step.wait >= policy.challenge.ttl:
            yield f"{place}.steps[{at}].wait: must end before the challenge does, challenge.ttl"


def _warnings(document: Mapping[str, Any], own: Mapping[str, str]) -> Iterator[str]:
    """Name messages that would be charged as several parts."""
    rules: ChallengeRules = document.get("challenge", ChallengeRules())
    for name, table in document["app"].items():
        app = App(name=name, **table)
        for locale, template in {**messages.TEMPLATES, **own}.items():
            if messages.problems(template):
                continue
            text = messages.compose(
                template,
                code="0" * rules.code_length,
                brand=app.brand,
                minutes=rules.ttl // MINUTE,
                host=max((app.host(o) for o in app.origins), key=len, default=""),
            )
            size = messages.size(text)
            if size.parts > 1:
                yield f"app.{name}: the SMS in {locale} needs {size.parts} parts ({size.units} units)"
