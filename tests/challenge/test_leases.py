"""How workers lease a challenge, lose it to another and hand it back."""

from dataclasses import replace

import pytest

from otp_service.bootstrap.stores import Stores
from otp_service.challenge.model import State, Status
from otp_service.challenge.send_store import CLAIM_LEASE, SEND_LEASE
from otp_service.challenge.transitions import (
    Again,
    Hold,
    Next,
    Wait,
    after_wait,
)
from otp_service.upstream.port import Verdict
from tests.support.spine import (
    PLAN,
    armed,
    brought,
    claimed,
    deadline,
    ended,
    new_challenge,
    opened,
    seen,
)
from tests.support.valkey_server import ValkeyServer

ONE_STEP = replace(PLAN, steps=PLAN.steps[:1])


WAIT = PLAN.steps[0].wait * 1000


def test_a_due_challenge_is_leased_to_one_worker(store: Stores, valkey: ValkeyServer) -> None:
    """While a lease holds no other worker gets the challenge. It is due again when the lease ends."""
    id_ = opened(store).id
    lease = claimed(store, id_)
    assert (lease.what, lease.challenge.last.status) == ("send", Status.CLAIMED)
    assert store.challenges.claim(id_) is None
    assert deadline(valkey, store, id_) == lease.now + CLAIM_LEASE


def test_a_challenge_that_is_not_due_is_not_leased(store: Stores) -> None:
    """A worker that comes early gets nothing and changes nothing."""
    id_ = opened(store).id
    brought(store, id_)
    before = seen(store, id_)
    assert store.challenges.claim(id_) is None
    assert seen(store, id_) == before


def test_a_worker_that_died_before_the_message_left_is_replaced(store: Stores) -> None:
    """When the lease ends another worker sends the same delivery, and the first one cannot."""
    id_ = opened(store).id
    dead = claimed(store, id_)
    store.scripts.offset += CLAIM_LEASE
    lease = claimed(store, id_)
    assert not store.challenges.arm(dead, "first", "first", "main")
    assert store.challenges.arm(lease, "second", "second", "main")
    assert not store.challenges.arm(dead, "first", "first", "main")
    ended(store, lease, "second", Verdict.ACCEPTED)
    after = seen(store, id_)
    assert [d.status for d in after.deliveries] == [Status.ACCEPTED]
    assert after.live_hashes() == [(0, "second")]


def test_a_worker_that_died_after_the_message_left_leaves_an_unknown_outcome(
    store: Stores, valkey: ValkeyServer
) -> None:
    """The lease of a send is longer. When it ends the outcome is unknown, and the wait of the step continues."""
    id_ = opened(store).id
    before = store.facts.time()
    armed(store, id_)
    due = deadline(valkey, store, id_)
    assert due is not None
    assert before + SEND_LEASE <= due <= store.facts.time() + SEND_LEASE
    assert store.challenges.claim(id_) is None
    store.scripts.offset += SEND_LEASE
    lease = claimed(store, id_)
    last = lease.challenge.last
    assert (lease.what, last.status, last.reason) == ("waited", Status.UNKNOWN, "worker_lost")
    assert after_wait(lease.challenge, lease.now) == Wait()
    store.challenges.settle(lease, Wait())
    store.scripts.offset += WAIT - SEND_LEASE
    lease = claimed(store, id_)
    assert after_wait(lease.challenge, lease.now) == Next(1)
    store.challenges.settle(lease, Next(1))
    follower, _ = armed(store, id_)
    assert (follower.challenge.last.step, follower.challenge.last.channel) == (1, "voice")


def test_the_last_step_is_repeated_once_after_an_unknown_outcome(store: Stores) -> None:
    """If no other step is left, the same step is tried once more. A second unknown outcome is not repeated."""
    id_ = opened(store, ONE_STEP).id
    for expected in (Next(0), Hold()):
        lease, reference = armed(store, id_)
        ended(store, lease, reference, Verdict.UNKNOWN)
        store.scripts.offset += WAIT
        lease = claimed(store, id_)
        assert after_wait(lease.challenge, lease.now) == expected
        store.challenges.settle(lease, after_wait(lease.challenge, lease.now))
    assert len(seen(store, id_).deliveries) == 2
    assert store.challenges.claim(id_) is None


def test_an_unknown_outcome_waits_for_its_steps_time(store: Stores, valkey: ValkeyServer) -> None:
    """After an unknown outcome the wait of the step continues, then the next step follows."""
    id_ = opened(store).id
    lease, reference = armed(store, id_)
    ended(store, lease, reference, Verdict.UNKNOWN)
    due = deadline(valkey, store, id_)
    assert due is not None
    assert 0 < due - store.facts.time() <= WAIT
    store.scripts.offset += WAIT
    waited = claimed(store, id_)
    assert (waited.what, after_wait(waited.challenge, waited.now)) == ("waited", Next(1))


def test_a_late_outcome_of_a_lost_lease_is_kept_but_moves_nothing(
    store: Stores, valkey: ValkeyServer
) -> None:
    """A worker that lost its lease may store the outcome of its message, but not decide what follows."""
    id_ = opened(store).id
    slow, reference = armed(store, id_)
    store.scripts.offset += SEND_LEASE
    other = claimed(store, id_)
    due = deadline(valkey, store, id_)
    ended(store, slow, reference, Verdict.ACCEPTED)
    after = seen(store, id_)
    assert [d.status for d in after.deliveries] == [Status.ACCEPTED]
    assert deadline(valkey, store, id_) == due
    store.challenges.settle(other, Hold())
    assert deadline(valkey, store, id_) == after.expires


@pytest.mark.parametrize("verdict", [Verdict.REFUSED, Verdict.DEFERRED, Verdict.UNKNOWN])
def test_a_lost_lease_adds_no_steps(store: Stores, verdict: Verdict) -> None:
    """A worker that lost its lease cannot add a delivery to the one that the next worker added."""
    id_ = opened(store).id
    slow, reference = armed(store, id_)
    store.scripts.offset += SEND_LEASE
    other = claimed(store, id_)
    ended(store, slow, reference, verdict)
    settled = store.challenges.settle(other, Next(1))
    assert settled is not None
    assert settled.move == "next"
    ended(store, slow, reference, verdict)
    lost = store.challenges.settle(slow, Next(1))
    assert lost is not None
    assert lost.move == ""
    deliveries = seen(store, id_).deliveries
    assert [d.step for d in deliveries] == [0, 1]
    assert deliveries[1].status is Status.QUEUED


def test_a_released_delivery_is_due_again_at_once(store: Stores, valkey: ValkeyServer) -> None:
    """Another worker can claim a delivery that was handed back without waiting for the end of the lease."""
    id_ = opened(store).id
    lease = claimed(store, id_)
    store.challenges.release(lease)
    due = deadline(valkey, store, id_)
    assert due is not None
    assert due <= store.facts.time()
    assert seen(store, id_).last.status is Status.QUEUED
    assert not store.challenges.arm(lease, "reference", "hash", "main")
    store.challenges.settle(lease, Hold())
    assert deadline(valkey, store, id_) == due
    assert claimed(store, id_).what == "send"


def test_a_first_message_that_was_released_keeps_its_place(store: Stores) -> None:
    """It goes before what came after it, and one that was tried before goes before all that are new."""
    partition = store.partitions.names()[0]

    def here() -> str:
        return opened(store, id=partition + new_challenge(store).id[2:]).id

    first, tried, passed = here(), here(), here()
    for id_, pause in ((tried, 1.0), (passed, 0.0)):
        lease, reference = armed(store, id_)
        store.challenges.settle(
            lease, Again(pause), reference=reference, status=Status.REFUSED, account="main"
        )
    store.scripts.offset += 1000
    leases = [claimed(store, id_) for id_ in (first, tried, passed)]
    second = here()
    for lease in leases:
        store.challenges.release(lease)
        store.scripts.offset += 1
    assert list(store.due.due([partition], 10)[partition].ids) == [tried, passed, first, second]


def test_only_the_holder_of_a_lease_can_hand_it_back(store: Stores) -> None:
    """A worker that lost its lease cannot hand back the delivery, and no worker can after it was sent."""
    id_ = opened(store).id
    old = claimed(store, id_)
    store.scripts.offset += CLAIM_LEASE
    lease = claimed(store, id_)
    store.challenges.release(old)
    assert seen(store, id_).last.status is Status.CLAIMED
    assert store.challenges.arm(lease, "reference", "hash", "main")
    for late in (old, lease):
        store.challenges.release(late)
        assert seen(store, id_).last.status is Status.SENDING
        assert store.challenges.claim(id_) is None


def test_an_ended_challenge_cannot_be_handed_back(store: Stores, valkey: ValkeyServer) -> None:
    """A worker that stops after the end changes nothing, and schedules nothing."""
    id_ = opened(store).id
    lease = claimed(store, id_)
    store.challenges.finish(id_, "web", State.CANCELLED)
    before = seen(store, id_)
    store.challenges.release(lease)
    assert seen(store, id_) == before
    assert deadline(valkey, store, id_) is None


def test_a_delivery_cannot_be_armed_with_another_reference(store: Stores) -> None:
    """A lease is for one message: arming it for another one fails, and the first stays as it was."""
    id_ = opened(store).id
    lease, reference = armed(store, id_)
    assert store.challenges.arm(lease, reference, "hash", "main")
    assert not store.challenges.arm(lease, "other", "other", "main")
    last = seen(store, id_).last
    assert (last.reference, last.code_hash) == (reference, "hash")
