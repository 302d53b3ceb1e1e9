"""What goes over the HTTP API: each field's form and description stand here once.

openapi.yaml is made from these. Must not know what is done with the values.
"""

import re
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from otp_service.access.api_keys import seconds
from otp_service.challenge.model import State
from otp_service.policy import ROLES

BINDING_PARTS, BINDING_LENGTH, BINDING_TEXT = 8, 64, 256


def _text(rule: str, pattern: str, about: str, example: str, **kwargs: Any) -> fields.String:  # noqa: ANN401
    return fields.String(
        validate=validate.Regexp(re.compile(rf"(?:{pattern})\Z"), error=rule),
        metadata={"description": about, "example": example, "pattern": f"^(?:{pattern})$"},
        error_messages={"invalid": "must be a string", "null": "must not be null"},
        **kwargs,
    )


class _Binding(fields.Field[Any]):
    """A line of text, or a flat object of lines."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:  # noqa: ANN401 - marshmallow's signature
        if isinstance(value, str) and 1 <= len(value) <= BINDING_TEXT:
            return value
        if isinstance(value, dict) and 1 <= len(value) <= BINDING_PARTS:
            parts = [*value.keys(), *value.values()]
            if all(isinstance(part, str) and 1 <= len(part) <= BINDING_LENGTH for part in parts):
                return value
        raise ValidationError(
            f"must be a string of 1 to {BINDING_TEXT} signs, or an object of up to {BINDING_PARTS} strings "
            f"of 1 to {BINDING_LENGTH} signs"
        )


class _Strict(Schema):
    error_messages = {"unknown": "is not a field of this request"}  # noqa: RUF012 - typed so by its base


def _binding(about: str) -> _Binding:
    line = {"type": "string", "minLength": 1, "maxLength": BINDING_LENGTH}
    forms = [
        {"type": "string", "minLength": 1, "maxLength": BINDING_TEXT},
        {
            "type": "object",
            "minProperties": 1,
            "maxProperties": BINDING_PARTS,
            "propertyNames": line,
            "additionalProperties": line,
        },
    ]
    example = {"amount": "12.00 EUR", "payee": "Acme"}
    return _Binding(metadata={"description": about, "example": example, "oneOf": forms})


def _channel() -> fields.String:
    names = ["sms", "whatsapp", "voice", "rcs", "mip"]
    return fields.String(
        validate=validate.OneOf(names, error=f"must be one of {', '.join(names)}"),
        metadata={"description": "The channel the person chose; it is tried first.", "example": "sms"},
        error_messages={"invalid": "must be a string", "null": "must not be null"},
    )


class NumberSchema(_Strict):
    """A phone number."""

    to = _text(
        "must be 3 to 40 signs",
        r"[^\x00-\x1f]{3,40}",
        "The phone number, in any spelling; it becomes one E.164 number.",
        "+1 202 555 0100",
        required=True,
    )
    country = _text(
        "must be the two capital letters of a country (ISO 3166)",
        r"[A-Z]{2}",
        "The country of a number written without its country code (ISO 3166 alpha-2).",
        "US",
    )


class _RouteSchema(NumberSchema):
    """What decides which route a number takes, and in which words."""

    purpose = _text(
        "must be 1 to 32 small letters, digits, '.', '-' or '_'",
        r"[a-z0-9._-]{1,32}",
        "What the proof is for. A code counts for its purpose only.",
        "login",
        load_default="login",
    )
    channel = _channel()
    locale = _text(
        "must be a language tag such as en or pt-BR",
        r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}",
        "The language of the message (BCP 47); guessed from the number when left out.",
        "en",
    )


def _human_proof() -> fields.String:
    return _text(
        "must be the result of a human check, 4096 signs at most",
        r"[\x21-\x7e]{1,4096}",
        "What the widget made of human_check, after the problem human_check_required.",
        "eyJjaGFsbGVuZ2UiOnsuLi59fQ==",
    )


class SendSchema(_RouteSchema):
    """Body of POST /otp/send."""

    reference = _text(
        "must be 1 to 64 visible ASCII signs",
        r"[\x21-\x7e]{1,64}",
        "Your own id; comes back in every answer and in the verification token.",
        "signup-4711",
    )
    binding = _binding(
        "What the code is tied to, such as a payment's amount and payee; any change voids the code."
    )
    app_hash = _text(
        "must be the 11 signs that Android's SMS Retriever expects",
        r"[A-Za-z0-9+/]{11}",
        "Hash of your Android app, written into the SMS so that the app can read the code by itself.",
        "FA+9qCX9VSu",
    )

    session = _text(
        "must be 1 to 128 visible ASCII signs",
        r"[\x21-\x7e]{1,128}",
        "Your own name of the person's session, with a secret key only: sends of strangers, of sessions and of those "
        "that verified this number before are counted apart.",
        "b7a9e4c1",
    )
    address = _text(
        "must be an IP address",
        r"[0-9a-fA-F.:]{2,45}",
        "The person's address, with a secret key only: it is counted as a browser's would be.",
        "192.0.2.1",
    )
    device_token = _text(
        "must be a device_token that POST /otp/verify gave",
        r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+",
        "Shows that this device verified this number before: no stranger's sends count against it.",
        "eyJhbGciOiJFZERTQSIsInR5cCI6Im90cC4uLg.eyJpc3MiOiJodHRwczovL290cC4uLg.c2lnbmF0dXJl",
    )
    human_proof = _human_proof()


class VerifySchema(_Strict):
    """Body of POST /otp/verify."""

    challenge_id = _text(
        "must be the id that POST /otp/send gave",
        r"[A-Za-z0-9_-]{1,64}",
        "The challenge's id.",
        "2aH3b0sYp1c7mV9xQ4tLkZ0w",
        required=True,
    )
    code = _text(
        "must be a string of 6 to 10 digits",
        r"[0-9]{6,10}",
        "What the person typed, as a string of digits.",
        "042137",
        required=True,
    )
    binding = _binding("The same binding as at the send; compared when given, and always shown in the token.")
    remember_device = fields.Boolean(
        truthy={True},
        falsy={False},
        load_default=False,
        metadata={
            "description": "Whether to give a device_token, which the device keeps for its next POST /otp/send.",
            "example": True,
        },
        error_messages={"invalid": "must be true or false", "null": "must not be null"},
    )


def _place(about: str, example: str) -> fields.String:
    return _text("must be the number of a version", r"[0-9]{1,9}", about, example)


class PathSchema(_Strict):
    """What stands in paths."""

    challenge_id = VerifySchema._declared_fields["challenge_id"]  # noqa: SLF001 - the same field stands there
    number = _place("The version's number.", "12")
    old = _place("The version to compare from.", "11")
    new = _place("The version to compare with.", "12")
    upstream = _text(
        "must be the name of an account",
        r"[a-z][a-z0-9_-]{0,31}",
        "The upstream account's name in the policy.",
        "main",
    )
    secret = _text(
        "must be one of the account's webhook secrets",
        r"[A-Za-z0-9_-]{1,200}",
        "A secret whose SHA-256 stands in the account's receipts.secrets.",
        "whs_4711",
    )
    key_id = _text("must be a key's id", r"[0-9a-f]{10}", "The key's id, as it is listed.", "5f2ab1c3d4")
    app = _text(
        "must be the name of an app", r"[a-z][a-z0-9_-]{0,31}", "The app's name in the policy.", "web"
    )


class ResendSchema(_Strict):
    """Body of POST /otp/{id}/resend; may be left out."""

    channel = _channel()
    human_proof = _human_proof()


class RedeemSchema(_Strict):
    """Body of POST /otp/token/redeem."""

    token = _text(
        "must be a verification token",
        r"[A-Za-z0-9_-]{1,12000}(\.[A-Za-z0-9_-]{1,12000}){2}",
        "The token that POST /otp/verify gave to the frontend.",
        "eyJhbGciOiJFZERTQSIsInR5cCI6Im90cC4uLg.eyJpc3MiOiJodHRwczovL290cC4uLg.c2lnbmF0dXJl",
        required=True,
    )


def _shown(kind: type[fields.Field[Any]], about: str, example: object, **kwargs: Any) -> Any:  # noqa: ANN401
    return kind(required=True, metadata={"description": about, "example": example}, **kwargs)


class DeliverySchema(Schema):
    """One try to bring a code."""

    channel = _shown(fields.String, "The channel.", "sms")
    status = _shown(
        fields.String,
        "queued, sending, accepted (the upstream took it), refused, unknown (no answer came), superseded.",
        "accepted",
    )


class ChallengeSchema(Schema):
    """A challenge as a screen may see it."""

    challenge_id = _shown(
        fields.String, "The challenge's id: a secret of its holder.", "2aH3b0sYp1c7mV9xQ4tLkZ0w"
    )
    status = _shown(
        fields.String,
        "Where the challenge stands; all but pending are final.",
        "pending",
        validate=validate.OneOf([state.value for state in State]),
    )
    to = _shown(fields.String, "The number, masked.", "+1********00")
    channel = _shown(
        fields.String, "The channel of the newest message, or of the code that came back.", "sms"
    )
    purpose = _shown(fields.String, "What the proof is for.", "login")
    expires_in = _shown(fields.Integer, "Seconds until no code counts any more.", 300)
    resend_in = _shown(fields.Integer, "Seconds until another message may be asked for.", 30)
    sends_left = _shown(fields.Integer, "Messages that may still be sent.", 3)
    checks_left = _shown(fields.Integer, "Guesses that are left.", 5)
    code_length = _shown(fields.Integer, "How many digits the code has.", 6)
    channels_left = _shown(
        fields.List, "Channels that a resend may use.", ["sms"], cls_or_instance=fields.String()
    )
    deliveries = _shown(
        fields.List,
        "Each message so far, oldest first.",
        [{"channel": "sms", "status": "accepted"}],
        cls_or_instance=fields.Nested(DeliverySchema),
    )
    reference = fields.String(
        metadata={"description": "Your own id, where you gave one.", "example": "signup-4711"}
    )


class VerifiedSchema(ChallengeSchema):
    """A challenge that was won."""

    token = _shown(
        fields.String,
        "The proof, a JWT signed with Ed25519: hand it to your backend, which checks or redeems it.",
        "eyJhbGciOiJFZERTQSIsInR5cCI6Im90cC4uLg.eyJpc3MiOiJodHRwczovL290cC4uLg.c2lnbmF0dXJl",
    )
    token_expires_in = _shown(fields.Integer, "Seconds the token lives.", 300)
    device_token = fields.String(
        metadata={
            "description": "Where it was asked for: keep it on the device, and show it at the next POST /otp/send.",
            "example": "eyJhbGciOiJFZERTQSIsInR5cCI6Im90cC4uLg.eyJpc3MiOiJodHRwczovL290cC4uLg.c2lnbmF0dXJl",
        }
    )


class ClaimsSchema(Schema):
    """What a verification token says."""

    iss = _shown(fields.String, "The service that signed.", "https://otp.example.com")
    aud = _shown(fields.String, "The app it was made for.", "web")
    sub = _shown(
        fields.String, "The same for one number in one app, and tells nothing else.", "p0Yk5c1nS0a7mD2xQ4tLkg"
    )
    phone_number = _shown(fields.String, "The proven number, E.164.", "+12025550100")
    phone_number_verified = _shown(fields.Boolean, "Always true.", example=True)
    purpose = _shown(fields.String, "What the proof is for.", "login")
    amr = _shown(
        fields.List, "How it was proven (RFC 8176).", ["otp", "sms"], cls_or_instance=fields.String()
    )
    channel = _shown(fields.String, "The channel whose code came back.", "sms")
    iat = _shown(fields.Integer, "When it was signed, seconds since 1970.", 1790000000)
    exp = _shown(fields.Integer, "Until when it counts, seconds since 1970.", 1790000300)
    jti = _shown(fields.String, "The token's own id.", "Zk1p0Yk5c1nS0a7mD2xQ4t")
    binding = fields.Raw(
        metadata={"description": "What the code was tied to, where it was.", "example": "order 4711"}
    )
    reference = fields.String(
        metadata={"description": "Your own id, where you gave one.", "example": "signup-4711"}
    )


class FieldErrorSchema(Schema):
    """A field and the rule it breaks."""

    field = _shown(fields.String, "The field's name.", "to")
    rule = _shown(fields.String, "What the field must be.", "must be a number that can exist in its country")


class HumanCheckSchema(Schema):
    """What a page needs to show the check of `human_check_required`."""

    kind = _shown(fields.String, "altcha, or siteverify for a CAPTCHA vendor's widget.", "altcha")
    expires_in = fields.Integer(
        metadata={"description": "Seconds in which the result must come.", "example": 300}
    )
    challenge = fields.Dict(
        metadata={"description": "For altcha: what its widget takes as `challenge`, as JSON."}
    )
    site_key = fields.String(
        metadata={
            "description": "For siteverify: the public key of the vendor's widget.",
            "example": "1x00AA",
        }
    )


class ProblemSchema(Schema):
    """Problem details (RFC 9457)."""

    type = _shown(fields.String, "A URN that ends with the code.", "urn:otp-service:problem:invalid_request")
    title = _shown(fields.String, "The code in words.", "Invalid request")
    status = _shown(fields.Integer, "The HTTP status again.", 422)
    detail = _shown(fields.String, "What happened and what to do next.", "Some fields break a rule.")
    code = _shown(fields.String, "Stable name of the problem.", "invalid_request")
    request_id = _shown(fields.String, "Quote it when you ask for help.", "9f86d081884c7d65")
    errors = fields.List(
        fields.Nested(FieldErrorSchema), metadata={"description": "The fields that break a rule."}
    )
    retry_after = fields.Integer(
        metadata={"description": "Seconds to wait before the next try.", "example": 30}
    )
    checks_left = fields.Integer(metadata={"description": "Guesses that are left.", "example": 4})
    version = fields.Integer(metadata={"description": "The version of the policy in force.", "example": 12})
    rule = fields.String(
        metadata={"description": "With a secret key: the guard's rule that refused.", "example": "number"}
    )
    human_check = fields.Nested(
        HumanCheckSchema, metadata={"description": "What to solve before the request is repeated."}
    )


class KeySchema(Schema):
    """A public key (RFC 8037)."""

    kty = _shown(fields.String, "Key type.", "OKP")
    crv = _shown(fields.String, "Curve.", "Ed25519")
    use = _shown(fields.String, "Use.", "sig")
    alg = _shown(fields.String, "Algorithm.", "EdDSA")
    kid = _shown(fields.String, "Key id, as in a token's header.", "s1")
    x = _shown(fields.String, "The key, base64url.", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")


class KeySetSchema(Schema):
    """A JWK set (RFC 7517)."""

    keys = _shown(fields.List, "All keys that may have signed.", [], cls_or_instance=fields.Nested(KeySchema))


class HealthSchema(Schema):
    """A probe's answer."""

    status = _shown(fields.String, "ok, or unavailable.", "ok")
    parts = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        metadata={"description": "Each part and how it is.", "example": {"store": "ok"}},
    )


class BalanceSchema(Schema):
    """What is left at an upstream, one service."""

    service = _shown(fields.String, "The upstream's code of the service.", "T")
    name = _shown(fields.String, "Its name.", "Transactional")
    credits = _shown(fields.Float, "What is left, in the upstream's unit.", 1000.0)
    postpaid = _shown(fields.Boolean, "Whether the account is billed afterwards.", example=False)


class UpstreamSchema(Schema):
    """An upstream account as it answers now."""

    name = _shown(fields.String, "The account's name in the policy.", "main")
    status = _shown(fields.String, "ok, or what its answer says is wrong.", "ok")
    balance = _shown(fields.List, "What is left.", [], cls_or_instance=fields.Nested(BalanceSchema))
    breakers = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        metadata={
            "description": "The breakers of the account (*) and of its channels: closed, open or half open.",
            "example": {"*": "closed", "sms": "open for 12 s"},
        },
    )


class UpstreamsSchema(Schema):
    """All upstream accounts."""

    upstreams = _shown(fields.List, "Each account.", [], cls_or_instance=fields.Nested(UpstreamSchema))


class ReceivedSchema(Schema):
    """Thanks for a report, or the answer to the handshake when a webhook is created."""

    received = fields.Integer(metadata={"description": "How many reports were read.", "example": 1})
    challenge = fields.String(
        metadata={"description": "The upstream's own challenge, echoed.", "example": "9f2c"}
    )


# For operators.


def _reason() -> fields.String:
    return _text(
        "must be 1 to 200 signs on one line",
        r"[^\x00-\x1f]{1,200}",
        "Why; kept in the history.",
        "voice first in Spain",
        required=True,
    )


def _policy(*, required: bool) -> fields.String:
    return fields.String(
        required=required,
        metadata={"description": "The policy, a TOML document.", "example": '[app.web]\nbrand = "Acme"'},
        error_messages={"invalid": "must be a string", "null": "must not be null"},
    )


def _version(about: str) -> fields.Integer:
    return fields.Integer(
        strict=True,
        validate=validate.Range(0, 1_000_000_000, error="must be the number of a version"),
        metadata={"description": about, "example": 12},
        error_messages={"invalid": "must be a whole number", "null": "must not be null"},
    )


class PolicyTextSchema(_Strict):
    """A policy to check."""

    text = _policy(required=True)


class PolicyApplySchema(PolicyTextSchema):
    """A policy to apply."""

    reason = _reason()
    expected = _version("The version that the change was made from; another in force is a conflict.")


class PolicyRollbackSchema(_Strict):
    """Which version to bring back."""

    reason = _reason()
    version = _version("The version; the one before the one in force when left out.")


class PolicyCheckedSchema(Schema):
    """A policy that could work."""

    warnings = _shown(
        fields.List,
        "What may not be meant, each with its line.",
        ["app.web: the SMS in hi needs 2 parts (81 units) (line 2)"],
        cls_or_instance=fields.String(),
    )


class PolicyBriefSchema(Schema):
    """One version of the policy."""

    version = _shown(fields.Integer, "Its number.", 12)
    author = _shown(fields.String, "The operator whose key applied it, or how it came.", "alice")
    at = _shown(fields.Integer, "When, in milliseconds since 1970 by the store's clock.", 1_700_000_000_000)
    reason = _shown(fields.String, "Why.", "voice first in Spain")


class PolicyVersionSchema(PolicyBriefSchema):
    """One version of the policy with its text."""

    text = _policy(required=True)


class PolicyAppliedSchema(PolicyBriefSchema, PolicyCheckedSchema):
    """The version that is in force now."""


class PolicyHistorySchema(Schema):
    """Versions, the newest first."""

    versions = _shown(fields.List, "Each version.", [], cls_or_instance=fields.Nested(PolicyBriefSchema))


class PolicyDiffSchema(Schema):
    """What changed between two versions."""

    diff = _shown(fields.String, "A unified diff; empty for none.", '-wait = "30s"\n+wait = "20s"\n')


class SimulateSchema(_RouteSchema):
    """What to play through."""

    app = _text(
        "must be the name of an app", r"[a-z][a-z0-9_-]{0,31}", "The app; the first when left out.", "web"
    )
    text = _policy(required=False)


class SimulationSchema(Schema):
    """What a number would get, and why."""

    number = _shown(fields.Dict, "The number as it is understood: masked, country, type.", {"country": "GB"})
    app = _shown(fields.String, "The app that would send.", "web")
    route = _shown(
        fields.Dict, "The route that serves it and why no earlier one does.", {"place": 0}, allow_none=True
    )
    steps = _shown(
        fields.List,
        "Each step: channel, accounts in order, wait and where it comes from, text, parts.",
        [{"channel": "sms", "upstreams": ["main"], "wait": 30}],
        cls_or_instance=fields.Dict(),
    )
    guard = _shown(
        fields.List,
        "What the send would be charged to.",
        [{"rule": "number", "mode": "enforce", "limits": ["3 in 600 s: refuse"]}],
        cls_or_instance=fields.Dict(),
    )
    verdict = fields.Dict(
        allow_none=True,
        metadata={
            "description": "What the guard would do now for a browser that nobody knows, and which limits are passed.",
            "example": {"verdict": "allow", "findings": []},
        },
    )
    challenge = fields.Dict(
        metadata={"description": "The rules that the challenge would follow.", "example": {"ttl": 300}}
    )
    passed_over = fields.List(
        fields.Dict(),
        metadata={"description": "Where no route serves the number: why each does not.", "example": []},
    )
    problem = fields.String(
        allow_none=True,
        metadata={"description": "The error that the send would get, if any.", "example": "no_route"},
    )


class FigureSchema(Schema):
    """What became of the codes of one channel, country and upstream in seven days."""

    channel = _shown(fields.String, "Channel.", "sms")
    country = _shown(fields.String, "Country of the numbers (ISO 3166 alpha-2).", "GB")
    upstream = _shown(fields.String, "Account.", "main")
    sent = _shown(fields.Integer, "Codes that the account took.", 1000)
    verified = _shown(fields.Integer, "Codes that came back.", 812)
    conversion = _shown(fields.Float, "Share that came back.", 0.812, allow_none=True)
    median_seconds = _shown(fields.Float, "Half of them came back so soon.", 14.2, allow_none=True)
    p90_seconds = _shown(fields.Float, "Nine of ten came back so soon.", 41.0, allow_none=True)


class FiguresSchema(Schema):
    """Conversion of the last seven days."""

    figures = _shown(fields.List, "Each row.", [], cls_or_instance=fields.Nested(FigureSchema))


class SuppressionSchema(Schema):
    """Whether a number wants no messages."""

    suppressed = _shown(fields.Boolean, "Whether nothing is sent to it.", example=True)
    channel = fields.String(metadata={"description": "Where the person asked for it.", "example": "sms"})
    upstream = fields.String(
        metadata={"description": "The account that took the message.", "example": "main"}
    )
    at = fields.Integer(
        metadata={"description": "When, in milliseconds since 1970.", "example": 1_700_000_000_000}
    )
    by = fields.String(metadata={"description": "Who asked for it.", "example": "the person"})


class ForgetSchema(NumberSchema):
    """A number to forget."""

    and_suppression = fields.Boolean(
        load_default=False,
        truthy={True},
        falsy={False},
        metadata={"description": "Forget a STOP, too: messages may go there again.", "example": False},
    )


class ForgottenSchema(Schema):
    """What was erased."""

    removed = _shown(
        fields.Dict,
        "How many records, by kind.",
        example={"challenges": 1, "events": 2},
        keys=fields.String(),
        values=fields.Integer(),
    )
    unreadable = _shown(
        fields.Integer,
        "Challenges sealed with a key that this process lacks: whose they are it cannot tell.",
        example=0,
    )
    suppressed = _shown(
        fields.Boolean, "Whether it stays on the suppression list, as a bare HMAC.", example=False
    )


class LiftedSchema(Schema):
    """Whether a suppression was lifted."""

    lifted = _shown(fields.Boolean, "False if there was none.", example=True)


# Keys and apps.


def _one_line(about: str, example: str, most: int, **kwargs: Any) -> fields.String:  # noqa: ANN401 - as _text
    rule = f"must be 1 to {most} signs on one line"
    return _text(rule, rf"[^\x00-\x1f\x7f]{{1,{most}}}", about, example, **kwargs)


class _Time(fields.Field[int]):
    """Seconds, written as 90d or 24h."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:  # noqa: ANN401 - marshmallow's signature
        try:
            return seconds(value)
        except (TypeError, ValueError):
            raise ValidationError("must be a time such as 90d or 24h, up to 3650d") from None


def _time(about: str, example: str, **kwargs: Any) -> _Time:  # noqa: ANN401 - as _text
    written = {"type": "string", "pattern": "^[0-9]{1,9}[smhd]$"}
    return _Time(metadata={"description": about, "example": example} | written, **kwargs)


class KeyCreateSchema(_Strict):
    """A key to issue."""

    kind = fields.String(
        required=True,
        validate=validate.OneOf(["publishable", "secret", "ops"], error="must be publishable, secret or ops"),
        metadata={
            "description": "For browsers and phones, for servers, or for operators.",
            "example": "secret",
        },
        error_messages={"invalid": "must be a string", "null": "must not be null"},
    )
    owner = _text(
        "must be a name of small letters, digits, - and _",
        r"[a-z][a-z0-9_-]{0,31}",
        "The app that may call with it; for an operator's key the operator's name, which stands in the audit.",
        "web",
        required=True,
    )
    role = fields.String(
        validate=validate.OneOf(ROLES, error=f"must be one of {', '.join(ROLES)}"),
        metadata={"description": "What an operator's key may do; no other key has one.", "example": "read"},
        error_messages={"invalid": "must be a string", "null": "must not be null"},
    )
    expires = _time("When it ends, counted from now; never when left out.", "90d")
    label = _one_line("What it is for.", "checkout servers", 80)


class KeyRotateSchema(_Strict):
    """How a key is replaced."""

    reason = _one_line("The reason, for the audit.", "every quarter", 200, required=True)
    overlap = _time("How long the key before still lives; a day when left out.", "24h")
    expires = _time("When the successor ends; after as long as its predecessor when left out.", "90d")


class KeyRevokeSchema(_Strict):
    """Why a key ends."""

    reason = _one_line("What happened.", "found in a repository", 200, required=True)


class IssuedKeySchema(Schema):
    """A key that was issued; the key itself is kept nowhere. Times are milliseconds since 1970."""

    id = _shown(fields.String, "Its id, by which it is rotated and revoked.", "5f2ab1c3d4")
    kind = _shown(fields.String, "One of publishable, secret and ops.", "secret")
    owner = _shown(fields.String, "The app, or the operator of an ops key.", "web")
    role = _shown(fields.String, "The operator's role; empty for an app.", "")
    label = _shown(fields.String, "What was said about its use.", "checkout servers")
    fingerprint = _shown(fields.String, "The first eight digits of its SHA-256.", "9f86d081")
    live = _shown(fields.Boolean, "Whether it lets anybody in now.", example=True)
    by = _shown(fields.String, "The operator who issued it.", "anna")
    created = _shown(fields.Integer, "When it was issued.", 1_700_000_000_000)
    expires = _shown(fields.Integer, "When it ends or ended.", 1_707_776_000_000, allow_none=True)
    used = _shown(fields.Integer, "When it was used last, to the minute.", 1_700_000_060_000, allow_none=True)
    line = _shown(fields.String, "The id of the first key of those that replaced one another.", "5f2ab1c3d4")
    replaced_by = _shown(fields.String, "The id of its successor; empty for none.", "")
    ended_by = _shown(fields.String, "The operator who rotated or revoked it.", "")
    ended_why = _shown(fields.String, "What was said then.", "")


class IssuedKeysSchema(Schema):
    """All issued keys; one that ended is kept for 90 days."""

    keys = _shown(
        fields.List, "Each key, the oldest first.", [], cls_or_instance=fields.Nested(IssuedKeySchema)
    )


class NewKeySchema(IssuedKeySchema):
    """A new key, which is shown this once."""

    key = _shown(fields.String, "The key itself; nobody can show it again.", "sk_...")


class AppCreateSchema(_Strict):
    """An app to add to the policy."""

    name = _text(
        "must be a name of small letters, digits, - and _",
        r"[a-z][a-z0-9_-]{0,31}",
        "Its name, which is the audience of its tokens.",
        "shop",
        required=True,
    )
    brand = _one_line("The name that stands in messages.", "Acme Shop", 40, required=True)
    origins = fields.List(
        _one_line("An origin as browsers send it.", "https://shop.example.com", 200),
        metadata={
            "description": "Pages that may use its publishable keys.",
            "example": ["https://shop.example.com"],
        },
        load_default=list,
    )
    reason = _one_line("The reason, for the policy's history.", "the shop opens", 200, required=True)
    keys = fields.Boolean(
        truthy={True},
        falsy={False},
        load_default=True,
        metadata={"description": "Whether to issue a publishable and a secret key at once.", "example": True},
    )


class AppRemoveSchema(_Strict):
    """Why an app is removed."""

    reason = _one_line("Why it goes; kept in the policy's history.", "the shop closed", 200, required=True)


class AppSchema(Schema):
    """An app of the policy in force."""

    name = _shown(fields.String, "The app's own name.", "shop")
    brand = _shown(fields.String, "What messages call it.", "Acme Shop")
    origins = _shown(
        fields.List, "Where its pages are.", ["https://shop.example.com"], cls_or_instance=fields.String()
    )
    declared_keys = _shown(
        fields.Dict, "How many keys of each kind the policy declares.", {"publishable": 1, "secret": 1}
    )
    issued_keys = _shown(
        fields.List, "Those that were issued and live.", [], cls_or_instance=fields.Nested(IssuedKeySchema)
    )


class AppsSchema(Schema):
    """All apps of the policy in force."""

    apps = _shown(fields.List, "Each app.", [], cls_or_instance=fields.Nested(AppSchema))


class AppChangedSchema(PolicyAppliedSchema):
    """The version of the policy that the change made."""

    keys = _shown(
        fields.List,
        "New keys, which are shown this once.",
        [],
        cls_or_instance=fields.Nested(NewKeySchema),
    )


# The guard.


class BlockSchema(Schema):
    """A refusal that lasts."""

    id = _shown(fields.String, "Its id, for lifting it.", "prefix:prefix:ab3dEf9hIjklMnopQrStuv")
    rule = _shown(fields.String, "The guard's rule.", "prefix")
    subject = _shown(fields.String, "Whose counter it is; numbers are masked.", "+1202555****")
    level = _shown(fields.String, "What the rule asks for: challenge, cheap or refuse.", "refuse")
    on = _shown(fields.Boolean, "False for a rule that only watches.", example=True)
    active = _shown(fields.Boolean, "Whether it has not ended yet.", example=True)
    value = _shown(fields.Float, "Where the counter stood.", 20.0, allow_none=True)
    limit = _shown(fields.Float, "Its limit.", 20.0, allow_none=True)
    seconds = _shown(fields.Float, "The time that the limit is for.", 3600.0, allow_none=True)
    since = _shown(fields.Integer, "Since when, in milliseconds since 1970.", 1_700_000_000_000)
    until = _shown(fields.Integer, "Until when, likewise.", 1_700_003_600_000)
    refused = _shown(fields.Integer, "How many sends it refused.", 412)


class BlocksSchema(Schema):
    """Blocks, those that last longest first."""

    blocks = _shown(fields.List, "Each block.", [], cls_or_instance=fields.Nested(BlockSchema))


class ExplainSchema(NumberSchema):
    """A send that nobody makes."""

    app = _text(
        "must be the name of an app", r"[a-z][a-z0-9_-]{0,31}", "The app; the first when left out.", "web"
    )
    purpose = _text(
        "must be 1 to 32 small letters, digits, '.', '-' or '_'",
        r"[a-z0-9._-]{1,32}",
        "What the proof would be for.",
        "login",
    )
    address = _text(
        "must be an IP address",
        r"[0-9a-fA-F.:]{2,45}",
        "The browser's address; none is a server's call.",
        "192.0.2.1",
    )
    session = _text(
        "must be 1 to 128 visible ASCII signs",
        r"[\x21-\x7e]{1,128}",
        "The session that a server names.",
        "b7a9e4c1",
    )
    device = fields.Boolean(
        truthy={True},
        falsy={False},
        metadata={"description": "Whether a device asks that this number is known of.", "examples": [False]},
    )


class ExplainedSchema(Schema):
    """What the guard would decide, and why."""

    to = _shown(fields.String, "The number, masked.", "+1********00")
    app = _shown(fields.String, "The app.", "web")
    known = _shown(
        fields.String,
        "How well the caller is known: empty for a stranger, session, returning (a session that verified this number "
        "before) or device.",
        "session",
    )
    verdict = _shown(fields.String, "allow, cheap, challenge or refuse.", "refuse")
    findings = _shown(
        fields.List, "Each limit that is passed.", [{"rule": "number"}], cls_or_instance=fields.Dict()
    )
    rules = _shown(
        fields.List, "Each rule that has a say.", [{"rule": "number"}], cls_or_instance=fields.Dict()
    )
    blocks = _shown(fields.List, "The blocks behind it.", [], cls_or_instance=fields.Nested(BlockSchema))


class LiftSchema(_Strict):
    """Which block to lift."""

    id = _text(
        "must be the id of a block",
        r"[A-Za-z0-9_:-]{1,80}",
        "The block's id.",
        "prefix:prefix:ab3dEf9hIjklMnopQrStuv",
        required=True,
    )
    reason = _reason()


class UnpinSchema(_Strict):
    """Whose pin to take away."""

    kind = fields.String(
        required=True,
        validate=validate.OneOf(["number", "prefix", "address"], error="must be number, prefix or address"),
        metadata={"description": "What the subject is.", "example": "prefix"},
        error_messages={"invalid": "must be a string", "null": "must not be null"},
    )
    subject = _text(
        "must be 2 to 45 signs",
        r"[^\x00-\x1f]{2,45}",
        "A number, the beginning of an E.164 number, or an IP address.",
        "+4479",
        required=True,
    )
    reason = _reason()


class PinSchema(UnpinSchema):
    """Who is always let in, or never."""

    what = fields.String(
        required=True,
        validate=validate.OneOf(["allow", "refuse"], error="must be allow or refuse"),
        metadata={"description": "Whether to let it in always, or never.", "example": "refuse"},
        error_messages={"invalid": "must be a string", "null": "must not be null"},
    )
    hours = fields.Integer(
        strict=True,
        validate=validate.Range(1, 87_600, error="must be from 1 to 87600"),
        metadata={"description": "For so many hours; for good when left out.", "example": 24},
        error_messages={"invalid": "must be a whole number", "null": "must not be null"},
    )


class PinShownSchema(Schema):
    """A pin."""

    kind = _shown(fields.String, "number, prefix or address.", "prefix")
    subject = _shown(fields.String, "Of whom; numbers are masked.", "+4479")
    what = _shown(fields.String, "allow or refuse.", "refuse")
    by = _shown(fields.String, "Who set it.", "alice")
    reason = _shown(fields.String, "Why.", "pumping since noon")
    at = _shown(fields.Integer, "When, in milliseconds since 1970.", 1_700_000_000_000)
    until = _shown(
        fields.Integer, "Until when, likewise; null is for good.", 1_700_003_600_000, allow_none=True
    )


class PinsSchema(Schema):
    """All pins."""

    pins = _shown(fields.List, "Each pin.", [], cls_or_instance=fields.Nested(PinShownSchema))


class DoneSchema(Schema):
    """It was done."""

    done = _shown(fields.Boolean, "Always true.", example=True)


class RecycledSchema(_Strict):
    """Numbers that have, or may have, new owners."""

    numbers = fields.List(
        fields.String(error_messages={"invalid": "must be a string", "null": "must not be null"}),
        required=True,
        validate=validate.Length(1, 10_000, error="must be 1 to 10000 numbers"),
        metadata={"description": "With their country codes.", "example": ["+12025550100"]},
        error_messages={"invalid": "must be a list", "null": "must not be null"},
    )
    days = fields.Integer(
        strict=True,
        validate=validate.Range(1, 365, error="must be from 1 to 365"),
        metadata={"description": "For so long they count as recycled.", "example": 90},
        error_messages={"invalid": "must be a whole number", "null": "must not be null"},
    )
    reason = _reason()


class RecycledCountSchema(Schema):
    """How many were taken in."""

    taken = _shown(fields.Integer, "Numbers that count as recycled now.", 1)
    no_numbers = _shown(fields.Integer, "What was no number that can exist.", 0)
