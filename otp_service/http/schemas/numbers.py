"""Numbers that are suppressed, forgotten or recycled."""

from marshmallow import Schema, fields, validate

from otp_service.http.schemas.challenge import NumberSchema
from otp_service.http.schemas.fields import Strict, reason_field, shown


class SuppressionSchema(Schema):
    """Whether a number wants no messages."""

    suppressed = shown(fields.Boolean, "Whether nothing is sent to it.", example=True)
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
        metadata={
            "description": "Whether to forget a STOP, too, so that messages may go there again; false when left out.",
            "example": False,
        },
    )


class ForgottenSchema(Schema):
    """What was erased."""

    removed = shown(
        fields.Dict,
        "How many records, by kind.",
        example={"challenges": 1, "events": 2},
        keys=fields.String(),
        values=fields.Integer(),
    )
    unreadable = shown(
        fields.Integer,
        "Challenges sealed with a key that this process lacks: whose they are it cannot tell.",
        example=0,
    )
    suppressed = shown(
        fields.Boolean, "Whether it stays on the suppression list, as a bare HMAC.", example=False
    )


class LiftedSchema(Schema):
    """Whether a suppression was lifted."""

    lifted = shown(fields.Boolean, "False if there was none.", example=True)


class RecycledSchema(Strict):
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
    reason = reason_field()


class RecycledCountSchema(Schema):
    """How many were taken in."""

    taken = shown(fields.Integer, "Numbers that count as recycled now.", 1)
    no_numbers = shown(fields.Integer, "What was no number that can exist.", 0)
