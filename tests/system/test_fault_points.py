"""A worker, an API process or a webhook sender is killed between any two steps: another one takes over."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from otp_service.access.api_keys import digest
from otp_service.challenge.model import Challenge, State, Status
from otp_service.http import app as http_app
from tests.support.fault_child import Doomed
from tests.support.fault_server import FaultServer, http
from tests.support.journeys import Journeys, Upstream, account, four_channels, open_core, steps
from tests.support.spine import seen
from tests.support.valkey_server import ValkeyServer

SEND_POINTS = ("claimed", "hashed", "armed", "sent", "settled")
LOOK_POINTS = ("told", "decided", "moved")
EXPECTED = {
    "failed_receipt": {Status.FAILED},
    "silence": {Status.ACCEPTED},
    "unknown": {Status.UNKNOWN},
}
WEBHOOK_SECRET = "whs_of-the-test"
RECEIPTS = f'pull = false\nreceipts = {{ secrets = ["{digest(WEBHOOK_SECRET)}"] }}'
EVENTS_SECRET = "whsec_" + "MDEy" * 8


@dataclass
class Stage:
    """Journeys with processes that die, and the server that receives their events."""

    journeys: Journeys
    text: str
    events: FaultServer
    doomed: Doomed

    def kill(self, act: str, **asked: str) -> None:
        """Let a process die at a point of an act."""
        self.doomed.kill(self.journeys.core, self.text, act, **asked)


@pytest.fixture(scope="module")
def stage(valkey: ValkeyServer) -> Iterator[Stage]:
    """Give a core with an app that wants events."""
    upstream = Upstream()
    with FaultServer() as server, FaultServer() as listener, Doomed() as doomed:
        server.respond(upstream)
        listener.respond(lambda _: http(status="204 No Content"))
        events = f"""
[app.web.events]
url = "http://127.0.0.1:{listener.port}/events"
secret_env = "OTP_EVENTS_WEB_SECRET"
"""
        text = four_channels(account("main", server.url, RECEIPTS), events)
        core = open_core(valkey, text, event_secrets={"OTP_EVENTS_WEB_SECRET": EVENTS_SECRET})
        yield Stage(Journeys(core, valkey, upstream), text, listener, doomed)
        core.close()


def fresh(stage: Stage, **ends: str) -> str:
    """Open a challenge over sms, then voice. Nothing is known of any challenge before."""
    journeys = stage.journeys
    journeys.mend_all()
    journeys.upstream.ends = ends
    journeys.upstream.took.clear()
    return journeys.start(*steps(["sms", "voice"]))


def told(stage: Stage, id_: str) -> list[str]:
    """Name the events of a challenge that the app received, in order, each once."""
    return list(seen(stage.journeys.core.store, id_).told)


def is_sound(stage: Stage, challenge: Challenge) -> None:
    """Check that no channel sent two messages, except after an outcome that nothing knows."""
    took = stage.journeys.upstream.took
    for channel in set(took):
        unknown = sum(d.channel == channel and d.status is Status.UNKNOWN for d in challenge.deliveries)
        assert took.count(channel) <= 1 + unknown


@pytest.mark.parametrize("first", ["refused", "failed_receipt", "silence", "unknown", "delivered"])
@pytest.mark.parametrize("point", SEND_POINTS)
def test_a_worker_that_dies_while_it_sends_is_replaced(stage: Stage, point: str, first: str) -> None:
    """Another worker sends what was not sent. If it was sent, the outcome is unknown, and the next channel follows."""
    id_ = fresh(stage, sms=first)
    stage.kill("dispatch", id=id_, point=point)
    left = list(stage.journeys.upstream.took)
    assert left == (["sms"] if point in {"sent", "settled"} else [])
    challenge = stage.journeys.to_the_end(id_)
    is_sound(stage, challenge)
    statuses = [(d.channel, d.status) for d in challenge.deliveries]
    known = {
        "refused": Status.REFUSED,
        "failed_receipt": Status.FAILED,
        "silence": Status.ACCEPTED,
        "unknown": Status.UNKNOWN,
        "delivered": Status.DELIVERED,
    }[first]
    if point in {"armed", "sent"}:
        assert statuses == [("sms", Status.UNKNOWN), ("voice", Status.DELIVERED)]
    elif first == "delivered":
        assert statuses == [("sms", known)]
    else:
        assert statuses == [("sms", known), ("voice", Status.DELIVERED)]
    assert challenge.state is State.EXPIRED


FALLS = [
    *[(first, point) for first in ("failed_receipt", "silence", "unknown") for point in LOOK_POINTS],
    *[(first, point) for first in ("failed_receipt", "refused", "unknown") for point in SEND_POINTS],
]
"""What makes the plan move on, and where its worker dies; a refusal moves on within the send, looking at nothing."""


@pytest.mark.parametrize(("first", "point"), FALLS)
def test_a_worker_that_dies_while_it_falls_back_is_replaced(stage: Stage, point: str, first: str) -> None:
    """A worker may die at each point of a fallback, and of the send that follows."""
    id_, journeys = fresh(stage, sms=first), stage.journeys
    looks = point in LOOK_POINTS
    journeys.go_on(id_, lambda c: len(c.deliveries) == 2 or (looks and c.last.status in EXPECTED[first]))
    if looks:
        journeys.move(journeys.pause(id_) or 0)
    stage.kill("dispatch", id=id_, point=point)
    challenge = journeys.to_the_end(id_)
    is_sound(stage, challenge)
    assert [d.channel for d in challenge.deliveries][:2] == ["sms", "voice"]
    assert challenge.state is State.EXPIRED
    lost = point in {"armed", "sent"}
    assert challenge.deliveries[1].status in (
        {Status.UNKNOWN} if lost else {Status.DELIVERED, Status.ACCEPTED}
    )
    assert told(stage, id_).count("1f") == 1


@pytest.mark.parametrize(("word", "stands"), [("UNDELIV", Status.FAILED), ("DELIVRD", Status.DELIVERED)])
@pytest.mark.parametrize("point", ["arrived", "answered"])
def test_an_api_process_that_dies_over_a_receipt_loses_nothing(
    stage: Stage, point: str, word: str, stands: Status
) -> None:
    """Killed before it took the report in, or before the upstream heard so: the push that is repeated sets it right.

    The second push of a report that was taken in changes nothing, and the plan moves on once.
    """
    id_, journeys = fresh(stage, sms="silence"), stage.journeys
    delivery = journeys.dispatch(id_).last
    asked = {
        "path": f"/webhooks/mobtexting/main/{WEBHOOK_SECRET}",
        "upstream_id": delivery.upstream_id,
        "word": word,
    }
    stage.kill("receive", point=point, **asked)
    assert seen(journeys.core.store, id_).last.status is (stands if point == "answered" else Status.ACCEPTED)
    client = http_app.web(journeys.core).test_client()
    for _ in range(2):
        answer = client.post(asked["path"], json={"id": delivery.upstream_id, "status": word})
        assert answer.status_code == 200
    challenge = journeys.to_the_end(id_)
    assert challenge.deliveries[0].status is stands
    assert journeys.upstream.took == (["sms", "voice"] if stands is Status.FAILED else ["sms"])


@pytest.mark.parametrize(("point", "posts"), [("taken", 1), ("posted", 2)])
def test_a_webhook_sender_that_dies_over_an_event_is_replaced(stage: Stage, point: str, posts: int) -> None:
    """An event that was claimed and not finished is posted again: at least once, with the same id each time."""
    id_, core = fresh(stage, sms="silence"), stage.journeys.core
    stage.journeys.dispatch(id_)
    _drain(stage, id_)
    before = len(stage.events.received)
    stage.journeys.dispatch(id_)
    stage.kill("send_event", id=id_, point=point)
    assert not core.store.events_due.due([id_[:2]], 2)[id_[:2]].ids
    stage.journeys.move(20_000)
    _drain(stage, id_)
    ids = [one.headers["webhook-id"] for one in stage.events.received[before:]]
    assert len(ids) == posts
    assert len(set(ids)) == 1


def _drain(stage: Stage, id_: str) -> None:
    """Deliver all due events of a partition."""
    core = stage.journeys.core
    while ids := core.store.events_due.due([id_[:2]], 10)[id_[:2]].ids:
        for event_id in ids:
            core.webhook_sender.send(event_id, lambda: False)
