"""The sandbox's `verify/*` is the upstream's own OTP service."""

import pytest

from tests.support.sandbox_server import DELIVERED, Running, Start, usual

pytest_plugins = ("tests.support.sandbox_fixtures",)


def wish(to: str = DELIVERED, **payload: object) -> dict[str, object]:
    """Return a minimal body of verify/send."""
    return {"channels": [{"name": "sms", "recipient": {"to": to}, "order": 0}], "payload": payload}


def check(sandbox: Running, made: str, token: object) -> str:
    """Return the word that a check answers; it is HTTP 200 whatever it says."""
    answer = sandbox.get(f"verify/check/{made}/{token}")
    assert answer.status_code == 200
    assert answer.json()["id"] == made
    return str(answer.json()["status"])


def test_a_verification_succeeds_once(sandbox: Running) -> None:
    """A wrong token is invalid, the right one a success, and then it is over."""
    made = sandbox.post("verify/send", {**wish(length=5), "foreign_id": "f"}).json()
    assert set(made) == {"id", "status", "foreign_id", "created_at", "expire_at"}
    code = sandbox.inbox()[0]["code"]
    assert len(str(code)) == 5
    wrong = "00000" if code != "00000" else "11111"
    words = [check(sandbox, made["id"], token) for token in (wrong, code, code)]
    assert words == ["invalid", "success", "OTP already verified"]


def test_a_verification_expires(start: Start) -> None:
    """At its time, whatever the token."""
    now = 1_700_000_000.0
    sandbox = start(usual(clock=lambda: now))
    made = sandbox.post("verify/send", wish(token="482913", timeout=60)).json()
    now += 60
    assert check(sandbox, made["id"], "482913") == "expired"


def test_the_caller_may_set_token_and_template(sandbox: Running) -> None:
    """The template stands in the payload or at the root."""
    sandbox.post("verify/send", wish(token="1234", length=4, template="A {token}"))
    sandbox.post("verify/send", {**wish(token="12345"), "template": "B {token}"})
    assert [row["text"] for row in sandbox.inbox()] == ["B 12345", "A 1234"]


def test_a_verification_is_searched_and_cancelled(sandbox: Running) -> None:
    """What was cancelled is gone."""
    made = sandbox.post("verify/send", wish()).json()["id"]
    found = sandbox.get(f"verify/search/{made}").json()
    assert set(found) == {"id", "to", "reference", "status", "created_at", "expire_at", "channels"}
    assert found["channels"][0]["event_id"] == sandbox.inbox()[0]["id"]
    cancelled = [sandbox.get(f"verify/cancel/{made}").json() for _ in range(2)]
    assert cancelled == [{"id": made, "status": "success"}, {"id": made, "status": "failed"}]
    assert sandbox.get(f"verify/search/{made}").status_code == 404
    assert check(sandbox, made, "1234") == "failed"


def test_the_first_channel_in_order_is_used(sandbox: Running) -> None:
    """The list's own order does not matter, and `tts` is the older name of voice."""
    channels = [
        {"name": "sms", "recipient": {"to": DELIVERED}, "order": 1},
        {"name": "tts", "from": "9180", "recipient": {"to": DELIVERED}, "order": 0},
    ]
    sandbox.post("verify/send", {"channels": channels, "payload": {}})
    assert [(row["channel"], row["from"]) for row in sandbox.inbox()] == [("voice", "9180")]


def test_a_refused_recipient_makes_a_failed_verification(sandbox: Running) -> None:
    """The answer tells it."""
    assert sandbox.post("verify/send", wish(to="12025550130")).json()["status"] == "failed"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "channels"),
        ({"channels": [{"name": "pigeon", "recipient": {"to": DELIVERED}}]}, "channels"),
        (wish(to="none"), "to"),
        (wish(length=3), "length"),
        (wish(length="x"), "length"),
        (wish(timeout=0), "timeout"),
        (wish(token="1234", length=5), "token"),
        (wish(token="12\ud8003", length=4), "token"),
        (wish(template="no place for it"), "template"),
    ],
)
def test_a_wrong_wish_is_named(sandbox: Running, body: object, field: str) -> None:
    """A 422 names the field; nothing is sent."""
    answer = sandbox.post("verify/send", body)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, [field])
    assert sandbox.inbox() == []
