"""Problem details (RFC 9457)."""

from marshmallow import Schema, fields

from otp_service.http.schemas.fields import shown, shown_word


class FieldErrorSchema(Schema):
    """A field or header, and the rule that it breaks."""

    field = shown(fields.String, "The name of the field or header.", "to")
    rule = shown(fields.String, "What it must be.", "must be a number that is known in its country")


class HumanCheckSchema(Schema):
    """What a page needs to show the check of a `human_check_required` problem."""

    kind = shown_word(
        ["altcha", "siteverify"],
        "Which widget to show: `altcha`, or `siteverify` for the widget of a CAPTCHA vendor.",
        "altcha",
    )
    expires_in = fields.Integer(
        metadata={"description": "Seconds within which to send the result.", "example": 300}
    )
    challenge = fields.Dict(
        metadata={"description": "With `altcha`: the value of its widget's `challenge`, as JSON."}
    )
    site_key = fields.String(
        metadata={
            "description": "With `siteverify`: the public key of the vendor's widget.",
            "example": "1x00AA",
        }
    )


class ProblemSchema(Schema):
    """Problem details (RFC 9457)."""

    type = shown(fields.String, "Where the code is explained: GET it.", "/errors#invalid_request")
    title = shown(fields.String, "The code in words.", "Invalid request")
    status = shown(fields.Integer, "The HTTP status.", 422)
    detail = shown(fields.String, "What happened and what to do next.", "Some fields break a rule.")
    code = shown(fields.String, "The stable code of the problem.", "invalid_request")
    request_id = shown(fields.String, "The request's id. Quote it when you ask for help.", "Zk1p0Yk5c1n")
    errors = fields.List(
        fields.Nested(FieldErrorSchema), metadata={"description": "The fields and headers that break a rule."}
    )
    retry_after = fields.Integer(
        metadata={"description": "Seconds to wait before the next attempt.", "example": 30}
    )
    checks_left = fields.Integer(
        metadata={"description": "How many more codes can be checked.", "example": 4}
    )
    version = fields.Integer(metadata={"description": "The version of the policy in force.", "example": 12})
    warnings = fields.List(
        fields.String(), metadata={"description": "Likely mistakes in the refused policy."}
    )
    rule = fields.String(
        metadata={
            "description": "The guard's rule that refused; shown to secret keys only.",
            "example": "number",
        }
    )
    human_check = fields.Nested(
        HumanCheckSchema,
        metadata={"description": "The check to solve before you repeat the request."},
    )
