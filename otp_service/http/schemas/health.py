"""What a probe is answered."""

from marshmallow import Schema, fields, validate

from otp_service.http.schemas.fields import shown


class HealthSchema(Schema):
    """A probe's answer."""

    status = shown(
        fields.String, "Whether all parts answer.", "ok", validate=validate.OneOf(["ok", "unavailable"])
    )
    parts = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        metadata={"description": "Each part and how it is.", "example": {"store": "ok"}},
    )
