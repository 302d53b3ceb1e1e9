"""WhatsApp, RCS and MIP in the sandbox: the unified shape, templates, status, and several accounts."""

import re

import pytest

from otp_service.sandbox import SandboxConfig
from otp_service.sandbox.outcomes import Outcome
from otp_service.sandbox.reports.courses import course_of
from tests.support.sandbox_server import BRIDGE, DELIVERED, TOKEN, Running, Start, template, usual

pytest_plugins = ("tests.support.sandbox_fixtures",)

CHANNELS = ("whatsapp", "rcs", "mip")
SERVICES = {"whatsapp": "WAP", "rcs": "RCS", "mip": "MIP"}
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
INSTANT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"


def text(channel: str, words: object) -> dict[str, object]:
    """Return a body that sends a text of a session, with the number inside the channel."""
    return {
        "channels": [{"name": channel, "from": BRIDGE, "recipient": {"to": DELIVERED}}],
        "message": {"type": "text", "payload": {"text": words}},
    }


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_template_is_answered_field_by_field(sandbox: Running, channel: str) -> None:
    """The row has exactly the documented fields, and the inbox shows the code."""
    body = sandbox.send_by(channel, foreign_id="ref-1", tags=["otp"], ttl=300).json()
    assert (body["status"], body["message"]) == ("OK", "Message Queued successfully")
    (row,) = body["data"]
    assert re.fullmatch(UUID, row["id"])
    assert re.fullmatch(INSTANT, row.pop("created_at"))
    (shown,) = sandbox.inbox()
    assert (shown["id"], shown["code"], shown["channel"]) == (row.pop("id"), "482913", channel)
    assert shown["ttl"] == 300
    assert row == {
        "channel": channel,
        "from": BRIDGE,
        "to": DELIVERED,
        "credits": 1,
        "status": "queued",
        "foreign_id": "ref-1",
    }


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_channel_is_paid_by_its_own_service(sandbox: Running, channel: str) -> None:
    """One credit of WAP, RCS or MIP; that of SMS stays."""
    before = {row["service"]: row["credits"] for row in sandbox.get("account/balance").json()["data"]}
    sandbox.send_by(channel)
    after = {row["service"]: row["credits"] for row in sandbox.get("account/balance").json()["data"]}
    assert {name for name in before if before[name] != after[name]} == {SERVICES[channel]}


def test_a_list_of_numbers_is_a_row_each(sandbox: Running) -> None:
    """Each has its own id; one refused number does not affect the others."""
    numbers = ["12025550100", "61491571491", "12025550101"]
    rows = sandbox.send_by("whatsapp", numbers).json()["data"]
    assert [(row["to"], row["status"], row["credits"]) for row in rows] == [
        ("12025550100", "queued", 1),
        ("61491571491", "notallowed", 0),
        ("12025550101", "queued", 1),
    ]
    assert len({row["id"] for row in rows}) == 3


def test_a_text_is_sent_as_it_is(sandbox: Running) -> None:
    """In every alphabet; the number may be in the channel."""
    assert sandbox.post("whatsapp/message/send", text("whatsapp", "код 482913 ✓")).json()["status"] == "OK"
    (row,) = sandbox.inbox()
    assert (row["text"], row["to"], row["code"]) == ("код 482913 ✓", f"+{DELIVERED}", "482913")


def components(*rows: tuple[str, str]) -> dict[str, object]:
    """Write a template in the older form, with a value for each component."""
    shaped = [{"type": kind, "parameters": [{"type": "text", "text": value}]} for kind, value in rows]
    payload = {"name": "otp_login", "language": "en", "components": shaped}
    return template("whatsapp") | {"message": {"type": "template", "payload": payload}}


def test_the_older_components_are_taken_too(sandbox: Running) -> None:
    """The code is in the body and in the button."""
    body = components(("body", "482913"), ("button", "482913"))
    assert sandbox.post("whatsapp/message/send", body).json()["data"][0]["status"] == "queued"
    assert sandbox.inbox()[0]["text"] == "482913 is your verification code."


@pytest.mark.parametrize(
    "rows",
    [
        [("body", "482913")],
        [("button", "482913")],
        [("body", "482913"), ("button", "1")],
        [("body", ""), ("button", "")],
        [("body", "482913"), ("button", "482913"), ("button", "482914")],
        [("body", "Acme"), ("button", "482913")],
        [("body", "482913"), ("body", "Acme"), ("button", "482913")],
        [],
    ],
)
def test_components_without_the_code_in_both_places_are_refused(
    sandbox: Running, rows: list[tuple[str, str]]
) -> None:
    """An authentication template has one value, and its button copies it."""
    assert sandbox.post("whatsapp/message/send", components(*rows)).status_code == 422
    assert sandbox.inbox() == []


@pytest.mark.parametrize(
    "payload",
    [
        {"body_params": ["Asha", "Acme", "12 May"]},
        {"body_params": ["482913"], "header_params": {"type": "text", "payload": {"text": "Acme"}}},
        {
            "body_params": ["Asha"],
            "header_params": {
                "type": "document",
                "payload": {"url": "https://a.example/b.pdf", "filename": "b"},
            },
        },
        {"components": [{"type": "body", "parameters": [{"type": "text", "text": "Asha"}]}]},
        {
            "components": [
                {
                    "type": "HEADER",
                    "parameters": [{"type": "image", "image": {"link": "https://a.example/b.png"}}],
                },
                {
                    "type": "BODY",
                    "parameters": [
                        {"type": "text", "text": "Asha"},
                        {"type": "currency", "currency": {"fallback_value": "$ 9"}},
                    ],
                },
                {
                    "type": "BUTTON",
                    "sub_type": "quick_reply",
                    "index": 0,
                    "parameters": [{"type": "payload", "payload": "yes"}],
                },
            ]
        },
    ],
)
def test_every_documented_shape_of_a_template_is_taken(sandbox: Running, payload: dict[str, object]) -> None:
    """Values, headers and Meta's components; other templates than those for codes may have several values."""
    answer = sandbox.post("whatsapp/message/send", with_payload(name="note", language="en_US", **payload))
    assert (answer.status_code, answer.json()["data"][0]["status"]) == (200, "queued")


def test_a_template_of_mip_has_lists_and_a_namespace(sandbox: Running) -> None:
    """As its documentation of 2022 shows."""
    payload = {
        "name": "otp",
        "namespace": "n",
        "language": "en",
        "header_params": [],
        "body_params": ["482913"],
    }
    body = {**template("mip"), "message": {"type": "template", "payload": payload}}
    assert sandbox.post("mip/message/send", body).json()["status"] == "OK"
    assert sandbox.inbox()[0]["code"] == "482913"


def test_a_template_of_another_channel_may_have_more_values(sandbox: Running) -> None:
    """WhatsApp's authentication templates have one, the code; RCS and MIP know no such rule."""
    for channel, status in (("whatsapp", 422), ("rcs", 200), ("mip", 200)):
        body = template(channel)
        body["message"] = {"type": "template", "payload": {"name": "otp", "body_params": ["Acme", "482913"]}}
        assert sandbox.post(f"{channel}/message/send", body).status_code == status
    assert {row["code"] for row in sandbox.inbox()} == {"482913"}


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_stored_template_is_sent_by_its_alias(sandbox: Running, channel: str) -> None:
    """The answer's rows say `recipient` instead of `to`."""
    body = {
        "alias": "otp_login",
        "recipient": {"to": [DELIVERED]},
        "data": {"code": 482913},
        "meta": {"foreign_id": "f-1"},
    }
    (row,) = sandbox.post(f"{channel}/send/template", body).json()["data"]
    assert (row["recipient"], row["foreign_id"], "to" in row) == (DELIVERED, "f-1", False)
    assert sandbox.inbox()[0]["code"] == "482913"
    assert sandbox.post(f"{channel}/send/template", {}).json()["errors"].keys() == {"alias"}


def with_payload(**payload: object) -> dict[str, object]:
    """Return a body whose template has another payload."""
    return {**template("whatsapp"), "message": {"type": "template", "payload": payload}}


def with_sender(sender: object) -> dict[str, object]:
    """Return a body from another sender."""
    return {**template("whatsapp"), "channels": [{"name": "whatsapp", "from": sender}]}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "channels"),
        (template("rcs"), "channels"),
        (with_sender(None), "from"),
        (template("whatsapp", None), "to"),
        (template("whatsapp", []), "to"),
        (template("whatsapp", "+12025550100"), "to"),
        (template("whatsapp", ["12025550100", {}]), "to"),
        (template("whatsapp", ttl="soon"), "ttl"),
        (template("whatsapp", ttl=0), "ttl"),
        (template("whatsapp", webhook_id="unknown"), "webhook_id"),
        ({**template("whatsapp"), "message": {"type": "image"}}, "message.type"),
        (text("whatsapp", ""), "message.payload.text"),
        (text("whatsapp", 7), "message.payload.text"),
        (text("whatsapp", "x" * 4097), "message.payload.text"),
        (with_payload(body_params=["1234"]), "message.payload.name"),
        (with_payload(name="otp"), "message.payload.body_params"),
        (with_payload(name="otp", body_params=[""]), "message.payload.body_params"),
        (with_payload(name="otp", body_params=["Acme", "482913"]), "message.payload.body_params"),
    ],
)
def test_a_wrong_body_is_named(sandbox: Running, body: object, field: str) -> None:
    """A 422 names what is wrong, and nothing is sent."""
    answer = sandbox.post("whatsapp/message/send", body)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, [field])
    assert sandbox.inbox() == []


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_status_is_pulled_by_id_or_number(start: Start, channel: str) -> None:
    """Field by field, with 200 as a word; one zone for each of the two times, as in the vendor's sample."""
    sandbox = start(usual(clock=lambda: 1_700_000_000.5))
    number = "61491575789"
    sent = sandbox.send_by(channel, number, foreign_id="ref-1").json()["data"][0]["id"]
    sandbox.send_by(channel, DELIVERED)
    sandbox.send(number)
    sandbox.until(lambda: {row["status"] for row in sandbox.inbox()} == {"read", "delivered", "DELIVRD"})
    by_id, by_number = (
        sandbox.get(f"{channel}/message/status", **key).json() for key in ({"id": sent}, {"mobile": number})
    )
    assert by_id == by_number
    assert by_id == {
        "status": "200",
        "message": "OK",
        "data": [
            {
                "id": sent,
                "channel": channel,
                "from": BRIDGE,
                "to": number,
                "credits": "1.0000",
                "created_at": "2023-11-14T22:13:20.500000Z",
                "foreign_id": "ref-1",
                "status": "read",
                "delivered_at": "2023-11-15 03:43:20",
                "read_at": "2023-11-14T22:13:20.500000Z",
            }
        ],
    }
    assert sandbox.get(f"{channel}/message/status", id="unknown").json()["data"] == []
    assert sandbox.get(f"{channel}/message/status").status_code == 422


def test_a_status_is_of_its_own_channel(sandbox: Running) -> None:
    """An id of WhatsApp is unknown to RCS and to SMS."""
    sent = sandbox.send_by("whatsapp").json()["data"][0]["id"]
    for path in ("rcs/message/status", "sms/status", "outgoing/callstatus"):
        assert sandbox.get(path, id=sent).json()["data"] == []


def test_every_pull_counts_in_the_limit(start: Start) -> None:
    """All GET requests of an account together."""
    sandbox = start(usual(gets_per_minute=4))
    paths = ("sms/status", "whatsapp/message/status", "rcs/message/status", "outgoing/callstatus")
    statuses = [sandbox.get(path, id="x").status_code for path in (*paths, "mip/message/status")]
    assert statuses == [200, 200, 200, 200, 429]


DELAY, SLOW = 0.5, 3.0


@pytest.mark.parametrize(
    ("channel", "outcome", "ttl", "course"),
    [
        ("sms", Outcome.DELIVERED, None, ((0.5, "DELIVRD"),)),
        ("whatsapp", Outcome.DELIVERED, None, ((0.25, "sent"), (0.5, "delivered"))),
        ("rcs", Outcome.READ, 1, ((0.25, "sent"), (0.5, "delivered"), (1.0, "read"))),
        ("rcs", Outcome.OFFLINE, None, ((0.25, "sent"), (0.5, "offline"))),
        ("mip", Outcome.SLOW, 4, ((3.25, "sent"), (3.5, "delivered"))),
        ("mip", Outcome.SLOW, 2, ((2, "expired"),)),
        ("sms", Outcome.SLOW, 2, ((2, "EXPIRED"),)),
        ("voice", Outcome.BUSY, None, ((0.5, "BUSY"),)),
        ("whatsapp", Outcome.SILENT, 1, ()),
    ],
)
def test_a_message_that_comes_too_late_expires(
    channel: str, outcome: Outcome, ttl: int | None, course: object
) -> None:
    """At the end of its time to live, instead of being delivered."""
    assert course_of(channel, outcome, delay=DELAY, slow=SLOW, ttl=ttl) == course


def test_what_was_delivered_in_time_does_not_expire() -> None:
    """It is read too late to be reported."""
    course = course_of("rcs", Outcome.READ, delay=1, slow=0, ttl=1)
    assert course == ((0.5, "sent"), (1, "delivered"))


@pytest.mark.parametrize(("channel", "word"), [("whatsapp", "expired"), ("sms", "EXPIRED")])
def test_the_ttl_of_a_request_counts(start: Start, channel: str, word: str) -> None:
    """In the unified shape of every channel."""
    sandbox = start(usual(report_delay=1.5))
    body = template(channel, ttl=1, service="T")
    if channel == "sms":
        body["message"] = {"type": "text", "payload": {"text": "482913"}}
    sandbox.post(f"{channel}/message/send", body).raise_for_status()
    sandbox.until(lambda: [row["status"] for row in sandbox.inbox()] == [word])


def test_two_accounts_are_kept_apart(start: Start) -> None:
    """Each has its own credits, limit, messages and webhooks; the token itself is shown nowhere."""
    sandbox = start(usual(tokens={TOKEN: "main", "second-token": "spare"}, gets_per_minute=3))
    sandbox.send_by("whatsapp")
    sandbox.client.headers["Authorization"] = "Bearer second-token"
    sent = sandbox.send().json()["data"][0]["id"]
    assert [row["account"] for row in sandbox.inbox()] == ["spare", "main"]
    balance = sandbox.get("account/balance", service="WAP").json()["data"][0]["credits"]
    assert balance == sandbox.sandbox.config.credits
    assert sandbox.get("whatsapp/message/status", mobile=DELIVERED).json()["data"] == []
    sandbox.client.headers["Authorization"] = f"Bearer {TOKEN}"
    assert sandbox.get("sms/status", id=sent).json()["data"] == []
    assert sandbox.get("auth/me").headers["X-RateLimit-Remaining"] == "1"
    assert not re.search(f"{TOKEN}|second-token", f"{sandbox.inbox()}{sandbox.sandbox.config!r}")


def test_accounts_without_names_are_numbered() -> None:
    """In the order of their tokens; two of the same name are refused."""
    assert SandboxConfig(frozenset({"b", "a"})).accounts() == {"a": "1", "b": "2"}
    with pytest.raises(ValueError, match="different names"):
        SandboxConfig({"a": "same", "b": "same"})
