"""The form of each table as a marshmallow schema: its fields, and what each may contain.

Pure. A form knows its own table only; `checks.py` has the rules between tables.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from marshmallow import ValidationError, fields, validate, validates_schema

from otp_service.durations import MINUTE
from otp_service.messages import templates
from otp_service.phone import TYPES
from otp_service.policy.endpoint_forms import DecisionForm, EventsForm
from otp_service.policy.fields import (
    ONE_LINE,
    ORIGIN,
    Duration,
    Form,
    Inner,
    Named,
    TrueOrFalse,
    between,
    check_url,
    countries,
    one_of,
    some,
)
from otp_service.policy.model import (
    MAX_TTL,
    PATHS,
    ROLES,
    App,
    ChallengeRules,
    Match,
    Operator,
    ReceiptSettings,
    StepRule,
    Upstream,
)
from otp_service.policy.split_form import SplitForm
from otp_service.upstream.channels import (
    CHANNELS,
    MipSettings,
    RcsSettings,
    SmsSettings,
    TemplateId,
    VoiceSettings,
    WhatsappSettings,
)

_AUTO = "auto"
_PURPOSE_RULE = "must be 1 to 32 lower-case letters, digits, '.', '-' or '_'"


# Fields.


class _Wait(fields.Field[int | None]):
    """Seconds from 5 to 600, written as a duration, or "auto", which becomes None."""

    _inner = Duration(validate=validate.Range(5, MAX_TTL, error=f"must be from 5 to {MAX_TTL} seconds"))

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int | None:  # noqa: ANN401 - marshmallow's signature
        return None if value == _AUTO else self._inner.deserialize(value)


_Ordered = tuple[tuple[str, ...], tuple[int, ...]]


class _Accounts(fields.Field[_Ordered]):
    """Accounts and their weights. "main" and ["main", "spare"] have no weights."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> _Ordered:  # noqa: ANN401 - marshmallow's signature
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


_LANGUAGE = validate.Regexp(
    r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}\Z", error="must be a language tag such as en or pt-BR"
)
_FIELD = validate.Regexp(r"[A-Za-z_][A-Za-z0-9_.-]{0,39}\Z", error="must be the name of a field")
_PATH = validate.Regexp(r"[A-Za-z0-9_~-][A-Za-z0-9._~/-]*\Z", error="must be a path below base_url")
_VENDOR_LANGUAGE = validate.Regexp(
    r"[a-z]{2,3}([_-][A-Za-z0-9]{2,8}){0,2}\Z", error="must be a template's language such as en or pt_BR"
)
_AFTER_CHOICE = one_of("continue", "stop")


def _hash(what: str) -> fields.String:
    return fields.String(validate=validate.Regexp(r"[0-9a-f]{64}\Z", error=f"must be the SHA-256 of {what}"))


def _key_hash() -> fields.String:
    return _hash("a key in hex, as otp-service keys draw prints it")


def _check_bounds(bounds: list[int]) -> None:
    if len(bounds) != 2 or bounds[0] > bounds[1]:  # noqa: PLR2004 - a lower and an upper one
        raise ValidationError('must be two times with the lower first, such as ["10s", "60s"]')


def _template_check(channel: str) -> Callable[[str], None]:
    """Return the check of a channel's templates."""

    def check(template: str) -> None:
        if problems := templates.problems(template, channel):
            raise ValidationError(problems)

    return check


# Tables.


class AppForm(Form):
    """`[app.NAME]`."""

    shape = App
    blank: ClassVar = {"brand": ""}
    brand = fields.String(required=True, validate=ONE_LINE)
    origins = fields.List(
        fields.String(
            validate=validate.Regexp(
                ORIGIN,
                error="must be an origin as browsers send it, such as https://app.example.com, "
                "nothing after the host",
            )
        )
    )
    publishable_keys = fields.List(_key_hash())
    secret_keys = fields.List(_key_hash())
    events = Inner(EventsForm)
    decision = Inner(DecisionForm)
    binding = fields.String(validate=one_of("in_message"))


class OperatorForm(Form):
    """`[operator.NAME]`."""

    shape = Operator
    keys = some(_key_hash())
    role = fields.String(validate=one_of(*ROLES))
    apps = some(fields.String())


class ChallengeForm(Form):
    """`[challenge]`."""

    shape = ChallengeRules
    code_length = fields.Integer(strict=True, validate=between(6, 10))
    ttl = Duration(validate=between(MINUTE, MAX_TTL, " seconds"))  # messages give it in minutes
    max_attempts = fields.Integer(strict=True, validate=between(1, 5))
    max_sends = fields.Integer(strict=True, validate=between(1, 10))
    cooldown = some(Duration(validate=between(1, MAX_TTL, " seconds")))
    earlier_codes = fields.Integer(strict=True, validate=between(0, 3))
    after_choice = fields.String(validate=_AFTER_CHOICE)
    auto_wait = fields.List(Duration(validate=between(5, MAX_TTL, " seconds")), validate=_check_bounds)


class _TemplateIdForm(Form):
    shape = TemplateId
    id = fields.String(required=True, validate=ONE_LINE)
    language = fields.String(validate=_LANGUAGE)
    app = fields.String(validate=ONE_LINE)
    purpose = fields.String(validate=ONE_LINE)


class _SmsForm(Form):
    shape = SmsSettings
    service = fields.String(required=True, validate=ONE_LINE)
    sender = fields.String(required=True, validate=ONE_LINE)
    entity_id = fields.String(validate=ONE_LINE)
    template_id = fields.String(validate=ONE_LINE)
    template_ids = some(Inner(_TemplateIdForm))
    webhook_id = fields.String(validate=ONE_LINE)
    expiry_field = fields.String(validate=_FIELD)
    batch = fields.Integer(strict=True, validate=between(1, 100))


class _WhatsappForm(Form):
    shape = WhatsappSettings
    sender = fields.String(required=True, validate=ONE_LINE)
    template = fields.String(required=True, validate=ONE_LINE)
    form = fields.String(validate=one_of("values", "components"))
    default_language = fields.String(validate=_VENDOR_LANGUAGE)
    languages = Named(fields.String(validate=_VENDOR_LANGUAGE), _LANGUAGE)
    webhook_id = fields.String(validate=ONE_LINE)


class _VoiceForm(Form):
    shape = VoiceSettings
    bridge = fields.String(required=True, validate=ONE_LINE)
    mode = fields.String(validate=one_of("tts", "flow"))
    flow_id = fields.String(validate=ONE_LINE)
    languages = Named(fields.String(validate=_VENDOR_LANGUAGE), _LANGUAGE)
    voice_id = fields.String(validate=ONE_LINE)
    gender = fields.String(validate=ONE_LINE)
    break_mark = fields.String(validate=ONE_LINE)
    break_time = fields.Float(validate=validate.Range(0.1, 10, error="must be from 0.1 to 10"))
    min_seconds = fields.Float(validate=validate.Range(0, 60, error="must be from 0 to 60"))
    webhook_id = fields.String(validate=ONE_LINE)

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def _check_flow(self, data: Mapping[str, Any], original: Mapping[str, Any], **_: Any) -> None:  # noqa: ANN401
        if data.get("mode") == "flow" and "flow_id" not in original:
            raise ValidationError('mode = "flow" needs the id of the flow', "flow_id")


class _RcsForm(Form):
    shape = RcsSettings
    sender = fields.String(required=True, validate=ONE_LINE)
    webhook_id = fields.String(validate=ONE_LINE)


class _MipForm(Form):
    shape = MipSettings
    sender = fields.String(required=True, validate=ONE_LINE)
    template = fields.String(validate=ONE_LINE)
    namespace = fields.String(validate=ONE_LINE)
    default_language = fields.String(validate=_VENDOR_LANGUAGE)
    languages = Named(fields.String(validate=_VENDOR_LANGUAGE), _LANGUAGE)
    webhook_id = fields.String(validate=ONE_LINE)


class _ReceiptsForm(Form):
    shape = ReceiptSettings
    secrets = some(_hash("a webhook's secret in hex"), required=True)
    signature_ids = fields.List(fields.String(validate=ONE_LINE))
    fields_ = Named(
        fields.String(validate=_FIELD),
        validate.OneOf(("id", "status", "reference"), error="must be id, status or reference"),
        data_key="fields",
    )

    def build(self, values: Mapping[str, Any], **more: Any) -> Any:  # noqa: ANN401 - as Form.build
        """Make the value. marshmallow reserves the name `fields`."""
        return super().build({k.rstrip("_"): v for k, v in values.items()}, **more)


class UpstreamForm(Form):
    """`[upstream.NAME]`."""

    shape = Upstream
    blank: ClassVar = {"kind": "", "base_url": "", "token_env": ""}
    kind = fields.String(required=True, validate=one_of("mobtexting"))
    base_url = fields.Url(required=True, schemes={"http", "https"}, require_tld=False, validate=check_url)
    token_env = fields.String(
        required=True,
        validate=validate.Regexp(r"OTP_UPSTREAM_[A-Z0-9_]+\Z", error="must start with OTP_UPSTREAM_"),
    )
    auth = fields.String(
        validate=validate.OneOf(["header", "query", "body"], error="must be header, query or body")
    )
    paths = Named(fields.String(validate=_PATH), one_of(*PATHS))
    balance_paths = fields.List(
        fields.String(validate=_PATH), validate=validate.Length(1, 4, error="must be 1 to 4 paths")
    )
    connect_timeout = fields.Float(validate=validate.Range(0.05, 10, error="must be from 0.05 to 10"))
    total_timeout = fields.Float(validate=validate.Range(0.1, 6, error="must be from 0.1 to 6"))
    gets_per_minute = fields.Integer(strict=True, validate=between(1, 100_000))
    tolerance = fields.Integer(strict=True, validate=between(1, 1000))
    pull = TrueOrFalse()
    low_balance = fields.Float(validate=validate.Range(0, error="must not be negative"))
    sms = Inner(_SmsForm)
    whatsapp = Inner(_WhatsappForm)
    voice = Inner(_VoiceForm)
    rcs = Inner(_RcsForm)
    mip = Inner(_MipForm)
    receipts = Inner(_ReceiptsForm)


class StepForm(Form):
    """A step of a route."""

    shape = StepRule
    blank: ClassVar = {"channel": "", "accounts": ((), ())}
    channel = fields.String(required=True, validate=one_of(*CHANNELS))
    accounts = _Accounts(required=True, data_key="upstream")
    wait = _Wait()
    until = fields.String(validate=one_of("accepted", "sent", "delivered", "read"))
    condition = fields.String(data_key="if", validate=one_of("mobile", "open"))
    lines = fields.String(validate=one_of("on", "off"))

    def build(self, values: Mapping[str, Any], **more: Any) -> Any:  # noqa: ANN401 - as Form.build
        """Make the value of a step, with accounts and weights separated."""
        rest = dict(values)
        upstreams, weights = rest.pop("accounts")
        return super().build(rest, upstreams=upstreams, weights=weights, **more)


class MatchForm(Form):
    """`match` of a route."""

    shape = Match
    countries = countries(data_key="country")
    prefixes = fields.List(
        fields.String(
            validate=validate.Regexp(
                r"\+[1-9][0-9]{0,14}\Z", error="must be the beginning of an E.164 number such as +4479"
            )
        ),
        data_key="prefix",
    )
    types = fields.List(fields.String(validate=one_of(*sorted(TYPES))), data_key="type")
    apps = fields.List(fields.String(), data_key="app")
    purposes = fields.List(fields.String(), data_key="purpose")


class RouteForm(Form):
    """`[[route]]`, without its match and steps."""

    shape = dict
    name = fields.String()
    match = fields.Raw(load_default=dict)
    steps = some(fields.Raw(), required=True)
    after_choice = fields.String(validate=_AFTER_CHOICE)
    split = Inner(SplitForm)


class TemplatesForm(Form):
    """`[template.CHANNEL]`: texts by locale. WhatsApp has none, as the vendor keeps its templates.

    `hosts` are those to which texts and brands may lead, beside those of apps.
    """

    shape = dict
    sms = Named(fields.String(validate=_template_check("sms")), _LANGUAGE)
    voice = Named(fields.String(validate=_template_check("voice")), _LANGUAGE)
    rcs = Named(fields.String(validate=_template_check("rcs")), _LANGUAGE)
    mip = Named(fields.String(validate=_template_check("mip")), _LANGUAGE)
    payment = Named(fields.String(validate=_template_check("payment")), _LANGUAGE)
    hosts = fields.List(
        fields.String(
            validate=validate.Regexp(
                r"[a-z0-9-]+(\.[a-z0-9-]+)+\Z", error="must be a host such as example.com"
            )
        )
    )


def _some_tables(kind: str) -> Named:
    rule = f"needs at least one [{kind}.NAME]"
    return Named(
        fields.Raw(),
        required=True,
        validate=validate.Length(min=1, error=rule),
        error_messages={"required": rule},
    )


class DocumentForm(Form):
    """The document, without the content of its tables."""

    shape = dict
    app = _some_tables("app")
    upstream = _some_tables("upstream")
    route = some(fields.Raw(), required=True, error_messages={"required": "needs at least one [[route]]"})
    operator = Named(fields.Raw())
    challenge = fields.Raw()
    guard = fields.Raw()
    alerts = fields.Raw()
    template = fields.Raw()
