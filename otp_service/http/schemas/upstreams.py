"""Upstream accounts: their state, their conversion, and the answers to what they push."""

from marshmallow import Schema, fields

from otp_service.http.schemas.fields import shown, shown_list, shown_word
from otp_service.upstream.channels import CHANNELS


class BalanceSchema(Schema):
    """The balance of one service of an upstream account."""

    service = shown(fields.String, "The upstream's code of the service.", "T")
    name = shown(fields.String, "The service's name.", "Transactional")
    credits = shown(fields.Float, "The balance, in the upstream's unit.", 1000.0)
    postpaid = shown(fields.Boolean, "Whether the account is billed afterwards.", example=False)


class UpstreamSchema(Schema):
    """The current state of an upstream account."""

    name = shown(fields.String, "The account's name in the policy.", "main")
    status = shown(fields.String, "ok, or what is wrong with the account.", "ok")
    balance = shown_list(BalanceSchema, "The balance of each service.")
    breakers = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        metadata={
            "description": "The circuit breakers of the account (*) and its channels: closed, open or half open.",
            "example": {"*": "closed", "sms": "open for 12 s"},
        },
    )


class UpstreamsSchema(Schema):
    """All upstream accounts."""

    upstreams = shown_list(UpstreamSchema, "The accounts.")


class ReceivedSchema(Schema):
    """The answer to a report, or to the handshake by which an upstream checks a webhook."""

    received = fields.Integer(metadata={"description": "How many reports were read.", "example": 1})
    challenge = fields.String(
        metadata={"description": "The value of the upstream's handshake, repeated.", "example": "9f2c"}
    )


class FigureSchema(Schema):
    """What became of the codes of one channel, country and upstream account within seven days."""

    channel = shown_word(CHANNELS, "The channel.", "sms")
    country = shown(fields.String, "The country of the numbers (ISO 3166 alpha-2).", "GB")
    upstream = shown(fields.String, "The upstream account.", "main")
    sent = shown(fields.Integer, "How many codes the account accepted.", 1000)
    verified = shown(fields.Integer, "How many of them were typed.", 812)
    conversion = shown(fields.Float, "The share that was typed.", 0.812, allow_none=True)
    median_seconds = shown(
        fields.Float, "Half of the typed codes were typed within this time.", 14.2, allow_none=True
    )
    p90_seconds = shown(
        fields.Float, "Nine out of ten typed codes were typed within this time.", 41.0, allow_none=True
    )


class FiguresSchema(Schema):
    """Conversion over the last seven days."""

    figures = shown_list(FigureSchema, "One row for each channel, country and upstream account.")
