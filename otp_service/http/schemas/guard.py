"""The guard's blocks and pins."""

from typing import get_args

from marshmallow import Schema, fields, validate

from otp_service.guard.rules import Known
from otp_service.http.schemas.challenge import NumberSchema
from otp_service.http.schemas.fields import Strict, reason_field, shown, text_field
from otp_service.policy import LEVELS

KINDS = ("number", "prefix", "address")
"""What a pin may be about."""
CHOICES = ("allow", "refuse")


class BlockSchema(Schema):
    """A refusal that lasts."""

    id = shown(fields.String, "Its id, for lifting it.", "prefix:prefix:ab3dEf9hIjklMnopQrStuv")
    rule = shown(fields.String, "The guard's rule.", "prefix")
    subject = shown(fields.String, "Whose counter it is; numbers are masked.", "+1202555****")
    level = shown(
        fields.String,
        "What the rule asks for.",
        "refuse",
        validate=validate.OneOf(LEVELS),
    )
    on = shown(fields.Boolean, "False for a rule that only watches.", example=True)
    active = shown(fields.Boolean, "Whether it has not ended yet.", example=True)
    value = shown(fields.Float, "Where the counter stood.", 20.0, allow_none=True)
    limit = shown(fields.Float, "Its limit.", 20.0, allow_none=True)
    seconds = shown(fields.Float, "The time that the limit is for.", 3600.0, allow_none=True)
    since = shown(fields.Integer, "Since when, in milliseconds since 1970.", 1_700_000_000_000)
    until = shown(fields.Integer, "Until when, likewise.", 1_700_003_600_000)
    refused = shown(fields.Integer, "How many sends it refused.", 412)


class BlocksSchema(Schema):
    """Blocks, those that last longest first."""

    blocks = shown(fields.List, "Each block.", [], cls_or_instance=fields.Nested(BlockSchema))


class ExplainSchema(NumberSchema):
    """A send that nobody makes."""

    app = text_field(
        "must be the name of an app", r"[a-z][a-z0-9_-]{0,31}", "The app; the first when left out.", "web"
    )
    purpose = text_field(
        "must be 1 to 32 small letters, digits, '.', '-' or '_'",
        r"[a-z0-9._-]{1,32}",
        "What the proof would be for.",
        "login",
    )
    address = text_field(
        "must be an IP address",
        r"[0-9a-fA-F.:]{2,45}",
        "The browser's address; none is a server's call.",
        "192.0.2.1",
    )
    session = text_field(
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

    to = shown(fields.String, "The number, masked.", "+1********00")
    app = shown(fields.String, "The app.", "web")
    known = shown(
        fields.String,
        "How well the caller is known; returning is a session that verified this number before.",
        "session",
        validate=validate.OneOf(get_args(Known)),
    )
    verdict = shown(
        fields.String,
        "What the guard would do.",
        "refuse",
        validate=validate.OneOf(["allow", *LEVELS]),
    )
    findings = shown(
        fields.List, "Each limit that is passed.", [{"rule": "number"}], cls_or_instance=fields.Dict()
    )
    rules = shown(
        fields.List, "Each rule that has a say.", [{"rule": "number"}], cls_or_instance=fields.Dict()
    )
    blocks = shown(fields.List, "The blocks behind it.", [], cls_or_instance=fields.Nested(BlockSchema))


class LiftSchema(Strict):
    """Which block to lift."""

    id = text_field(
        "must be the id of a block",
        r"[A-Za-z0-9_:-]{1,80}",
        "The block's id.",
        "prefix:prefix:ab3dEf9hIjklMnopQrStuv",
        required=True,
    )
    reason = reason_field()


class UnpinSchema(Strict):
    """Whose pin to take away."""

    kind = fields.String(
        required=True,
        validate=validate.OneOf(KINDS, error="must be number, prefix or address"),
        metadata={"description": "What the subject is.", "example": "prefix"},
        error_messages={"invalid": "must be a string", "null": "must not be null"},
    )
    subject = text_field(
        "must be 2 to 45 signs",
        r"[^\x00-\x1f]{2,45}",
        "A number, the beginning of an E.164 number, or an IP address.",
        "+4479",
        required=True,
    )
    reason = reason_field()


class PinSchema(UnpinSchema):
    """Who is always let in, or never."""

    what = fields.String(
        required=True,
        validate=validate.OneOf(CHOICES, error="must be allow or refuse"),
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

    kind = shown(fields.String, "What the subject is.", "prefix", validate=validate.OneOf(KINDS))
    subject = shown(fields.String, "Of whom; numbers are masked.", "+4479")
    what = shown(
        fields.String, "Whether it is always let in, or never.", "refuse", validate=validate.OneOf(CHOICES)
    )
    by = shown(fields.String, "Who set it.", "alice")
    reason = shown(fields.String, "Why.", "pumping since noon")
    at = shown(fields.Integer, "When, in milliseconds since 1970.", 1_700_000_000_000)
    until = shown(
        fields.Integer, "Until when, likewise; null is for good.", 1_700_003_600_000, allow_none=True
    )


class PinsSchema(Schema):
    """All pins."""

    pins = shown(fields.List, "Each pin.", [], cls_or_instance=fields.Nested(PinShownSchema))


class DoneSchema(Schema):
    """It was done."""

    done = shown(fields.Boolean, "Always true.", example=True)
