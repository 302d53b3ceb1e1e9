"""Calls of the HTTP API by name, and what their answers say."""

from collections.abc import Mapping
from typing import Any

from werkzeug.test import TestResponse

from tests.support.http_api import NO_ID, NUMBER, Api, documented

AWAY = "unix:///nowhere/valkey"
"""The URL of a store that cannot be reached."""
BODY = {"to": NUMBER}
"""The smallest body of a send."""
PAYMENT = {"amount": "12.00 EUR", "payee": "Acme"}
"""A binding: what a code for a payment is tied to."""
CALLS = {
    "send": ("POST", "/otp/send", {"to": NUMBER}),
    "verify": ("POST", "/otp/verify", {"challenge_id": NO_ID, "code": "000000"}),
    "status": ("GET", f"/otp/{NO_ID}", None),
    "resend": ("POST", f"/otp/{NO_ID}/resend", {}),
    "cancel": ("DELETE", f"/otp/{NO_ID}", None),
    "redeem": ("POST", "/otp/token/redeem", {"token": "a.b.c"}),
    "upstreams": ("GET", "/ops/upstreams", None),
}
"""Calls that need a key: method, path and body."""


def members(answer: TestResponse) -> dict[str, Any]:
    """Return the members of a JSON answer."""
    found: dict[str, Any] = answer.json or {}
    return found


def but_for_the_time(answer: TestResponse) -> dict[str, Any]:
    """Return the members of a JSON answer without the seconds that are left, which pass between two answers."""
    return {name: value for name, value in members(answer).items() if not name.endswith("_in")}


def problem_of(answer: TestResponse) -> tuple[int, str]:
    """Return the status and the stable code of a problem."""
    assert answer.mimetype == "application/problem+json", answer.text
    return answer.status_code, members(answer)["code"]


def with_idempotency_key(key: str) -> dict[str, str]:
    """Return the header that names an idempotency key."""
    return {"Idempotency-Key": key}


def call_named(
    api: Api, name: str, key: str | None, headers: Mapping[str, str] | None = None
) -> TestResponse:
    """Make one of the calls that need a key."""
    method, path, body = CALLS[name]
    given: dict[str, Any] = {} if body is None else {"body": body}
    return api.call(method, path, key=key, headers=headers, **given)


def problem(answer: TestResponse, status: int, code: str) -> dict[str, Any]:
    """Return a problem after checking what it is."""
    found: dict[str, Any] = answer.json or {}
    assert answer.mimetype == "application/problem+json"
    assert (answer.status_code, found["code"], found["status"]) == (status, code, status)
    return found


def paths() -> list[tuple[str, set[str]]]:
    """List each path of the API, filled in, and its methods."""
    return [(filled_path(template), methods_of(item)) for template, item in documented()["paths"].items()]


def filled_path(template: str) -> str:
    """Fill the variable parts of a path of openapi.yaml."""
    values = {"challenge_id": NO_ID, "number": "1", "old": "1", "new": "2", "upstream": "main", "secret": "s"}
    values |= {"key_id": "0" * 10, "app": "web", "release": "1.0.0", "file": "otp.mjs"}
    return template.format(**values)


def methods_of(item: Mapping[str, object]) -> set[str]:
    """List the methods of a path of openapi.yaml."""
    return {method.upper() for method in item}


def preflight(method: str) -> dict[str, str]:
    """Return the headers by which a browser asks first."""
    return {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization"}
