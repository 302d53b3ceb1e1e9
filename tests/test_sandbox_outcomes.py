"""Each forced number ends as the table says."""

import threading
from collections import Counter

import phonenumbers
import pytest
import requests

from otp_service.sandbox import FORCED, Outcome
from otp_service.sandbox.outcomes import MEANING
from tests.sandbox_server import PATIENCE, Running, Start, usual

pytest_plugins = ("tests.sandbox_fixtures",)

REACHES_THE_INBOX = {
    Outcome.DELIVERED: "DELIVRD",
    Outcome.UNDELIVERED: "UNDELIV",
    Outcome.SLOW: "DELIVRD",
    Outcome.TIMEOUT_AFTER_ACCEPT: "DELIVRD",
    Outcome.GARBAGE: "DELIVRD",
}


def number_of(outcome: Outcome) -> str:
    """Return the first number of the table that ends so."""
    return next(str(row.first) for row in FORCED if row.outcome is outcome)


def test_every_number_is_valid_fictional_and_listed_once() -> None:
    """Valid to Python's phonenumbers, of the two reserved ranges, and never under two outcomes."""
    numbers = [number for row in FORCED for number in row.numbers()]
    for number in numbers:
        assert phonenumbers.is_valid_number(phonenumbers.parse(f"+{number}"))
        assert number.startswith(("120255501", "61491570"))
    assert max(Counter(numbers).values()) == 1
    assert {row.outcome for row in FORCED} == set(Outcome) == set(MEANING)


def test_the_table_is_told_as_json(sandbox: Running) -> None:
    """With numbers in E.164 and nothing else in a row."""
    rows = requests.get(f"{sandbox.url}/outcomes", timeout=PATIENCE).json()
    assert {"number": "+12025550110", "channel": "sms", "outcome": "undelivered"} in rows
    assert len(rows) == sum(row.count for row in FORCED)
    assert all(set(row) == {"number", "channel", "outcome"} for row in rows)


@pytest.mark.parametrize(("outcome", "status"), REACHES_THE_INBOX.items())
def test_an_accepted_message_reaches_the_inbox_and_settles(
    start: Start, outcome: Outcome, status: str
) -> None:
    """With the final status of its outcome, whatever the answer looked like."""
    sandbox = start(usual(slow=0.01, stall=0.01))
    sandbox.send(to=number_of(outcome))
    sandbox.until(lambda: [row["status"] for row in sandbox.inbox()] == [status])


@pytest.mark.parametrize(
    "outcome", sorted(set(Outcome) - set(REACHES_THE_INBOX) - {Outcome.SILENT, Outcome.UNAVAILABLE_ONCE})
)
def test_a_refused_message_never_reaches_the_inbox(sandbox: Running, outcome: Outcome) -> None:
    """And costs nothing."""
    before = sandbox.get("account/balance").json()
    sandbox.send(to=number_of(outcome))
    assert sandbox.inbox() == []
    assert sandbox.get("account/balance").json() == before


def test_a_silent_number_stays_without_report(sandbox: Running) -> None:
    """A message that was sent later is long settled, this one still waits."""
    sandbox.send(to=number_of(Outcome.SILENT))
    sandbox.send()
    sandbox.until(lambda: sandbox.inbox()[0]["status"] == "DELIVRD")
    assert sandbox.inbox()[1]["status"] == "AWAITING-DLR"


def test_a_refusal_is_200_with_the_word_error(sandbox: Running) -> None:
    """As the vendor's own plugins read it."""
    answer = sandbox.send(to=number_of(Outcome.REFUSED))
    assert (answer.status_code, answer.json()["status"]) == (200, "ERROR")
    assert answer.json()["message"]


@pytest.mark.parametrize(
    ("outcome", "word"), [(Outcome.REFUSED_RECIPIENT, "NOTALLOWED"), (Outcome.NO_CREDITS, "NO-CREDITS")]
)
def test_a_recipients_refusal_hides_under_overall_success(
    sandbox: Running, outcome: Outcome, word: str
) -> None:
    """The other recipients of the same call are served."""
    body = sandbox.send(to=f"{number_of(outcome)},12025550100").json()
    assert (body["status"], body["message"]) == (200, "1 numbers accepted for delivery.")
    assert [row["status"] for row in body["data"]] == [word, "AWAITING-DLR"]
    assert [row["to"] for row in sandbox.inbox()] == ["+12025550100"]


def test_the_unified_form_writes_a_refused_recipient_in_lower_case(sandbox: Running) -> None:
    """As the vendor's samples do."""
    body = {
        "channels": [{"name": "sms", "from": "S", "meta": {"service": "T"}}],
        "recipient": {"to": number_of(Outcome.REFUSED_RECIPIENT)},
        "message": {"type": "text", "payload": {"text": "hello"}},
    }
    answer = sandbox.post("sms/message/send", body).json()
    assert (answer["status"], answer["data"][0]["status"], answer["data"][0]["credits"]) == (
        "OK",
        "notallowed",
        0,
    )


def test_an_invalid_number_is_422(sandbox: Running) -> None:
    """With a map of errors."""
    answer = sandbox.send(to=number_of(Outcome.INVALID))
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["to"])


def test_a_rate_limited_number_says_when_to_come_back(sandbox: Running) -> None:
    """429 with Retry-After."""
    answer = sandbox.send(to=number_of(Outcome.RATE_LIMITED))
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2")
    assert answer.json() == {"message": "Too Many Attempts."}


def test_the_html_answer_is_the_login_page_with_200(sandbox: Running) -> None:
    """Although JSON was asked for."""
    answer = sandbox.send(to=number_of(Outcome.HTML))
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "/login" in answer.text


def test_the_garbage_is_half_of_an_answer(sandbox: Running) -> None:
    """It claims to be JSON and is none."""
    answer = sandbox.send(to=number_of(Outcome.GARBAGE))
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.text.startswith('{"status":200')
    with pytest.raises(requests.JSONDecodeError):
        answer.json()


def test_a_server_error_is_500(sandbox: Running) -> None:
    """With the framework's body."""
    answer = sandbox.send(to=number_of(Outcome.SERVER_ERROR))
    assert (answer.status_code, answer.json()) == (500, {"message": "Server Error"})


def test_an_unavailable_number_takes_every_second_send(sandbox: Running) -> None:
    """Each number keeps its own count."""
    first, second = "12025550170", "12025550171"
    statuses = [sandbox.send(to=number).status_code for number in (first, second, first, second, first)]
    assert statuses == [503, 503, 200, 200, 503]


def test_a_slow_answer_comes_before_its_report(start: Start) -> None:
    """It takes the time that was set, and the message is delivered afterwards."""
    sandbox = start(usual(slow=0.3, report_delay=0.5))
    answer = sandbox.send(to=number_of(Outcome.SLOW))
    assert answer.elapsed.total_seconds() >= 0.3
    assert answer.json()["status"] == 200
    assert sandbox.inbox()[0]["status"] == "AWAITING-DLR"
    sandbox.until(lambda: sandbox.inbox()[0]["status"] == "DELIVRD")


def test_a_stalled_answer_leaves_its_message_in_the_inbox(start: Start) -> None:
    """The client gives up, and the message was delivered all the same; closing ends the stall."""
    sandbox = start(usual(stall=3600))
    number = number_of(Outcome.TIMEOUT_AFTER_ACCEPT)
    waiting = threading.Thread(target=sandbox.send, args=(number,))
    waiting.start()
    sandbox.until(lambda: [row["status"] for row in sandbox.inbox(to=number)] == ["DELIVRD"])
    assert waiting.is_alive()
    sandbox.sandbox.close()
    waiting.join(PATIENCE)
    assert not waiting.is_alive()
