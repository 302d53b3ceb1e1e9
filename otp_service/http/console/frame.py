"""The frame around every page: who is signed in, what a role may do, headers, and how a refusal looks.

Knows sessions, roles and the order of checks. Must not know what is on a page.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any

from flask import (
    Blueprint,
    Response,
    current_app,
    g,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.wrappers import Response as AnyResponse

from otp_service import errors
from otp_service.http.auth import is_operator, require_role, require_scope
from otp_service.http.body import MAX_POLICY
from otp_service.http.console import cookie
from otp_service.http.console.forms import is_of_this_session, is_same_origin
from otp_service.http.problems import STATUS, http_problem, own_error, unexpected_problem
from otp_service.http.view import core
from otp_service.policy import ROLES

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
View = Callable[..., Any]
NAVIGATION = (
    ("console.now.show", "Now"),
    ("console.find.show", "Find"),
    ("console.policy.show", "Routes"),
    ("console.guard.show", "Blocks"),
    ("console.upstreams.show", "Upstreams"),
    ("console.access.show", "Apps and keys"),
    ("console.advice.show", "Advice"),
    ("console.audit.show", "Audit"),
)


class WrongForm(Exception):
    """A form was not sent by a page of the console in this session."""

    code = "wrong_form"
    detail = (
        "This form is not of your present session. Nothing was done. Open the page again, then repeat it."
    )


def install(site: Blueprint) -> None:
    """Put the frame around all pages of a blueprint."""
    site.before_request(_admit)
    site.after_request(_protect)
    site.register_error_handler(errors.OtpError, refusal)
    site.register_error_handler(WrongForm, refusal)
    site.register_error_handler(HTTPException, _http_refusal)
    site.register_error_handler(Exception, _failure)
    site.context_processor(_shared)

    @site.app_errorhandler(MethodNotAllowed)
    @site.app_errorhandler(NotFound)
    def no_such_page(error: HTTPException) -> Response:
        """Show an operator's browser a page for a path below the console that is none; others get problem details.

        A form's path is no page either: a browser shows it beside a refusal, and may ask for it again.
        """
        below = request.path.startswith(f"{site.url_prefix}/")
        if not (below and request.method in {"GET", "HEAD"} and _is_signed_in()):
            return http_problem(error)
        return _protect(make_response(refusal(errors.NotFound("The console has no such page."))))


def _is_signed_in() -> bool:
    """Tell whether the browser has a session of an operator. If the store is away, nobody knows."""
    with suppress(errors.StoreUnavailable):
        return _begin_session()
    return False


def _begin_session() -> bool:
    """Read the session and keep it for this request; tell whether it is one of an operator. Raises StoreUnavailable."""
    id_ = cookie.read()
    g.session = core().sessions.read(id_) if id_ else None
    return g.session is not None and is_operator(g.session.key_digest)


def for_role(role: str, *, by_app: bool = False) -> Callable[[View], View]:
    """Let only operators with this role or a higher one use a view; it takes one of the operators' places.

    Operators who are limited to apps may use it if it is `by_app`: it shows and does only what belongs to these.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(**arguments: Any) -> Any:  # noqa: ANN401 - what the view takes and answers
            require_role(role, "This part of the console")
            require_scope(by_app=by_app)
            with core().ops_places.take():
                return view(**arguments)

        guarded.console_role = role  # type: ignore[attr-defined]
        guarded.by_app = by_app  # type: ignore[attr-defined]
        return guarded

    return decorate


def for_all(view: View) -> View:
    """Let anyone use a view: the sign-in, and files that hold nothing of the service."""
    view.open_to_all = True  # type: ignore[attr-defined]
    return view


def _admit() -> AnyResponse | None:
    """Let a request in that belongs to a session; lead others to the sign-in.

    A form must come from a page of this origin (Sec-Fetch-Site, or else Origin) and carry the session's token.
    """
    request.max_content_length = request.max_form_memory_size = MAX_POLICY
    if request.method == "POST" and not is_same_origin(request):
        raise WrongForm
    view = _view()
    if getattr(view, "open_to_all", False):
        return None
    if not _begin_session():
        return redirect(url_for("console.sign_in.show", next=_path_to_return_to()), 303)
    if request.method == "POST" and not is_of_this_session(request, g.session.form_token):
        raise WrongForm
    return None


def _view() -> View | None:
    return current_app.view_functions.get(request.endpoint or "")


def _path_to_return_to() -> str | None:
    return request.path if request.method == "GET" else None


def _protect(response: Response) -> Response:
    response.headers.extend(HEADERS)
    response.vary.add("Cookie")
    return response


def refusal(error: errors.OtpError | WrongForm) -> tuple[str, int]:
    """Show a refusal as a page."""
    status = 403 if isinstance(error, WrongForm) else STATUS[type(error)]
    # An unknown path belongs to no blueprint, whose pages get this by themselves.
    return render_template("console/refusal.html", error=error, status=status, **_shared()), status


def _http_refusal(error: HTTPException) -> tuple[str, int]:
    """Show an error that Flask raised while a form was read, such as a text that is too long."""
    own = own_error(error)
    return _failure(error) if own is None else refusal(own)


def _failure(error: Exception) -> tuple[str, int]:
    unexpected_problem(error)
    return refusal(errors.InternalError())


def _shared() -> dict[str, Any]:
    """Return what every template may use."""
    session = g.get("session")
    return {
        "may": may,
        "operator": g.get("operator"),
        "role": g.get("role"),
        "form_token": session.form_token if session else "",
        "limited": is_limited(),
        "navigation": [page for page in NAVIGATION if _may_open(page[0])],
    }


def is_limited() -> bool:
    """Tell whether the operator is limited to some apps."""
    return "scope" in g and g.scope.is_limited


def _may_open(endpoint: str) -> bool:
    return not is_limited() or getattr(current_app.view_functions[endpoint], "by_app", False)


def may(role: str) -> bool:
    """Tell whether the operator has this role or a higher one."""
    own = g.get("role")
    return own is not None and ROLES.index(own) >= ROLES.index(role)
