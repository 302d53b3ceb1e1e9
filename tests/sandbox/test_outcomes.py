"""Each forced number ends as the table says."""

import threading
from collections import Counter

import phonenumbers
import pytest
import requests

from otp_service.sandbox import FORCED, Outcome
from otp_service.sandbox.outcomes import DLT, MEANING, fits, reported_word
from tests.support.patience import PATIENCE
from tests.support.sandbox_server import DELIVERED, TOKEN, Running, Start, usual

pytest_plugins = ("tests.support.sandbox_fixtures",)

ENDS = {
    Outcome.DELIVERED: {"sms": "DELIVRD", "voice": "ANSWER", "whatsapp": "delivered"},
    Outcome.READ: {"whatsapp": "read", "rcs": "read", "mip": "read"},
    Outcome.UNDELIVERED: {"sms": "UNDELIV", "voice": "CHANUNAVAIL", "whatsapp": "failed", "rcs": "failed"},
    Outcome.EXPIRED: {"sms": "EXPIRED", "rcs": "expired", "mip": "expired"},
    Outcome.REJECTED: {"sms": "REJECTED", "rcs": "rejected", "mip": "rejected"},
    Outcome.BLACKLISTED: {"sms": "BLACKLST", "rcs": "blacklist", "mip": "blacklist"},
    Outcome.OFFLINE: {"rcs": "offline", "mip": "offline"},
    Outcome.NO_ANSWER: {"voice": "NOANSWER"},
    Outcome.BUSY: {"voice": "BUSY"},
    Outcome.CONGESTION: {"voice": "CONGESTION"},
    Outcome.CANCELLED: {"voice": "CANCEL"},
    Outcome.HANGUP: {"voice": "ANSWER"},
    **{outcome: {"sms": reported_word(outcome)} for outcome in (*DLT, Outcome.PROMO_TMOUT)},
    Outcome.ACCEPTED: {"sms": "DELIVRD", "voice": "ANSWER", "whatsapp": "delivered"},
    Outcome.ACCEPTED_EMPTY: {"sms": "DELIVRD", "voice": "ANSWER", "rcs": "delivered"},
    Outcome.SLOW: {"sms": "DELIVRD", "voice": "ANSWER", "mip": "delivered"},
    Outcome.TIMEOUT_AFTER_ACCEPT: {"sms": "DELIVRD", "voice": "ANSWER", "rcs": "delivered"},
    Outcome.GARBAGE: {"sms": "DELIVRD", "voice": "ANSWER", "whatsapp": "delivered"},
}
"""The last status of a message, by outcome and channel."""
REFUSALS = {
    Outcome.REFUSED: 200,
    Outcome.REFUSED_RECIPIENT: 200,
    Outcome.NO_CREDITS: 200,
    Outcome.BAD_REQUEST: 400,
    Outcome.FORBIDDEN: 403,
    Outcome.NOT_FOUND: 404,
    Outcome.CONFLICT: 409,
    Outcome.INVALID: 422,
    Outcome.RATE_LIMITED: 429,
    Outcome.HTML: 200,
    Outcome.SERVER_ERROR: 500,
    Outcome.UNAVAILABLE: 503,
    Outcome.UNAUTHENTICATED: 401,
}
"""The HTTP status of a send that goes nowhere, by outcome."""
MESSAGES = ("sms", "whatsapp", "rcs", "mip", "voice")


def number_of(outcome: Outcome, channel: str = "sms") -> str:
    """Return a number of the table that ends so on that channel."""
    rows = (str(row.first) for row in FORCED if (row.outcome, row.channel) == (outcome, channel))
    return next(rows, DELIVERED if outcome is Outcome.DELIVERED else "")


def test_every_number_is_valid_fictional_and_listed_once() -> None:
    """Valid to Python's phonenumbers, of the two reserved ranges, never under two outcomes of one channel."""
    rows = [(number, row.channel) for row in FORCED for number in row.numbers()]
    for number, _ in rows:
        assert phonenumbers.is_valid_number(phonenumbers.parse(f"+{number}"))
        assert number.startswith(("120255501", "6149157"))
    assert max(Counter(rows).values()) == 1
    assert {row.outcome for row in FORCED} == set(Outcome) == set(MEANING)


def test_every_outcome_of_a_channel_has_a_number() -> None:
    """A test can see it without forcing an outcome."""
    wanted = {
        (channel, outcome)
        for channel in MESSAGES
        for outcome in set(Outcome) - {Outcome.DELIVERED}
        if fits(outcome, channel)
    }
    assert wanted - {(row.channel, row.outcome) for row in FORCED} == set()


def test_the_table_is_told_as_json(sandbox: Running) -> None:
    """With numbers in E.164 and nothing else in a row."""
    rows = requests.get(f"{sandbox.url}/outcomes", timeout=PATIENCE).json()
    assert {"number": "+12025550110", "channel": "sms", "outcome": "undelivered"} in rows
    assert {"number": "+61491575789", "channel": "whatsapp", "outcome": "read"} in rows
    assert len(rows) == sum(row.count for row in FORCED)
    assert all(set(row) == {"number", "channel", "outcome"} for row in rows)


@pytest.mark.parametrize(
    ("outcome", "channel"), [(outcome, channel) for outcome, ends in ENDS.items() for channel in ends]
)
def test_an_accepted_message_reaches_the_inbox_and_settles(
    start: Start, outcome: Outcome, channel: str
) -> None:
    """With the final status of its outcome on its channel, whatever the answer looked like."""
    sandbox = start(usual(slow=0.01, stall=0.01))
    number = number_of(outcome, channel)
    sandbox.send_by(channel, number)
    status = ENDS[outcome][channel]
    sandbox.until(lambda: [row["status"] for row in sandbox.inbox(to=number)] == [status])
    (row,) = sandbox.inbox()
    assert (row["channel"], row["code"]) == (channel, "482913")


@pytest.mark.parametrize("channel", MESSAGES)
@pytest.mark.parametrize("outcome", REFUSALS)
def test_a_refused_message_never_reaches_the_inbox(sandbox: Running, outcome: Outcome, channel: str) -> None:
    """And costs nothing."""
    before = sandbox.get("account/balance").json()
    answer = sandbox.send_by(channel, number_of(outcome, channel))
    assert answer.status_code == REFUSALS[outcome]
    assert sandbox.inbox() == []
    assert sandbox.get("account/balance").json() == before


@pytest.mark.parametrize("channel", ["whatsapp", "voice"])
@pytest.mark.parametrize(
    ("outcome", "word"), [(Outcome.REFUSED_RECIPIENT, "notallowed"), (Outcome.NO_CREDITS, "NO-CREDITS")]
)
def test_a_channels_recipient_is_refused_under_overall_ok(
    sandbox: Running, outcome: Outcome, word: str, channel: str
) -> None:
    """In the row alone, which then costs nothing."""
    body = sandbox.send_by(channel, number_of(outcome, channel)).json()
    assert (body["status"], body["data"][0]["status"], body["data"][0]["credits"]) == ("OK", word, 0)


@pytest.mark.parametrize("channel", MESSAGES)
def test_acceptance_may_be_202_with_or_without_a_body(sandbox: Running, channel: str) -> None:
    """The vendor's older pages write it into the body, too."""
    said = sandbox.send_by(channel, number_of(Outcome.ACCEPTED, channel))
    silent = sandbox.send_by(channel, number_of(Outcome.ACCEPTED_EMPTY, channel))
    assert (said.status_code, said.json()["code"], len(said.json()["data"])) == (202, 202, 1)
    assert (silent.status_code, silent.content) == (202, b"")
    assert len(sandbox.inbox()) == 2


@pytest.mark.parametrize("word", ["PROMO-TMOUT", "DLT-TM-VAR-EXECEED", "INV-SCHEDULE", "rej_multipart"])
def test_a_vendors_word_is_forced_as_the_vendor_spells_it(sandbox: Running, word: str) -> None:
    """The report has it, and the list of outcomes."""
    sandbox.force("13125550100", "sms", word)
    assert rows_of(sandbox)[0]["outcome"] == word.lower().replace("-", "_")
    sandbox.send("13125550100")
    sandbox.until(lambda: sandbox.inbox()[0]["status"] == word.upper().replace("_", "-"))


def test_one_number_has_another_outcome_on_another_channel(sandbox: Running) -> None:
    """So that a test can watch a fallback."""
    number = number_of(Outcome.READ, "whatsapp")
    assert number == number_of(Outcome.HANGUP, "voice")
    assert sandbox.send(number_of(Outcome.REFUSED)).json()["status"] == "ERROR"
    assert sandbox.send_by("rcs", number_of(Outcome.REFUSED)).json()["data"][0]["status"] == "queued"


def rows_of(sandbox: Running) -> list[dict[str, object]]:
    """Return what is forced now."""
    rows: list[dict[str, object]] = sandbox.control("GET", "/outcomes").json()
    return rows


def test_an_outcome_is_forced_while_the_sandbox_runs(sandbox: Running) -> None:
    """For one number and channel; it stands in the list first, and null takes it back."""
    before = rows_of(sandbox)
    row = {"number": "+13125550100", "channel": "whatsapp", "outcome": "refused"}
    assert sandbox.control("PUT", "/outcomes", row).json() == row
    assert rows_of(sandbox) == [row, *before]
    assert sandbox.send_by("whatsapp", "13125550100").json()["status"] == "ERROR"
    assert sandbox.send("13125550100").json()["status"] == 200
    assert sandbox.control("PUT", "/outcomes", {**row, "outcome": None}).status_code == 204
    assert sandbox.send_by("whatsapp", "13125550100").json()["status"] == "OK"
    assert rows_of(sandbox) == before


def test_what_is_forced_takes_the_place_of_the_table(sandbox: Running) -> None:
    """And gives it back when it is deleted, alone or with all others."""
    before = rows_of(sandbox)
    for number in ("12025550110", "12025550111"):
        sandbox.force(number, "sms", "refused")
    assert len(rows_of(sandbox)) == len(before)
    assert sandbox.send("12025550110").json()["status"] == "ERROR"
    one = {"number": "+12025550110", "channel": "sms"}
    assert sandbox.control("DELETE", "/outcomes", one).status_code == 204
    assert [sandbox.send(number).json()["status"] for number in ("12025550110", "12025550111")] == [
        200,
        "ERROR",
    ]
    assert sandbox.control("DELETE", "/outcomes").status_code == 204
    assert rows_of(sandbox) == before


def test_what_is_forced_is_not_lost_by_a_slip(sandbox: Running) -> None:
    """A body without an outcome or a number releases nothing."""
    sandbox.force("13125550100", "sms", "refused")
    slips = [("PUT", {"number": "13125550100", "channel": "sms"}), ("DELETE", {}), ("DELETE", [])]
    assert [sandbox.control(method, "/outcomes", body).status_code for method, body in slips] == [422] * 3
    assert sandbox.send("13125550100").json()["status"] == "ERROR"


@pytest.mark.parametrize("path", ["/outcomes", "/inbound"])
def test_malformed_json_is_400_for_the_controls_too(sandbox: Running, path: str) -> None:
    """It is not read as a body without fields."""
    answer = requests.request(
        "PUT" if path == "/outcomes" else "POST",
        f"{sandbox.url}{path}",
        data=b'{"number": ',
        headers={"Content-Type": "application/json"},
        timeout=PATIENCE,
    )
    assert (answer.status_code, answer.json()["code"]) == (400, 400)


def test_every_number_of_a_channel_or_of_all_can_be_forced(sandbox: Running) -> None:
    """A selection by number comes before one by channel, which comes before one for everything."""
    sandbox.force("*", "*", "unavailable")
    sandbox.force("*", "sms", "rate_limited")
    sandbox.force("13125550100", "sms", "delivered")
    assert sandbox.send("13125550100").status_code == 200
    assert sandbox.send("13125550101").status_code == 429
    assert sandbox.send("12025550110").status_code == 429
    for channel in ("whatsapp", "voice", "lookup"):
        answer = sandbox.send_by(channel, "13125550100")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")


def test_one_account_alone_can_be_made_dead(start: Start) -> None:
    """Another account still works; the list shows for which account an outcome is forced."""
    sandbox = start(usual(tokens={TOKEN: "main", "second": "spare"}))
    sandbox.force("*", "*", "server_error", account="main")
    assert sandbox.send().status_code == 500
    sandbox.client.headers["Authorization"] = "Bearer second"
    assert sandbox.send().status_code == 200
    assert rows_of(sandbox)[0] == {
        "number": "*",
        "channel": "*",
        "outcome": "server_error",
        "account": "main",
    }


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"number": "none"}, "number"),
        ({"number": None}, "number"),
        ({"channel": "pigeon"}, "channel"),
        ({"account": "nobody"}, "account"),
        ({"outcome": "nonsense"}, "outcome"),
        ({"outcome": "busy"}, "outcome"),
        ({"outcome": "read", "channel": "*"}, "outcome"),
        ({"outcome": "landline", "channel": "whatsapp"}, "outcome"),
        ({"outcome": "silent", "channel": "lookup"}, "outcome"),
    ],
)
def test_a_wish_that_makes_no_sense_is_named(sandbox: Running, change: dict[str, object], field: str) -> None:
    """A 422 names the field, and nothing is forced."""
    before = rows_of(sandbox)
    body = {"number": "+13125550100", "channel": "sms", "outcome": "refused", **change}
    answer = sandbox.control("PUT", "/outcomes", body)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, [field])
    assert rows_of(sandbox) == before


def test_a_silent_number_stays_without_report(sandbox: Running) -> None:
    """A later message already has its last status; this one still waits."""
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
    assert answer.json() == {"status": "ERROR", "code": 429, "message": "Too Many Attempts."}


def test_the_html_answer_is_the_login_page_with_200(sandbox: Running) -> None:
    """Although JSON was asked for."""
    answer = sandbox.send(to=number_of(Outcome.HTML))
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "/login" in answer.text


def test_the_garbage_is_half_of_an_answer(sandbox: Running) -> None:
    """It claims to be JSON but is not."""
    answer = sandbox.send(to=number_of(Outcome.GARBAGE))
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.text.startswith('{"status":200')
    with pytest.raises(requests.JSONDecodeError):
        answer.json()


def test_a_server_error_is_500(sandbox: Running) -> None:
    """With the framework's body."""
    answer = sandbox.send(to=number_of(Outcome.SERVER_ERROR))
    assert (answer.status_code, answer.json()) == (
        500,
        {"status": "ERROR", "code": 500, "message": "Server Error"},
    )


def test_an_unavailable_number_takes_every_second_send(sandbox: Running) -> None:
    """Each number keeps its own count."""
    first, second = "12025550170", "12025550171"
    statuses = [sandbox.send(to=number).status_code for number in (first, second, first, second, first)]
    assert statuses == [503, 503, 200, 200, 503]


def test_each_channel_of_an_unavailable_number_has_its_own_turn(sandbox: Running) -> None:
    """A refused WhatsApp message does not make the next call go through."""
    number = number_of(Outcome.UNAVAILABLE_ONCE, "whatsapp")
    channels = ("whatsapp", "voice", "whatsapp", "voice")
    assert [sandbox.send_by(channel, number).status_code for channel in channels] == [503, 503, 200, 200]


def test_a_slow_answer_comes_before_its_report(start: Start) -> None:
    """It takes the time that was set, and the message is delivered afterwards."""
    for delay, status in ((3600, "AWAITING-DLR"), (0.5, "DELIVRD")):
        sandbox = start(usual(slow=0.3, report_delay=delay))
        answer = sandbox.send(to=number_of(Outcome.SLOW))
        assert answer.elapsed.total_seconds() >= 0.3
        assert answer.json()["status"] == 200
        sandbox.until(lambda: sandbox.inbox()[0]["status"] == status)  # noqa: B023 - called in this round


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
