"""The console as one part of the application: the frame with all its pages.

Knows every page. Must not know what is on a page.
"""

from flask import Blueprint

from otp_service.http.console import (
    access,
    advice,
    audit,
    files,
    find,
    frame,
    guard,
    now,
    policy,
    policy_history,
    sign_in,
    upstreams,
    words,
)

PREFIX = "/ops/console"
PAGES = (now, find, policy, policy_history, guard, upstreams, access, advice, audit, sign_in, files)


def console() -> Blueprint:
    """Make the console. Its pages are no calls of the API, and not in openapi.yaml."""
    site = Blueprint("console", __name__, url_prefix=PREFIX, template_folder="templates")
    frame.install(site)
    words.install(site)
    for page in PAGES:
        site.register_blueprint(page.views)
    return site
