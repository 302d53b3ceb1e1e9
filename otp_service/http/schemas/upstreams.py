"""Upstream accounts: their state, their figures, and thanks for what they push."""

from marshmallow import Schema, fields, validate

from otp_service.http.schemas.fields import shown
from otp_service.upstream.channels import CHANNELS


class BalanceSchema(Schema):
    """What is left at an upstream, one service."""

    service = shown(fields.String, "The upstream's code of the service.", "T")
    name = shown(fields.String, "Its name.", "Transactional")
    credits = shown(fields.Float, "What is left, in the upstream's unit.", 1000.0)
    postpaid = shown(fields.Boolean, "Whether the account is billed afterwards.", example=False)


class UpstreamSchema(Schema):
    """An upstream account as it answers now."""

    name = shown(fields.String, "The account's name in the policy.", "main")
    status = shown(fields.String, "ok, or what its answer says is wrong.", "ok")
    balance = shown(fields.List, "What is left.", [], cls_or_instance=fields.Nested(BalanceSchema))
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

    upstreams = shown(fields.List, "Each account.", [], cls_or_instance=fields.Nested(UpstreamSchema))


class ReceivedSchema(Schema):
    """Thanks for a report, or the answer to the handshake when a webhook is created."""

    received = fields.Integer(metadata={"description": "How many reports were read.", "example": 1})
    challenge = fields.String(
        metadata={"description": "The upstream's own challenge, echoed.", "example": "9f2c"}
    )


class FigureSchema(Schema):
    """What became of the codes of one channel, country and upstream in seven days."""

    channel = shown(fields.String, "Channel.", "sms", validate=validate.OneOf(CHANNELS))
    country = shown(fields.String, "Country of the numbers (ISO 3166 alpha-2).", "GB")
    upstream = shown(fields.String, "Account.", "main")
    sent = shown(fields.Integer, "Codes that the account took.", 1000)
    verified = shown(fields.Integer, "Codes that came back.", 812)
    conversion = shown(fields.Float, "Share that came back.", 0.812, allow_none=True)
    median_seconds = shown(fields.Float, "Half of them came back so soon.", 14.2, allow_none=True)
    p90_seconds = shown(fields.Float, "Nine of ten came back so soon.", 41.0, allow_none=True)


class FiguresSchema(Schema):
    """Conversion of the last seven days."""

    figures = shown(fields.List, "Each row.", [], cls_or_instance=fields.Nested(FigureSchema))
