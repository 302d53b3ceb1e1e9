"""Delivery reports go out as the upstream sends them."""

import queue

import pytest

from otp_service.sandbox.reports.schedule import Schedule
from tests.support.patience import PATIENCE
from tests.support.sandbox_server import DELIVERED, Receiver, Running, Start, usual

pytest_plugins = ("tests.support.sandbox_fixtures",)


def register(sandbox: Running, receiver: Receiver, name: str = "a", **more: object) -> str:
    """Register a webhook of the receiver and return its id."""
    made = sandbox.post("developer/webhooks", {"name": name, "uri": f"{receiver.url}/{name}", **more})
    return str(made.json()["data"]["id"])


def test_a_report_is_flat_json_with_the_documented_fields(start: Start, receiver: Receiver) -> None:
    """With the secret as Bearer, zoneless times in Indian time and unix times as text."""
    sandbox = start(usual(report_url=receiver.url, report_secret="whsec", clock=lambda: 1_700_000_000.9))
    sent = sandbox.send(message="a" * 161, custom="ref-1").json()["data"][0]
    report = receiver.next()
    assert report.headers["Authorization"] == "Bearer whsec"
    assert report.headers["Content-Type"] == "application/json"
    assert report.body == {
        "id": sent["id"],
        "mobile": DELIVERED,
        "status": "DELIVRD",
        "credits": "2.0000",
        "units": 2,
        "deliv_time": "2023-11-15 03:43:20",
        "sent_time": "2023-11-15 03:43:20",
        "submit_time": "2023-11-15 03:43:20",
        "deliv_at": "1700000000",
        "sent_at": "1700000000",
        "submit_at": "1700000000",
        "cid": "ref-1",
        "custom": "ref-1",
    }


def test_without_a_secret_there_is_no_authorization(start: Start, receiver: Receiver) -> None:
    """As documented, the header comes only with a secret."""
    start(usual(report_url=receiver.url)).send()
    assert "Authorization" not in receiver.next().headers


def test_a_failing_message_is_reported_as_such(start: Start, receiver: Receiver) -> None:
    """The reason is the status word."""
    start(usual(report_url=receiver.url)).send(to="12025550110")
    assert receiver.next().body["status"] == "UNDELIV"


def test_202_is_accepted_and_nothing_comes_again(start: Start, receiver: Receiver) -> None:
    """The next report that arrives is the next message's."""
    sandbox = start(usual(report_url=receiver.url, report_retry_interval=0))
    receiver.statuses.put(202)
    sandbox.send(custom="first")
    assert receiver.next().body["custom"] == "first"
    sandbox.send(custom="second")
    assert receiver.next().body["custom"] == "second"


@pytest.mark.parametrize("status", [204, 302, 307, 400, 500])
def test_any_other_answer_is_tried_three_times_more_and_dropped(
    start: Start, receiver: Receiver, status: int
) -> None:
    """Four tries of one report in all, and then the next message's report."""
    sandbox = start(usual(report_url=receiver.url, report_retry_interval=0))
    for _ in range(4):
        receiver.statuses.put(status)
    sandbox.send(custom="first")
    assert [receiver.next().body["custom"] for _ in range(4)] == ["first"] * 4
    sandbox.send(custom="second")
    assert receiver.next().body["custom"] == "second"


def test_a_retry_ends_with_the_first_accepted_one(start: Start, receiver: Receiver) -> None:
    """A report that is accepted at the second try does not come a third time."""
    sandbox = start(usual(report_url=receiver.url, report_retry_interval=0))
    receiver.statuses.put(500)
    sandbox.send(custom="first")
    assert [receiver.next().body["custom"] for _ in range(2)] == ["first"] * 2
    sandbox.send(custom="second")
    assert receiver.next().body["custom"] == "second"


def test_the_documented_retry_interval_is_the_default() -> None:
    """30 minutes, three times."""
    config = usual()
    assert (config.report_retry_interval, config.report_retries) == (1800, 3)


def test_a_receiver_that_is_away_does_not_hold_up_the_status(start: Start, receiver: Receiver) -> None:
    """The message gets its last status with or without a receiver."""
    sandbox = start(usual(report_url="http://127.0.0.1:1/nobody"))
    sandbox.send()
    sandbox.until(lambda: sandbox.inbox()[0]["status"] == "DELIVRD")


def test_a_webhook_is_registered_with_a_handshake(sandbox: Running, receiver: Receiver) -> None:
    """The key comes in query and body, and the answer is field by field."""
    body = {"name": "mine", "uri": receiver.url, "secret": "whsec", "token": "key-1"}
    answer = sandbox.post("developer/webhooks", body).json()
    handshake = receiver.handshakes.get(timeout=PATIENCE)
    assert handshake.query == {"token": "key-1"}
    assert handshake.body.keys() == {"validation_key", "challenge"}
    assert handshake.body["validation_key"] == "key-1"
    assert (answer["status"], answer["message"]) == ("OK", "Created successfully")
    row = answer["data"]
    assert row.pop("id")
    assert row.pop("created_at") == row.pop("updated_at")
    assert row == {
        "name": "mine",
        "uri": receiver.url,
        "secret": "whsec",
        "verification_code": "key-1",
        "status": "1",
    }


@pytest.mark.parametrize("uri", ["http://127.0.0.1:1/", "ftp://127.0.0.1/", "nonsense", ""])
def test_an_address_that_does_not_answer_is_no_webhook(sandbox: Running, uri: str) -> None:
    """A 422 names the address."""
    answer = sandbox.post("developer/webhooks", {"name": "mine", "uri": uri})
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["uri"])


def test_a_wrong_echo_is_no_handshake(sandbox: Running, receiver: Receiver) -> None:
    """The challenge must come back as it was."""
    receiver.shakes_hands = False
    assert sandbox.post("developer/webhooks", {"name": "mine", "uri": receiver.url}).status_code == 422
    assert sandbox.get("developer/webhooks").json()["data"] == []


def test_a_message_is_reported_to_the_webhook_it_names(sandbox: Running, receiver: Receiver) -> None:
    """And one that names none is not reported."""
    webhook = register(sandbox, receiver, secret="whsec")
    sandbox.send(custom="unnamed")
    sandbox.send(custom="named", webhook_id=webhook)
    report = receiver.next()
    assert (report.body["custom"], report.headers["Authorization"]) == ("named", "Bearer whsec")


def test_a_subscription_brings_every_report_once(sandbox: Running, receiver: Receiver) -> None:
    """Also where the message names the same webhook; it ends with the subscription."""
    webhook = register(sandbox, receiver)
    selection = {"event": "sms:message:status", "identity": "all", "webhook_id": webhook}
    made = sandbox.post("developer/subscriptions", selection).json()["data"]
    assert {name: made[name] for name in selection} == selection
    for custom in ("1", "2"):
        sandbox.send(custom=custom, webhook_id=webhook)
        assert receiver.next().body["custom"] == custom
    path = f"developer/subscriptions/{made['id']}"
    assert sandbox.get(path).json()["data"] == made
    assert sandbox.get("developer/subscriptions").json()["data"] == [made]
    assert sandbox.client.delete(f"{sandbox.url}/api/v2/{path}", timeout=PATIENCE).json()["data"] == []
    assert sandbox.get(path).status_code == 404
    sandbox.send(custom="unsubscribed")
    sandbox.send(custom="3", webhook_id=webhook)
    assert receiver.next().body["custom"] == "3"


def test_one_address_is_told_once_however_it_is_known(start: Start, receiver: Receiver) -> None:
    """As the default address and as the message's own webhook."""
    sandbox = start(usual(report_url=f"{receiver.url}/a", report_secret="first"))
    webhook = register(sandbox, receiver)
    sandbox.send(custom="1", webhook_id=webhook)
    assert receiver.next().body["custom"] == "1"
    sandbox.send(custom="2")
    assert receiver.next().body["custom"] == "2"


def test_a_webhook_is_edited_by_put_or_by_a_stated_verb(sandbox: Running, receiver: Receiver) -> None:
    """`_method` makes a POST a PUT or a DELETE; an inactive webhook receives nothing."""
    webhook = register(sandbox, receiver)
    path = f"developer/webhooks/{webhook}"
    url = f"{sandbox.url}/api/v2/{path}"
    put = sandbox.client.put(url, json={"name": "new", "status": 0}, timeout=PATIENCE).json()
    assert (put["message"], put["data"]["name"], put["data"]["status"]) == (
        "Updated successfully",
        "new",
        "0",
    )
    sandbox.send(custom="unheard", webhook_id=webhook)
    sandbox.send()  # its status comes when all is done about the one before
    sandbox.until(lambda: sandbox.inbox()[0]["status"] == "DELIVRD")
    moved = {"uri": f"{receiver.url}/moved", "status": "1", "_method": "PUT"}
    assert sandbox.client.post(url, moved, timeout=PATIENCE).json()["data"]["uri"] == moved["uri"]
    sandbox.send(custom="heard", webhook_id=webhook)
    assert receiver.next().body["custom"] == "heard"
    assert sandbox.get(path).json()["data"]["name"] == "new"
    query = {"_method": "DELETE"}
    gone = sandbox.client.post(url, params=query, timeout=PATIENCE).json()
    assert gone == {"status": "OK", "code": 200, "message": "Deleted successfully", "data": []}
    assert sandbox.get(path).status_code == 404


def test_a_get_states_the_verb_that_its_client_cannot_send(sandbox: Running, receiver: Receiver) -> None:
    """As documented, in its query; a word that is no verb changes nothing."""
    webhook = register(sandbox, receiver)
    path = f"developer/webhooks/{webhook}"
    assert sandbox.get(path, _method="SHOUT").json()["data"]["id"] == webhook
    assert sandbox.get(path, _method="delete").json()["message"] == "Deleted successfully"
    assert sandbox.get(path).status_code == 404


def test_webhooks_are_listed_newest_first_and_filtered_by_name(sandbox: Running, receiver: Receiver) -> None:
    """With links and meta, 15 to a page; a deleted webhook takes its subscriptions along."""
    ids = [register(sandbox, receiver, name) for name in ("a", "b")]
    listed = sandbox.get("developer/webhooks").json()
    assert [row["id"] for row in listed["data"]] == ids[::-1]
    assert (listed["meta"]["per_page"], listed["meta"]["total"]) == (15, 2)
    filtered = sandbox.get("developer/webhooks", **{"filter[name]": "a"}).json()["data"]
    assert [row["id"] for row in filtered] == ids[:1]
    selection = {"event": "sms:message:status", "identity": "all", "webhook_id": ids[0]}
    sandbox.post("developer/subscriptions", selection)
    sandbox.client.delete(f"{sandbox.url}/api/v2/developer/webhooks/{ids[0]}", timeout=PATIENCE)
    assert sandbox.get("developer/subscriptions").json()["data"] == []
    unknown = sandbox.post("developer/subscriptions", selection)
    assert unknown.json()["errors"].keys() == {"webhook_id"}


def test_a_schedule_keeps_the_order_of_times_and_survives_a_broken_action() -> None:
    """What was due first runs first, whatever the order of the calls; an action that raises stops no other."""
    ran: queue.SimpleQueue[str] = queue.SimpleQueue()
    schedule = Schedule("test", threads=1)
    all_there: queue.SimpleQueue[None] = queue.SimpleQueue()
    schedule.after(0, lambda: all_there.get(timeout=PATIENCE))
    schedule.after(0, lambda: ran.put("last"))
    schedule.after(-3600, lambda: ran.put(str(1 // 0)))
    schedule.after(-1800, lambda: ran.put("first"))
    all_there.put(None)
    assert [ran.get(timeout=PATIENCE), ran.get(timeout=PATIENCE)] == ["first", "last"]
    schedule.close()


def test_a_busy_thread_does_not_hold_up_what_others_can_run() -> None:
    """Two actions that wait for each other both run, on two threads."""
    ran: queue.SimpleQueue[str] = queue.SimpleQueue()
    first: queue.SimpleQueue[None] = queue.SimpleQueue()
    schedule = Schedule("test", threads=2)
    schedule.after(0.02, lambda: ran.put(str(first.get(timeout=PATIENCE))))
    schedule.after(0.04, lambda: first.put(None))
    assert ran.get(timeout=PATIENCE) == "None"
    schedule.close()


def test_a_closed_schedule_runs_nothing_more() -> None:
    """It runs neither waiting actions nor new ones."""
    schedule = Schedule("test", threads=1)
    schedule.after(3600, lambda: None)
    schedule.close()
    schedule.after(0, lambda: None)
    assert len(schedule) == 0
