"""Calls and number lookups in the sandbox."""

import re

import pytest

from otp_service.sandbox.codes import code_in
from tests.support.patience import PATIENCE
from tests.support.sandbox_server import BRIDGE, DELIVERED, Running, Start, usual

pytest_plugins = ("tests.support.sandbox_fixtures",)

FLOW = {"bridge": BRIDGE, "to": DELIVERED, "flow_id": "24"}
TEXT = {"bridge": BRIDGE, "to": DELIVERED, "text": "Your code is 482913."}
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def test_a_call_is_answered_field_by_field(sandbox: Running) -> None:
    """The row has exactly the documented fields; the id is a plain uuid."""
    body = sandbox.post("outgoing/send", {**FLOW, "variables[otp]": "482913"}).json()
    assert (body["status"], body["message"]) == ("OK", "Calls queued successfully")
    (row,) = body["data"]
    assert re.fullmatch(UUID, row.pop("id"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", row.pop("created_at"))
    assert row == {
        "channel": "outgoing",
        "caller_id": BRIDGE,
        "mobile": DELIVERED,
        "flow_id": "24",
        "credits": 1,
        "foreign_id": None,
        "options": None,
        "status": "queued",
    }


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    ("form", "fields"),
    [
        ("data", {**FLOW, "variables[otp]": "482913"}),
        ("json", {**FLOW, "variables[otp]": "482913"}),
        ("json", {**FLOW, "variables": {"otp": 482913, "Name": "Ann"}}),
        ("params", {**FLOW, "variables[Name]": "Ann", "variables[otp]": "482913"}),
        ("json", {**FLOW, "flow_id": "", "ivr_id": 24, "variables": {"otp": "482913"}}),
    ],
)
def test_a_flow_says_the_code_however_it_is_given(
    sandbox: Running, form: str, fields: dict[str, object], slash: str
) -> None:
    """In a form, in the query, and in JSON flat or nested."""
    url = f"{sandbox.url}/api/v2/outgoing/send{slash}"
    answer = sandbox.client.post(url, allow_redirects=False, timeout=PATIENCE, **{form: fields})  # type: ignore[arg-type]  # one of three
    assert answer.json()["data"][0]["flow_id"] == "24"
    (row,) = sandbox.inbox()
    assert (row["channel"], row["text"], row["code"]) == ("voice", "Your code is 482913.", "482913")


def test_a_sound_or_a_flow_without_a_code_says_none(sandbox: Running) -> None:
    """The inbox shows which account it was."""
    sandbox.post("outgoing/send", FLOW)
    sound = {"bridge": BRIDGE, "to": DELIVERED, "audio": "https://cdn.example/a.mp3"}
    assert sandbox.post("outgoing/send", sound).json()["data"][0]["flow_id"] is None
    assert [(row["text"], row["code"]) for row in sandbox.inbox()] == [
        ("[sound https://cdn.example/a.mp3]", None),
        ("[flow 24]", None),
    ]


def test_a_text_is_read_out_with_its_pauses_and_repetitions(sandbox: Running) -> None:
    """The break identifier becomes a pause, and the code is found in single digits."""
    options = {"break": {"identifier": "##", "time": 1}, "iteration_tries": 2, "language": "en-US"}
    said = {**TEXT, "text": "Your code is 4##8##2##9##1##3", "options": options}
    assert sandbox.post("outgoing/tts", said).json()["data"][0]["status"] == "queued"
    (row,) = sandbox.inbox()
    assert row["text"] == "\n".join(["Your code is 4, 8, 2, 9, 1, 3"] * 2)
    assert row["code"] == "482913"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("1, 2, 3, 4, 5, 6", "123456"),
        ("Your code is 1 2 3 4 5 6.", "123456"),
        ("Your code is: 1, 2, 3, 4, 5, 6. I repeat: 1, 2, 3, 4, 5, 6.", "123456"),
        ("Code 1, 2, 3, 4, 5, 6. 1, 2, 3, 4, 5, 6.", "123456"),
        ("Code 1 2 3 4 5 6 1 2 3 4 5 6", "123456"),
        ("1. 2. 3. 4. 5. 6.", "123456"),
        ("1... 2... 3... 4...", "1234"),
        ("Code 1, 2, 3, 1, 2, 3", "123123"),
        ("Code 1, 1, 1, 1, 1, 1. Again 1, 1, 1, 1, 1, 1", "111111"),
        ("1 2 3 are too few", None),
        ("1 2 3 4 5 6 7 8 9 0 1 are too many", None),
        ("press 1, 2 or 3", None),
        ("In 1 of 4 rooms 482913 counts", "482913"),
    ],
)
def test_a_code_is_found_as_it_is_spoken(text: str, code: str | None) -> None:
    """Digit by digit, once or twice, with whatever pauses."""
    assert code_in(text) == code


@pytest.mark.parametrize(
    ("path", "fields", "missing"),
    [
        ("outgoing/send", {}, ["bridge", "to"]),
        ("outgoing/send", {"bridge": BRIDGE, "to": DELIVERED}, ["flow_id"]),
        ("outgoing/send", {**FLOW, "to": "none"}, ["to"]),
        ("outgoing/send", {**FLOW, "bridge": "none"}, ["bridge"]),
        ("outgoing/send", {**FLOW, "webhook_id": "unknown"}, ["webhook_id"]),
        ("outgoing/tts", {"bridge": BRIDGE, "to": DELIVERED}, ["text"]),
        ("outgoing/tts", {**TEXT, "text": "x" * 4097}, ["text"]),
    ],
)
def test_a_wrong_call_is_named(
    sandbox: Running, path: str, fields: dict[str, object], missing: list[str]
) -> None:
    """A 422 names the fields, and no call is made."""
    answer = sandbox.post(path, fields)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, missing)
    assert sandbox.inbox() == []


@pytest.mark.parametrize("key", ["id", "cid", "date", "mobile"])
def test_a_calls_status_is_found_by_every_documented_key(start: Start, key: str) -> None:
    """Field by field, times without a zone."""
    sandbox = start(usual(clock=lambda: 1_700_000_000.0))
    sent = sandbox.post("outgoing/tts", {**TEXT, "foreign_id": "ref-1"}).json()["data"][0]["id"]
    sandbox.until(lambda: sandbox.inbox()[0]["status"] == "ANSWER")
    keys = {"id": sent, "cid": "ref-1", "date": "2023-11-15", "mobile": DELIVERED}
    body = sandbox.get("outgoing/callstatus", **{key: keys[key]}).json()
    assert body == {
        "status": 200,
        "message": "OK",
        "data": [
            {
                "id": sent,
                "channel": "outgoing",
                "from": BRIDGE,
                "to": DELIVERED,
                "created_at": "2023-11-15 03:43:20",
                "foreign_id": "ref-1",
                "status": "ANSWER",
                "start_at": "2023-11-15 03:43:20",
                "end_at": "2023-11-15 03:43:32",
                "dtmf": "",
            }
        ],
    }
    wrong = {"id": "x", "cid": "x", "date": "2023-11-14", "mobile": "1"}
    assert sandbox.get("outgoing/callstatus", **{key: wrong[key]}).json()["data"] == []


def test_a_calls_status_needs_a_key_and_has_no_times_before_the_answer(start: Start) -> None:
    """A call that was not answered has no start and no end."""
    sandbox = start(usual(report_delay=3600))
    assert sandbox.get("outgoing/callstatus").status_code == 422
    sandbox.post("outgoing/tts", TEXT)
    (row,) = sandbox.get("outgoing/callstatus", mobile=DELIVERED).json()["data"]
    assert (row["status"], row["start_at"], row["end_at"]) == ("queued", "", "")


def lookup(sandbox: Running, to: str) -> dict[str, object]:
    """Return what a lookup tells of one number."""
    (row,) = sandbox.post("lookup/verify", {"to": to}).json()["data"]
    assert isinstance(row, dict)
    return row


FIELDS = ("network_prefix", "country_prefix", "network_name", "country_name", "state_name")
NOWHERE: dict[str, object] = dict.fromkeys(FIELDS)


def test_a_lookup_is_answered_field_by_field(sandbox: Running) -> None:
    """A number in its own network, at home."""
    body = sandbox.post("lookup/verify", {"to": DELIVERED}).json()
    assert (body["status"], body["message"]) == (200, "Verified Successfully")
    assert body["data"] == [
        {
            "phone": DELIVERED,
            "mcc_mnc": "999001",
            "imsi": "999001025550100",
            "serving_msc": "12025",
            "status": "SUCCESS",
            "original_network": {
                "network_prefix": "20255",
                "country_prefix": "1",
                "network_name": "Sandbox Mobile",
                "country_name": "Sandbox",
                "state_name": "Nowhere",
            },
            "ported": False,
            "ported_network": {f"ported_{name}": None for name in FIELDS},
            "roaming": False,
            "roaming_network": {f"roaming_{name}": None for name in FIELDS},
        }
    ]
    assert sandbox.inbox() == []


def test_a_lookup_finds_what_is_forced(sandbox: Running) -> None:
    """A fixed line, a ported number, a phone abroad, and an unknown number."""
    fixed, moved, abroad, nothing = (
        lookup(sandbox, number) for number in ("61491578888", "61491579212", "61491579760", "61491579455")
    )
    assert (fixed["status"], fixed["mcc_mnc"], fixed["imsi"]) == ("SUCCESS", None, None)
    assert fixed["original_network"]["network_name"] == "Sandbox Fixed Line"  # type: ignore[index]  # an object
    assert (moved["ported"], moved["mcc_mnc"], moved["roaming"]) == (True, "999002", False)
    assert moved["ported_network"]["ported_network_name"] == "Other Mobile"  # type: ignore[index]  # an object
    assert (abroad["roaming"], abroad["ported"]) == (True, False)
    assert abroad["roaming_network"]["roaming_network_name"] == "Foreign Mobile"  # type: ignore[index]  # an object
    assert (nothing["status"], nothing["mcc_mnc"], nothing["original_network"]) == ("FAILED", None, NOWHERE)


@pytest.mark.parametrize(
    ("outcome", "status"), [("rate_limited", 429), ("invalid", 422), ("unavailable", 503), ("html", 200)]
)
def test_a_lookup_is_refused_as_a_send_is(sandbox: Running, outcome: str, status: int) -> None:
    """This holds for every forced outcome, and only for its number."""
    sandbox.force(DELIVERED, "lookup", outcome)
    answer = sandbox.post("lookup/verify", {"to": DELIVERED})
    assert answer.status_code == status
    assert ("html" in answer.headers["Content-Type"]) == (outcome == "html")
    assert sandbox.send().status_code == 200


def test_a_lookups_answer_can_be_cut_in_half(sandbox: Running) -> None:
    """As a send's."""
    sandbox.force(DELIVERED, "lookup", "garbage")
    text = sandbox.post("lookup/verify", {"to": DELIVERED}).text
    assert text.startswith('{"status":200')
    assert not text.endswith("}")


def test_a_lookup_needs_a_number(sandbox: Running) -> None:
    """A 422 names it."""
    for body in ({}, {"to": "none"}):
        assert sandbox.post("lookup/verify", body).json()["errors"].keys() == {"to"}
