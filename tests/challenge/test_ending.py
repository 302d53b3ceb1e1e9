"""How a challenge ends, once, and what is left of it."""

from dataclasses import replace

import pytest

from otp_service.bootstrap.stores import Stores
from otp_service.challenge.model import State, Status
from otp_service.challenge.send_store import CLAIM_LEASE, SEND_LEASE
from otp_service.challenge.transitions import Hold
from otp_service.upstream.port import Verdict
from tests.support.spine import (
    PLAN,
    armed,
    brought,
    claimed,
    deadline,
    ended,
    new_delivery,
    opened,
    prefix_of,
    seen,
)
from tests.support.valkey_server import ValkeyServer

ONE_STEP = replace(PLAN, steps=PLAN.steps[:1])


WAIT = PLAN.steps[0].wait * 1000


def test_a_challenge_is_won_once(store: Stores) -> None:
    """After it was verified nothing changes it, and it can still be read."""
    id_ = opened(store).id
    brought(store, id_)
    _, won = store.challenges.finish(id_, "web", State.VERIFIED, 0)
    assert won is not None
    assert (won.state, won.via) == (State.VERIFIED, 0)
    assert store.challenges.finish(id_, "web", State.VERIFIED, 0)[1] is None
    assert store.challenges.finish(id_, "web", State.CANCELLED)[1] is None
    assert store.challenges.take_attempt(id_, "web", 6)[0] == "gone"
    store.scripts.offset += 60_000
    assert store.challenges.resend(id_, "web", new_delivery())[0] == "gone"
    assert seen(store, id_) == won


@pytest.mark.parametrize("state", [State.VERIFIED, State.CANCELLED])
def test_an_ended_challenge_keeps_no_hashes_and_no_deadline(
    store: Stores, valkey: ValkeyServer, state: State
) -> None:
    """After the end no code is accepted and no worker gets the challenge."""
    id_ = opened(store).id
    brought(store, id_)
    assert seen(store, id_).live_hashes() == [(0, "hash")]
    store.challenges.finish(id_, "web", state)
    assert seen(store, id_).live_hashes() == []
    assert deadline(valkey, store, id_) is None


def test_a_cancelled_challenge_is_not_sent_any_more(store: Stores) -> None:
    """A delivery that was claimed before the end cannot be armed or claimed after it."""
    id_ = opened(store).id
    lease = claimed(store, id_)
    store.challenges.finish(id_, "web", State.CANCELLED)
    assert not store.challenges.arm(lease, "reference", "hash", "main")
    store.scripts.offset += CLAIM_LEASE
    assert store.challenges.claim(id_) is None


@pytest.mark.parametrize("verdict", [Verdict.ACCEPTED, Verdict.REFUSED, Verdict.DEFERRED, Verdict.UNKNOWN])
def test_an_outcome_is_stored_after_the_end_and_moves_nothing(
    store: Stores, valkey: ValkeyServer, verdict: Verdict
) -> None:
    """The outcome of a message is stored after the challenge was won. The state stays, and nothing is scheduled."""
    id_ = opened(store, ONE_STEP).id
    lease, reference = armed(store, id_)
    store.challenges.finish(id_, "web", State.VERIFIED, 0)
    ended(store, lease, reference, verdict)
    after = seen(store, id_)
    known = {Verdict.ACCEPTED: Status.ACCEPTED, Verdict.UNKNOWN: Status.UNKNOWN}
    assert after.state is State.VERIFIED
    assert [d.status for d in after.deliveries] == [known.get(verdict, Status.REFUSED)]
    assert deadline(valkey, store, id_) is None


@pytest.mark.parametrize(
    ("verdict", "end"),
    [
        (Verdict.ACCEPTED, State.EXPIRED),
        (Verdict.UNKNOWN, State.EXPIRED),
        (Verdict.REFUSED, State.UNDELIVERABLE),
    ],
)
def test_the_end_says_whether_a_message_went_out(
    store: Stores, valkey: ValkeyServer, verdict: Verdict, end: State
) -> None:
    """It ends as expired if an upstream took a message, else as undeliverable. Its hashes are removed."""
    challenge = opened(store)
    lease, reference = armed(store, challenge.id)
    store.challenges.settle(
        lease,
        Hold(),
        reference=reference,
        status=Status(verdict) if verdict is not Verdict.ACCEPTED else Status.ACCEPTED,
    )
    store.scripts.offset += PLAN.ttl * 1000
    assert seen(store, challenge.id).status(store.facts.time()) is end
    lease = claimed(store, challenge.id)
    assert (lease.what, lease.challenge.state) == ("ended", end)
    assert seen(store, challenge.id).live_hashes() == []
    assert deadline(valkey, store, challenge.id) is None


def test_a_guess_in_flight_can_win_although_it_was_the_last(store: Stores, valkey: ValkeyServer) -> None:
    """A worker that claims the challenge while the last guess is being checked does not take the win away."""
    challenge = opened(store)
    lease, reference = armed(store, challenge.id)
    ended(store, lease, reference, Verdict.UNKNOWN)
    for _ in range(PLAN.max_attempts):
        assert store.challenges.take_attempt(challenge.id, "web", 6)[0] == "counted"
    store.scripts.offset += WAIT
    assert store.challenges.claim(challenge.id) is None
    assert deadline(valkey, store, challenge.id) == challenge.expires
    assert store.challenges.finish(challenge.id, "web", State.VERIFIED, 0)[1] is not None


def test_an_exhausted_challenge_ends_as_exhausted(store: Stores) -> None:
    """Nothing more is sent for it. At its expiry its state is stored as exhausted, and its hashes are removed."""
    id_ = opened(store).id
    for _ in range(PLAN.max_attempts):
        store.challenges.take_attempt(id_, "web", 6)
    assert seen(store, id_).status(store.facts.time()) is State.EXHAUSTED
    assert store.challenges.claim(id_) is None
    store.scripts.offset += PLAN.ttl * 1000
    lease = claimed(store, id_)
    assert (lease.what, lease.challenge.state) == ("ended", State.EXHAUSTED)
    assert seen(store, id_).live_hashes() == []


def test_a_forgotten_challenge_leaves_the_schedule(store: Stores, valkey: ValkeyServer) -> None:
    """A deadline without a record is removed by the first worker that claims it."""
    id_ = opened(store).id
    lease, reference = armed(store, id_)
    with valkey.client() as client:
        client.delete(f"{{{prefix_of(store)}:{id_[:2]}}}:c:{id_[2:]}")
    ended(store, lease, reference, Verdict.ACCEPTED)
    store.challenges.release(lease)
    assert not store.challenges.arm(lease, reference, "hash", "main")
    assert store.challenges.read_challenge(id_)[1] is None
    store.scripts.offset += SEND_LEASE
    assert store.challenges.claim(id_) is None
    assert deadline(valkey, store, id_) is None


def test_an_ended_challenge_leaves_the_schedule(store: Stores, valkey: ValkeyServer) -> None:
    """If a deadline outlives its challenge, nothing is sent."""
    id_ = opened(store).id
    store.challenges.finish(id_, "web", State.CANCELLED)
    with valkey.client() as client:
        client.zadd(f"{{{prefix_of(store)}:{id_[:2]}}}:due", {id_: 0})
    assert store.challenges.claim(id_) is None
    assert deadline(valkey, store, id_) is None
