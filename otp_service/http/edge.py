"""What every HTTP edge shares: who calls, what they ask, how an error looks, which origins may.

Knows HTTP and the form of problem details (RFC 9457). Must not know any single call.
"""

import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, wraps
from http import HTTPStatus
from typing import Any, Never

from flask import Flask, Response, current_app, g, has_request_context, request
from marshmallow import Schema, ValidationError
from werkzeug.exceptions import HTTPException

from otp_service import errors
from otp_service.access.api_keys import digest
from otp_service.access.keyring import Keyring, LiveKeys
from otp_service.bootstrap.stores import Stores
from otp_service.crypto.tokens import Signer
from otp_service.delivery.conversion import Conversion
from otp_service.delivery.receipts import Receipts
from otp_service.delivery.replies import Replies
from otp_service.guard.admission import Admission
from otp_service.http.client_address import client_address
from otp_service.ops.apps import Apps
from otp_service.ops.blocks import Blocks
from otp_service.ops.erasure import Erasure
from otp_service.policy import ROLES, App, Policy
from otp_service.policy.active import ActivePolicy
from otp_service.policy.versions import Policies
from otp_service.telemetry.logs import LOG, log, redact
from otp_service.telemetry.metrics import Metrics
from otp_service.upstream.breakers import Breakers
from otp_service.verification.caller import Caller
from otp_service.verification.check import Check
from otp_service.verification.manage import Manage
from otp_service.verification.resend import Resend
from otp_service.verification.send import Send

MAX_BODY = 16 * 1024
"""Bytes of a request's body; more is refused unread."""
MAX_POLICY = 512 * 1024
"""Bytes of a body that holds a policy."""
CLIENT_KEYS = ("publishable", "secret")
PROBLEM_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a running application is built of; `pings` raise when their part does not answer."""

    active: Callable[[], ActivePolicy]
    send: Send
    resend: Resend
    check: Check
    manage: Manage
    receipts: Receipts
    replies: Replies
    erasure: Erasure
    signer: Signer
    metrics: Metrics
    policies: Policies
    apps: Apps
    keyring: Keyring
    live_keys: LiveKeys
    check_policy: Callable[[str], Policy]
    breakers: Breakers
    conversion: Conversion
    admission: Admission
    blocks: Blocks
    store: Stores
    pings: Mapping[str, Callable[[], None]]
    metrics_page: Callable[[], bytes]
    trusted_proxies: int = 0
    ops_port: int | None = None
    """Where operators are served, and nobody else; None is wherever all others are."""


def parts() -> Parts:
    """Give the parts of the application that serves this request."""
    found: Parts = current_app.extensions["otp"]
    return found


@dataclass(frozen=True, slots=True)
class Operation:
    """What openapi.yaml says of a view. `keys` are the kinds that may call it; none is open to all."""

    summary: str
    answer: type[Schema] | None
    status: int = 200
    body: type[Schema] | None = None
    keys: tuple[str, ...] = ()
    role: str = ROLES[-1]
    """The least role of an operator who may call it."""
    idempotent: bool = False
    problems: tuple[type[errors.OtpError], ...] = ()
    media: str = "text/plain"
    """Type of an answer without a schema."""
    large: bool = False
    """Whether the body may be as large as a policy, or as many reports."""


def operation(**kwargs: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:  # noqa: ANN401 - as Operation
    """Describe a view, and let in only callers with one of the kinds of keys it names."""
    described = Operation(**kwargs)

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def guarded(**arguments: str) -> Any:  # noqa: ANN401 - what the view answers
            if described.large:
                request.max_content_length = MAX_POLICY
            if described.keys:
                _authenticate(described)
            return view(**arguments)

        guarded.operation = described  # type: ignore[attr-defined]
        return guarded

    return decorate


# Who asks.

_KEY_NAMES = {
    "publishable": "a publishable key (pk_...)",
    "secret": "a secret key (sk_...)",
    "ops": "an operator's key (ops_...)",
}


@dataclass(frozen=True, slots=True)
class _Identity:
    """Whose key it is: an app's, or an operator's with a role."""

    kind: str
    app: App | None = None
    operator: str | None = None
    role: str = ""


def _authenticate(described: Operation) -> None:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise errors.MissingKey
    g.active = parts().active()
    found = _identity(g.active.policy, digest(key.strip()))
    if found is None:
        raise errors.UnknownKey
    g.key_kind, g.app, g.operator, g.role = found.kind, found.app, found.operator, found.role
    if g.key_kind not in described.keys:
        named = " or ".join(_KEY_NAMES[kind] for kind in described.keys)
        raise errors.KeyNotAllowed(f"This call needs {named}.")
    if g.key_kind == "ops":
        need_role(described.role)
    if g.key_kind == "publishable":
        origin = request.headers.get("Origin")
        if origin is not None and origin not in g.app.origins:
            raise errors.OriginNotAllowed


def _identity(policy: Policy, hashed: str) -> _Identity | None:
    """Find a key: one that the policy declares, or one that was issued for an app that there is, or an operator."""
    if declared := policy.key_owner(hashed):
        app, kind = declared
        return _Identity(kind, app=app)
    if operator := policy.operator_of(hashed):
        return _Identity("ops", operator=operator, role=policy.operators[operator].role)
    issued = parts().live_keys.find(hashed)
    if issued is None:
        return None
    if issued.kind == "ops":
        return _Identity("ops", operator=issued.owner, role=issued.role)
    known = policy.apps.get(issued.owner)
    return _Identity(issued.kind, app=known) if known else None


def need_role(role: str, what: str = "This call") -> None:
    """Raise RoleNotAllowed unless the operator who calls has this role or a higher one."""
    if ROLES.index(g.role) < ROLES.index(role):
        raise errors.RoleNotAllowed(role, what)


def caller() -> Caller:
    """Say who calls, after a view's keys were checked."""
    app: App = g.app
    browser = g.key_kind == "publishable"
    return Caller(
        app=app,
        active=g.active,
        request_id=g.request_id,
        origin=request.headers.get("Origin"),
        address=_address() if browser else None,
        note_standing=_note_standing,
    )


def _note_standing(standing: errors.Standing | None) -> None:
    """Keep for the answer's headers how a budget stands: for servers, as a page must not learn which counter it met."""
    if g.key_kind == "secret":
        g.standing = standing


def _address() -> str:
    return client_address(
        request.headers.get("X-Forwarded-For"), request.remote_addr, parts().trusted_proxies
    )


# What they ask.


def load(schema: type[Schema], *, optional: bool = False) -> dict[str, Any]:
    """Read the body as strict JSON (RFC 8259, I-JSON of RFC 7493) and check it.

    Raises UnsupportedMediaType, MalformedJson or Invalid.
    """
    raw = body()
    nothing = optional and not raw
    if request.mimetype != "application/json" and not (nothing and not request.mimetype):
        raise errors.UnsupportedMediaType
    if nothing:
        return {}
    try:
        loaded: dict[str, Any] = _made(schema).load(_strict_json(raw))
    except ValidationError as error:
        raise errors.Invalid(_field_rules(error.normalized_messages())) from None  # type: ignore[no-untyped-call]
    return loaded


def body() -> bytes:
    """Read the body, of a stated length or in chunks. Raises BodyTooLarge, MalformedJson."""
    if request.content_length is not None or "Transfer-Encoding" not in request.headers:
        return request.get_data()
    most = request.max_content_length or MAX_BODY
    try:
        raw: bytes = request.input_stream.read(most + 1)
    except Exception:  # noqa: BLE001 - chunks that are none; each server has errors of its own for that
        raise errors.MalformedJson from None
    if len(raw) > most:
        raise errors.BodyTooLarge
    return raw


@cache
def _made(schema: type[Schema]) -> Schema:
    """Make a schema once: that costs more than using it."""
    return schema()


def _strict_json(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw.decode("utf-8"), object_pairs_hook=_no_doubles, parse_constant=_no_constant)
        # Half a surrogate pair, written as an escape, is no text that could be hashed or stored.
        json.dumps(body, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise errors.MalformedJson from None
    if not isinstance(body, dict):
        raise errors.Invalid({"body": ["must be a JSON object"]})
    return body


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        doubled = {_shown_name(name) for name in names if names.count(name) > 1}
        raise errors.Invalid({name: ["must not be given twice"] for name in sorted(doubled)})
    return members


def _no_constant(_: str) -> Never:
    raise errors.Invalid({"body": ["must not hold NaN or Infinity, which are no JSON"]})


def _field_rules(messages: Mapping[str, Any]) -> dict[str, list[str]]:
    return {
        _shown_name(name): [
            _RULES.get(rule, rule) for rule in (found if isinstance(found, list) else [_BROKEN])
        ]
        for name, found in messages.items()
    }


_BROKEN = "breaks a rule"
_RULES = {"Missing data for required field.": "is required", "Field may not be null.": "must not be null"}


def _shown_name(name: str) -> str:
    """Give a field's name back, but not one that a stranger filled with something else, such as a key."""
    return name if re.fullmatch(r"[A-Za-z_-]{1,40}", name) and redact(name) == name else "(another field)"


_IDEMPOTENCY_KEY = re.compile(r'"([\x20\x21\x23-\x5b\x5d-\x7e]{1,128})"|([\x21\x23-\x7e]{1,128})')


def idempotency_key() -> str | None:
    """Read Idempotency-Key: a string as structured fields write it (RFC 8941), or bare. Raises Invalid."""
    value = request.headers.get("Idempotency-Key")
    if value is None:
        return None
    match = _IDEMPOTENCY_KEY.fullmatch(value.strip())
    if not match:
        raise errors.Invalid({"Idempotency-Key": ["must be 1 to 128 visible ASCII signs"]})
    return match[1] or match[2]


# How it goes wrong.

STATUS: Mapping[type[errors.OtpError], int] = {
    errors.MalformedRequest: 400,
    errors.MalformedJson: 400,
    errors.ReceiptUnreadable: 400,
    errors.WrongCode: 400,
    errors.TokenInvalid: 400,
    errors.MissingKey: 401,
    errors.UnknownKey: 401,
    errors.KeyNotAllowed: 403,
    errors.RoleNotAllowed: 403,
    errors.OriginNotAllowed: 403,
    errors.HumanCheckRequired: 403,
    errors.ChallengeNotFound: 404,
    errors.NotFound: 404,
    errors.MethodNotAllowed: 405,
    errors.NoSendsLeft: 409,
    errors.TokenSpent: 409,
    errors.IdempotencyKeySpent: 409,
    errors.PolicyConflict: 409,
    errors.KeyConflict: 409,
    errors.NoAttemptsLeft: 410,
    errors.BodyTooLarge: 413,
    errors.UriTooLong: 414,
    errors.UnsupportedMediaType: 415,
    errors.Invalid: 422,
    errors.InvalidNumber: 422,
    errors.NoRoute: 422,
    errors.ChannelNotAvailable: 422,
    errors.NumberOptedOut: 422,
    errors.HumanCheckFailed: 422,
    errors.PolicyInvalid: 422,
    errors.IdempotencyKeyReused: 422,
    errors.ResendTooEarly: 429,
    errors.TooManyRequests: 429,
    errors.HeadersTooLarge: 431,
    errors.InternalError: 500,
    errors.Busy: 503,
    errors.StoreUnavailable: 503,
    errors.HumanCheckUnavailable: 503,
}
"""The one table that maps an error to its HTTP status."""

_FROM_HTTP = {
    400: errors.MalformedJson,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    413: errors.BodyTooLarge,
    415: errors.UnsupportedMediaType,
}


def problem(error: errors.OtpError) -> Response:
    """Write an error as problem details."""
    response = Response(
        json.dumps(_document(error, g.request_id)), STATUS[type(error)], content_type=PROBLEM_TYPE
    )
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    _note_standing(error.standing)
    if isinstance(error, errors.MissingKey | errors.UnknownKey):
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def raw_problem(error: errors.OtpError) -> bytes:
    """Write an error as a whole HTTP answer, for a server whose client's bytes never became a request."""
    request_id, status = _request_id(), STATUS[type(error)]
    body = json.dumps(_document(error, request_id)).encode()
    log("http.refused", status=status, code=error.code, request_id=request_id)
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nConnection: close\r\nContent-Type: {PROBLEM_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\nX-Request-Id: {request_id}\r\nCache-Control: no-store\r\n\r\n"
    )
    return head.encode() + body


def _document(error: errors.OtpError, request_id: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": f"urn:otp-service:problem:{error.code}",
        "title": error.code.replace("_", " ").capitalize(),
        "status": STATUS[type(error)],
        "detail": error.detail,
        "code": error.code,
        "request_id": request_id,
    }
    if rules := error.rules():
        body["errors"] = [{"field": field, "rule": rule} for field, rule in rules]
    if isinstance(error, errors.WrongCode):
        body["checks_left"] = error.checks_left
    if isinstance(error, errors.PolicyConflict):
        body["version"] = error.version
    if isinstance(error, errors.HumanCheckRequired):
        body["human_check"] = error.check
    if error.retry_after is not None:
        body["retry_after"] = error.retry_after
    if error.rule and _calls_a_server():
        body["rule"] = error.rule
    return body


def _calls_a_server() -> bool:
    return has_request_context() and g.key_kind == "secret"


def _request_id() -> str:
    return secrets.token_urlsafe(8)


def install(app: Flask) -> None:
    """Give an application its request ids, error answers, CORS and headers."""
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.url_map.merge_slashes = False  # a path is right or unknown; a redirect would repeat a POST elsewhere
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.before_request(_begin)
    app.after_request(_end)
    app.register_error_handler(errors.OtpError, problem)
    app.register_error_handler(HTTPException, _http_problem)
    app.register_error_handler(Exception, _unexpected)


def _http_problem(error: HTTPException) -> Response:
    kind = _FROM_HTTP.get(error.code or 0)
    if kind is None:
        return _unexpected(error)
    response = problem(kind())
    for name, value in error.get_headers():
        if name == "Allow":
            response.headers[name] = value
    return response


def _unexpected(error: Exception) -> Response:
    LOG.error("request.failed", exc_info=error, extra={"fields": {"request_id": g.request_id}})
    return problem(errors.InternalError())


# Around every request.


def _begin() -> Response | None:
    g.request_id = _request_id()
    g.started = time.perf_counter()
    g.app = g.key_kind = g.standing = None
    _keep_apart()
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        return Response(status=204)
    return None


_INSIDE = ("/ops", "/metrics")
_ON_EVERY_PORT = frozenset({"/healthz", "/readyz"})


def _keep_apart() -> None:
    """Raise NotFound for what is not served on the port that the request came to."""
    port = parts().ops_port
    if port is None or request.path in _ON_EVERY_PORT:
        return
    # The server's own port is the listening socket's; Host and all of X-Forwarded-* are the client's word.
    inside = request.server is not None and request.server[1] == port
    if inside != request.path.startswith(_INSIDE):
        raise errors.NotFound


def _end(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Cache-Control", "no-store")
    _tell_standing(response)
    _allow_origin(response)
    # The rule, not the path: a path holds a challenge's id.
    route = request.url_rule.rule if request.url_rule else "(none)"
    seconds = time.perf_counter() - g.started
    parts().metrics.requests.labels(route, response.status_code).inc()
    parts().metrics.request_seconds.labels(route).observe(seconds)
    if route not in _QUIET:
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


_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
_METHODS = frozenset({"GET", "POST", "DELETE", "OPTIONS", "HEAD", "PUT", "PATCH"})


def _tell_standing(response: Response) -> None:
    """Say how the nearest budget stands, as draft-ietf-httpapi-ratelimit-headers writes it."""
    if (standing := g.standing) is not None:
        response.headers["RateLimit-Policy"] = f'"{standing.rule}";q={standing.limit};w={standing.seconds}'
        response.headers["RateLimit"] = f'"{standing.rule}";r={standing.left};t={standing.reset}'


def _allow_origin(response: Response) -> None:
    """Answer CORS: origins of the caller's app, or at the preflight, which brings no key, of any app."""
    response.vary.add("Origin")  # also without one, as an answer may be kept for a page that brings one
    origin = request.headers.get("Origin")
    if origin is None or request.path.startswith(_INSIDE):  # operators' keys have no business in apps' pages
        return
    try:
        apps = [g.app] if g.app else parts().active().policy.apps.values()
    except errors.StoreUnavailable:
        return
    if not any(origin in app.origins for app in apps):
        return
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Expose-Headers"] = "Retry-After, X-Request-Id"
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = "GET, POST, DELETE"
        response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type, Idempotency-Key"
        response.headers["Access-Control-Max-Age"] = "600"
