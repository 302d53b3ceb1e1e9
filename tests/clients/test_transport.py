"""What the client does when the network fails: it repeats with the same key, and ends in time."""

import contextlib
import json
import logging
import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otp_client import NoAnswer, OtpClient, OtpError, Problem, UnexpectedAnswer, problems
from otp_client.transport import MOST_BYTES, MOST_SECONDS, Call, Transport, _members
from tests.clients.test_fields import ANSWER, CLAIMS
from tests.clients.test_tokens import Service
from tests.support.fault_server import (
    Action,
    FaultServer,
    close,
    drip,
    hang,
    http,
    http_json,
    pause,
    reset,
    say,
)
from tests.support.patience import PATIENCE, SCALES, until

KEY = "sk_test-secret-key"
GOOD = http_json(ANSWER, "202 Accepted")


def refusal(code: str, status: int, **more: object) -> bytes:
    """Write a problem."""
    document = {"code": code, "status": status, "detail": "No.", "title": "No", "type": "about:blank", **more}
    return http(
        json.dumps(document).encode(),
        f"{status} No",
        ["Content-Type: application/problem+json"],
    )


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """Run a server that misbehaves on command."""
    with FaultServer() as running:
        yield running


def client_of(server: FaultServer, timeout: float = PATIENCE) -> OtpClient:
    """Make a client of it."""
    return OtpClient(f"http://127.0.0.1:{server.port}", KEY, timeout=timeout)


def keys(server: FaultServer) -> list[str | None]:
    """List the idempotency keys that came."""
    return [request.headers.get("idempotency-key") for request in server.received]


def test_a_call_is_sent_as_the_service_reads_it(server: FaultServer) -> None:
    """The key as a bearer, JSON with what was given and nothing else, and an idempotency key of its own."""
    server.play(say(GOOD))
    with client_of(server) as client:
        client.send("+1 202 555 0100", purpose="signup")
        client.send("+1 202 555 0100")
    first, second = server.received
    assert (first.verb, first.target) == ("POST", "/otp/send")
    assert first.headers["authorization"] == f"Bearer {KEY}"
    assert first.json == {"to": "+1 202 555 0100", "purpose": "signup"}
    assert second.json == {"to": "+1 202 555 0100"}
    assert keys(server)[0] != keys(server)[1]
    assert all(len(key or "") >= 22 for key in keys(server))


LOSSES: dict[str, list[Action]] = {
    "the connection ends": [close],
    "the connection breaks": [reset],
    "the answer ends in its body": [say(GOOD[:-20]), close],
    "the answer ends in its head": [say(GOOD[:20]), close],
    "a gateway gave up": [say(http(b"<html>Bad Gateway</html>", "502 Bad Gateway"))],
    "a gateway waited too long": [say(http(b"", "504 Gateway Timeout"))],
    "a gateway has no server": [say(http(b"no server", "503 Service Unavailable"))],
    "the service is busy": [say(refusal("busy", 503, retry_after=0))],
    "the store is away": [say(refusal("store_unavailable", 503, retry_after=0))],
    "no worker runs": [say(refusal("no_worker", 503, retry_after=0))],
    "the request was slow": [say(refusal("request_timeout", 408))],
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_lost_answer_is_asked_for_again_with_the_same_key(server: FaultServer, loss: str) -> None:
    """Three times in a row."""
    lost = LOSSES[loss]
    server.play_each(lost, lost, lost, [say(GOOD)])
    with client_of(server) as client:
        assert client.send("+1 202 555 0100").challenge_id == ANSWER["challenge_id"]
    assert len(server.received) == 4
    assert len(set(keys(server))) == 1


def test_an_answer_that_ends_anywhere_is_lost(server: FaultServer) -> None:
    """After each of its bytes but the last, and after each of an answer whose length is not told."""
    untold = GOOD.replace(b"Content-Length", b"X-Length")
    cuts = [[say(whole[:end]), close] for whole in (GOOD, untold) for end in range(len(whole))]
    server.play_each(*(play for cut in cuts for play in (cut, [say(GOOD)])))
    waits = Waits()
    for number in range(len(cuts)):
        assert call_once(server, waits, MOST_SECONDS)["status"] == "pending"
        assert len(waits.waits) == number + 1


def test_reading_and_cancelling_are_repeated_without_a_key(server: FaultServer) -> None:
    """They change nothing when they come twice."""
    server.play_each([close], [say(GOOD)], [close], [say(GOOD)])
    with client_of(server) as client:
        client.status("abc")
        client.cancel("abc")
    assert [(request.verb, request.target) for request in server.received] == [
        *[("GET", "/otp/abc")] * 2,
        *[("DELETE", "/otp/abc")] * 2,
    ]
    assert keys(server) == [None] * 4


@pytest.mark.parametrize(
    ("code", "status"),
    [("too_many_requests", 429), ("wrong_code", 400), ("internal_error", 500), ("unknown_key", 401)],
)
def test_what_a_repetition_cannot_mend_is_raised_at_once(server: FaultServer, code: str, status: int) -> None:
    """A limit, a wrong guess, an unexpected error and a wrong key."""
    server.play(say(refusal(code, status, retry_after=0, checks_left=1)))
    with client_of(server) as client, pytest.raises(Problem) as caught:
        client.verify("abc", "123456")
    assert caught.value.code == code
    assert caught.value.idempotency_key == keys(server)[0]
    assert len(server.received) == 1


@pytest.mark.parametrize(
    "answer",
    [
        http(b"<html>Sign in to this network</html>"),
        http(b"", "302 Found", ["Location: https://elsewhere.example.com/"]),
        http(b"[]"),
        http_json({"challenge_id": "abc"}),
        http(b'{"code": "wrong_code", "status": 400}', "400 Bad Request"),
        http(b"x" * (MOST_BYTES + 1)),
        http(b"gone", "404 Not Found"),
    ],
)
def test_an_answer_of_something_else_is_told(server: FaultServer, answer: bytes) -> None:
    """A network's sign-in page, a redirect, half an answer, far too much: no key is sent elsewhere."""
    server.play(say(answer))
    with client_of(server) as client, pytest.raises(UnexpectedAnswer) as caught:
        client.status("abc")
    assert len(server.received) == 1
    assert "abc" not in str(caught.value)


SLOW: dict[str, list[Action]] = {
    "it says nothing": [hang],
    "its head drips": [drip(GOOD, 0.05)],
    "its body drips": [say(http(b"", length=1000)), drip(b" " * 1000, 0.05)],
    "it is slow to begin": [pause(PATIENCE)],
}


@pytest.mark.parametrize("slow", SLOW)
def test_a_call_ends_in_time_whatever_the_server_does(server: FaultServer, slow: str) -> None:
    """Its time is for all tries together; each byte that trickles in gives the server no more of it."""
    server.play(*SLOW[slow])
    for seconds in SCALES:
        took = time_of_failure(server, seconds)
        assert took > seconds / 3
        if took < seconds * 1.5:
            return
    pytest.fail("every call took half as long again as it may")


def time_of_failure(server: FaultServer, timeout: float) -> float:
    """Make a call that gets no answer, and return the seconds until that is told."""
    began = time.monotonic()
    with client_of(server, timeout) as client, pytest.raises(NoAnswer) as caught:
        client.send("+1 202 555 0100")
    assert caught.value.idempotency_key
    return time.monotonic() - began


def test_a_server_that_hangs_leaves_time_for_another_try(server: FaultServer) -> None:
    """The first try gets a third of the time."""
    assert 2 in (tries(server, seconds) for seconds in SCALES)


def tries(server: FaultServer, timeout: float) -> int:
    """Make a call to a server that hangs once, and return how many tries it took; 0 if there was no answer."""
    before = len(server.received)
    server.play_each([hang], [say(GOOD)])
    with client_of(server, timeout) as client, contextlib.suppress(NoAnswer):
        assert client.send("+1 202 555 0100").status == "pending"
        return len(server.received) - before
    return 0


def test_nobody_listening_is_no_answer() -> None:
    """The error says that the call can be repeated, and names neither number nor key."""
    with OtpClient("http://127.0.0.1:9", KEY, timeout=0.2) as client, pytest.raises(NoAnswer) as caught:
        client.send("+1 202 555 0100")
    assert "555" not in str(caught.value)
    assert KEY not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


class Waits:
    """A clock that moves by waiting only."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self.waits.append(seconds)

    def now(self) -> float:
        """Say how long was waited so far."""
        return sum(self.waits)


def call_once(server: FaultServer, waits: Waits, timeout: float) -> dict[str, Any]:
    """Make a call whose waits are not waited for."""
    base = f"http://127.0.0.1:{server.port}"
    transport = Transport(base, KEY, timeout=timeout, clock=waits.now, sleep=waits.sleep)
    with contextlib.closing(transport):
        return transport.call(Call(method="GET", path="/"))


def test_pauses_grow_and_retry_after_is_kept(server: FaultServer) -> None:
    """A busy service says how long it wants to be left alone."""
    busy = [say(refusal("busy", 503, retry_after=0))]
    server.play_each(busy, busy, busy, [say(refusal("busy", 503, retry_after=7))], [say(GOOD)])
    waits = Waits()
    call_once(server, waits, PATIENCE)
    assert 0.05 <= waits.waits[0] <= 0.1
    assert 0.1 <= waits.waits[1] <= 0.2
    assert 0.2 <= waits.waits[2] <= 0.4
    assert waits.waits[3:] == [7]


def test_a_wait_beyond_the_deadline_is_not_begun(server: FaultServer) -> None:
    """The caller is told at once what the service said."""
    server.play(say(refusal("busy", 503, retry_after=70)))
    waits = Waits()
    with pytest.raises(problems.Busy) as caught:
        call_once(server, waits, PATIENCE)
    assert caught.value.retry_after == 70
    assert waits.waits == []


def test_a_netrc_file_does_not_replace_the_key(
    server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`requests` would take a login of ~/.netrc before a header of its caller."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server.play(say(GOOD))
    with client_of(server) as client:
        client.status("abc")
    assert server.received[0].headers["authorization"] == f"Bearer {KEY}"


def test_the_deadline_holds_through_a_proxy(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the environment, as for every program that uses `requests`."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    server.play(drip(GOOD, 0.05))
    with OtpClient("http://otp.example.com", KEY, timeout=SCALES[1]) as client, pytest.raises(NoAnswer):
        client.status("abc")
    until(lambda: bool(server.received))
    assert server.received[0].target == "http://otp.example.com/otp/abc"


@pytest.mark.parametrize("odd", ["", ".", "..", "../ops/keys", "a/b", "a?b", "a b", "ä", "a" * 65, "abc\n"])
def test_what_cannot_be_an_id_never_leaves(server: FaultServer, odd: str) -> None:
    """A page's words in a path could lead a secret key to another call. They are answered as an unknown id."""
    with client_of(server) as client:
        for act in (client.status, client.cancel, client.resend):
            with pytest.raises(problems.ChallengeNotFound):
                act(odd)
    assert server.received == []


@pytest.mark.parametrize("key", [" a", "a\nb", "\N{SNOWMAN}"])
def test_what_cannot_be_sent_is_told_at_once(server: FaultServer, key: str) -> None:
    """It is the caller's mistake and no lost answer, so it is not repeated, and its words stand in no error."""
    with client_of(server) as client:
        with pytest.raises(ValueError, match="cannot be sent") as caught:
            client.send("+1 202 555 0100", idempotency_key=key)
        with pytest.raises(ValueError, match="cannot be sent"):
            client.send("+1 202 555 0100", binding={"amount": float("nan")})  # type: ignore[dict-item]
    assert key not in str(caught.value)
    assert caught.value.__suppress_context__
    assert server.received == []


@pytest.mark.parametrize("location", ["https://[::1", "https://other.example.com:x/", "//"])
def test_a_redirect_leads_nowhere(server: FaultServer, location: str) -> None:
    """Not even its target is read, which may be none."""
    server.play(say(http(b"", "308 Permanent Redirect", [f"Location: {location}"])))
    with client_of(server) as client, pytest.raises(UnexpectedAnswer) as caught:
        client.send("+1 202 555 0100")
    assert caught.value.status == 308
    assert len(server.received) == 1


@pytest.mark.parametrize(
    "error",
    [
        NoAnswer("No answer came in time"),
        UnexpectedAnswer(502, "This is no answer"),
        problems.problem_from({"code": "wrong_code", "status": 422, "detail": "No.", "checks_left": 3}),
        problems.problem_from(
            {"code": "too_many_requests", "status": 429, "detail": "No.", "retry_after": 9}
        ),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_goes_from_one_process_to_another(error: OtpError) -> None:
    """A job queue sends it back to who asked; with what it says, and the key to repeat the call with."""
    error.idempotency_key = "key-1"
    came = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert type(came) is type(error)
    assert str(came) == str(error)
    assert {**vars(came)} == {**vars(error)}


@pytest.mark.parametrize(
    ("base_url", "key", "timeout"),
    [
        ("otp.example.com", KEY, 1),
        ("ftp://otp.example.com", KEY, 1),
        ("https://", KEY, 1),
        ("https://otp.example.com?x", KEY, 1),
        ("https://otp.example.com:99999", KEY, 1),
        ("https://otp.example.com:x", KEY, 1),
        ("https://otp example.com", KEY, 1),
        ("https://[::1", KEY, 1),
        ("https://otp.example.com", "", 1),
        ("https://otp.example.com", "sk_ä", 1),
        ("https://otp.example.com", "sk_a\nb", 1),
        ("https://otp.example.com", KEY, 0),
        ("https://otp.example.com", KEY, float("nan")),
        ("https://otp.example.com", KEY, float("inf")),
    ],
)
def test_a_wrong_set_up_is_told_at_once(base_url: str, key: str, timeout: float) -> None:
    """And no key stands in the error."""
    with pytest.raises(ValueError, match="must be") as caught:
        OtpClient(base_url, key, timeout=timeout)
    assert not key or key not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=8), below, max_size=3),
    max_leaves=8,
)
MEMBERS = (
    "code",
    "status",
    "errors",
    "retry_after",
    "checks_left",
    "human_check",
    "version",
    "warnings",
    "deliveries",
)
ODD = st.dictionaries(st.sampled_from([*ANSWER, *CLAIMS, *MEMBERS, "keys"]), JSON)


def odd_answers(server: FaultServer, status: int, body: object) -> None:
    """Make each call to a server that answers all of them alike; each is understood, or told as one of our errors."""
    server.play(say(http_json(body, f"{status} Odd")))
    waits = Waits()
    transport = Transport(
        f"http://127.0.0.1:{server.port}", KEY, timeout=PATIENCE, clock=waits.now, sleep=waits.sleep
    )
    with client_of(server) as client:
        client._transport = transport  # noqa: SLF001 - the constructor takes no clock
        for act in (
            lambda: client.send("+12025550100"),
            lambda: client.verify("abc", "000000"),
            lambda: client.status("abc"),
            lambda: client.redeem("a.b.c"),
            lambda: client.check_token(Service().token(), app="web"),
        ):
            with contextlib.suppress(OtpError):
                act()
    transport.close()


@settings(max_examples=60)
@given(st.sampled_from([200, 202, 400, 403, 409, 429, 500]), ODD)
def test_no_answer_raises_anything_but_our_errors(status: int, body: dict[str, Any]) -> None:
    """Whatever stands between client and service, a caller needs to expect OtpError only."""
    with FaultServer() as server:
        odd_answers(server, status, body)


@pytest.mark.parametrize("code", sorted(problems.CODES))
@pytest.mark.parametrize("member", [None, 5, "x", [], [5], {}, {"kind": []}])
def test_a_problem_with_odd_members_is_one_of_our_errors(code: str, member: object) -> None:
    """Of each code."""
    odd = dict.fromkeys(MEMBERS, member) | {"code": code, "status": 400}
    with pytest.raises(OtpError):
        _members(400, odd)


def test_nothing_secret_is_logged_at_any_level(server: FaultServer, caplog: pytest.LogCaptureFixture) -> None:
    """Neither by the client nor by the libraries below it: no key, number, code or token."""
    caplog.set_level(logging.DEBUG)
    server.play_each([close], [say(GOOD)], [say(refusal("wrong_code", 400, checks_left=1))])
    with client_of(server) as client:
        client.send("+12025550100")
        for act in (lambda: client.verify("abc", "314159"), lambda: client.redeem("a.secret.token")):
            with pytest.raises(Problem):
                act()
    assert caplog.records
    for secret in (KEY, "2025550100", "314159", "secret.token"):
        assert secret not in caplog.text
