"""What every view needs: the core that serves it, and what the request's answer must carry.

Knows where Flask keeps both. Must not know any single call.
"""

from flask import current_app, g

from otp_service import errors
from otp_service.bootstrap.core import Core


def core() -> Core:
    """Return the core of the application that serves this request."""
    found: Core = current_app.extensions["otp"]
    return found


def set_standing(standing: errors.Standing | None) -> None:
    """Set the budget that the answer's RateLimit headers show.

    Only servers see it: a page must not learn which counter it met.
    """
    if g.key_kind == "secret":
        g.standing = standing
