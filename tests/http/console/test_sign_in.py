"""The console's door: who comes in, for how long, and what a form must carry."""

import json

import pytest
from werkzeug.test import TestResponse

from otp_service.access.sessions import IDLE, LONGEST, MOST_TRIES, TRIES_WITHIN
from tests.conftest import OPS, PUBLISHABLE, SECRET
from tests.support.console_pages import HOME, OWN, Console, console_of
from tests.support.http_api import Api

pytest_plugins = ["tests.support.http_fixtures"]

HTTPS = {"base_url": "https://otp.example.com"}


def is_in(console: Console) -> bool:
    """Tell whether a page is shown; if not, the browser is led to the sign-in."""
    answer = console.get()
    if answer.status_code == 303:
        assert answer.headers["Location"].startswith(f"{HOME}sign-in")
    return answer.status_code == 200


def test_an_operators_key_opens_the_console_and_nothing_else_does(api: Api) -> None:
    """No other kind of key, no unknown one, none at all; the field never shows a key again."""
    console = console_of(api, None)
    for key in (PUBLISHABLE, SECRET, "ops_unknown", ""):
        refused = console.sign_in(key)
        assert refused.status_code == 401
        assert "Set-Cookie" not in refused.headers
        assert not key or key not in refused.text
        assert not is_in(console)
    assert console.sign_in(OPS).status_code == 303
    assert is_in(console)


def test_the_api_takes_no_cookie(api: Api) -> None:
    """A session is good for pages only: the API takes Bearer only."""
    console = console_of(api)
    assert console.client.get("/ops/policy").status_code == 401
    assert console.client.get("/metrics").status_code == 401


def test_over_https_the_cookie_is_bound_to_the_host(api: Api) -> None:
    """`__Host-`, Secure, HttpOnly and Strict; no domain, so that no sibling host gets or sets it."""
    api.core.begin_policy()
    client = api.flask.test_client()
    answer = client.post(f"{HOME}sign-in", data={"key": OPS}, headers=OWN, **HTTPS)
    name, _, attributes = answer.headers["Set-Cookie"].partition("=")
    assert name == "__Host-otp-console"
    assert set(attributes.split("; ")[1:]) == {"Secure", "HttpOnly", "Path=/", "SameSite=Strict"}
    assert client.get(HOME, **HTTPS).status_code == 200


def test_on_loopback_a_browser_keeps_the_session_over_http(api: Api) -> None:
    """Without the prefix, which needs HTTPS, and for the console's paths only."""
    console = console_of(api)
    cookie = console.answers[0].headers["Set-Cookie"]
    assert cookie.startswith("otp-console=")
    assert set(cookie.split("; ")[1:]) == {"HttpOnly", "Path=/ops/console/", "SameSite=Strict"}


def test_a_browser_that_keeps_no_cookie_is_told_why(api: Api) -> None:
    """Plain HTTP to another machine: the browser drops a Secure cookie."""
    api.core.begin_policy()
    client = api.flask.test_client(use_cookies=False)
    answer = client.post(f"{HOME}sign-in", data={"key": OPS}, headers=OWN)
    told = client.get(client.get(answer.headers["Location"]).headers["Location"])
    assert "over plain HTTP the console works on this machine only" in told.text


def test_the_store_has_hashes_only(api: Api) -> None:
    """Neither the cookie's id nor the key is in the store."""
    console = console_of(api)
    held = json.dumps(api.kept(), default=str)
    id_ = console.answers[0].headers["Set-Cookie"].partition("=")[2].partition(";")[0]
    assert len(id_) >= 32
    assert ":session:" in held
    assert id_ not in held
    assert OPS not in held


def test_a_session_ends_when_idle(api: Api) -> None:
    """Each request lets it last; half an hour without one ends it."""
    console = console_of(api)
    for _ in range(3):
        api.later(IDLE / 1000 - 60)
        assert is_in(console)
    api.later(IDLE / 1000)
    assert not is_in(console)


def test_a_session_ends_after_half_a_day(api: Api) -> None:
    """However busy it is."""
    console = console_of(api)
    for _ in range(LONGEST // (IDLE - 60_000)):
        api.later(IDLE / 1000 - 60)
        assert is_in(console)
    api.later(LONGEST % (IDLE - 60_000) / 1000)
    assert not is_in(console)


def test_a_session_ends_with_its_key(api: Api) -> None:
    """A revoked key takes its sessions with it at once."""
    key, record = api.core.keyring.issue("ops", "ben", by="anna", role="read")
    api.core.live_keys.refresh()
    console = console_of(api, key)
    assert is_in(console)
    api.core.keyring.revoke(record.id, by="anna", reason="left")
    api.core.live_keys.refresh()
    assert not is_in(console)


def test_signing_out_ends_the_session_itself(api: Api) -> None:
    """A copy of the cookie is worth nothing afterwards."""
    console = console_of(api)
    id_ = console.answers[0].headers["Set-Cookie"].partition("=")[2].partition(";")[0]
    assert console.post("sign-out").status_code == 303
    console.client.set_cookie("otp-console", id_, path=HOME)
    assert not is_in(console)


def test_wrong_keys_are_limited_for_an_address(api: Api) -> None:
    """Then even the right one has to wait; the right one in time forgets the wrong ones."""
    console = console_of(api, None)
    for _ in range(MOST_TRIES - 1):
        assert console.sign_in("ops_wrong").status_code == 401
    assert console.sign_in(OPS).status_code == 303
    for _ in range(MOST_TRIES):
        assert console.sign_in("ops_wrong").status_code == 401
    for _ in range(3):
        assert console.sign_in(OPS).status_code == 429
    acts = [act.name for act in api.core.audit_trail.read()]
    assert acts.count("console.refused") == 1, "whoever has no key cannot fill the trail"
    elsewhere = console.client.post(
        f"{HOME}sign-in", data={"key": OPS}, headers=OWN, environ_overrides={"REMOTE_ADDR": "192.0.2.7"}
    )
    assert elsewhere.status_code == 303
    api.later(TRIES_WITHIN / 1000)
    assert console.sign_in(OPS).status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {},
    ],
)
@pytest.mark.parametrize("page", ["sign-in", "pins", "sign-out"])
def test_a_form_of_another_site_does_nothing(api: Api, page: str, headers: dict[str, str]) -> None:
    """Even with the session's cookie and token."""
    console = console_of(api)
    answer = console.post(
        page, headers=headers, key=OPS, kind="prefix", subject="+44", what="refuse", reason="x"
    )
    assert answer.status_code == 403
    assert "wrong" not in answer.text
    assert api.core.pins.read_all() == []
    assert is_in(console)


def test_a_browser_without_fetch_metadata_shows_its_origin(api: Api) -> None:
    """Old browsers send an Origin, which must be the host itself."""
    console = console_of(api, None)
    answer = console.post("sign-in", headers={"Origin": "http://localhost"}, key=OPS)
    assert answer.status_code == 303


@pytest.mark.parametrize("token", ["", "x", "another session's"])
def test_a_form_without_its_sessions_token_does_nothing(api: Api, token: str) -> None:
    """Nor with the token of another session of the same operator."""
    console, other = console_of(api), console_of(api)
    console.token = other.token if token == "another session's" else token
    form = {"kind": "prefix", "subject": "+44", "what": "refuse", "reason": "x"}
    assert console.post("pins", OWN, **form).status_code == 403
    assert api.core.pins.read_all() == []
    assert other.post("pins", OWN, **form).status_code == 303


def headers_hold(answer: TestResponse) -> bool:
    """Tell whether no site may frame a page, and it may run and load nothing but its own files."""
    return answer.headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    )


def test_every_answer_has_the_policy_of_contents(api: Api) -> None:
    """Pages, refusals, redirects and files; pages are never kept by a cache."""
    console = console_of(api)
    for page in ("", "routes", "audit", "sign-in", "files/console.js", "files/none", "routes/history/9"):
        answer = console.get(page)
        assert headers_hold(answer), page
        assert page.startswith("files/console") or answer.headers["Cache-Control"] == "no-store"
    assert headers_hold(console.post("pins", headers={}))


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example", "/ops/policy", "/ops/console/\n"]
)
def test_signing_in_leads_to_the_console_only(api: Api, wanted: str) -> None:
    """Whatever a link says."""
    console = console_of(api, None)
    answer = console.post("sign-in", key=OPS, next=wanted)
    assert answer.headers["Location"] == f"{HOME}begin?next={HOME}"
    assert console.client.get(f"{HOME}begin", query_string={"next": wanted}).headers["Location"] == HOME


def test_the_page_that_was_asked_for_is_shown_after_signing_in(api: Api) -> None:
    """An operator follows a link from an alert."""
    console = console_of(api, None)
    led = console.get("blocks").headers["Location"]
    assert led == f"{HOME}sign-in?next={HOME}blocks"
    begun = console.post("sign-in", key=OPS, next=f"{HOME}blocks").headers["Location"]
    assert console.client.get(begun).headers["Location"] == f"{HOME}blocks"


def test_without_the_store_a_page_says_so(away: Api) -> None:
    """As a page, with the id under which the log has it."""
    console = Console(away.flask.test_client())
    console.client.set_cookie("otp-console", "x" * 32, path=HOME)
    answer = console.get()
    assert answer.status_code == 503
    assert answer.headers["X-Request-Id"] in answer.text
