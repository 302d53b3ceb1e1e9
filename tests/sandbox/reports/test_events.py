"""Events of WhatsApp, RCS, MIP, voice and replies go out as the upstream sends them."""

import hashlib
import hmac

import pytest

from otp_service.sandbox import SandboxConfig
from otp_service.sandbox.reports.webhooks import EVENTS
from tests.support.patience import PATIENCE
from tests.support.sandbox_server import BRIDGE, DELIVERED, TOKEN, Receiver, Running, Start, usual

pytest_plugins = ("tests.support.sandbox_fixtures",)

CHANNELS = ("whatsapp", "rcs", "mip")
READ, FAILED = "61491575789", "61491570313"
AT, INSTANT = 1_700_000_000.5, "2023-11-14T22:13:20.500000Z"


def subscribe(sandbox: Running, receiver: Receiver, event: str, **more: object) -> str:
    """Register a webhook of the receiver, subscribe it to an event, and return its id."""
    body = {"name": event, "uri": f"{receiver.url}/{event}", **more}
    webhook = str(sandbox.post("developer/webhooks", body).json()["data"]["id"])
    selection = {"event": event, "identity": "all", "webhook_id": webhook}
    assert sandbox.post("developer/subscriptions", selection).json()["status"] == "OK"
    return webhook


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_messengers_report_is_wrapped(start: Start, receiver: Receiver, channel: str) -> None:
    """It tells of sent, delivered and read, each with the times that are known by then."""
    sandbox = start(usual(report_url=receiver.url, report_secret="whsec", clock=lambda: AT))
    sent = sandbox.send_by(channel, READ, foreign_id="ref-1").json()["data"][0]["id"]
    reports = receiver.next_of(3)
    assert reports.keys() == {"sent", "delivered", "read"}
    assert reports["read"].headers["Authorization"] == "Bearer whsec"
    assert reports["delivered"].body == {
        "event": f"{channel}:message:status",
        "payload": {
            "id": sent,
            "channel": channel,
            "from": BRIDGE,
            "to": READ,
            "status": "delivered",
            "delivered_at": INSTANT,
            "read_at": None,
            "processed_at": INSTANT,
            "timestamp": INSTANT,
            "foreign_id": "ref-1",
        },
    }
    assert reports["sent"].payload["delivered_at"] is None
    assert reports["read"].payload["read_at"] == INSTANT


def test_a_messenger_is_not_told_more_than_delivered_unless_it_is_read(
    start: Start, receiver: Receiver
) -> None:
    """The next report after `delivered` is the next message's; a failure has its word."""
    sandbox = start(usual(report_url=receiver.url))
    sandbox.send_by("whatsapp")
    assert receiver.next_of(2).keys() == {"sent", "delivered"}
    sandbox.send_by("whatsapp", FAILED)
    assert receiver.next_of(2).keys() == {"sent", "failed"}


def test_a_call_is_reported_flat(start: Start, receiver: Receiver) -> None:
    """With the call's id as `mid`, and the caller's own id if it gave one."""
    sandbox = start(usual(report_url=receiver.url, clock=lambda: AT))
    sent = sandbox.send_by("voice", foreign_id="ref-1").json()["data"][0]["id"]
    report = receiver.next()
    assert "Signature" not in report.headers
    assert report.body == {
        "event": "voice:message:out",
        "bridge": BRIDGE,
        "from": BRIDGE,
        "to": DELIVERED,
        "source": "OBD",
        "mid": sent,
        "flow_id": "24",
        "start_at": "2023-11-15 03:43:20",
        "end_at": "2023-11-15 03:43:32",
        "duration": "12",
        "status": "ANSWER",
        "recording_url": "",
        "foreign_id": "ref-1",
        "custom": "ref-1",
    }


@pytest.mark.parametrize(
    ("number", "status", "duration"),
    [("61491576398", "NOANSWER", "0"), ("61491576801", "BUSY", "0"), (READ, "ANSWER", "1")],
)
def test_a_call_that_fails_says_how(
    start: Start, receiver: Receiver, number: str, status: str, duration: str
) -> None:
    """A call that is hung up at once was answered for one second."""
    start(usual(report_url=receiver.url)).send_by("voice", number)
    body = receiver.next().body
    assert (body["status"], body["duration"], "foreign_id" in body) == (status, duration, False)
    assert (body["start_at"] == "") == (status != "ANSWER")


def signature(key: str, raw: bytes) -> str:
    """Return what a receiver computes over the bytes that it got."""
    return hmac.new(key.encode(), raw, hashlib.sha256).hexdigest()


def test_a_registered_webhooks_events_are_signed_with_its_id(sandbox: Running, receiver: Receiver) -> None:
    """Over the very bytes, which are escaped as PHP does it."""
    webhook = subscribe(sandbox, receiver, "whatsapp:message:status")
    sandbox.send_by("whatsapp", foreign_id="ä/b")
    report = receiver.next()
    assert report.headers["Signature"] == signature(webhook, report.raw)
    assert b'"foreign_id":"\\u00e4\\/b"' in report.raw
    assert report.payload["foreign_id"] == "ä/b"


def test_the_default_address_is_signed_for_where_its_webhook_id_is_known(
    start: Start, receiver: Receiver
) -> None:
    """Without an id there is no signature, and SMS has none at all."""
    sandbox = start(usual(report_url=receiver.url, report_webhook_id="wh-1"))
    sandbox.send_by("rcs")
    report = receiver.next_of(2)["delivered"]
    assert report.headers["Signature"] == signature("wh-1", report.raw)
    sandbox.send()
    assert "Signature" not in receiver.next().headers
    start(usual(report_url=receiver.url)).send_by("rcs")
    assert "Signature" not in receiver.next().headers


@pytest.mark.parametrize(
    ("event", "channel"),
    [("voice:message:out", "voice"), *((f"{channel}:message:status", channel) for channel in CHANNELS)],
)
def test_a_subscription_brings_its_own_events_only(
    sandbox: Running, receiver: Receiver, event: str, channel: str
) -> None:
    """Those of another channel go elsewhere."""
    subscribe(sandbox, receiver, event, secret="whsec")
    for other in {"sms", "voice", *CHANNELS} - {channel}:
        sandbox.send_by(other)
    sandbox.send_by(channel)
    report = receiver.next()
    assert (report.body["event"], report.headers["Authorization"]) == (event, "Bearer whsec")


def test_a_message_may_name_its_webhook_on_every_channel(sandbox: Running, receiver: Receiver) -> None:
    """In `meta`, or among the fields of a call."""
    body = {"name": "mine", "uri": f"{receiver.url}/mine"}
    webhook = sandbox.post("developer/webhooks", body).json()["data"]["id"]
    sandbox.send_by("voice")
    sandbox.send_by("voice", webhook_id=webhook, foreign_id="voice")
    assert receiver.next().body["foreign_id"] == "voice"
    sandbox.send_by("whatsapp")
    sandbox.send_by("whatsapp", webhook_id=webhook, foreign_id="whatsapp")
    assert {report.payload["foreign_id"] for report in receiver.next_of(2).values()} == {"whatsapp"}


def test_an_account_hears_nothing_of_another(start: Start, receiver: Receiver) -> None:
    """Its webhooks are its own."""
    sandbox = start(usual(tokens={TOKEN: "main", "second": "spare"}))
    subscribe(sandbox, receiver, "sms:message:status")
    sandbox.client.headers["Authorization"] = "Bearer second"
    assert sandbox.get("developer/webhooks").json()["data"] == []
    sandbox.send(custom="spare")
    sandbox.until(lambda: sandbox.inbox()[0]["status"] == "DELIVRD")
    sandbox.client.headers["Authorization"] = f"Bearer {TOKEN}"
    sandbox.send(custom="main")
    assert receiver.next().body["custom"] == "main"


def test_the_default_address_may_name_the_account(start: Start, receiver: Receiver) -> None:
    """So that the reports of two upstreams have two addresses."""
    sandbox = start(
        usual(tokens={TOKEN: "main", "second": "spare"}, report_url=f"{receiver.url}?from={{account}}")
    )
    sandbox.send()
    assert receiver.next().query == {"from": "main"}
    sandbox.client.headers["Authorization"] = "Bearer second"
    sandbox.send()
    assert receiver.next().query == {"from": "spare"}


def test_only_documented_events_can_be_subscribed_to(sandbox: Running, receiver: Receiver) -> None:
    """A 422 names the field; every documented value is accepted."""
    webhook = subscribe(sandbox, receiver, "sms:message:status")
    for event in sorted(EVENTS):
        selection = {"event": event, "identity": "all", "webhook_id": webhook}
        assert sandbox.post("developer/subscriptions", selection).status_code == 200
    wrong = {"event": "sms:message:in", "identity": "all", "webhook_id": webhook}
    assert sandbox.post("developer/subscriptions", wrong).json()["errors"].keys() == {"event"}


@pytest.mark.parametrize("status", [302, 400, 500])
def test_a_messengers_event_is_tried_twice_more(start: Start, receiver: Receiver, status: int) -> None:
    """Three tries of one report in all, and then the next message's."""
    sandbox = start(usual(report_url=receiver.url, event_retries=(0.0, 0.0), report_delay=0))
    sandbox.force("*", "whatsapp", "delivered")
    for _ in range(6):
        receiver.statuses.put(status)
    sandbox.send_by("whatsapp", foreign_id="first")
    assert [receiver.next().payload["foreign_id"] for _ in range(6)] == ["first"] * 6
    sandbox.send_by("whatsapp", foreign_id="second")
    assert receiver.next().payload["foreign_id"] == "second"


def test_any_2xx_satisfies_a_messenger(start: Start, receiver: Receiver) -> None:
    """Although SMS insists on 200 or 202."""
    sandbox = start(usual(report_url=receiver.url, event_retries=(0.0, 0.0)))
    for _ in range(2):
        receiver.statuses.put(204)
    sandbox.send_by("whatsapp", foreign_id="first")
    assert [report.payload["foreign_id"] for report in receiver.next_of(2).values()] == ["first"] * 2
    sandbox.send_by("whatsapp", foreign_id="second")
    assert receiver.next().payload["foreign_id"] == "second"


def test_the_documented_waits_are_the_default() -> None:
    """About 10 and 100 seconds."""
    assert usual().event_retries == (10, 100)


@pytest.mark.parametrize("form", ["json", "form", "get"])
def test_a_customer_may_compose_the_report(start: Start, receiver: Receiver, form: str) -> None:
    """With the receiver's names, as JSON, form or query; nested fields become flat."""
    fields = {"ref": "foreign_id", "state": "status", "nothing": "no_such_field"}
    sandbox = start(
        usual(report_url=f"{receiver.url}?k=v", report_form=form, report_fields=fields, report_secret="whsec")
    )
    sandbox.send_by("whatsapp", FAILED, foreign_id="ref/1")
    found = [receiver.next() for _ in range(2)]
    told = [{**report.query, **report.body} for report in found]
    assert {row["state"] for row in told} == {"sent", "failed"}
    assert all({**row, "state": ""} == {"k": "v", "ref": "ref/1", "state": "", "nothing": ""} for row in told)
    assert {(report.method, report.headers["Authorization"]) for report in found} == {
        ("GET" if form == "get" else "POST", "Bearer whsec")
    }


def test_a_form_without_names_of_its_own_has_the_documented_ones(start: Start, receiver: Receiver) -> None:
    """All of them, as texts."""
    sandbox = start(usual(report_url=receiver.url, report_form="get"))
    sandbox.send(custom="ref-1")
    query = receiver.next().query
    assert (query["mobile"], query["status"], query["custom"], query["units"]) == (
        DELIVERED,
        "DELIVRD",
        "ref-1",
        "1",
    )


def test_an_unknown_form_is_refused() -> None:
    """When the sandbox is made, with the waits that make no sense."""
    with pytest.raises(ValueError, match=r"report_form must be json, form or get; event_retries must"):
        SandboxConfig(frozenset({TOKEN}), report_form="xml", event_retries=(-1.0,))


def test_a_reply_by_sms_arrives_at_a_virtual_number(start: Start, receiver: Receiver) -> None:
    """With the documented fields, pushed to the default address."""
    sandbox = start(usual(report_url=receiver.url, report_secret="whsec"))
    reply = {"from": "+12025550100", "text": "STOP", "to": "919000000001"}
    answer = sandbox.control("POST", "/inbound", reply)
    assert (answer.status_code, answer.json()) == (
        202,
        {"event": "vmn:message:in", "to": "919000000001", "told": 1},
    )
    report = receiver.next()
    assert report.headers["Authorization"] == "Bearer whsec"
    assert report.body["event"] == "vmn:message:in"
    payload = report.payload
    assert payload.pop("id")
    assert payload["recipient"]["from"] == "12025550100"  # type: ignore[index]  # an object
    assert payload["recipient"]["user"]["phone"] == "12025550100"  # type: ignore[index]  # as above
    assert {**payload, "recipient": None} == {
        "channels": [{"name": "vmn", "to": "919000000001"}],
        "recipient": None,
        "message": {"type": "text", "payload": {"text": "STOP"}},
    }


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_reply_by_a_messenger_goes_to_whom_it_answers(
    sandbox: Running, receiver: Receiver, channel: str
) -> None:
    """The last sender on that channel, and the subscribers of its event, signed."""
    webhook = subscribe(sandbox, receiver, f"{channel}:message:in")
    sandbox.send_by(channel)
    sandbox.send()
    reply = {"from": DELIVERED, "text": "482913", "channel": channel}
    assert sandbox.control("POST", "/inbound", reply).json()["told"] == 1
    report = receiver.next()
    assert report.headers["Signature"] == signature(webhook, report.raw)
    assert report.payload["channels"] == [{"name": channel, "to": BRIDGE}]
    message = report.payload["message"]
    assert isinstance(message, dict)
    assert message.keys() == {"type", "payload", "id", "timestamp"}


def test_nobody_is_told_of_a_reply_where_nobody_asked(sandbox: Running) -> None:
    """And the answer says so."""
    reply = {"from": DELIVERED, "text": "hello"}
    assert sandbox.control("POST", "/inbound", reply).json()["told"] == 0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"from": "nobody"}, "from"),
        ({"text": ""}, "text"),
        ({"text": None}, "text"),
        ({"text": "x" * 4097}, "text"),
        ({"channel": "voice"}, "channel"),
    ],
)
def test_a_wrong_reply_is_named(sandbox: Running, change: dict[str, object], field: str) -> None:
    """A 422 names the field."""
    answer = sandbox.control("POST", "/inbound", {"from": DELIVERED, "text": "hello", **change})
    assert (answer.status_code, list(answer.json()["errors"])) == (422, [field])


def test_a_reply_must_be_json(sandbox: Running) -> None:
    """So that no other site's form can make the phone reply."""
    answer = sandbox.client.post(
        f"{sandbox.url}/inbound", {"from": DELIVERED, "text": "hello"}, timeout=PATIENCE
    )
    assert answer.status_code == 422
