"""What each answer of the upstream means, tested through the client over HTTP; no answer causes an exception."""

import json
import string
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otp_service.upstream.channels import RcsSettings, SmsSettings
from otp_service.upstream.faults import ACCOUNT_FAULTS
from otp_service.upstream.mobtexting import AccountSettings, MobtextingClient
from otp_service.upstream.mobtexting.outcomes import (
    STATUSES,
    VERDICTS,
    Reading,
    for_recipient,
    outcome_of,
    read,
    rows,
)
from otp_service.upstream.mobtexting.transport import Answer
from otp_service.upstream.mobtexting.values import number
from otp_service.upstream.mobtexting.words import WORDS
from otp_service.upstream.port import Message, Outcome, Stage, Verdict
from tests.support.fault_server import FaultServer, close, http, http_json, say

SENDER = SmsSettings(service="T", sender="ACMEIN")
MESSAGE = Message(
    to="+919000000001",
    reference="ref-1",
    code="493817",
    text="Your code is 493817.",
    language="en",
    seconds=300,
)
LOGIN_PAGE = b'<!DOCTYPE html>\n<a href="https://portal.example/LOGIN">Sign in</a>'
TOO_DEEP = b'{"status": ' * 5000 + b"200" + b"}" * 5000
NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
A, D, U, R = Verdict.ACCEPTED, Verdict.DEFERRED, Verdict.UNKNOWN, Verdict.REFUSED


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    """Serve all tests of this module, each with its own answer."""
    with FaultServer() as running:
        yield running


@pytest.fixture(scope="module")
def client(server: FaultServer) -> Iterator[MobtextingClient]:
    """Give a client with the default settings."""
    with closing(MobtextingClient(AccountSettings(name="main", base_url=server.url, token="secret"))) as made:
        yield made


def send(client: MobtextingClient) -> Outcome:
    """Send an SMS."""
    return client.send_sms(MESSAGE, SENDER)


def recipients(answer: Answer) -> Reading:
    """Read an answer for its only recipient."""
    reading = read(answer)
    return for_recipient(reading, next(iter(rows(reading)), None))


def row(status: object) -> dict[str, object]:
    """Write the row of a recipient as documented."""
    return {"id": "a1b2:1", "mobile": "919000000001", "status": status, "charges": "1.0000"}


def sent(status: object) -> dict[str, object]:
    """Write a whole answer with one row as documented."""
    return {"status": 200, "message": "1 numbers accepted for delivery.", "data": [row(status)]}


ANSWERS: dict[str, tuple[bytes, Verdict, str]] = {
    # Success in its three spellings, with the types that PHP may give it.
    "status 200": (http_json({"status": 200, "data": [{"status": "AWAITING-DLR"}]}), A, "accepted"),
    "status OK": (http_json({"status": "OK", "data": [{"status": "queued"}]}), A, "accepted"),
    "status '200'": (http_json({"status": "200", "data": [{"id": "1"}]}), A, "accepted"),
    "status ok": (http_json({"status": " ok ", "data": [{"id": "1"}]}), A, "accepted"),
    "status 200.0": (http_json({"status": 200.0, "data": {"id": "1"}}), A, "accepted"),
    "HTTP 202": (http_json({"status": 200, "data": [{"id": "1"}]}, "202 Accepted"), A, "accepted"),
    "data that is no list": (http_json({"status": 200, "data": "none"}), U, "no_recipient"),
    "data of no rows": (http_json({"status": 200, "data": [7, None]}), U, "no_recipient"),
    "a byte order mark": (http(b'\xef\xbb\xbf{"status": 200, "data": [{"id": "1"}]}'), A, "accepted"),
    "a message in Latin-1": (
        http(b'{"status": 200, "message": "accept\xe9", "data": [{"id": "1"}]}'),
        A,
        "accepted",
    ),
    "no data at all": (http_json({"status": 200}), U, "no_recipient"),
    "nobody accepted": (
        http_json({"status": 200, "message": "0 numbers accepted for delivery.", "data": []}),
        U,
        "no_recipient",
    ),
    "no credits in a single row": (
        http_json({"status": "OK", "data": {"status": "NO-CREDITS"}}),
        R,
        "no_credits",
    ),
    # Success, but not for the recipient.
    "notallowed": (
        http_json({"status": "OK", "data": [{"status": "notallowed", "credits": 0}]}),
        R,
        "not_allowed",
    ),
    "a new word": (http_json({"status": 200, "data": [{"status": "SHINY-NEW"}]}), U, "unknown_word"),
    "a row's status that is no word": (
        http_json({"status": 200, "data": [{"status": [1]}]}),
        U,
        "unknown_word",
    ),
    "a row's status that is true": (
        http_json({"status": 200, "data": [{"status": True}]}),
        U,
        "unknown_word",
    ),
    "queued in the channels' shape": (
        http_json({"status": "OK", "data": [{"id": "1", "channel": "whatsapp", "status": "queued"}]}),
        A,
        "accepted",
    ),
    "a paged list": (
        http_json({"status": 200, "data": {"current_page": 1, "data": [row("BUSY")]}}),
        R,
        "busy",
    ),
    # Failures with an HTTP status of success.
    "ERROR": (http_json({"status": "ERROR", "message": "Invalid sender"}), R, "rejected"),
    "error": (http_json({"status": "error"}), R, "rejected"),
    "ERROR with a code": (http_json({"status": "ERROR", "code": 403}), R, "forbidden"),
    "ERROR with code 200": (http_json({"status": "ERROR", "code": 200}), R, "rejected"),
    "ERROR with a code and a row": (
        http_json({"status": "ERROR", "code": 422, "data": [{"status": "INV-SENDER"}]}),
        R,
        "invalid_sender",
    ),
    "ERROR with a word that tells nothing": (
        http_json({"status": "ERROR", "data": [{"status": "TIMEOUT-DLR"}]}),
        R,
        "rejected",
    ),
    "ERROR with a row": (http_json({"status": "ERROR", "data": [{"status": "NO-CREDITS"}]}), R, "no_credits"),
    "ERROR with an accepted row": (
        http_json({"status": "ERROR", "data": [row("AWAITING-DLR")]}),
        R,
        "rejected",
    ),
    "status 401": (http_json({"status": 401, "message": "Unauthenticated"}), R, "bad_token"),
    "status '422'": (http_json({"status": "422"}), R, "rejected"),
    "status 429": (http_json({"status": 429}), D, "throttled"),
    "status 500": (http_json({"status": 500}), U, "server_error"),
    "a new status": (http_json({"status": "MAYBE"}), U, "unknown_word"),
    "an accepted word as status": (http_json({"status": "QUEUED"}), U, "unknown_word"),
    "HTTP 202 with an accepted word": (http_json({"status": "queued"}, "202 Accepted"), A, "accepted"),
    "failed with a code": (
        http_json({"code": 404, "status": "failed", "message": "Not found", "data": {"error": "entity"}}),
        R,
        "not_found",
    ),
    "failed": (http_json({"status": "failed", "message": "Sorry"}), R, "rejected"),
    "false": (http_json({"status": False, "message": "Sorry"}), R, "rejected"),
    "a phrase of HTTP": (http_json({"status": "Unauthorized"}), R, "bad_token"),
    "a word of a row as status": (http_json({"status": "NO-CREDITS", "message": "Top up"}), R, "no_credits"),
    "OK with a code of failure": (
        http_json({"status": "OK", "code": 422, "data": [row("queued")]}),
        R,
        "rejected",
    ),
    "failed with code 429": (http_json({"status": "failed", "code": "429"}), D, "throttled"),
    "failed with code 500": (http_json({"status": "failed", "code": 500}), U, "server_error"),
    "only a code": (http_json({"code": 403, "message": "No"}), R, "forbidden"),
    "code 202": (http_json({"code": 202, "status": "OK", "message": "Queued"}), A, "accepted"),
    "code 202 with a refused row": (
        http_json({"code": 202, "status": "OK", "data": [row("BARRED")]}),
        R,
        "blocked",
    ),
    "code 202 with broken rows": (http_json({"code": 202, "status": "OK", "data": [7]}), A, "accepted"),
    "status 202": (http_json({"status": 202}), A, "accepted"),
    "HTTP 202 without a body": (http(b"", "202 Accepted"), A, "accepted"),
    "HTTP 202 without a status": (http_json({"message": "Queued"}, "202 Accepted"), A, "accepted"),
    "HTTP 202 that says failed": (http_json({"status": "failed"}, "202 Accepted"), R, "rejected"),
    "HTTP 202 that cannot be read": (http(b'{"status"', "202 Accepted"), U, "unreadable"),
    "the login page": (http(LOGIN_PAGE), R, "bad_token"),
    # Answers that cannot be read.
    "no status": (http_json({"message": "Unauthenticated."}), U, "unreadable"),
    "status null": (http_json({"status": None}), U, "unreadable"),
    "another page": (http(b"<html>It works!</html>"), U, "unreadable"),
    "an empty body": (http(b""), U, "unreadable"),
    "HTTP 204": (http(b"", "204 No Content"), U, "unreadable"),
    "half of a JSON text": (http(b'{"status": 200, "data": ['), U, "unreadable"),
    "a JSON list": (http(b'[{"status": 200}]'), U, "unreadable"),
    "a JSON number": (http(b"200"), U, "unreadable"),
    "NaN": (http(b'{"status": 200, "data": [{"charges": NaN}]}'), U, "unreadable"),
    "too deep": (http(TOO_DEEP), U, "unreadable"),
    "a key twice": (http(b'{"status": "ERROR", "status": 200}'), U, "unreadable"),
    "a figure without end": (http(b'{"status": ' + b"2" * 5000 + b"}"), U, "unreadable"),
    "UTF-16": (http('{"status": 200}'.encode("utf-16")), U, "unreadable"),
    # HTTP statuses.
    "HTTP 400": (http_json({"status": "ERROR"}, "400 Bad Request"), R, "rejected"),
    "HTTP 401": (http_json({"message": "Unauthenticated."}, "401 Unauthorized"), R, "bad_token"),
    "HTTP 401 with the login page": (http(LOGIN_PAGE, "401 Unauthorized"), R, "bad_token"),
    "HTTP 402": (http(b"", "402 Payment Required"), R, "no_credits"),
    "HTTP 403": (http(b"", "403 Forbidden"), R, "forbidden"),
    "HTTP 404": (http(b"<html>", "404 Not Found"), R, "not_found"),
    "HTTP 405": (http(b"", "405 Method Not Allowed"), R, "not_found"),
    "HTTP 408": (http(b"", "408 Request Timeout"), D, "request_timeout"),
    "HTTP 409": (http_json({"status": "ERROR"}, "409 Conflict"), R, "conflict"),
    "HTTP 412": (http(b"", "412 Precondition Failed"), R, "rejected"),
    "HTTP 418": (http(b"", "418 I'm a teapot"), R, "rejected"),
    "HTTP 422": (http_json({"errors": {"to": ["bad"]}}, "422 Unprocessable Content"), R, "rejected"),
    "HTTP 422 that says 200": (http_json({"status": 200}, "422 Unprocessable Content"), R, "rejected"),
    "HTTP 429": (http_json({"message": "Too Many Attempts."}, "429 Too Many Requests"), D, "throttled"),
    "HTTP 500": (http_json({"message": "Server Error"}, "500 Internal Server Error"), U, "server_error"),
    "HTTP 502": (http(b"<html>", "502 Bad Gateway"), U, "server_error"),
    "HTTP 503": (http(b"<html>", "503 Service Unavailable"), U, "server_error"),
    "HTTP 504": (http(b"<html>", "504 Gateway Timeout"), U, "server_error"),
    "HTTP 599": (http(b"", "599 Odd"), U, "server_error"),
    "HTTP 103": (http(b"", "103 Early Hints"), U, "unreadable"),
    "HTTP 777": (http(b"", "777 Odd"), U, "unreadable"),
}


@pytest.mark.parametrize(("raw", "verdict", "reason"), ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_has_one_meaning(
    server: FaultServer, client: MobtextingClient, raw: bytes, verdict: Verdict, reason: str
) -> None:
    """Each kind of answer that is documented or possible, and its meaning."""
    server.play(say(raw))
    outcome = send(client)
    assert (outcome.verdict, outcome.reason) == (verdict, reason)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (http_json({"code": 404, "status": "failed", "message": "entity not found"}), "unreachable"),
        (
            http_json({"code": 404, "status": "ERROR", "data": {"error": "Entity"}}, "404 Not Found"),
            "unreachable",
        ),
        (http_json({"status": 404, "message": "No such route."}, "404 Not Found"), "not_found"),
        (http_json({"message": "Entity not found"}, "404 Not Found"), "unreachable"),
        (http_json({"message": "The route api/v2/rcs could not be found."}, "404 Not Found"), "not_found"),
        (http_json({"code": 404, "status": "ERROR", "message": "Agent not found"}), "not_found"),
        (http_json({"code": 404, "status": "ERROR", "message": "Unknown template"}), "not_found"),
        (http_json({"message": ""}, "404 Not Found"), "not_found"),
        (http(b"<html>", "404 Not Found"), "not_found"),
    ],
)
def test_a_phone_without_rcs_is_no_fault_of_the_account(
    server: FaultServer, client: MobtextingClient, raw: bytes, reason: str
) -> None:
    """Its 404 comes from the platform, with a status or a code; that of a wrong path does not."""
    server.play(say(raw))
    outcome = client.send_rcs(MESSAGE, RcsSettings(sender="agent"))
    assert (outcome.verdict, outcome.reason) == (R, reason)
    assert (reason in ACCOUNT_FAULTS) is (reason == "not_found")


def test_an_accepted_row_gives_id_and_charges(server: FaultServer, client: MobtextingClient) -> None:
    """Reports refer to the id; charges are text or a number."""
    server.play(say(http_json(sent("AWAITING-DLR"))))
    assert send(client) == Outcome(A, "accepted", upstream_id="a1b2:1", charges=1.0)


@pytest.mark.parametrize("charges", [-0.5, "-1", 1e305, "100001", "NaN", "free", True, []])
def test_a_price_that_is_none_does_not_lose_the_outcome_of_a_message_that_left(
    server: FaultServer, client: MobtextingClient, charges: object
) -> None:
    """A credit note, or a figure beyond all prices: neither a counter nor a budget can count it."""
    server.play(say(http_json({"status": 200, "data": [{**row("AWAITING-DLR"), "charges": charges}]})))
    assert send(client) == Outcome(A, "accepted", upstream_id="a1b2:1")


@pytest.mark.parametrize("charges", [0, "0.0", 100_000])
def test_every_price_is_read(server: FaultServer, client: MobtextingClient, charges: object) -> None:
    """From nothing to what a message costs in the currency with the largest figures."""
    server.play(say(http_json({"status": 200, "data": [{**row("AWAITING-DLR"), "charges": charges}]})))
    assert send(client).charges == float(str(charges))


def test_a_refused_row_keeps_its_id(server: FaultServer, client: MobtextingClient) -> None:
    """A report may still follow."""
    server.play(say(http_json(sent("DNDNUMB"))))
    assert send(client) == Outcome(R, "do_not_disturb", upstream_id="a1b2:1", charges=1.0)


@pytest.mark.parametrize("word", sorted(WORDS))
@pytest.mark.parametrize("spelt", [str.upper, str.lower, lambda word: f" {word.replace('-', '_')}"])
def test_a_word_is_known_in_any_spelling(word: str, spelt: Callable[[str], str]) -> None:
    """Case and separators differ between the upstream's own samples."""
    stage, reason = WORDS[word]
    expected = "accepted" if stage in {Stage.PENDING, Stage.SENT, Stage.DELIVERED, Stage.READ} else reason
    assert recipients(Answer(200, json.dumps(sent(spelt(word))).encode())).reason == expected


def test_every_other_documented_word_is_a_refusal() -> None:
    """The documentation calls them failures; one word leaves the outcome open."""
    failed = {word for word, (stage, _) in WORDS.items() if stage is Stage.FAILED}
    on_its_way = {"", "AWAITING-DLR", "QUEUED", "DISPATCHED", "SENT", "DELIVRD", "DELIVERED", "READ"}
    answered = {"ANSWER", "COMPLETED", "RECEIVED"}
    assert set(WORDS) - failed == on_its_way | answered | {"TIMEOUT-DLR"}
    assert {word for word in failed if VERDICTS[WORDS[word][1]] is not R} == {"THROTTLED"}


def test_each_word_leads_to_a_verdict() -> None:
    """A reason without a verdict would raise an exception during a send."""
    ends = {reason for stage, reason in WORDS.values() if stage in {Stage.FAILED, Stage.UNKNOWN}}
    assert ends | set(STATUSES.values()) <= set(VERDICTS)


RETRY_AFTER = {
    "30": 30.0,
    "0": 0.0,
    "9" * 500: 86_400.0,
    "Mon, 23 Nov 2026 12:01:30 GMT": 90.0,
    "Mon, 23 Nov 2026 11:00:00 GMT": 0.0,
    "Mon, 23 Nov 2026 12:01:30 -0000": 90.0,
    "Mon, 23 Nov 2099 12:00:00 GMT": 86_400.0,
    "-5": None,
    "1.5": None,
    "\u0663": None,
    "soon": None,
    "Mon, 99 Nov 2026 12:00:00 GMT": None,
    "Mon, 23 Nov 2026 12:00:00 +9999": None,
    "Mon, 23 Nov 99999999999999999999 12:00:00 GMT": None,
}


@pytest.mark.parametrize(("written", "seconds"), RETRY_AFTER.items())
@pytest.mark.parametrize(("status", "reason"), [(429, "throttled"), (503, "unavailable")])
def test_retry_after_is_read_in_both_forms(
    status: int, reason: str, written: str, seconds: float | None
) -> None:
    """Seconds or a date, at most a day; an unreadable value gives no time."""
    answer = Answer(status, retry_after=written)
    assert outcome_of(recipients(answer), NOW) == Outcome(D, reason, retry_after=seconds)


def test_retry_after_is_read_from_the_answer(server: FaultServer, client: MobtextingClient) -> None:
    """The header is found whatever its case."""
    server.play(say(http(b"", "429 Too Many Requests", ["rETRY-aFTER: 7"])))
    assert send(client) == Outcome(D, "throttled", retry_after=7.0)


def test_retry_after_means_nothing_beside_a_refusal() -> None:
    """Only "not now" can be retried."""
    answer = Answer(403, retry_after="30")
    assert outcome_of(recipients(answer), NOW) == Outcome(R, "forbidden")


@pytest.mark.parametrize(
    ("written", "figure"),
    [
        (1, 1.0),
        ("1.0000", 1.0),
        (0, 0.0),
        (True, None),
        ("", None),
        ("inf", None),
        (10**400, None),
        ([1], None),
    ],
)
def test_numbers_may_be_text(written: object, figure: float | None) -> None:
    """A value that is not a finite number is left out."""
    assert number(written) == figure


@pytest.mark.parametrize("odd_id", ["", "x" * 129, "a\nb", True, 1.5, ["a"], None])
def test_an_unusable_id_is_left_out(odd_id: object) -> None:
    """An id is short and printable."""
    answer = Answer(200, json.dumps({"status": 200, "data": [{"id": odd_id}]}).encode())
    assert outcome_of(recipients(answer), NOW) == Outcome(A, "accepted")


def test_a_new_status_is_shown_too() -> None:
    """Also outside the row, even if there is a row."""
    assert read(Answer(200, b'{"status": "SHINY"}')).new_word == "SHINY"


@pytest.mark.parametrize("word", ["AWAITING-DLR", "NOTALLOWED", "queued"])
def test_the_upstreams_own_word_is_kept(word: str) -> None:
    """As the tables spell it; it makes no difference to what follows."""
    outcome = outcome_of(recipients(Answer(200, json.dumps(sent(word)).encode())), NOW)
    assert outcome.said == word.upper()
    assert outcome == replace(outcome, said=None)
    assert outcome_of(read(Answer(200, b'{"status": "ERROR"}')), NOW).said == "ERROR"


def test_an_id_may_be_a_number() -> None:
    """Older white labels count their messages."""
    answer = Answer(200, b'{"status": 200, "data": [{"id": 77}]}')
    assert outcome_of(recipients(answer), NOW).upstream_id == "77"


@pytest.mark.parametrize(
    ("word", "shown"), [("shiny new", "SHINY-NEW"), ("CODE 493817", None), ("A" * 41, None), ("<b>", None)]
)
def test_a_new_word_is_shown_only_if_it_looks_like_one(word: str, shown: str | None) -> None:
    """Operators see what the table lacks, but never a number or a code."""
    reading = recipients(Answer(200, json.dumps(sent(word)).encode()))
    assert (reading.reason, reading.new_word) == ("unknown_word", shown)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
STATUS = st.sampled_from([200, "200", "OK", "ERROR", 401, *WORDS]) | ANY_JSON
ROW = st.fixed_dictionaries({}, optional={"id": ANY_JSON, "status": STATUS, "charges": ANY_JSON}) | ANY_JSON
BODY = st.fixed_dictionaries(
    {},
    optional={
        "status": STATUS,
        "code": STATUS,
        "message": ANY_JSON,
        "data": st.lists(ROW, max_size=2) | ANY_JSON,
    },
)
HEADER = st.tuples(
    st.sampled_from(["Retry-After", "Content-Type", "Content-Encoding", "Set-Cookie", "Location", "Date"]),
    st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=30),
).map(": ".join)


def check(outcome: Outcome) -> None:
    """Expect a reason from the table and its verdict, in characters that are safe for logs and metrics."""
    assert outcome.verdict is VERDICTS[outcome.reason]
    assert set(outcome.reason) <= set(string.ascii_lowercase + "_")


class TestNothingBreaksIt:
    """Whatever the answer, a send ends with an outcome."""

    @settings(max_examples=150, deadline=None)
    @given(raw=st.binary(max_size=300))
    def test_any_bytes(self, server: FaultServer, client: MobtextingClient, raw: bytes) -> None:
        """Bytes that are not HTTP are never accepted or refused."""
        server.play(say(raw), close)
        outcome = send(client)
        check(outcome)
        assert outcome.verdict is Verdict.UNKNOWN

    @settings(max_examples=150, deadline=None)
    @given(rest=st.binary(max_size=300))
    def test_any_bytes_after_a_status_line(
        self, server: FaultServer, client: MobtextingClient, rest: bytes
    ) -> None:
        """A valid beginning is not trusted either."""
        server.play(say(b"HTTP/1.1 200 OK\r\n" + rest), close)
        outcome = send(client)
        check(outcome)
        assert outcome.verdict is Verdict.UNKNOWN

    @settings(max_examples=150, deadline=None)
    @given(status=st.integers(200, 999), body=st.binary(max_size=200), headers=st.lists(HEADER, max_size=4))
    def test_any_answer(
        self, server: FaultServer, client: MobtextingClient, status: int, body: bytes, headers: list[str]
    ) -> None:
        """Any status, headers and body."""
        server.play(say(http(body, f"{status} Any", headers)))
        outcome = send(client)
        check(outcome)
        assert (outcome.verdict is Verdict.ACCEPTED) is (status == 202 and not body.strip())

    @settings(max_examples=300, deadline=None)
    @given(body=BODY)
    def test_any_json(self, server: FaultServer, client: MobtextingClient, body: dict[str, Any]) -> None:
        """JSON of the documented shape with any values: accepted only if it says so."""
        server.play(say(http_json(body)))
        outcome = send(client)
        check(outcome)
        if outcome.verdict is Verdict.ACCEPTED:
            words = {str(body.get(name)).strip().upper().removesuffix(".0") for name in ("status", "code")}
            assert words & {"200", "201", "202", "OK", "CREATED", "ACCEPTED", "SUCCESS", "TRUE"}

    @settings(max_examples=150, deadline=None)
    @given(written=st.text(max_size=40) | st.sampled_from(sorted(RETRY_AFTER)))
    def test_any_retry_after(self, written: str) -> None:
        """A wait is between zero and a day."""
        answer = Answer(429, retry_after=written)
        wait = outcome_of(recipients(answer), NOW).retry_after
        assert wait is None or 0 <= wait <= 86_400
