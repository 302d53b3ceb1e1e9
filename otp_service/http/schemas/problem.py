"""How a problem looks (RFC 9457)."""

from marshmallow import Schema, fields, validate

from otp_service.http.schemas.fields import shown


class FieldErrorSchema(Schema):
    """A field and the rule it breaks."""

    field = shown(fields.String, "The field's name.", "to")
    rule = shown(fields.String, "What the field must be.", "must be a number that can exist in its country")


class HumanCheckSchema(Schema):
    """What a page needs to show the check of `human_check_required`."""

    kind = shown(
        fields.String,
        "altcha, or siteverify for a CAPTCHA vendor's widget.",
        "altcha",
        validate=validate.OneOf(["altcha", "siteverify"]),
    )
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

    type = shown(fields.String, "A URN that ends with the code.", "urn:otp-service:problem:invalid_request")
    title = shown(fields.String, "The code in words.", "Invalid request")
    status = shown(fields.Integer, "The HTTP status again.", 422)
    detail = shown(fields.String, "What happened and what to do next.", "Some fields break a rule.")
    code = shown(fields.String, "Stable name of the problem.", "invalid_request")
    request_id = shown(fields.String, "Quote it when you ask for help.", "9f86d081884c7d65")
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
