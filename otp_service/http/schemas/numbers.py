"""Numbers that are suppressed, forgotten or recycled."""

from marshmallow import Schema, fields, validate

from otp_service.http.schemas.challenge import NumberSchema
from otp_service.http.schemas.fields import Strict, boolean_field, integer_field, reason_field, shown


class SuppressionSchema(Schema):
    """Whether a number receives no messages."""

    suppressed = shown(fields.Boolean, "Whether messages to this number are suppressed.", example=True)
    channel = fields.String(
        metadata={"description": "The channel on which the person asked for it.", "example": "sms"}
    )
    upstream = fields.String(
        metadata={"description": "The upstream account that received the request.", "example": "main"}
    )
    at = fields.Integer(
        metadata={
            "description": "When it was requested (milliseconds since 1970).",
            "example": 1_700_000_000_000,
        }
    )
    by = fields.String(metadata={"description": "Who asked for it.", "example": "the person"})


class LiftedSchema(Schema):
    """Whether a suppression was lifted."""

    lifted = shown(fields.Boolean, "False if there was none.", example=True)


class ForgetSchema(NumberSchema):
    """A number to forget."""

    and_suppression = boolean_field(
        "Whether to forget a STOP as well; false if omitted.",
        example=False,
        default=False,
    )


class ForgottenSchema(Schema):
    """What was erased."""

    removed = shown(
        fields.Dict,
        "The number of records of each kind.",
        example={"challenges": 1, "events": 2},
        keys=fields.String(),
        values=fields.Integer(),
    )
    unreadable = shown(
        fields.Integer,
        "Challenges whose key this process lacks. They may be this number's.",
        example=0,
    )
    suppressed = shown(
        fields.Boolean, "Whether the number stays on the suppression list, as an HMAC only.", example=False
    )


class RecycledSchema(Strict):
    """Numbers that have, or may have, new owners."""

    numbers = fields.List(
        fields.String(error_messages={"invalid": "must be a string", "null": "must not be null"}),
        required=True,
        validate=validate.Length(1, 1_000, error="must be 1 to 1000 numbers"),
        metadata={
            "description": "The numbers, with their country codes.",
            "example": ["+12025550100"],
        },
        error_messages={"invalid": "must be a list", "null": "must not be null"},
    )
    days = integer_field(1, 365, "must be from 1 to 365", "How many days the numbers count as recycled.", 90)
    reason = reason_field()


class RecycledCountSchema(Schema):
    """How many numbers were accepted."""

    taken = shown(fields.Integer, "How many numbers now count as recycled.", 1)
    no_numbers = shown(fields.Integer, "How many entries are not numbers that can exist.", 0)
