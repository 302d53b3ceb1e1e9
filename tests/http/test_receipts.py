"""What upstreams push: every documented form, every way to prove oneself, and everything that is no report."""

import hashlib
import hmac
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from otp_service.access.api_keys import digest
from otp_service.challenge.model import Delivery
from tests.conftest import OPS, POLICY, PUBLISHABLE, SECRET
from tests.support.http_api import NUMBER, Api, close, make_api
from tests.support.valkey_server import ValkeyServer

pytest_plugins = ["tests.support.http_fixtures"]

WHS, OLD_WHS, SIGNED_WHS = "whs_test-secret", "whs_test-older-secret", "whs_test-signed"
SIGNATURE_ID = "1b671a64-40d5-491e-99b0-da01ff1f3341"
PATH = "/webhooks/mobtexting/main"
OF_SIGNED = "+447400123456"
"""A number whose messages are sent by the account that signs."""
CHANNELS = POLICY.replace(
    "[[route]]\nsteps = [",
    f"""
whatsapp = {{ sender = "919000000001", template = "otp_login" }}
voice = {{ bridge = "918045000001" }}
rcs = {{ sender = "6f1c2a34-acme-agent" }}
mip = {{ sender = "acme" }}

[upstream.main.receipts]
secrets = ["{digest(WHS)}", "{digest(OLD_WHS)}"]

[upstream.bare]
kind = "mobtexting"
base_url = "UPSTREAM/api/v2/"
token_env = "OTP_UPSTREAM_MAIN_TOKEN"
sms = {{ service = "T", sender = "ACMEIN" }}

[upstream.signed]
kind = "mobtexting"
base_url = "UPSTREAM/api/v2/"
token_env = "OTP_UPSTREAM_MAIN_TOKEN"
sms = {{ service = "T", sender = "ACMEIN" }}

[upstream.signed.receipts]
secrets = ["{digest(SIGNED_WHS)}"]
signature_ids = ["{SIGNATURE_ID}", "another"]
fields = {{ id = "MessageRef", status = "DLR", reference = "Ours" }}

[guard.number]
refuse = ["1000/m"]

[guard.cooldown]
mode = "off"

[[route]]
match = {{ country = ["GB"] }}
steps = [{{ channel = "sms", upstream = "signed", wait = "5s" }}]

[[route]]
steps = [
  {{ channel = "whatsapp", upstream = "main", wait = "5s" }},
  {{ channel = "voice", upstream = "main", wait = "5s" }},
  {{ channel = "rcs", upstream = "main", wait = "5s" }},
  {{ channel = "mip", upstream = "main", wait = "5s" }},
""",
)
CHANNELS += "\n[challenge]\nmax_sends = 6\n"
"""A policy with all channels, an account without a webhook, and one with signatures and field names of its own."""


@pytest.fixture
def pushed(valkey: ValkeyServer, upstream: tuple[Flask, str]) -> Iterator[Api]:
    """An application whose messages reach a sandbox that reports nothing by itself."""
    sandbox, url = upstream
    made = make_api(valkey, url, CHANNELS)
    made.flask.extensions["test_sandbox"] = sandbox
    yield made
    close(made)
    sandbox.test_client().delete("/inbox")


@dataclass(frozen=True)
class Sent:
    """A message that left and waits for its report."""

    challenge_id: str
    upstream_id: str
    reference: str


def sent(api: Api, channel: str = "sms", to: str = NUMBER) -> Sent:
    """Send a code over a channel."""
    challenge_id = api.opened(to, channel=channel)
    api.dispatch(challenge_id)
    delivery = last(api, challenge_id)
    assert (delivery.channel, delivery.status) == (channel, "accepted")
    return Sent(challenge_id, delivery.upstream_id or "", delivery.reference)


def last(api: Api, challenge_id: str) -> Delivery:
    """Read the newest delivery of a challenge."""
    challenge = api.core.store.challenges.read_challenge(challenge_id)[1]
    assert challenge
    return challenge.last


def push(api: Api, body: object, path: str = PATH, key: str | None = WHS) -> TestResponse:
    """Push JSON as the upstream does."""
    return api.call("POST", path, key=key, body=body)


def shown(api: Api, one: Sent) -> str:
    """Say what a caller sees of the newest delivery."""
    status: str = (api.status(one.challenge_id).json or {})["deliveries"][-1]["status"]
    return status


def counted(api: Api, name: str) -> list[str]:
    """Return the lines of a metric."""
    page = api.call("GET", "/metrics", key=OPS).text
    return [line for line in page.splitlines() if line.startswith(name)]


def flat(one: Sent, status: str = "DELIVRD") -> dict[str, Any]:
    """Write the documented flat report of an SMS, with a date of the portal's zone."""
    return {
        "id": one.upstream_id,
        "mobile": NUMBER[1:],
        "status": status,
        "credits": "2.0000",
        "units": 1,
        "deliv_time": "2026-03-01 17:30:00",
        "sent_time": "2026-03-01 17:29:58",
        "deliv_at": "1772366400",
        "cid": one.reference,
        "custom": one.reference,
        "location": "Karnataka",
    }


def wrapped(one: Sent, channel: str, status: str) -> dict[str, Any]:
    """Write the documented wrapped report of a messenger."""
    payload = {
        "id": one.upstream_id,
        "channel": channel,
        "from": "919000000001",
        "to": NUMBER[1:],
        "status": status,
        "delivered_at": "2026-03-01 11:07:55",
        "read_at": "2026-03-01T05:37:58Z",
        "foreign_id": one.reference,
    }
    return {"event": f"{channel}:message:status", "payload": payload}


# Forms.


def test_a_flat_json_report_of_an_sms(pushed: Api) -> None:
    """The current form of a push: the message counts as delivered at once, and the caller sees it."""
    one = sent(pushed)
    answer = push(pushed, flat(one))
    assert (answer.status_code, answer.json) == (200, {"received": 1})
    assert shown(pushed, one) == "delivered"


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_form_report(pushed: Api, method: str) -> None:
    """A composed webhook may send a form, by POST or PUT."""
    one = sent(pushed)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    raw = urlencode(flat(one)).encode()
    answer = pushed.call(method, PATH, key=WHS, raw=raw, headers=headers)
    assert answer.status_code == 200
    assert shown(pushed, one) == "delivered"


def test_a_get_report_with_the_secret_in_its_path(pushed: Api) -> None:
    """The legacy scheme sends a query and no header."""
    one = sent(pushed)
    query = urlencode({"id": one.upstream_id, "mobile": NUMBER[1:], "status": "DELIVRD"})
    answer = pushed.call("GET", f"{PATH}/{WHS}?{query}", key=None)
    assert answer.status_code == 200
    assert shown(pushed, one) == "delivered"


@pytest.mark.parametrize(("channel", "status"), [("whatsapp", "read"), ("rcs", "delivered"), ("mip", "sent")])
def test_a_wrapped_report_of_a_messenger(pushed: Api, channel: str, status: str) -> None:
    """An event and its payload; a read report goes further than a delivery report."""
    one = sent(pushed, channel)
    assert push(pushed, wrapped(one, channel, status)).status_code == 200
    assert shown(pushed, one) == status


def test_a_call_report_names_its_call_by_mid_alone(pushed: Api) -> None:
    """Voice reports have their own name for the id and do not carry our reference."""
    one = sent(pushed, "voice")
    body = {"mid": one.upstream_id, "bridge": "918045000001", "status": "ANSWER", "duration": "12"}
    assert push(pushed, body).status_code == 200
    assert shown(pushed, one) == "delivered"


def test_a_call_that_was_hung_up_at_once_failed(pushed: Api) -> None:
    """Answered is not heard."""
    one = sent(pushed, "voice")
    body = {"mid": one.upstream_id, "bridge": "918045000001", "status": "ANSWER", "duration": "2"}
    assert push(pushed, body).status_code == 200
    assert last(pushed, one.challenge_id).reason == "hung_up"


def test_our_reference_alone_finds_the_message(pushed: Api) -> None:
    """The report may arrive before the answer to the send, when its id is not known yet."""
    one = sent(pushed)
    assert push(pushed, {"id": "unheard-of", "status": "DELIVRD", "custom": one.reference}).status_code == 200
    assert shown(pushed, one) == "delivered"


def test_a_composed_webhook_has_the_field_names_of_the_policy(pushed: Api) -> None:
    """The policy's names come before the documented ones, which still count; other fields are ignored."""
    one = sent(pushed, to=OF_SIGNED)
    signed = {
        "MessageRef": "x",
        "Ours": one.reference,
        "DLR": "DELIVRD",
        "status": "UNDELIV",
        "x": {"y": [1]},
    }
    answer = push(pushed, signed, "/webhooks/mobtexting/signed", SIGNED_WHS)
    assert (answer.status_code, answer.json) == (200, {"received": 1})
    assert shown(pushed, one) == "delivered"


def test_several_reports_in_one_push(pushed: Api) -> None:
    """Each counts; a broken one does not affect the others."""
    first, second = sent(pushed), sent(pushed, "rcs")
    answer = push(pushed, [flat(first), {"nothing": 1}, wrapped(second, "rcs", "delivered")])
    assert (answer.status_code, answer.json) == (200, {"received": 2})
    assert [shown(pushed, one) for one in (first, second)] == ["delivered", "delivered"]


def test_a_form_nested_too_deep_is_400(pushed: Api) -> None:
    """Parts inside parts, each with a boundary of its own, as deep as a body may be."""
    raw = b"".join(
        b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (n, n + 1) for n in range(2000)
    )
    answer = pushed.call(
        "POST", PATH, key=WHS, raw=raw, headers={"Content-Type": "multipart/form-data; boundary=b0"}
    )
    assert (answer.status_code, (answer.json or {})["code"]) == (400, "receipt_unreadable")


def written(sender: object, text: str) -> dict[str, Any]:
    """A message from a person, as the upstream pushes it."""
    payload = {"recipient": {"from": sender}, "message": {"type": "text", "payload": {"text": text}}}
    return {"event": "whatsapp:message:in", "payload": payload}


def test_senders_that_are_no_numbers_do_not_silence_a_stop_beside_them(pushed: Api) -> None:
    """Short codes and names are ignored and counted; a number is read in any spelling."""
    senders = ("28444", "SUPPORT", "+91 98765 43210", None, 5, NUMBER[1:])
    answer = push(pushed, [written(sender, "STOP") for sender in senders])
    assert (answer.status_code, answer.json) == (200, {"received": 5})
    refused = pushed.send()
    assert (refused.status_code, (refused.json or {})["code"]) == (422, "number_opted_out")
    (line,) = [line for line in counted(pushed, "otp_inbound_total") if "ignored" in line]
    assert line.endswith(" 3.0")


def test_a_push_of_nothing_but_odd_senders_is_accepted(pushed: Api) -> None:
    """An error would only make the upstream push it again."""
    assert push(pushed, [written("28444", "STOP"), written("SUPPORT", "STOP")]).json == {"received": 2}


def test_a_stop_from_an_old_spelling_is_found_under_todays_number_and_lifted(pushed: Api) -> None:
    """The vendor names a Mexican 521..., the app and operators do not."""
    push(pushed, written("5215512345678", "STOP"))
    replies = pushed.core.replies
    for spelling in ("+52 55 1234 5678", "+52 1 55 1234 5678"):
        assert (replies.read_suppression(spelling) or {})["channel"] == "whatsapp"
    assert replies.lift_suppression("+525512345678", by="anna")
    assert replies.read_suppression("+5215512345678") is None


def test_an_inbound_stop_suppresses_messages_until_start(pushed: Api) -> None:
    """On any channel the person's own message decides."""

    def say(text: str, event: str = "vmn") -> None:
        payload = {
            "id": "1",
            "channels": [{"name": event, "to": "919000000001"}],
            "recipient": {"from": NUMBER[1:], "user": {}},
            "message": {"type": "text", "payload": {"text": text}},
        }
        assert push(pushed, {"event": f"{event}:message:in", "payload": payload}).json == {"received": 1}

    say("Stop please, I mean it")
    assert pushed.send().status_code == 202
    say("STOP")
    refused = pushed.send()
    assert (refused.status_code, (refused.json or {})["code"]) == (422, "number_opted_out")
    say("start", "whatsapp")
    assert pushed.send().status_code == 202


@pytest.mark.parametrize("token", ["", "?token=k1"])
def test_the_handshake_is_echoed(pushed: Api, token: str) -> None:
    """The upstream creates a webhook only if its address repeats the handshake."""
    answer = push(pushed, {"validation_key": "k1", "challenge": "c-4711"}, f"{PATH}/{WHS}{token}", None)
    assert (answer.status_code, answer.json) == (200, {"challenge": "c-4711"})


# Who may push.


@pytest.mark.parametrize("secret", [WHS, OLD_WHS])
def test_each_secret_of_the_account_is_accepted(pushed: Api, secret: str) -> None:
    """There can be two, so that one can be rotated; as Bearer or in the path."""
    one = sent(pushed)
    assert push(pushed, flat(one), PATH, secret).status_code == 200
    assert push(pushed, flat(one), f"{PATH}/{secret}", None).status_code == 200


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (PATH, None),
        (PATH, ""),
        (PATH, "whs_wrong"),
        (PATH, SECRET),
        (PATH, PUBLISHABLE),
        (PATH, digest(WHS)),
        (f"{PATH}/whs_wrong", WHS),
        (f"{PATH}/{digest(WHS)}", None),
        ("/webhooks/mobtexting/bare", WHS),
        ("/webhooks/mobtexting/signed", WHS),
        ("/webhooks/mobtexting/nobody", WHS),
    ],
)
def test_without_a_valid_secret_the_webhook_does_not_exist(pushed: Api, path: str, key: str | None) -> None:
    """A wrong secret, another account's, an app's key or none: 404, the same as for an unknown account."""
    one = sent(pushed)
    answer = push(pushed, flat(one), path, key)
    assert (answer.status_code, (answer.json or {})["code"]) == (404, "not_found")
    assert push(pushed, {"validation_key": "k", "challenge": "c"}, path, key).status_code == 404
    assert shown(pushed, one) == "accepted"


@pytest.mark.parametrize(
    ("key", "status"), [(SIGNATURE_ID, 200), ("another", 200), ("a third", 404), (None, 404), ("", 404)]
)
def test_a_signature_must_be_one_of_the_accounts_webhooks(pushed: Api, key: str | None, status: int) -> None:
    """HMAC-SHA256 of the raw body under the webhook's id; a right secret does not make up for a wrong signature."""
    one = sent(pushed, to=OF_SIGNED)
    raw = json.dumps(flat(one) | {"Ours": one.reference}, indent=1).encode()
    made = "0" * 64 if key is None else hmac.new(key.encode(), raw, hashlib.sha256).hexdigest()
    answer = pushed.call(
        "POST", "/webhooks/mobtexting/signed", key=SIGNED_WHS, raw=raw, headers={"Signature": made}
    )
    assert answer.status_code == status
    assert shown(pushed, one) == ("delivered" if status == 200 else "accepted")


def test_a_push_without_signature_is_accepted_with_its_secret(pushed: Api) -> None:
    """It is unknown whether SMS and calls are signed, so the secret decides."""
    one = sent(pushed, to=OF_SIGNED)
    body = {"Ours": one.reference, "DLR": "DELIVRD"}
    assert push(pushed, body, "/webhooks/mobtexting/signed", SIGNED_WHS).status_code == 200
    assert shown(pushed, one) == "delivered"


# What is no report.


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (b'{"id": "1"', "unreadable"),
        (b"\xff\xfe", "unreadable"),
        (b"[]", "empty"),
        (b'"DELIVRD"', "not_an_object"),
        (b"[1, 2]", "not_an_object"),
        (b'{"status": "DELIVRD"}', "no_id"),
        (b'{"id": "1"}', "no_status"),
        (b'{"event": "vmn:message:in", "payload": {}}', "no_sender"),
        (b"[" * 9000, "unreadable"),
        (b'{"a":' * 900 + b"1" + b"}" * 900, "no_status"),
    ],
)
def test_what_cannot_be_read_is_400_and_counted(pushed: Api, raw: bytes, word: str) -> None:
    """The problem repeats nothing from the push; a counter shows operators the reason."""
    answer = pushed.call("POST", PATH, key=WHS, raw=raw)
    assert (answer.status_code, (answer.json or {})["code"]) == (400, "receipt_unreadable")
    (line,) = [line for line in counted(pushed, "otp_receipts_total") if "unreadable" in line]
    assert f'"{word}"' in line


def test_a_mebibyte_is_refused_unread(pushed: Api) -> None:
    """413, whatever it contains."""
    answer = pushed.call("POST", PATH, key=WHS, raw=b'{"id": "' + b"x" * 2**20 + b'"}')
    assert answer.status_code == 413


@pytest.mark.parametrize("status", ["FLYING", "MOON-PHASE", "807", "4711 1234"])
def test_an_unknown_word_changes_nothing_and_is_counted(pushed: Api, status: str) -> None:
    """A new word of the upstream is `unknown`, never an error; digits are not shown, as they may be a code."""
    one = sent(pushed)
    assert push(pushed, flat(one, status)).status_code == 200
    assert shown(pushed, one) == "accepted"
    (line,) = counted(pushed, "otp_receipts_total")
    assert '"unknown"' in line
    assert status not in line


def test_an_unknown_message_is_answered_like_a_known_one(pushed: Api) -> None:
    """200, so that the upstream stops repeating it and cannot find out which messages exist."""
    one = Sent("", "11111111-2222-3333-4444-555555555555:1", "unknownreference")
    answer = push(pushed, flat(one))
    assert (answer.status_code, answer.json) == (200, {"received": 1})
    assert push(pushed, wrapped(one, "whatsapp", "read")).status_code == 200
    assert push(pushed, {"event": "contacts:subscriber:subscription", "payload": {}}).json == {"received": 0}


def test_repeated_and_late_reports_move_nothing_back(pushed: Api) -> None:
    """Reports may repeat and arrive out of order; a read message stays read."""
    one = sent(pushed, "whatsapp")
    for status in ("delivered", "delivered", "read", "sent", "delivered", "failed", "queued", "read"):
        assert push(pushed, wrapped(one, "whatsapp", status)).status_code == 200
    assert shown(pushed, one) == "read"


@pytest.mark.parametrize(
    "times",
    [
        {"deliv_time": "2026-03-01 17:30:00", "deliv_at": "1772366400"},
        {"deliv_time": "1970-01-01T00:00:00-12:00"},
        {"deliv_time": "2099-12-31T23:59:59+14:00", "deliv_at": "99999999999999999999"},
        {"deliv_time": "soon", "deliv_at": {"when": None}},
    ],
)
def test_dates_in_reports_are_ignored(pushed: Api, times: Mapping[str, object]) -> None:
    """Reports are ordered by stage; another system's clock is not trusted."""
    one = sent(pushed)
    assert push(pushed, flat(one) | dict(times)).status_code == 200
    assert shown(pushed, one) == "delivered"


def test_a_failure_sends_the_next_channel_at_once(pushed: Api) -> None:
    """A failure report does not wait for the end of the step's time."""
    one = sent(pushed, "whatsapp")
    push(pushed, wrapped(one, "whatsapp", "failed"))
    for _ in range(2):  # decide, then send
        pushed.dispatch(one.challenge_id)
    shown_now = (pushed.status(one.challenge_id).json or {})["deliveries"]
    assert [row["status"] for row in shown_now] == ["failed", "accepted"]
    assert shown_now[1]["channel"] != "whatsapp"


def test_a_secret_is_never_logged_or_counted(pushed: Api, caplog: pytest.LogCaptureFixture) -> None:
    """Not the secret in a path, a wrong secret, the reference, the number or a person's message."""
    one = sent(pushed)
    inbound = {"recipient": {"from": NUMBER[1:]}, "message": {"payload": {"text": "my secret text"}}}
    with caplog.at_level(logging.DEBUG):
        push(pushed, flat(one), f"{PATH}/{WHS}", None)
        push(pushed, flat(one), f"{PATH}/whs_wrong-canary", None)
        push(pushed, flat(one, "NEWWORD"), PATH, OLD_WHS)
        push(pushed, {"event": "vmn:message:in", "payload": inbound})
        pushed.call("POST", PATH, key=WHS, raw=b"{secret")
    said = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert "/webhooks/mobtexting/<upstream>/<secret>" in said
    everything = said + "\n".join(counted(pushed, "otp_"))
    everything += "\n".join(answer.text for answer in pushed.answers)
    for secret in (WHS, OLD_WHS, "whs_wrong-canary", one.reference, NUMBER, NUMBER[1:], "my secret text"):
        assert secret not in everything
