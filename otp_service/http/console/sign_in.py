"""Sign in with an operator's key, and sign out.

Knows the form, and that tries are limited. Must not know how a session is stored.
"""

import re
from http import HTTPStatus

from flask import Blueprint, Response, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from otp_service.access.api_keys import digest
from otp_service.guard.networks import subscriber
from otp_service.http.auth import is_operator, peer_address
from otp_service.http.console import cookie
from otp_service.http.console.forms import field
from otp_service.http.console.frame import for_all, for_role
from otp_service.http.view import core
from otp_service.store.partitions import ID_LENGTH

views = Blueprint("sign_in", __name__)
_PAGE = re.compile(rf"[a-z/-]{{0,40}}|challenges/[A-Za-z0-9_-]{{{ID_LENGTH}}}")
UNKNOWN = "This is not the key of an operator. Check that it is complete: it starts with ops_."
TOO_OFTEN = "Too many wrong keys came from your address. Try again in 15 minutes."
NOT_KEPT = "Your browser did not keep the session. Use HTTPS: over plain HTTP the console works on this machine only."


@views.get("/sign-in")
@for_all
def show() -> str:
    """Ask for a key."""
    # A link in a chat or a mail comes without the session's cookie, which is for this site's own links only.
    came_from_elsewhere = request.headers.get("Sec-Fetch-Site") == "cross-site"
    return _form(
        NOT_KEPT if request.args.get("kept") == "no" else "", came_from_elsewhere=came_from_elsewhere
    )


@views.post("/sign-in")
@for_all
def sign_in() -> AnyResponse | tuple[str, int]:
    """Begin a session for the operator who has the key."""
    address = subscriber(peer_address())
    if not core().sessions.may_try(address):
        if core().sessions.may_tell(address):  # or whoever has no key could push out what operators did
            core().audit_trail.record("console.refused", by="(unknown)", why="too many wrong keys")
        return _form(TOO_OFTEN), HTTPStatus.TOO_MANY_REQUESTS
    hashed = digest(field("key"))
    if not is_operator(hashed):
        return _form(UNKNOWN), HTTPStatus.UNAUTHORIZED
    core().sessions.forget_tries(address)
    response = redirect(url_for("console.sign_in.begin", next=_wanted()), HTTPStatus.SEE_OTHER)
    cookie.write(_plain(response), core().sessions.begin(hashed))
    core().audit_trail.record("console.signed_in", by=g.operator, role=g.role)
    return response


@views.get("/begin")
@for_all
def begin() -> AnyResponse:
    """Lead to the page that was asked for, or say that the browser did not keep the cookie."""
    if not cookie.read():
        return redirect(url_for("console.sign_in.show", kept="no"), HTTPStatus.SEE_OTHER)
    return redirect(_wanted(), HTTPStatus.SEE_OTHER)


@views.post("/sign-out")
@for_role("read", by_app=True)
def sign_out() -> AnyResponse:
    """End the session."""
    core().sessions.end(cookie.read())
    response = redirect(url_for("console.sign_in.show"), HTTPStatus.SEE_OTHER)
    cookie.remove(_plain(response))
    return response


def _form(problem: str, *, came_from_elsewhere: bool = False) -> str:
    return render_template(
        "console/sign_in.html",
        problem=problem,
        next=_wanted(),
        came_from_elsewhere=came_from_elsewhere,
        on_loopback=cookie.is_on_loopback(),
    )


def _wanted() -> str:
    """Return the page to go to: one that the console may have, whatever the request says, and never a number."""
    home: str = url_for("console.now.show")
    wanted = request.values.get("next", "")
    return wanted if _PAGE.fullmatch(wanted.removeprefix(home)) and wanted.startswith(home) else home


def _plain(response: AnyResponse) -> Response:
    if not isinstance(response, Response):
        raise TypeError(type(response))
    return response
