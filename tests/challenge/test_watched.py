"""When a challenge is due because its app wants to hear of it."""

from otp_service.bootstrap.stores import Stores
from otp_service.challenge.model import State, Status
from otp_service.challenge.send_store import CLAIM_LEASE
from otp_service.challenge.transitions import (
    Again,
    Hold,
    Next,
)
from tests.support.spine import (
    armed,
    brought,
    claimed,
    deadline,
    opened,
    prefix_of,
)
from tests.support.valkey_server import ValkeyServer


def test_a_watched_challenge_is_due_for_its_app(store: Stores, valkey: ValkeyServer) -> None:
    """It is due after each change and once more after its end. Then it is removed from the schedule."""
    id_ = opened(store, watched=True).id
    brought(store, id_)
    lease = claimed(store, id_)
    assert lease.what == "waited"
    store.challenges.settle(lease, Hold())
    assert store.challenges.claim(id_) is None
    store.challenges.finish(id_, "web", State.VERIFIED, 0)
    assert claimed(store, id_).what == "over"
    assert store.challenges.claim(id_) is None
    store.scripts.offset += CLAIM_LEASE
    lease = claimed(store, id_)
    assert lease.what == "over"
    store.events.put(id_, [], {}, over=lease.operation)
    assert deadline(valkey, store, id_) is None


def test_a_watched_delivery_keeps_its_pause(store: Stores, valkey: ValkeyServer) -> None:
    """Neither its own outcome nor a receipt for an earlier message sends a deferred delivery sooner."""
    id_ = opened(store, watched=True).id
    lease, reference = armed(store, id_)
    store.challenges.settle(lease, Next(1), reference=reference, status=Status.ACCEPTED, upstream_id="up")
    lease, second = armed(store, id_)
    store.challenges.settle(lease, Again(20), reference=second, status=Status.REFUSED)
    due = deadline(valkey, store, id_)
    assert due is not None
    assert due > store.facts.time() + 10_000
    store.challenges.record_receipt(
        id_, "main", upstream_id="up", reference="", status=Status.SENT, reason=""
    )
    assert deadline(valkey, store, id_) == due


def test_a_late_receipt_leaves_no_schedule_without_an_end(store: Stores, valkey: ValkeyServer) -> None:
    """If the partition's schedule was gone, the one that a late receipt creates has a time to live."""
    id_ = opened(store, watched=True).id
    _, reference = armed(store, id_)
    store.challenges.finish(id_, "web", State.VERIFIED, 0)
    store.events.put(id_, [], {}, over=claimed(store, id_).operation)
    store.challenges.record_receipt(
        id_, "main", upstream_id="", reference=reference, status=Status.READ, reason=""
    )
    assert claimed(store, id_).what == "over"
    with valkey.client() as client:
        assert client.ttl(f"{{{prefix_of(store)}:{id_[:2]}}}:due") > 0


def test_a_receipt_that_arrives_while_events_are_queued_is_told_too(
    store: Stores, valkey: ValkeyServer
) -> None:
    """A receipt that arrives while a worker queues the last events keeps the challenge due."""
    id_ = opened(store, watched=True).id
    _, reference = armed(store, id_)
    store.challenges.finish(id_, "web", State.VERIFIED, 0)
    lease = claimed(store, id_)
    store.challenges.record_receipt(
        id_, "main", upstream_id="", reference=reference, status=Status.DELIVERED, reason=""
    )
    store.events.put(id_, ["v"], {"v": {"n": 1}}, over=lease.operation)
    assert deadline(valkey, store, id_) is not None
    assert claimed(store, id_).what == "over"


def test_an_outcome_that_comes_after_the_end_is_told(store: Stores, valkey: ValkeyServer) -> None:
    """If the person was quicker than the upstream's answer, the app is still told that the message was accepted."""
    id_ = opened(store, watched=True).id
    sending, reference = armed(store, id_)
    store.challenges.finish(id_, "web", State.VERIFIED, 0)
    store.events.put(id_, ["v"], {"v": {"n": 1}}, over=claimed(store, id_).operation)
    assert deadline(valkey, store, id_) is None
    store.challenges.settle(sending, Hold(), reference=reference, status=Status.ACCEPTED)
    assert claimed(store, id_).what == "over"
