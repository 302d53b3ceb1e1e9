"""Forms that pages of the console send: whether they come from such a page, and what is in them.

Knows headers and fields. Must not know what a form is for.
"""

import hmac
from urllib.parse import urlsplit

from flask import Request, request

from otp_service.errors import Invalid
from otp_service.ops.audit import REASON_RULE, AuditNote, is_reason

TOKEN_FIELD, TOKEN_HEADER = "form_token", "X-Form-Token"


def is_same_origin(sent: Request) -> bool:
    """Tell whether the browser says that a page of this origin sent a request.

    Old browsers send no Sec-Fetch-Site; their Origin is compared with the host. With neither, it is no page's.
    """
    site = sent.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = sent.headers.get("Origin")
    return origin is not None and urlsplit(origin).netloc == sent.host


def is_of_this_session(sent: Request, token: str) -> bool:
    """Tell whether a request carries its session's token."""
    given = sent.headers.get(TOKEN_HEADER) or sent.form.get(TOKEN_FIELD, "")
    return hmac.compare_digest(given.encode(), token.encode())


def field(name: str) -> str:
    """Return a field of the form, without spaces around it; empty if it is missing."""
    return request.form.get(name, "").strip()


def reason() -> str:
    """Return the reason that the operator gives. Raises Invalid."""
    given = field("reason")
    if not is_reason(given):
        raise Invalid({"reason": [REASON_RULE]})
    return given


def audit_note(by: str) -> AuditNote:
    """Return who acts, and the reason in the form. Raises Invalid."""
    return AuditNote(by=by, reason=reason())
