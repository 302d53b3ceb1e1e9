"""What every view needs: the core that serves it.

Knows where Flask keeps it. Must not know any single call.
"""

from flask import current_app

from otp_service.bootstrap.core import Core


def core() -> Core:
    """Return the core of the application that serves this request."""
    found: Core = current_app.extensions["otp"]
    return found
