"""Forms of endpoints: an app's own for its events and for the decision about a send, and the operators'.

Knows the policy document's syntax. Must not know what is sent to an endpoint.
"""

import re
from typing import ClassVar

from marshmallow import ValidationError, fields, validate

from otp_service.net.endpoint import check_url
from otp_service.policy.fields import Form, one_of
from otp_service.policy.model import EVENTS, DecisionHook, Endpoint, Events

_FORM = re.compile(
    r"(https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?|http://(localhost|127\.0\.0\.1))(:[0-9]{1,5})?(/[!-~]*)?"
)


def _endpoint() -> fields.String:
    return fields.String(required=True, validate=_check_endpoint)


def _check_endpoint(url: str) -> None:
    """Refuse a URL that could never be called; whether private networks may be is a setting, not the policy's."""
    if not _FORM.fullmatch(url):
        raise ValidationError("must be an https:// URL (http:// for localhost only)")
    if rule := check_url(url, allow_private=True):
        raise ValidationError(rule)


def _secret() -> fields.String:
    rule = validate.Regexp(r"OTP_EVENTS_[A-Z0-9_]+\Z", error="must start with OTP_EVENTS_")
    return fields.String(required=True, validate=rule)


class EventsForm(Form):
    """`[app.NAME.events]`."""

    shape = Events
    url = _endpoint()
    secret_env = _secret()
    types = fields.List(fields.String(validate=one_of(*EVENTS)))


class DecisionForm(Form):
    """`[app.NAME.decision]`."""

    shape = DecisionHook
    url = _endpoint()
    secret_env = _secret()
    on_failure = fields.String(validate=one_of("allow", "refuse"))


class AlertsForm(Form):
    """`[alerts]`."""

    shape = Endpoint
    blank: ClassVar = {"url": "", "secret_env": ""}
    url = _endpoint()
    secret_env = _secret()
