"""Which pages may call, and read the answer (CORS)."""

import pytest

from tests.conftest import OPS, ORIGIN, OTHER_SECRET, PUBLISHABLE, SECRET
from tests.support.http_api import NO_ID, Api, documented
from tests.support.http_calls import BODY, filled_path, methods_of, paths, preflight

pytest_plugins = ["tests.support.http_fixtures"]


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


def apps_paths() -> list[tuple[str, set[str]]]:
    """List those paths that apps call, which may do so from a page."""
    return [
        (filled_path(template), methods_of(item))
        for template, item in documented()["paths"].items()
        if any({"secretKey": []} in operation["security"] for operation in item.values())
    ]


def test_a_page_of_the_apps_origin_may_use_its_key_and_read_the_answer(api: Api) -> None:
    """The answer names this one origin, and never allows cookies."""
    answer = api.call("POST", "/otp/send", key=PUBLISHABLE, origin=ORIGIN, body=BODY)
    assert answer.status_code == 202
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert set(answer.headers["Access-Control-Expose-Headers"].split(", ")) == {"Retry-After", "X-Request-Id"}


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_page_of_any_other_origin_may_not(api: Api, origin: str) -> None:
    """Origins are compared as a whole: no wildcard, no part, no other case, port or scheme."""
    answer = api.call("POST", "/otp/send", key=PUBLISHABLE, origin=origin, body=BODY)
    assert answer.status_code == 403
    assert (answer.json or {})["code"] == "origin_not_allowed"
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert api.kept() == {}


def test_a_publishable_key_works_without_an_origin(api: Api) -> None:
    """Mobile apps use it, too, and have no origin."""
    assert api.call("POST", "/otp/send", key=PUBLISHABLE, body=BODY).status_code == 202


@pytest.mark.parametrize("origin", [ORIGIN, *FOREIGN])
def test_a_servers_key_is_not_tied_to_origins(api: Api, origin: str) -> None:
    """A page of another origin that has a secret key still cannot read the answer."""
    answer = api.call("POST", "/otp/send", origin=origin, body=BODY)
    assert answer.status_code == 202
    assert answer.headers.get("Access-Control-Allow-Origin") == (ORIGIN if origin == ORIGIN else None)


BROWSERS = [
    {"Origin": ORIGIN, "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
    {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
    {"Origin": "null", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
    {"Origin": "capacitor://localhost", "Sec-Fetch-Site": "cross-site"},
]
"""Pages, an opened file, a hybrid app."""
BACKENDS = [
    {},
    {"Sec-Fetch-Mode": "cors", "User-Agent": "node"},
    {"Origin": ORIGIN},
    {"Origin": "https://otp.example.com", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"},
    {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Site": "cross-site"},
]
"""A library, Node's fetch, jsdom, an API explorer on this origin, Electron's own process, a proxy that drops Origin."""


@pytest.mark.parametrize("headers", BROWSERS)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/otp/send"), ("GET", f"/otp/{NO_ID}"), ("POST", "/otp/token/redeem")]
)
def test_a_secret_key_in_a_page_is_refused(api: Api, headers: dict[str, str], method: str, path: str) -> None:
    """Whatever it calls; a page of the app's origin can read why."""
    answer = api.call(method, path, body=BODY if method == "POST" else None, headers=headers)
    assert (answer.status_code, (answer.json or {})["code"]) == (403, "secret_key_in_page")
    assert "revoke" in (answer.json or {})["detail"]  # a rotation alone leaves it valid for a day
    assert answer.headers.get("Access-Control-Allow-Origin") == (
        ORIGIN if headers["Origin"] == ORIGIN else None
    )
    assert api.kept() == {}


@pytest.mark.parametrize("headers", BACKENDS)
def test_what_a_backend_sends_is_no_page(api: Api, headers: dict[str, str]) -> None:
    """A browser says both headers, and only of another origin."""
    assert api.call("POST", "/otp/send", body=BODY, headers=headers).status_code == 202


def test_a_publishable_key_is_for_pages(api: Api) -> None:
    """The rule is about secret keys alone."""
    answer = api.call("POST", "/otp/send", key=PUBLISHABLE, body=BODY, headers=BROWSERS[0])
    assert answer.status_code == 202


def test_a_secret_key_in_a_page_is_logged_once_a_minute_without_the_key(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    """For each app, with the page's origin, so that operators find it and replace the key."""
    with caplog.at_level("INFO", "otp"):
        for key in (SECRET, SECRET, OTHER_SECRET):
            api.call("POST", "/otp/send", key=key, body=BODY, headers=BROWSERS[1])
    lines = [vars(record) for record in caplog.records if record.message == "http.secret_key_in_page"]
    assert [(line["levelname"], line["fields"]["app"], line["fields"]["origin"]) for line in lines] == [
        ("WARNING", "web", ORIGIN),
        ("WARNING", "other", ORIGIN),
    ]
    assert not any(key in f"{line}" for line in lines for key in (SECRET, OTHER_SECRET))


def test_an_origin_is_allowed_for_its_own_app_only(api: Api) -> None:
    """A page of one app cannot read the answer to another app's key."""
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
def test_a_page_can_read_problems(api: Api, key: str | None, path: str, body: object, status: int) -> None:
    """They have the same headers; otherwise a script would see a network error."""
    answer = api.call("POST", path, key=key, origin=ORIGIN, body=body)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (status, ORIGIN)


@pytest.mark.parametrize(("path", "methods"), apps_paths())
def test_a_preflight_is_answered_without_a_key(api: Api, path: str, methods: set[str]) -> None:
    """Every app's origin is allowed; the answer lists the API's methods and is valid for ten minutes."""
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


TRACING = [
    "traceparent",
    "tracestate",
    "baggage",
    "sentry-trace",
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-datadog-sampling-priority",
    "x-datadog-origin",
    "x-b3-traceid",
]


def test_headers_of_a_pages_monitoring_pass_the_preflight(api: Api) -> None:
    """Otherwise adding monitoring to a page would break its sign-in. Other headers stay refused."""
    asked = preflight("POST") | {
        "Access-Control-Request-Headers": ", ".join(["Authorization", *TRACING, "x-evil"])
    }
    answer = api.call("OPTIONS", "/otp/send", key=None, origin=ORIGIN, headers=asked)
    allowed = answer.headers["Access-Control-Allow-Headers"].split(", ")
    assert set(allowed) == {"Authorization", "Content-Type", "Idempotency-Key", *TRACING}


@pytest.mark.parametrize(
    ("origin", "shown"),
    [("https://evil.example", "https://evil.example"), ("null", "null"), ("a b\x01", "(other)")],
)
def test_a_foreign_origin_is_logged_so_that_a_missing_one_is_found(
    api: Api, caplog: pytest.LogCaptureFixture, origin: str, shown: str
) -> None:
    """A browser tells its page nothing, so the log is where a developer finds the reason; strangers cannot fill it."""
    with caplog.at_level("INFO", "otp"):
        api.call("OPTIONS", "/otp/send", key=None, origin=origin, headers=preflight("POST"))
        api.call("OPTIONS", "/otp/send", key=None, origin=ORIGIN, headers=preflight("POST"))
        api.call("OPTIONS", "/otp/send", key=None, origin="https://other.example", headers=preflight("POST"))
    [line] = [record for record in caplog.records if record.message == "http.foreign_origin"]
    assert vars(line)["fields"]["origin"] == shown


@pytest.mark.parametrize("path", ["/ops/policy", "/ops/keys", "/metrics", "/ops/nowhere"])
def test_no_page_reads_what_operators_read(api: Api, path: str) -> None:
    """Not even a page of an app's origin that has an operator's key."""
    for answer in (
        api.call("OPTIONS", path, key=None, origin=ORIGIN, headers=preflight("GET")),
        api.call("GET", path, key=OPS, origin=ORIGIN),
    ):
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize(("path", "methods"), paths())
def test_no_answer_is_for_pages_of_all_origins(api: Api, path: str, methods: set[str]) -> None:
    """No wildcard and no cookies, on any path, for any page. Only a script may be loaded by all."""
    if path.endswith((".js", ".mjs")):
        return
    for origin in (ORIGIN, *FOREIGN):
        answer = api.call(max(methods), path, key=PUBLISHABLE, origin=origin)
        assert answer.headers.get("Access-Control-Allow-Origin") in {None, ORIGIN}
        assert ("Access-Control-Allow-Origin" in answer.headers) <= (origin == ORIGIN)
        assert "Access-Control-Allow-Credentials" not in answer.headers
