"""The form of each table: its fields and what each may hold, as marshmallow schemas.

Pure. Must not know any table but its own; what holds between tables is in checks.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any, ClassVar
from urllib.parse import urlsplit

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from otp_service import messages
from otp_service.phone import TYPES, is_country
from otp_service.policy.model import (
    CHANNELS,
    EVENTS,
    MAX_TTL,
    MINUTE,
    PATHS,
    App,
    ChallengeRules,
    Events,
    Limits,
    Match,
    Operator,
    Receipts,
    StepRule,
    Upstream,
    Window,
)
from otp_service.senders import MipSender, RcsSender, SmsSender, VoiceSender, WhatsappSender

_UNITS = {"s": 1, "m": MINUTE, "h": 60 * MINUTE, "d": 24 * 60 * MINUTE}
_AUTO = "auto"


# Fields.


class _Duration(fields.Field[int]):
    """Seconds, written as "30s", "5m", "24h" or "1d"."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:  # noqa: ANN401 - marshmallow's signature
        match = re.fullmatch(r"([0-9]{1,6})([smhd])", value) if isinstance(value, str) else None
        if not match:
            raise ValidationError('must be a time such as "30s", "5m" or "24h"')
        return int(match[1]) * _UNITS[match[2]]


class _Wait(fields.Field[int | None]):
    """Seconds as above from 5 to 600, or "auto", which becomes None."""

    _inner = _Duration(validate=validate.Range(5, MAX_TTL, error=f"must be from 5 to {MAX_TTL} seconds"))

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int | None:  # noqa: ANN401 - as above
        return None if value == _AUTO else self._inner.deserialize(value)


class _Window(fields.Field[Window]):
    """A limit in a time, written as "3/10m"."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Window:  # noqa: ANN401 - as above
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


_Ordered = tuple[tuple[str, ...], tuple[int, ...]]


class _Accounts(fields.Field[_Ordered]):
    """Accounts and their weights, of which there are none for "main" and ["main", "spare"]."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> _Ordered:  # noqa: ANN401 - as above
        named = [value] if isinstance(value, str) else value
        if not isinstance(named, list | dict) or not all(isinstance(name, str) for name in named):
            raise ValidationError('must be "main", ["main", "spare"] or { main = 3, spare = 1 }')
        if not named:
            raise ValidationError("must name an account")
        if wrong := dict(_weight_problems(named) if isinstance(named, dict) else _repetitions(named)):
            raise ValidationError(wrong)
        return tuple(named), tuple(named.values()) if isinstance(named, dict) else ()


def _weight_problems(weights: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    for name, weight in weights.items():
        if not isinstance(weight, int) or isinstance(weight, bool) or weight < 1:
            yield name, ["must be a weight: a whole number, 1 or more"]


def _repetitions(names: list[str]) -> Iterator[tuple[int, list[str]]]:
    for place, name in enumerate(names):
        if name in names[:place]:
            yield place, [f"names {name} twice"]


class _Named(fields.Field[dict[str, Any]]):
    """A table whose keys are names of a form, each with a value of one kind."""

    def __init__(self, key: re.Pattern[str], rule: str, inner: fields.Field[Any], **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self._key, self._rule, self._inner = key, rule, inner

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
        if not isinstance(value, dict):
            raise ValidationError("must be a table")
        read: dict[str, Any] = {}
        wrong: dict[str, list[str]] = {}
        for name, inner in value.items():
            if not self._key.fullmatch(name):
                wrong[name] = [self._rule]
                continue
            try:
                read[name] = self._inner.deserialize(inner)
            except ValidationError as error:
                wrong[name] = error.normalized_messages()["_schema"]  # type: ignore[no-untyped-call]
        if wrong:
            raise ValidationError(wrong)
        return read


def _between(low: int, high: int, unit: str = "") -> validate.Range:
    return validate.Range(low, high, error=f"must be from {low} to {high}{unit}")


def _one_of(*words: str) -> validate.OneOf:
    named = words[0] if len(words) == 1 else f"one of {', '.join(words)}"
    return validate.OneOf(words, error=f"must be {named}")


def _some(inner: fields.Field[Any], **kwargs: Any) -> fields.List[Any]:  # noqa: ANN401 - as fields.List
    return fields.List(inner, validate=validate.Length(min=1, error="must not be empty"), **kwargs)


_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}")
_LANGUAGE_RULE = "must be a language tag such as en or pt-BR"
_ONE_LINE = validate.Regexp(r"[^\x00-\x1f\x7f]{1,40}\Z", error="must be 1 to 40 signs on one line")
_FIELD = validate.Regexp(r"[A-Za-z_][A-Za-z0-9_.-]{0,39}\Z", error="must be the name of a field")
_PATH = validate.Regexp(r"[A-Za-z0-9_~-][A-Za-z0-9._~/-]*\Z", error="must be a path below base_url")
_VENDOR_LANGUAGE = validate.Regexp(
    r"[a-z]{2,3}([_-][A-Za-z0-9]{2,8}){0,2}\Z", error="must be a template's language such as en or pt_BR"
)
_AFTER_CHOICE = _one_of("continue", "stop")


def _hash(what: str) -> fields.String:
    return fields.String(validate=validate.Regexp(r"[0-9a-f]{64}\Z", error=f"must be the SHA-256 of {what}"))


def _key_hash() -> fields.String:
    return _hash("a key in hex, as otp-service keys prints it")


def _setting(start: str) -> fields.String:
    rule = validate.Regexp(rf"{start}[A-Z0-9_]+\Z", error=f"must start with {start}")
    return fields.String(required=True, validate=rule)


def _countries(**kwargs: Any) -> fields.List[str]:  # noqa: ANN401 - as fields.List
    return fields.List(fields.String(validate=_check_country), **kwargs)


def _check_country(code: str) -> None:
    if not re.fullmatch(r"[A-Z]{2}", code):
        raise ValidationError("must be two capital letters")
    if not is_country(code):
        raise ValidationError(f"there are no numbers of a country {code}")


def _check_bounds(bounds: list[int]) -> None:
    if len(bounds) != 2 or bounds[0] > bounds[1]:  # noqa: PLR2004 - a lower and an upper one
        raise ValidationError('must be two times, the lower first, as ["10s", "60s"]')


def _check_base_url(url: str) -> None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return  # told by the field itself
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValidationError("must have no user, password, query or fragment")  # it may hold the token
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise ValidationError("must be https, as the token would travel in clear (http to localhost only)")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _words(channel: str) -> Callable[[str], None]:
    """Give the check of a channel's templates."""

    def check(template: str) -> None:
        if problems := messages.problems(template, channel):
            raise ValidationError(problems)

    return check


# Tables.


class Form(Schema):
    """A table of the document; `build` makes its value, lists becoming tuples.

    `blank` stands for required fields that are broken, so that all else can still be checked.
    """

    error_messages = {"type": "must be a table", "unknown": "unknown field"}  # noqa: RUF012 - no ClassVar there
    shape: ClassVar[Callable[..., Any]]
    blank: ClassVar[Mapping[str, Any]] = {}

    def build(self, values: Mapping[str, Any], **more: Any) -> Any:  # noqa: ANN401 - whatever `shape` is
        """Make the value of a table that was loaded."""
        return type(self).shape(
            **{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}, **more
        )


class _Inner(fields.Nested):
    """A table in a table, which is built with it."""

    def _deserialize(self, value: Any, *arguments: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as above
        form = self.schema
        assert isinstance(form, Form)  # noqa: S101 - for the type checker
        loaded = super()._deserialize(value, *arguments, **kwargs)
        try:
            return form.build(loaded)
        except ValueError as error:
            raise ValidationError(str(error)) from None


class _EventsForm(Form):
    shape = Events
    url = fields.String(
        required=True,
        validate=validate.Regexp(
            r"(https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?|http://(localhost|127\.0\.0\.1))"
            r"(:[0-9]{1,5})?(/[!-~]*)?\Z",
            error="must be an https:// URL (http:// for localhost only)",
        ),
    )
    secret_env = _setting("OTP_EVENTS_")
    types = fields.List(fields.String(validate=_one_of(*EVENTS)))


class AppForm(Form):
    """`[app.NAME]`."""

    shape = App
    blank: ClassVar = {"brand": ""}
    brand = fields.String(required=True, validate=_ONE_LINE)
    origins = fields.List(
        fields.String(
            validate=validate.Regexp(
                r"(https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?|http://(localhost|127\.0\.0\.1))(:[0-9]{1,5})?\Z",
                error="must be an origin as browsers send it, such as https://app.example.com, "
                "nothing after the host",
            )
        )
    )
    publishable_keys = fields.List(_key_hash())
    secret_keys = fields.List(_key_hash())
    countries = _countries(validate=validate.Length(min=1, error="must not be empty"))
    events = _Inner(_EventsForm)


class OperatorForm(Form):
    """`[operator.NAME]`."""

    shape = Operator
    keys = _some(_key_hash(), required=True)


class ChallengeForm(Form):
    """`[challenge]`."""

    shape = ChallengeRules
    code_length = fields.Integer(strict=True, validate=_between(6, 10))
    ttl = _Duration(validate=_between(MINUTE, MAX_TTL, " seconds"))  # messages tell it in minutes
    max_attempts = fields.Integer(strict=True, validate=_between(1, 5))
    max_sends = fields.Integer(strict=True, validate=_between(1, 10))
    cooldown = _some(_Duration(validate=_between(1, MAX_TTL, " seconds")))
    earlier_codes = fields.Integer(strict=True, validate=_between(0, 3))
    after_choice = fields.String(validate=_AFTER_CHOICE)
    auto_wait = fields.List(_Duration(validate=_between(5, MAX_TTL, " seconds")), validate=_check_bounds)


class LimitsForm(Form):
    """`[limits]`."""

    shape = Limits
    number = _some(_Window())
    address = fields.List(_Window())


class _SmsForm(Form):
    shape = SmsSender
    service = fields.String(required=True, validate=_ONE_LINE)
    sender = fields.String(required=True, validate=_ONE_LINE)
    entity_id = fields.String(validate=_ONE_LINE)
    template_id = fields.String(validate=_ONE_LINE)
    webhook_id = fields.String(validate=_ONE_LINE)
    expiry_field = fields.String(validate=_FIELD)
    batch = fields.Integer(strict=True, validate=_between(1, 100))


class _WhatsappForm(Form):
    shape = WhatsappSender
    sender = fields.String(required=True, validate=_ONE_LINE)
    template = fields.String(required=True, validate=_ONE_LINE)
    default_language = fields.String(validate=_VENDOR_LANGUAGE)
    languages = _Named(_LANGUAGE, _LANGUAGE_RULE, fields.String(validate=_VENDOR_LANGUAGE))
    webhook_id = fields.String(validate=_ONE_LINE)


class _VoiceForm(Form):
    shape = VoiceSender
    bridge = fields.String(required=True, validate=_ONE_LINE)
    mode = fields.String(validate=_one_of("tts", "flow"))
    flow_id = fields.String(validate=_ONE_LINE)
    languages = _Named(_LANGUAGE, _LANGUAGE_RULE, fields.String(validate=_VENDOR_LANGUAGE))
    voice_id = fields.String(validate=_ONE_LINE)
    gender = fields.String(validate=_ONE_LINE)
    break_mark = fields.String(validate=_ONE_LINE)
    break_time = fields.Float(validate=validate.Range(0.1, 10, error="must be from 0.1 to 10"))
    webhook_id = fields.String(validate=_ONE_LINE)

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def _check_flow(self, data: Mapping[str, Any], original: Mapping[str, Any], **_: Any) -> None:  # noqa: ANN401
        if data.get("mode") == "flow" and "flow_id" not in original:
            raise ValidationError('mode = "flow" needs the id of the flow', "flow_id")


class _RcsForm(Form):
    shape = RcsSender
    sender = fields.String(required=True, validate=_ONE_LINE)
    webhook_id = fields.String(validate=_ONE_LINE)


class _MipForm(Form):
    shape = MipSender
    sender = fields.String(required=True, validate=_ONE_LINE)
    template = fields.String(validate=_ONE_LINE)
    namespace = fields.String(validate=_ONE_LINE)
    default_language = fields.String(validate=_VENDOR_LANGUAGE)
    languages = _Named(_LANGUAGE, _LANGUAGE_RULE, fields.String(validate=_VENDOR_LANGUAGE))
    webhook_id = fields.String(validate=_ONE_LINE)


class _ReceiptsForm(Form):
    shape = Receipts
    secrets = _some(_hash("a webhook's secret in hex"), required=True)
    signature_ids = fields.List(fields.String(validate=_ONE_LINE))
    fields_ = _Named(
        re.compile("id|status|reference|mobile"),
        "must be id, status, reference or mobile",
        fields.String(validate=_FIELD),
        data_key="fields",
    )

    def build(self, values: Mapping[str, Any], **more: Any) -> Any:  # noqa: ANN401 - as Form.build
        """Make the value; marshmallow keeps the name `fields` for itself."""
        return super().build({k.rstrip("_"): v for k, v in values.items()}, **more)


class UpstreamForm(Form):
    """`[upstream.NAME]`."""

    shape = Upstream
    blank: ClassVar = {"kind": "", "base_url": "", "token_env": ""}
    kind = fields.String(required=True, validate=_one_of("mobtexting"))
    base_url = fields.Url(
        required=True, schemes={"http", "https"}, require_tld=False, validate=_check_base_url
    )
    token_env = _setting("OTP_UPSTREAM_")
    auth = fields.String(
        validate=validate.OneOf(["header", "query", "body"], error="must be header, query or body")
    )
    paths = _Named(
        re.compile("|".join(PATHS)), f"must be one of {', '.join(PATHS)}", fields.String(validate=_PATH)
    )
    balance_paths = _some(fields.String(validate=_PATH))
    connect_timeout = fields.Float(validate=validate.Range(0.05, 10, error="must be from 0.05 to 10"))
    total_timeout = fields.Float(validate=validate.Range(0.1, 6, error="must be from 0.1 to 6"))
    gets_per_minute = fields.Integer(strict=True, validate=_between(1, 100_000))
    tolerance = fields.Integer(strict=True, validate=_between(1, 1000))
    pull = fields.Boolean(truthy={True}, falsy={False})
    low_balance = fields.Float(validate=validate.Range(0, error="must not be negative"))
    sms = _Inner(_SmsForm)
    whatsapp = _Inner(_WhatsappForm)
    voice = _Inner(_VoiceForm)
    rcs = _Inner(_RcsForm)
    mip = _Inner(_MipForm)
    receipts = _Inner(_ReceiptsForm)


class StepForm(Form):
    """A step of a route."""

    shape = StepRule
    blank: ClassVar = {"channel": "", "accounts": ((), ())}
    channel = fields.String(required=True, validate=_one_of(*CHANNELS))
    accounts = _Accounts(required=True, data_key="upstream")
    wait = _Wait()
    until = fields.String(validate=_one_of("accepted", "sent", "delivered", "read"))
    condition = fields.String(data_key="if", validate=_one_of("mobile", "open"))

    def build(self, values: Mapping[str, Any], **more: Any) -> Any:  # noqa: ANN401 - as Form.build
        """Make the value of a step, accounts and weights apart."""
        rest = dict(values)
        upstreams, weights = rest.pop("accounts")
        return super().build(rest, upstreams=upstreams, weights=weights, **more)


class MatchForm(Form):
    """What a route is for."""

    shape = Match
    countries = _countries(data_key="country")
    prefixes = fields.List(
        fields.String(
            validate=validate.Regexp(
                r"\+[1-9][0-9]{0,14}\Z", error="must be the beginning of an E.164 number such as +4479"
            )
        ),
        data_key="prefix",
    )
    types = fields.List(fields.String(validate=_one_of(*sorted(TYPES))), data_key="type")
    apps = fields.List(fields.String(), data_key="app")
    purposes = fields.List(fields.String(), data_key="purpose")


class RouteForm(Form):
    """`[[route]]`, without what stands in its match and steps."""

    shape = dict
    name = fields.String()
    match = fields.Raw(load_default=dict)
    steps = _some(fields.Raw(), required=True)
    after_choice = fields.String(validate=_AFTER_CHOICE)


class TemplatesForm(Form):
    """`[template.CHANNEL]`: words by locale. WhatsApp has none, as its templates lie at the vendor."""

    shape = dict
    sms = _Named(_LANGUAGE, _LANGUAGE_RULE, fields.String(validate=_words("sms")))
    voice = _Named(_LANGUAGE, _LANGUAGE_RULE, fields.String(validate=_words("voice")))
    rcs = _Named(_LANGUAGE, _LANGUAGE_RULE, fields.String(validate=_words("rcs")))
    mip = _Named(_LANGUAGE, _LANGUAGE_RULE, fields.String(validate=_words("mip")))


_ANYTHING = re.compile(r"(?s).*")


def _tables(**kwargs: Any) -> _Named:  # noqa: ANN401 - as fields.Field
    return _Named(_ANYTHING, "", fields.Raw(), **kwargs)


class DocumentForm(Form):
    """The document, without what stands in its tables."""

    shape = dict
    app = _tables(required=True)
    upstream = _tables(required=True)
    route = _some(fields.Raw(), required=True)
    operator = _tables()
    challenge = fields.Raw()
    limits = fields.Raw()
    template = fields.Raw()
