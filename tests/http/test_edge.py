"""What surrounds every call: origins, headers, methods, paths, bodies and the client's address."""

import io
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.conftest import OPS, ORIGIN, OTHER_SECRET, POLICY, PUBLISHABLE, SECRET
from tests.support.http_api import NO_ID, NUMBER, Api, close, documented, make_api
from tests.support.valkey_server import ValkeyServer

pytest_plugins = ["tests.support.http_fixtures"]

BODY = {"to": NUMBER}
FOREIGN = [
    "https://evil.example",
    "null",
    "",
    "https://APP.example.com",
    "http://app.example.com",
    "https://app.example.com:443",
    "https://app.example.com/",
    "https://app.example.com.evil.example",
    "https://evil-app.example.com",
    "https://sub.app.example.com",
    "https://app.example.com https://evil.example",
    "*",
]


def paths() -> list[tuple[str, set[str]]]:
    """List each path of the API, filled in, and its methods."""
    return [(_filled(template), _methods(item)) for template, item in documented()["paths"].items()]


def apps_paths() -> list[tuple[str, set[str]]]:
    """List those paths that apps call, which may do so from a page."""
    return [
        (_filled(template), _methods(item))
        for template, item in documented()["paths"].items()
        if any({"secretKey": []} in operation["security"] for operation in item.values())
    ]


def _filled(template: str) -> str:
    values = {"challenge_id": NO_ID, "number": "1", "old": "1", "new": "2", "upstream": "main", "secret": "s"}
    values |= {"key_id": "0" * 10, "app": "web"}
    return template.format(**values)


def _methods(item: Mapping[str, object]) -> set[str]:
    return {method.upper() for method in item}


# Origins.


def test_a_page_of_the_apps_origin_may_use_its_key_and_read_the_answer(api: Api) -> None:
    """The answer names this one origin, and never allows cookies."""
    answer = api.call("POST", "/otp/send", key=PUBLISHABLE, origin=ORIGIN, body=BODY)
    assert answer.status_code == 202
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert set(answer.headers["Access-Control-Expose-Headers"].split(", ")) == {"Retry-After", "X-Request-Id"}


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_page_of_any_other_origin_may_not(api: Api, origin: str) -> None:
    """Origins are compared whole: no wildcard, no part, no other case, port or scheme."""
    answer = api.call("POST", "/otp/send", key=PUBLISHABLE, origin=origin, body=BODY)
    assert answer.status_code == 403
    assert (answer.json or {})["code"] == "origin_not_allowed"
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert api.kept() == {}


def test_a_browsers_key_works_where_no_origin_is_sent(api: Api) -> None:
    """Mobile apps use it too and have no origin."""
    assert api.call("POST", "/otp/send", key=PUBLISHABLE, body=BODY).status_code == 202


@pytest.mark.parametrize("origin", [ORIGIN, *FOREIGN])
def test_a_servers_key_is_not_tied_to_origins(api: Api, origin: str) -> None:
    """A secret key is no browser's; a foreign page that has one still cannot read the answer."""
    answer = api.call("POST", "/otp/send", origin=origin, body=BODY)
    assert answer.status_code == 202
    assert answer.headers.get("Access-Control-Allow-Origin") == (ORIGIN if origin == ORIGIN else None)


def test_an_origin_is_allowed_for_its_own_app_only(api: Api) -> None:
    """The page of one app cannot read what another app's key was answered."""
    answer = api.call("POST", "/otp/send", key=OTHER_SECRET, origin=ORIGIN, body=BODY)
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    ("key", "path", "body", "status"),
    [
        (None, "/otp/send", BODY, 401),
        ("pk_unknown", "/otp/send", BODY, 401),
        (PUBLISHABLE, "/otp/token/redeem", {"token": "a.b.c"}, 403),
        (PUBLISHABLE, "/otp/send", {}, 422),
        (PUBLISHABLE, "/nowhere", BODY, 404),
    ],
)
def test_a_page_can_read_what_went_wrong(
    api: Api, key: str | None, path: str, body: object, status: int
) -> None:
    """Problems carry the same headers, or a script would see a network error."""
    answer = api.call("POST", path, key=key, origin=ORIGIN, body=body)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (status, ORIGIN)


def preflight(method: str) -> dict[str, str]:
    """Return the headers by which a browser asks first."""
    return {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization"}


@pytest.mark.parametrize(("path", "methods"), apps_paths())
def test_a_preflight_is_answered_without_a_key(api: Api, path: str, methods: set[str]) -> None:
    """Any app's origin may ask; the answer allows what the API takes and is kept for ten minutes."""
    answer = api.call("OPTIONS", path, key=None, origin=ORIGIN, headers=preflight(max(methods)))
    assert (answer.status_code, answer.data) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert methods <= set(answer.headers["Access-Control-Allow-Methods"].split(", "))
    assert answer.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type, Idempotency-Key"
    assert answer.headers["Access-Control-Max-Age"] == "600"
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_foreign_preflight_is_allowed_nothing(api: Api, origin: str) -> None:
    """Without the header the browser does not send the real request."""
    answer = api.call("OPTIONS", "/otp/send", key=None, origin=origin, headers=preflight("POST"))
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize("path", ["/ops/policy", "/ops/keys", "/metrics", "/ops/nowhere"])
def test_no_page_reads_what_operators_read(api: Api, path: str) -> None:
    """Not even one of an app's origin that got hold of an operator's key."""
    for answer in (
        api.call("OPTIONS", path, key=None, origin=ORIGIN, headers=preflight("GET")),
        api.call("GET", path, key=OPS, origin=ORIGIN),
    ):
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize(("path", "methods"), paths())
def test_no_answer_is_for_pages_of_all_origins(api: Api, path: str, methods: set[str]) -> None:
    """No wildcard and no cookies, on any path, for any page; but a script may be loaded by any."""
    if path.endswith(".js"):
        return
    for origin in (ORIGIN, *FOREIGN):
        answer = api.call(max(methods), path, key=PUBLISHABLE, origin=origin)
        assert answer.headers.get("Access-Control-Allow-Origin") in {None, ORIGIN}
        assert ("Access-Control-Allow-Origin" in answer.headers) <= (origin == ORIGIN)
        assert "Access-Control-Allow-Credentials" not in answer.headers


# Methods and paths.


METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "BREW")
UNLISTED = [
    (method, path, methods)
    for path, methods in paths()
    for method in METHODS
    # the names of the two calls can stand in the place of a challenge's id
    if method not in methods | ({"GET", "DELETE"} if path in {"/otp/send", "/otp/verify"} else set())
]


@pytest.mark.parametrize(("method", "path", "methods"), UNLISTED)
def test_only_listed_methods_are_taken(api: Api, method: str, path: str, methods: set[str]) -> None:
    """Anything else is 405 with the methods that are, and changes nothing."""
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
def test_a_path_is_right_or_unknown(api: Api, method: str, path: str) -> None:
    """No redirect ever repeats a request elsewhere; every unknown path is the same 404."""
    answer = api.call(method, path)
    assert answer.status_code == 404
    assert (answer.json or {})["code"] == "not_found"


def test_an_id_of_any_bytes_is_an_unknown_challenge(api: Api) -> None:
    """Whatever stands in the path, the store is asked for nothing but a challenge."""
    api.opened()
    before = api.kept()
    for id_ in ("%00" * 24, "%ff" * 24, "%F0%9F%98%80" * 24, "}" * 24, "*" * 24, "%0d%0a" * 12, "a" * 5000):
        assert api.status(id_).status_code == 404
    assert api.kept() == before


def test_head_is_answered_as_get_without_a_body(api: Api) -> None:
    """Load balancers probe so."""
    answer = api.call("HEAD", "/healthz", key=None)
    assert (answer.status_code, answer.data) == (200, b"")


# Headers.

EVERY_KIND: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/healthz", {"key": None}),
    ("GET", "/readyz", {"key": None}),
    ("GET", "/metrics", {"key": None}),
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
    """Not kept by caches, not guessed at by browsers, and with an id to ask by."""
    answer = api.call(method, path, **options)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert len(answer.headers["X-Request-Id"]) >= 10
    assert answer.headers["Vary"] == "Origin"
    assert "Set-Cookie" not in answer.headers


def test_public_keys_may_be_kept_for_a_while(api: Api) -> None:
    """The one answer that is the same for all; it still varies with the page that asks."""
    answer = api.call("GET", "/.well-known/jwks.json", key=None)
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert answer.headers["Vary"] == "Origin"


def test_request_ids_are_our_own_and_never_repeat(api: Api) -> None:
    """An id that a caller sends is not taken over."""
    answers = [api.call("GET", "/healthz", headers={"X-Request-Id": "mine"}) for _ in range(20)]
    assert len({answer.headers["X-Request-Id"] for answer in answers} - {"mine"}) == 20


# Bodies.


@pytest.mark.parametrize("size", [16 * 1024, 16 * 1024 + 1])
def test_a_body_of_unknown_length_is_held_to_the_same_limit(api: Api, size: int) -> None:
    """A chunked body that never says its length is cut off at 16 KiB too."""
    raw = b'{"to": "+12025550100"}'
    answer = api.flask.test_client().open(
        "/otp/send",
        method="POST",
        input_stream=io.BytesIO(raw + b" " * (size - len(raw))),
        headers={"Authorization": f"Bearer {SECRET}", "Content-Type": "application/json"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert answer.status_code == (202 if size == 16 * 1024 else 413)


@pytest.mark.parametrize(
    ("media_type", "status"),
    [("application/json", 202), ("text/plain", 415), ("application/x-www-form-urlencoded", 415)],
)
def test_an_empty_body_of_another_type_is_none_that_a_foreign_page_may_send(
    api: Api, media_type: str, status: int
) -> None:
    """A form without fields is a form."""
    challenge_id = api.opened()
    api.later(60)
    assert api.resend(challenge_id, raw=b"", headers={"Content-Type": media_type}).status_code == status


def test_a_resend_needs_no_body(api: Api) -> None:
    """Neither does it need a type then."""
    challenge_id = api.opened()
    api.later(60)
    assert api.resend(challenge_id).status_code == 202


# The client's address.

ONE_A_MINUTE = f'{POLICY}\n[guard.address]\nrefuse = ["1/m"]\n'
NUMBERS = [f"+120255501{n:02}" for n in range(40)]


@pytest.fixture(params=[0, 1, 2])
def behind(valkey: ValkeyServer, request: pytest.FixtureRequest) -> Iterator[tuple[Api, int]]:
    """Build an application behind so many proxies that lets an address send once a minute."""
    made = make_api(valkey, text=ONE_A_MINUTE, trusted_proxies=request.param)
    yield made, request.param
    close(made)


@pytest.mark.parametrize(
    ("first", "second", "same_client"),
    [
        # what X-Forwarded-For holds, and behind how many proxies the two are one client
        (None, None, {0, 1, 2}),
        ("6.6.6.6", "7.7.7.7", {0, 2}),
        ("6.6.6.6, 198.51.100.7", "7.7.7.7, 198.51.100.7", {0, 1}),
        ("198.51.100.7, 203.0.113.1", "198.51.100.8, 203.0.113.1", {0, 1}),
        ("198.51.100.7, 203.0.113.1", "198.51.100.7, 203.0.113.2", {0, 2}),
        ("6.6.6.6, 198.51.100.7, 203.0.113.1", "7.7.7.7, 198.51.100.7, 203.0.113.1", {0, 1, 2}),
    ],
)
def test_the_client_is_known_by_what_trusted_proxies_say_and_no_more(
    behind: tuple[Api, int], first: str | None, second: str | None, same_client: set[int]
) -> None:
    """X-Forwarded-For counts from its end, as many entries as there are proxies; none are trusted unasked."""
    api, proxies = behind
    statuses = [
        api.call(
            "POST",
            "/otp/send",
            key=PUBLISHABLE,
            body={"to": number},
            headers={"X-Forwarded-For": forwarded} if forwarded else {},
        ).status_code
        for number, forwarded in zip(NUMBERS, (first, second), strict=False)
    ]
    assert statuses == [202, 429 if proxies in same_client else 202]


def test_two_addresses_are_two_clients_and_a_server_is_none(behind: tuple[Api, int]) -> None:
    """The limit of an address is a browser's; a server's users all come from one address."""
    api, _ = behind
    numbers = iter(NUMBERS)

    def status(key: str, address: str) -> int:
        body = {"to": next(numbers)}
        return api.call("POST", "/otp/send", key=key, body=body, address=address).status_code

    assert [status(PUBLISHABLE, f"192.0.2.{n}") for n in (1, 2, 1)] == [202, 202, 429]
    assert [status(PUBLISHABLE, f"2001:db8::{n}") for n in (1, 2)] == [202, 429]
    assert [status(SECRET, "192.0.2.1") for _ in range(3)] == [202, 202, 202]


@pytest.mark.parametrize(
    "header", ["X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "Forwarded"]
)
def test_other_words_of_a_proxy_mean_nothing(behind: tuple[Api, int], header: str) -> None:
    """Only the address is taken from headers."""
    api, _ = behind
    headers = {header: "for=6.6.6.6"}
    statuses = [
        api.call("POST", "/otp/send", key=PUBLISHABLE, body={"to": number}, headers=headers).status_code
        for number in NUMBERS[:2]
    ]
    assert statuses == [202, 429]
