"""The form of a route's `split`.

Pure. Must not know the steps whose order it changes.
"""

from typing import ClassVar

from marshmallow import fields, validate

from otp_service.policy.fields import Form, one_of, some
from otp_service.policy.split import Split
from otp_service.upstream.channels import CHANNELS


class SplitForm(Form):
    """`split` of a route."""

    shape = Split
    blank: ClassVar = {"share": 0.5, "order": ()}
    share = fields.Float(
        required=True, validate=validate.Range(0.01, 0.99, error="must be from 0.01 to 0.99")
    )
    order = some(fields.String(validate=one_of(*CHANNELS)), required=True)
