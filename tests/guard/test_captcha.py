"""A CAPTCHA vendor is asked over real HTTP, and all that it can answer has one meaning here."""

import logging
from collections.abc import Iterator
from contextlib import closing

import pytest

from otp_service.errors import HumanCheckUnavailable
from otp_service.guard.captcha import MAX_ANSWER, SiteVerify
from tests.support.fault_server import Action, FaultServer, close, drip, hang, http, http_json, reset, say
from tests.support.patience import PATIENCE, until

SECRET, TOKEN = "vendor-secret", "token-of-the-page"


@pytest.fixture
def vendor() -> Iterator[FaultServer]:
    """Accept every token by default."""
    with FaultServer() as running:
        running.play(say(http_json({"success": True})))
        yield running


@pytest.fixture
def captcha(vendor: FaultServer) -> Iterator[SiteVerify]:
    """Give a client of that vendor with long limits."""
    made = SiteVerify(f"{vendor.url}siteverify", SECRET, connect_limit=PATIENCE, total_limit=PATIENCE)
    yield made
    made.close()


def test_a_token_that_the_vendor_accepts_has_passed(vendor: FaultServer, captcha: SiteVerify) -> None:
    """The form is the documented one, and the path is the configured one."""
    assert captcha.passed(TOKEN, "192.0.2.1")
    (asked,) = vendor.received
    assert (asked.verb, asked.path) == ("POST", "/api/v2/siteverify")
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert asked.fields == {"secret": SECRET, "response": TOKEN, "remoteip": "192.0.2.1"}


def test_an_unknown_address_is_not_sent(vendor: FaultServer, captcha: SiteVerify) -> None:
    """A server's request has none."""
    assert captcha.passed(TOKEN, None)
    assert vendor.received[0].fields == {"secret": SECRET, "response": TOKEN}


@pytest.mark.parametrize(
    "codes", [None, [], ["invalid-input-response"], ["timeout-or-duplicate"], ["a-new-code"], "text"]
)
def test_a_token_that_the_vendor_rejects_has_not_passed(
    vendor: FaultServer, captcha: SiteVerify, codes: object
) -> None:
    """For any reason that is about the token."""
    vendor.play(say(http_json({"success": False, "error-codes": codes})))
    assert not captcha.passed(TOKEN, None)


@pytest.mark.parametrize(
    "code", ["missing-input-secret", "invalid-input-secret", "bad-request", "internal-error"]
)
def test_a_mistake_of_ours_or_the_vendor_is_not_a_refusal(
    vendor: FaultServer, captcha: SiteVerify, code: str
) -> None:
    """A wrong secret must not look like a crowd of robots."""
    vendor.play(say(http_json({"success": False, "error-codes": [code]})))
    with pytest.raises(HumanCheckUnavailable) as caught:
        captcha.passed(TOKEN, None)
    assert caught.value.retry_after


OK_TRUE = b'{"success": true}'


@pytest.mark.parametrize(
    "action",
    [
        close,
        reset,
        say(b"no http"),
        say(http(b"no json")),
        say(http(b"[true]")),
        say(http(b"{}")),
        say(http(b'{"success": "true"}')),
        say(http(b'{"success": 1}')),
        say(http(OK_TRUE, "500 Internal Server Error")),
        say(http(OK_TRUE, "302 Found", ["Location: /elsewhere"])),
        say(http(OK_TRUE + b" " * MAX_ANSWER)),
        say(http(b"[" * MAX_ANSWER)),
    ],
    ids=range(12),
)
def test_without_a_clear_answer_no_token_passes(
    vendor: FaultServer, captcha: SiteVerify, action: Action
) -> None:
    """Nonsense and faults differ from a refusal. Nothing is sent twice."""
    vendor.play(action, close)
    with pytest.raises(HumanCheckUnavailable):
        captcha.passed(TOKEN, None)
    assert len(vendor.received) == 1


@pytest.mark.parametrize("action", [hang, drip(http(OK_TRUE), gap=0.2)], ids=range(2))
def test_without_an_answer_in_time_no_token_passes(vendor: FaultServer, action: Action) -> None:
    """Silence and a few bytes a second are no refusal either: the call ends, and nothing is sent twice."""
    vendor.play(action, close)
    hasty = SiteVerify(f"{vendor.url}siteverify", SECRET, connect_limit=3.0, total_limit=3.0)
    with closing(hasty), pytest.raises(HumanCheckUnavailable):
        hasty.passed(TOKEN, None)
    until(lambda: bool(vendor.received))  # which may still be reading what was sent
    vendor.wait_until_deserted()
    assert len(vendor.received) == 1


def test_an_unreachable_vendor_passes_no_token() -> None:
    """The same holds if its URL has no valid address."""
    for url in ("http://127.0.0.1:9/siteverify", "ftp://vendor.example/", "nonsense"):
        with pytest.raises(HumanCheckUnavailable):
            SiteVerify(url, SECRET, connect_limit=1.0, total_limit=1.0).passed(TOKEN, None)


def test_secret_and_token_are_never_logged(captcha: SiteVerify, caplog: pytest.LogCaptureFixture) -> None:
    """Not even at the libraries' most detailed level."""
    with caplog.at_level(logging.DEBUG):
        captcha.passed(TOKEN, None)
    assert SECRET not in caplog.text
    assert TOKEN not in caplog.text
    assert SECRET not in repr(captcha)
