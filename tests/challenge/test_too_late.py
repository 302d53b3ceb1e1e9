"""A code with little time left to type it is not sent; its charge is given back."""

from dataclasses import replace

import pytest

from otp_service.bootstrap.stores import Stores
from otp_service.challenge.model import State, Status
from otp_service.challenge.send_store import CLAIM_LEASE
from otp_service.challenge.transitions import MIN_TIME_LEFT, Again, Next
from tests.support.spine import (
    PLAN,
    armed,
    brought,
    claimed,
    deadline,
    new_delivery,
    opened,
    seen,
)
from tests.support.valkey_server import ValkeyServer

LATE = PLAN.ttl * 1000 - MIN_TIME_LEFT + 1
LONG = replace(PLAN, cooldown=(1,))


def repaid(store: Stores, id_: str) -> None:
    """Give back what is owed."""
    lease = claimed(store, id_)
    assert lease.what == "owed"
    store.challenges.record_repaid(lease)


@pytest.mark.parametrize("watched", [False, True])
def test_a_first_message_that_is_too_late_ends_undeliverable(
    store: Stores, valkey: ValkeyServer, *, watched: bool
) -> None:
    """No worker gets it. Its charge is owed until a worker has given it back; then its app is told, if it listens."""
    id_ = opened(store, watched=watched).id
    store.scripts.offset += LATE
    assert store.challenges.claim(id_) is None
    after = seen(store, id_)
    assert (after.state, after.owed) == (State.UNDELIVERABLE, 0)
    assert (after.last.status, after.last.reason) == (Status.NOT_SENT, "too_late")
    assert store.due.due([id_[:2]], 10)[id_[:2]].ids == {}
    assert store.due.ended(id_[:2], 10) == [id_]
    assert store.challenges.end_expired([id_]) == [(id_, None)]
    lost = claimed(store, id_)
    assert lost.what == "owed"
    store.scripts.offset += CLAIM_LEASE
    repaid(store, id_)
    store.challenges.record_repaid(lost)
    assert seen(store, id_).owed is None
    if watched:
        assert store.due.ended(id_[:2], 10) == [id_]
        assert claimed(store, id_).what == "over"
    else:
        assert deadline(valkey, store, id_) is None


def test_a_message_with_enough_time_left_is_sent(store: Stores) -> None:
    """Ten seconds are enough."""
    id_ = opened(store, replace(PLAN, ttl=60)).id
    store.scripts.offset += 60_000 - MIN_TIME_LEFT - 20_000
    assert claimed(store, id_).what == "send"


def test_a_message_that_becomes_late_while_it_is_hashed_does_not_leave(store: Stores) -> None:
    """It is looked at again just before it leaves, and its charge is owed, too."""
    id_ = opened(store).id
    store.scripts.offset += LATE // 2
    lease = claimed(store, id_)
    store.scripts.offset += LATE // 2 + 1
    assert not store.challenges.arm(lease, "reference", "hash", "main")
    after = seen(store, id_)
    assert (after.state, after.owed, after.live_hashes()) == (State.UNDELIVERABLE, 0, [])
    repaid(store, id_)


def test_a_late_resend_leaves_the_first_code_valid(store: Stores, valkey: ValkeyServer) -> None:
    """Its challenge stays open until it expires; no other message follows meanwhile."""
    challenge = opened(store, LONG)
    brought(store, challenge.id)
    store.scripts.offset += LATE
    assert store.challenges.resend(challenge.id, "web", new_delivery())[0] == "queued"
    assert store.challenges.claim(challenge.id) is None
    after = seen(store, challenge.id)
    assert (after.state, after.owed) == (State.PENDING, 1)
    assert after.live_hashes() == [(0, "hash")]
    store.scripts.offset += 1500
    assert store.challenges.resend(challenge.id, "web", new_delivery())[0] == "gone"
    repaid(store, challenge.id)
    assert deadline(valkey, store, challenge.id) == challenge.expires
    assert store.due.due([challenge.id[:2]], 10)[challenge.id[:2]].ids == {}


@pytest.mark.parametrize("status", [Status.REFUSED, Status.FAILED])
def test_a_late_fallback_owes_what_was_charged_before(store: Stores, status: Status) -> None:
    """A fallback is charged when it is sent, unless it replaces a refused message: then that charge was for it."""
    id_ = opened(store).id
    lease, reference = armed(store, id_)
    store.challenges.settle(lease, Next(1), reference=reference, status=status)
    store.scripts.offset += LATE
    ended = store.challenges.claim(id_)
    after = seen(store, id_)
    assert after.state is State.UNDELIVERABLE
    assert after.owed == (1 if status is Status.REFUSED else None)
    assert (ended and ended.what) == (None if status is Status.REFUSED else "ended")


def test_a_late_repetition_was_charged(store: Stores) -> None:
    """A fallback that an upstream deferred was charged before its first try."""
    id_ = opened(store).id
    lease, reference = armed(store, id_)
    store.challenges.settle(lease, Next(1), reference=reference, status=Status.FAILED)
    lease, reference = armed(store, id_)
    store.challenges.settle(lease, Again(1), reference=reference, status=Status.REFUSED, account="main")
    store.scripts.offset += LATE
    assert store.challenges.claim(id_) is None
    assert seen(store, id_).owed == 1


def test_a_right_code_does_not_forget_what_is_owed(store: Stores) -> None:
    """The person typed the first code while the resend's charge was still owed."""
    id_ = opened(store, LONG).id
    brought(store, id_)
    store.scripts.offset += LATE
    store.challenges.resend(id_, "web", new_delivery())
    assert store.challenges.claim(id_) is None
    assert store.challenges.finish(id_, "web", State.VERIFIED, 0)[1] is not None
    repaid(store, id_)
