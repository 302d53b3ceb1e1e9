"""Routes of `/api/v2/`, and the checks that every request passes before its handler runs.

Knows authentication, the limit on GET requests, optional slashes and stated verbs. Must not know what any
call does: it is handed a table of endpoints.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from flask import Blueprint, Flask, Request, Response, request
from werkzeug.exceptions import HTTPException

from otp_service.sandbox.api import answers
from otp_service.sandbox.api.calls import VERBS, Call, Endpoints, Handler, as_text, call_from, parameters_of
from otp_service.sandbox.api.customers import Customer
from otp_service.sandbox.api.throttle import Allowance

PREFIX = "/api/v2/"


@dataclass(frozen=True, slots=True)
class RequestChecks:
    """The checks of a request before its handler runs."""

    customers: Mapping[str, Customer]
    clock: Callable[[], float]

    def authenticate(self, request: Request, parameters: Mapping[str, object]) -> Customer:
        """Return the customer with the request's token. Raises `Refusal` if there is none."""
        for token in _offered(request, parameters):
            if token in self.customers:
                return self.customers[token]
        raise answers.unauthenticated()

    def limit_gets(self, call: Call) -> Allowance | None:
        """Count a GET and return its allowance, None for other verbs. Raises `Refusal` if the limit is reached."""
        if call.verb != "GET":
            return None
        allowance = call.customer.throttle.take(self.clock())
        if not allowance.allowed:
            raise answers.too_many(allowance.headers())
        return allowance


def mount(app: Flask, checks: RequestChecks, tables: Iterable[Endpoints]) -> None:
    """Serve the endpoints of all `tables` below `/api/v2/`."""
    blueprint = Blueprint("api", __name__, url_prefix=PREFIX.rstrip("/"))
    for table in tables:
        for path, handlers in table.items():
            blueprint.add_url_rule(
                f"/{path}/",
                endpoint=path.replace("/", "_"),
                view_func=_view(checks, handlers),
                methods=VERBS,
                strict_slashes=False,
                provide_automatic_options=False,
            )
    blueprint.add_url_rule("/<path:unknown>", endpoint="unknown", view_func=_view(checks, {}), methods=VERBS)
    blueprint.register_error_handler(HTTPException, _error)
    app.register_blueprint(blueprint)


def _error(error: HTTPException) -> Response:
    """Answer what the web server refuses, such as a body that is too large, in the shape of all errors."""
    return answers.error(error.code or 500, error.name)


def _view(checks: RequestChecks, handlers: Mapping[str, Handler]) -> Callable[..., Response]:
    def view(**arguments: str) -> Response:
        try:
            parameters = parameters_of(request)
            call = call_from(request, parameters, checks.authenticate(request, parameters), arguments)
            allowance = checks.limit_gets(call)
            response = _handler(handlers, call)(call)
        except answers.Refusal as refusal:
            return refusal.response
        if allowance:
            response.headers.update(allowance.headers())
        return response

    return view


def _handler(handlers: Mapping[str, Handler], call: Call) -> Handler:
    if not handlers:
        raise answers.not_found("The route could not be found.")
    handler = handlers.get(call.verb)
    if handler is None:
        allowed = ", ".join(sorted(handlers))
        message = f"The {call.verb} method is not supported for this route. Supported methods: {allowed}."
        raise answers.Refusal(answers.error(405, message, {"Allow": allowed}))
    return handler


def _offered(request: Request, parameters: Mapping[str, object]) -> tuple[str, ...]:
    header = request.headers.get("Authorization", "")
    scheme, _, rest = header.partition(" ")
    # One of the vendor's clients sends the bare token, so it is accepted too.
    bearer = rest.strip() if scheme.lower() == "bearer" else header
    return bearer, request.args.get("access_token", ""), as_text(parameters.get("access_token"))
