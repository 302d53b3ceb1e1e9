"""What happens around every request: request ids, security headers, CORS, metrics and the log.

Knows Flask, headers and metrics. Must not know any single call.
"""

import re
import time
from functools import cache

from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import HTTPException

from otp_service import errors
from otp_service.http import auth, origins, paths
from otp_service.http.body import MAX_BODY
from otp_service.http.problems import http_problem, new_request_id, problem, unexpected_problem
from otp_service.http.view import core
from otp_service.telemetry.failures import Failures
from otp_service.telemetry.logs import log

_FOREIGN = "otp_foreign_origins"


def install(app: Flask) -> None:
    """Give an application its request ids, error answers, CORS and headers."""
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.url_map.merge_slashes = False  # a redirect would repeat a POST at another path
    paths.install(app.url_map)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions |= {_FOREIGN: Failures(), auth.LEAKS: Failures()}
    app.before_request(_begin)
    app.after_request(_end)
    app.register_error_handler(errors.OtpError, problem)
    app.register_error_handler(HTTPException, http_problem)
    app.register_error_handler(Exception, unexpected_problem)


def _begin() -> Response | None:
    g.request_id = new_request_id()
    g.started = time.perf_counter()
    g.app = g.key_kind = g.standing = None
    _check_path()
    _check_port()
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        return Response(status=204)
    return None


_INTERNAL = ("/ops", "/metrics")
_ON_EVERY_PORT = frozenset({"/healthz", "/readyz", "/errors"})


def _check_path() -> None:
    """Raise NotFound for a path that is another one to what is in front: the router drops slashes at its start."""
    if request.environ["PATH_INFO"].startswith("//"):
        raise errors.NotFound


def _check_port() -> None:
    """Raise NotFound if the path is not served on the port that the request came to."""
    port = core().settings.ops_port
    if port is None or request.path in _ON_EVERY_PORT:
        return
    # SERVER_PORT belongs to the listening socket; Host and X-Forwarded-* are whatever the client sent.
    internal = request.server is not None and request.server[1] == port
    if internal != request.path.startswith(_INTERNAL):
        raise errors.NotFound


def _end(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Cache-Control", "no-store")
    _show_standing(response)
    _allow_origin(response)
    route = _shown_rule(request.url_rule.rule) if request.url_rule else "(none)"
    seconds = time.perf_counter() - g.started
    core().metrics.requests.labels(route, response.status_code).inc()
    core().metrics.request_seconds.labels(route).observe(seconds)
    if route not in _NOT_LOGGED:
        log(
            "http.answered",
            method=request.method if request.method in _METHODS else "(other)",
            route=route,
            status=response.status_code,
            ms=round(seconds * 1000, 1),
            request_id=g.request_id,
            app=g.app.name if g.app else None,
        )
    return response


@cache
def _shown_rule(rule: str) -> str:
    """Write a rule for the log and the metrics. A path is not shown, because it contains a challenge's id."""
    return re.sub("<[a-z]+:", "<", rule)


_NOT_LOGGED = frozenset({"/healthz", "/readyz", "/metrics"})
_METHODS = frozenset({"GET", "POST", "DELETE", "OPTIONS", "HEAD", "PUT", "PATCH"})


def _show_standing(response: Response) -> None:
    """Show the state of the nearest budget (draft-ietf-httpapi-ratelimit-headers)."""
    if (standing := g.standing) is not None:
        response.headers["RateLimit-Policy"] = f'"{standing.rule}";q={standing.limit};w={standing.seconds}'
        response.headers["RateLimit"] = f'"{standing.rule}";r={standing.left};t={standing.reset}'


def _allow_origin(response: Response) -> None:
    """Allow the origins of the caller's app (CORS); of any app at the preflight, which carries no key."""
    # Even without an Origin, because a cache may give this answer to a page that has one.
    if response.headers.setdefault("Vary", "Origin") != "Origin":
        response.vary.add("Origin")
    origin = request.headers.get("Origin")
    if origin is None or request.path.startswith(_INTERNAL):  # apps' pages have no use for operators' keys
        return
    try:
        apps = [g.app] if g.app else core().active().policy.apps.values()
    except errors.StoreUnavailable:
        return
    if not any(origin in app.origins for app in apps):
        if request.method == "OPTIONS":
            # No page learns the reason from its browser. One line a minute, whatever strangers send.
            failures: Failures = current_app.extensions[_FOREIGN]
            failures.failed("http.foreign_origin", origin=origins.shown(origin), request_id=g.request_id)
        return
    response.headers.update(readable_by(origin))
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = "GET, POST, DELETE"
        response.headers["Access-Control-Allow-Headers"] = ", ".join([*_HEADERS, *_tracing_headers()])
        response.headers["Access-Control-Max-Age"] = "600"


def readable_by(origin: str) -> dict[str, str]:
    """Return the headers that let pages of an origin read an answer."""
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": "Retry-After, X-Request-Id",
    }


_HEADERS = ("Authorization", "Content-Type", "Idempotency-Key")
_TRACING = re.compile(r"traceparent|tracestate|baggage|sentry-trace|b3|x-(datadog|b3)-[a-z-]{1,40}")


def _tracing_headers() -> list[str]:
    """List the headers that a page's monitoring wants to add (W3C Trace Context, Sentry, Datadog, Zipkin)."""
    wanted = request.headers.get("Access-Control-Request-Headers", "").lower().split(",")
    return sorted({name.strip() for name in wanted if _TRACING.fullmatch(name.strip())})
