"""Upstream accounts: their state, and the answers to what they push."""

from marshmallow import Schema, fields

from otp_service.http.schemas.fields import shown, shown_list


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
