"""How the outcome of a delivery is stored, and what follows it."""

from dataclasses import replace

import pytest

from otp_service.bootstrap.stores import Stores
from otp_service.challenge.model import State, Status
from otp_service.challenge.transitions import (
    MAX_DEFERRALS,
    Again,
    GiveUp,
    Hold,
    Next,
    Wait,
    limited_to,
    with_step,
)
from otp_service.upstream.port import Verdict
from tests.support.spine import (
    PLAN,
    armed,
    claimed,
    deadline,
    ended,
    opened,
    prefix_of,
    seen,
)
from tests.support.valkey_server import ValkeyServer

ONE_STEP = replace(PLAN, steps=PLAN.steps[:1])


def test_another_account_gets_the_same_delivery_at_once(store: Stores) -> None:
    """An account that could not take it is stored as tried. After a pause all accounts are tried again."""
    id_ = opened(store).id
    for tried in ((), ("main",), ("main", "spare")):
        lease, reference = armed(store, id_)
        assert lease.challenge.last.tried == tried
        account = ("main", "spare", "third")[len(tried)]
        move = Again(0) if account != "third" else Again(2)
        store.challenges.settle(lease, move, reference=reference, status=Status.REFUSED, account=account)
    store.scripts.offset += 2000
    lease = claimed(store, id_)
    assert (lease.challenge.last.tried, lease.challenge.last.deferrals) == ((), 1)


@pytest.mark.parametrize("move", [Hold(), GiveUp()])
def test_a_delivery_that_no_account_took_says_why(store: Stores, move: Hold | GiveUp) -> None:
    """Whether the challenge goes on without it or ends: operators see the reason."""
    id_ = opened(store).id
    store.challenges.settle(claimed(store, id_), move)
    last = seen(store, id_).last
    assert (last.status, last.reason) == (Status.REFUSED, "no_account_left")


def test_a_delivery_is_sent_by_the_step_that_could_be_taken(store: Stores) -> None:
    """The step is stored with the message, and the accounts that were tried for its earlier step are removed."""
    id_ = opened(store).id
    lease, reference = armed(store, id_)
    store.challenges.settle(lease, Again(0), reference=reference, status=Status.REFUSED, account="main")
    lease = claimed(store, id_)
    assert store.challenges.arm(
        replace(lease, challenge=with_step(lease.challenge, 1)), "other", "hash", "spare"
    )
    last = seen(store, id_).last
    assert (last.step, last.channel, last.upstream, last.tried) == (1, "voice", "spare", ())


def test_a_refusal_moves_to_the_next_step_at_once(store: Stores) -> None:
    """The next delivery is due now, over the next channel, with the request id of the first."""
    id_ = opened(store).id
    lease, reference = armed(store, id_)
    ended(store, lease, reference, Verdict.REFUSED)
    follower = claimed(store, id_)
    assert (follower.what, follower.challenge.last.channel) == ("send", "voice")
    assert follower.challenge.last.request_id == lease.challenge.last.request_id
    first = follower.challenge.deliveries[0]
    assert (first.status, first.reason) == (Status.REFUSED, "test")


def test_a_refusal_of_the_last_step_ends_the_challenge(store: Stores, valkey: ValkeyServer) -> None:
    """The challenge is undeliverable at once. Its hashes and its deadline are removed."""
    id_ = opened(store, ONE_STEP).id
    lease, reference = armed(store, id_)
    ended(store, lease, reference, Verdict.REFUSED)
    after = seen(store, id_)
    assert (after.state, after.last.status) == (State.UNDELIVERABLE, Status.REFUSED)
    assert after.live_hashes() == []
    assert deadline(valkey, store, id_) is None
    assert store.challenges.take_attempt(id_, "web", 6)[0] == "gone"


def test_a_deferred_delivery_is_sent_again_a_few_times(store: Stores, valkey: ValkeyServer) -> None:
    """It waits longer each time, MAX_DEFERRALS times, with a new code. Then it is refused."""
    id_ = opened(store, ONE_STEP).id
    for deferrals in range(MAX_DEFERRALS):
        lease, reference = armed(store, id_, f"hash-{deferrals}")
        assert lease.challenge.last.deferrals == deferrals
        before = store.facts.time()
        ended(store, lease, reference, Verdict.DEFERRED)
        last = seen(store, id_).last
        assert (last.status, last.deferrals) == (Status.QUEUED, deferrals + 1)
        due = deadline(valkey, store, id_)
        assert due is not None
        assert due >= before + 1000 * 2**deferrals
        store.scripts.offset += 1000 * 2**deferrals
    lease, reference = armed(store, id_)
    ended(store, lease, reference, Verdict.DEFERRED)
    after = seen(store, id_)
    assert (after.state, len(after.deliveries)) == (State.UNDELIVERABLE, 1)


def test_no_deadline_lies_beyond_the_expiry(store: Stores, valkey: ValkeyServer) -> None:
    """However long an upstream asks us to wait, the challenge is due when it expires."""
    challenge = opened(store, ONE_STEP)
    for move in (Again(100_000), Wait(100_000), Hold()):
        lease = claimed(store, challenge.id)
        store.challenges.settle(lease, move)
        assert deadline(valkey, store, challenge.id) == challenge.expires
        with valkey.client() as client:
            client.zadd(f"{{{prefix_of(store)}:{challenge.id[:2]}}}:due", {challenge.id: 0})


def test_the_channels_that_the_guard_allows_are_stored_with_the_delivery(store: Stores) -> None:
    """A worker that claims the delivery later needs them, and so do the deliveries that follow."""
    id_ = opened(store).id
    lease = claimed(store, id_)
    lease = replace(lease, challenge=limited_to(lease.challenge, ["voice", "rcs"]))
    assert store.challenges.arm(lease, "reference", "hash", "main")
    assert seen(store, id_).last.only == ("voice", "rcs")


def test_an_outcome_of_an_unknown_reference_changes_nothing(store: Stores, valkey: ValkeyServer) -> None:
    """Nothing is stored or scheduled for a message that was never armed."""
    id_ = opened(store).id
    lease, _ = armed(store, id_)
    before, due = seen(store, id_), deadline(valkey, store, id_)
    ended(store, lease, "never-armed", Verdict.ACCEPTED)
    assert (seen(store, id_), deadline(valkey, store, id_)) == (before, due)


def test_a_status_that_is_already_known_adds_no_step(store: Stores) -> None:
    """What follows was decided without what is known, so the challenge is due at once and a worker decides again."""
    id_ = opened(store).id
    lease, reference = armed(store, id_)
    store.challenges.settle(lease, Wait(5), reference=reference, status=Status.ACCEPTED)
    store.scripts.offset += 5000
    store.challenges.settle(claimed(store, id_), Next(1), reference=reference, status=Status.ACCEPTED)
    assert len(seen(store, id_).deliveries) == 1
    assert claimed(store, id_).challenge.last.status is Status.ACCEPTED


def test_a_delivery_that_no_account_could_take_yet_was_not_tried(store: Stores, valkey: ValkeyServer) -> None:
    """It waited for a breaker, so it was neither charged nor deferred, and a worker hands it back in its old place."""
    id_ = opened(store).id
    store.challenges.settle(claimed(store, id_), Again(3))
    store.scripts.offset += 3_000
    lease = claimed(store, id_)
    store.challenges.release(lease)
    assert deadline(valkey, store, id_) == lease.challenge.last.at
