"""The form of a review number in the policy, as a marshmallow schema.

Pure. Knows its own table only; `review_checks.py` has the rules between its fields and tables.
"""

import re
from typing import ClassVar

from marshmallow import fields, validate

from otp_service.policy.fields import Day, Form, between, some
from otp_service.policy.review import HASH, Review

_PURPOSE_RULE = "must be 1 to 32 lower-case letters, digits, '.', '-' or '_'"


class ReviewForm(Form):
    """`[app.NAME.review."NUMBER"]`."""

    shape = Review
    blank: ClassVar = {"code": ""}
    code = fields.String(
        required=True,
        validate=validate.Regexp(
            re.compile(rf"(?:{HASH.pattern})\Z"),
            error="must be the hash of a code, as otp-service review add writes it",
        ),
    )
    digits = fields.Integer(strict=True, required=True, validate=between(6, 10))
    purposes = some(
        fields.String(validate=validate.Regexp(r"[a-z0-9._-]{1,32}\Z", error=_PURPOSE_RULE)), required=True
    )
    since = Day(required=True)
    expires = Day(required=True)
