"""What surrounds every call: methods, paths and headers."""

from typing import Any

import pytest

from tests.conftest import OPS, ORIGIN
from tests.support.http_api import NO_ID, NUMBER, Api
from tests.support.http_calls import BODY, paths, preflight

pytest_plugins = ["tests.support.http_fixtures"]


METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "BREW")

UNLISTED = [
    (method, path, methods)
    for path, methods in paths()
    for method in METHODS
    # the names of the two calls can stand in the place of a challenge's id
    if method not in methods | ({"GET", "DELETE"} if path in {"/otp/send", "/otp/verify"} else set())
]


@pytest.mark.parametrize(("method", "path", "methods"), UNLISTED)
def test_only_documented_methods_are_allowed(api: Api, method: str, path: str, methods: set[str]) -> None:
    """Any other is 405 with an Allow header, and changes nothing."""
    answer = api.call(method, path)
    assert answer.status_code == 405
    assert (answer.json or {})["code"] == "method_not_allowed"
    assert methods <= {allowed.strip() for allowed in answer.headers["Allow"].split(",")}
    assert api.kept() == {}


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/otp",
        "/otp/",
        "/otp/send/",
        "//otp/send",
        "/otp//send",
        "/OTP/send",
        "/otp/a/b/c",
        "/ops",
        "/%2e%2e",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_path_that_is_not_exact_is_unknown(api: Api, method: str, path: str) -> None:
    """No redirect repeats a request at another path; every unknown path gets the same 404."""
    answer = api.call(method, path)
    assert answer.status_code == 404
    assert (answer.json or {})["code"] == "not_found"


def test_an_id_of_any_bytes_is_an_unknown_challenge(api: Api) -> None:
    """Whatever the path contains, the store is asked only for a challenge."""
    api.opened()
    before = api.kept()
    for id_ in ("%00" * 24, "%ff" * 24, "%F0%9F%98%80" * 24, "}" * 24, "*" * 24, "%0d%0a" * 12, "a" * 5000):
        assert api.status(id_).status_code == 404
    assert api.kept() == before


def test_head_is_answered_as_get_without_a_body(api: Api) -> None:
    """Load balancers probe with HEAD."""
    answer = api.call("HEAD", "/healthz", key=None)
    assert (answer.status_code, answer.data) == (200, b"")


EVERY_KIND: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/healthz", {"key": None}),
    ("GET", "/readyz", {"key": None}),
    ("GET", "/metrics", {"key": OPS}),
    ("GET", "/ops/blocks", {"key": OPS}),
    ("GET", "/ops/figures?format=csv", {"key": OPS}),
    ("POST", "/ops/challenges/search", {"key": OPS, "body": {"number": NUMBER}}),
    ("POST", "/otp/send", {"body": BODY}),
    ("POST", "/otp/send", {"raw": b"{"}),
    ("POST", "/otp/send", {"key": None, "body": BODY}),
    ("POST", "/otp/send", {"key": OPS, "body": BODY}),
    ("GET", f"/otp/{NO_ID}", {}),
    ("GET", "/nowhere", {}),
    ("PUT", "/otp/send", {}),
    ("POST", "/otp/send", {"raw": b" " * 20000}),
    ("POST", "/otp/send", {"raw": b"x", "headers": {"Content-Type": "text/plain"}}),
    ("POST", "/otp/send", {"body": {}}),
    ("OPTIONS", "/otp/send", {"key": None}),
    ("OPTIONS", "/otp/send", {"key": None, "origin": ORIGIN, "headers": preflight("POST")}),
]


@pytest.mark.parametrize(("method", "path", "options"), EVERY_KIND)
def test_every_answer_carries_the_security_headers(
    api: Api, method: str, path: str, options: dict[str, Any]
) -> None:
    """Caches do not store it, browsers do not guess its type, and it has a request id."""
    answer = api.call(method, path, **options)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert len(answer.headers["X-Request-Id"]) >= 10
    assert answer.headers["Vary"] == "Origin"
    assert "Set-Cookie" not in answer.headers


def test_public_keys_may_be_cached(api: Api) -> None:
    """This answer is the same for all; it still varies with the origin."""
    answer = api.call("GET", "/.well-known/jwks.json", key=None)
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert answer.headers["Vary"] == "Origin"


def test_request_ids_are_our_own_and_never_repeat(api: Api) -> None:
    """An id from the caller is not used."""
    answers = [api.call("GET", "/healthz", headers={"X-Request-Id": "mine"}) for _ in range(20)]
    assert len({answer.headers["X-Request-Id"] for answer in answers} - {"mine"}) == 20
