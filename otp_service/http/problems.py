"""How an error looks: problem details (RFC 9457), and the one table that maps errors to HTTP statuses.

Knows every error. Must not know any single call.
"""

import json
import re
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Response, g, has_request_context, request
from werkzeug.exceptions import HTTPException

from otp_service import errors
from otp_service.http import origins
from otp_service.http.server import refusals
from otp_service.http.standing import set_standing
from otp_service.store.partitions import ID_LENGTH
from otp_service.telemetry.logs import LOG, log

PROBLEM_TYPE = "application/problem+json"

STATUS: Mapping[type[errors.OtpError], int] = {
    refusals.MalformedRequest: 400,
    errors.MalformedJson: 400,
    errors.ReceiptUnreadable: 400,
    errors.WrongCode: 400,
    errors.TokenInvalid: 400,
    errors.MissingKey: 401,
    errors.UnknownKey: 401,
    errors.KeyNotAllowed: 403,
    errors.RoleNotAllowed: 403,
    errors.OperatorLimited: 403,
    errors.ReviewToken: 403,
    errors.OriginNotAllowed: 403,
    origins.SecretKeyInPage: 403,
    errors.HumanCheckRequired: 403,
    errors.ChallengeNotFound: 404,
    errors.NotFound: 404,
    errors.MethodNotAllowed: 405,
    refusals.RequestTimeout: 408,
    errors.NoSendsLeft: 409,
    errors.TokenSpent: 409,
    errors.TokenMismatch: 409,
    errors.IdempotencyKeySpent: 409,
    errors.PolicyConflict: 409,
    errors.KeyConflict: 409,
    errors.NoAttemptsLeft: 410,
    errors.BodyTooLarge: 413,
    refusals.UriTooLong: 414,
    errors.UnsupportedMediaType: 415,
    errors.Invalid: 422,
    errors.InvalidNumber: 422,
    errors.NoRoute: 422,
    errors.ChannelNotAvailable: 422,
    errors.BindingIncomplete: 422,
    errors.NumberOptedOut: 422,
    errors.HumanCheckFailed: 422,
    errors.PolicyInvalid: 422,
    errors.IdempotencyKeyReused: 422,
    errors.ResendTooEarly: 429,
    errors.TooManyRequests: 429,
    refusals.HeadersTooLarge: 431,
    errors.InternalError: 500,
    errors.Busy: 503,
    errors.StoreUnavailable: 503,
    errors.NoWorker: 503,
    errors.HumanCheckUnavailable: 503,
}
"""The HTTP status of each error."""

_FROM_HTTP = {
    400: errors.MalformedJson,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    413: errors.BodyTooLarge,
    415: errors.UnsupportedMediaType,
}


def problem(error: errors.OtpError) -> Response:
    """Write an error as the answer to this request."""
    response = Response(_body(error, g.request_id), STATUS[type(error)], content_type=PROBLEM_TYPE)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    set_standing(error.standing)
    if isinstance(error, errors.MissingKey | errors.UnknownKey):
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def http_problem(error: HTTPException) -> Response:
    """Write an error that Flask raised as the answer to this request."""
    own = own_error(error)
    if own is None:
        return unexpected_problem(error)
    response = problem(own)
    for name, value in error.get_headers():
        if name == "Allow" and isinstance(own, errors.MethodNotAllowed):
            response.headers[name] = value
    return response


def own_error(error: HTTPException) -> errors.OtpError | None:
    """Return our error for one that Flask raised; None for one that no request should cause."""
    kind = errors.NotFound if _misspelled(error) else _FROM_HTTP.get(error.code or 0)
    if kind is None:
        return None
    return errors.BodyTooLarge(request.max_content_length or 0) if kind is errors.BodyTooLarge else kind()


def _misspelled(error: HTTPException) -> bool:
    """Tell whether a POST named no call, as in /otp/sned, and only looks like one about a challenge with this id."""
    return error.code == HTTPStatus.METHOD_NOT_ALLOWED and bool(_NO_CALL.fullmatch(request.path))


_NO_CALL = re.compile(rf"/otp/(?!(?:send|options|verify)\Z)[^/]{{1,{ID_LENGTH - 1}}}")


def unexpected_problem(error: Exception) -> Response:
    """Log an unexpected error, and answer with a fixed text and the request id under which it was logged."""
    LOG.error("request.failed", exc_info=error, extra={"fields": {"request_id": g.request_id}})
    return problem(errors.InternalError())


def raw_problem(error: errors.OtpError) -> tuple[str, list[tuple[str, str]], bytes]:
    """Return status, headers and body of an error, for what does not reach the application."""
    request_id, status = new_request_id(), STATUS[type(error)]
    body = _body(error, request_id)
    log("http.refused", status=status, code=error.code, request_id=request_id)
    headers = [
        ("Content-Type", PROBLEM_TYPE),
        ("Content-Length", str(len(body))),
        ("X-Request-Id", request_id),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Vary", "Origin"),
    ]
    if error.retry_after is not None:
        headers.append(("Retry-After", str(error.retry_after)))
    return f"{status} {HTTPStatus(status).phrase}", headers, body


def _body(error: errors.OtpError, request_id: str) -> bytes:
    """Write the document as one line, so that a terminal's next prompt starts a line of its own."""
    return json.dumps(_document(error, request_id)).encode() + b"\n"


def _document(error: errors.OtpError, request_id: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": f"/errors#{error.code}",
        "title": _title(error.code),
        "status": STATUS[type(error)],
        "detail": _detail(error),
        "code": error.code,
        "request_id": request_id,
    }
    if rules := error.rules():
        body["errors"] = [{"field": field, "rule": rule} for field, rule in rules]
    if isinstance(error, errors.WrongCode):
        body["checks_left"] = error.checks_left
    if isinstance(error, errors.PolicyConflict):
        body["version"] = error.version
        body["warnings"] = list(error.warnings)
    if isinstance(error, errors.HumanCheckRequired):
        body["human_check"] = error.check
    if error.retry_after is not None:
        body["retry_after"] = error.retry_after
    if error.rule and _caller_is_a_server():
        body["rule"] = error.rule
    return body


def _detail(error: errors.OtpError) -> str:
    """Return what happened. An error of any field says it by its first rule, for pages that show nothing else."""
    if type(error) not in _OF_ANY_FIELD:
        return error.detail
    field, rule = error.rules()[0]
    first = rule if field == "policy" else f"'{field}' {rule}"
    general = "" if error.detail == errors.Invalid.detail else f"{error.detail} "
    return f"{general}{first.removesuffix('.')}."


_OF_ANY_FIELD = frozenset({errors.Invalid, errors.InvalidNumber, errors.PolicyInvalid})


def _title(code: str) -> str:
    """Return the words of a code as a title: `malformed_json` is "Malformed JSON"."""
    words = [word.upper() if word in _ABBREVIATIONS else word for word in code.split("_")]
    return " ".join([words[0][:1].upper() + words[0][1:], *words[1:]])


_ABBREVIATIONS = frozenset({"json", "uri"})


def _caller_is_a_server() -> bool:
    return has_request_context() and g.key_kind == "secret"


def new_request_id() -> str:
    """Generate the id that an answer, its problem and the log lines about it share."""
    return secrets.token_urlsafe(8)
