"""When a challenge has ended, each of its deliveries says whether its message went out."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from otp_service.bootstrap.stores import Stores
from otp_service.challenge.model import State, Status
from otp_service.challenge.send_store import CLAIM_LEASE, SEND_LEASE
from otp_service.challenge.transitions import Again, GiveUp, Hold, Move, Next, Wait
from otp_service.upstream.port import Verdict
from tests.support.spine import PLAN, armed, claimed, deadline, ended, new_delivery, opened, seen
from tests.support.valkey_server import ValkeyServer

TTL = PLAN.ttl * 1000


def queue(_store: Stores, _id: str) -> None:
    """Leave the delivery queued, as it was opened."""


def claim(store: Stores, id_: str) -> None:
    """Let a worker claim the delivery."""
    claimed(store, id_)


def arm(store: Stores, id_: str) -> None:
    """Let a worker send the delivery."""
    armed(store, id_)


def verify(store: Stores, id_: str) -> None:
    """End the challenge with a right code."""
    assert store.challenges.finish(id_, "web", State.VERIFIED, 0)[1] is not None


def cancel(store: Stores, id_: str) -> None:
    """End the challenge as its app asks."""
    assert store.challenges.finish(id_, "web", State.CANCELLED)[1] is not None


def expire(store: Stores, id_: str) -> None:
    """End the challenge by its expiry."""
    store.scripts.offset += TTL
    lease = store.challenges.claim(id_)
    if lease is None:  # what was not sent was dropped
        lease = claimed(store, id_)
        assert lease.what == "owed"
        store.challenges.record_repaid(lease)
        lease = store.challenges.claim(id_)
    assert lease is None or lease.what == "ended"


def exhaust(store: Stores, id_: str) -> None:
    """Use all attempts, then wait until the challenge expires."""
    guess_all(store, id_)
    expire(store, id_)


def guess_all(store: Stores, id_: str) -> None:
    """Use all attempts."""
    for _ in range(PLAN.max_attempts):
        assert store.challenges.take_attempt(id_, "web", 6)[0] == "counted"


Act = Callable[[Stores, str], None]
ENDS: dict[Act, State] = {
    verify: State.VERIFIED,
    cancel: State.CANCELLED,
    exhaust: State.EXHAUSTED,
}
REACHED = {queue: Status.NOT_SENT, claim: Status.NOT_SENT, arm: Status.UNKNOWN}


@pytest.mark.parametrize("end", [*ENDS, expire])
@pytest.mark.parametrize("reach", REACHED)
def test_no_delivery_is_left_under_way(store: Stores, reach: Act, end: Act) -> None:
    """What was not sent says so for good. What was being sent is unknown, and its code is not accepted."""
    id_ = opened(store).id
    reach(store, id_)
    end(store, id_)
    after = seen(store, id_)
    expired = State.EXPIRED if reach is arm else State.UNDELIVERABLE
    assert (after.state, after.last.status) == (ENDS.get(end, expired), REACHED[reach])
    assert after.live_hashes() == []


@pytest.mark.parametrize("end", [*ENDS, expire])
def test_older_deliveries_are_settled_too(store: Stores, end: Act) -> None:
    """A resend came while the first message was being sent: neither of the two stays under way."""
    id_ = opened(store).id
    arm(store, id_)
    store.scripts.offset += 30_000
    assert store.challenges.resend(id_, "web", new_delivery())[0] == "queued"
    end(store, id_)
    assert [d.status for d in seen(store, id_).deliveries] == [Status.UNKNOWN, Status.NOT_SENT]


def test_giving_up_settles_what_is_being_sent(store: Stores) -> None:
    """The worker that gives up says why its own delivery went nowhere. The older one, of a lost worker, is unknown."""
    id_ = opened(store).id
    arm(store, id_)
    store.scripts.offset += 30_000
    store.challenges.resend(id_, "web", new_delivery())
    store.challenges.settle(claimed(store, id_), GiveUp())
    after = seen(store, id_)
    assert after.state is State.UNDELIVERABLE
    assert [d.status for d in after.deliveries] == [Status.UNKNOWN, Status.REFUSED]
    assert after.live_hashes() == []


@pytest.mark.parametrize("end", [verify, cancel])
@pytest.mark.parametrize("verdict", [Verdict.ACCEPTED, Verdict.REFUSED, Verdict.UNKNOWN])
def test_the_outcome_of_a_message_still_counts_after_the_end(
    store: Stores, end: Act, verdict: Verdict
) -> None:
    """The worker that was sending stores what became of the message, whatever the end assumed."""
    id_ = opened(store).id
    lease, reference = armed(store, id_)
    end(store, id_)
    ended(store, lease, reference, verdict)
    expected = {Verdict.ACCEPTED: Status.ACCEPTED, Verdict.REFUSED: Status.REFUSED}
    assert seen(store, id_).last.status is expected.get(verdict, Status.UNKNOWN)


@pytest.mark.parametrize("end", ENDS)
def test_what_was_not_sent_is_never_sent(store: Stores, end: Act) -> None:
    """A worker that had claimed the delivery can neither arm it nor hand it back."""
    id_ = opened(store).id
    lease = claimed(store, id_)
    end(store, id_)
    assert not store.challenges.arm(lease, "reference", "hash", "main")
    store.challenges.release(lease)
    assert seen(store, id_).last.status is Status.NOT_SENT


@pytest.mark.parametrize("reach", [queue, claim])
def test_the_last_guess_settles_what_was_not_sent(store: Stores, reach: Act) -> None:
    """No message follows the last guess, whether it is right or wrong: the app sees this at once, not at the expiry."""
    id_ = opened(store).id
    reach(store, id_)
    for _ in range(PLAN.max_attempts):
        assert seen(store, id_).last.status in {Status.QUEUED, Status.CLAIMED}
        challenge = store.challenges.take_attempt(id_, "web", 6)[2]
        assert challenge == seen(store, id_)
    assert seen(store, id_).last.status is Status.NOT_SENT


def test_a_worker_that_is_lost_after_the_last_guess_leaves_nothing_under_way(
    store: Stores, valkey: ValkeyServer
) -> None:
    """The message is unknown when its lease ends. The code is still accepted: the last guess may be on its way."""
    challenge = opened(store)
    arm(store, challenge.id)
    guess_all(store, challenge.id)
    assert seen(store, challenge.id).last.status is Status.SENDING
    store.scripts.offset += SEND_LEASE
    assert store.challenges.claim(challenge.id) is None
    after = seen(store, challenge.id)
    assert (after.last.status, after.live_hashes()) == (Status.UNKNOWN, [(0, "hash")])
    assert deadline(valkey, store, challenge.id) == challenge.expires
    with valkey.client() as client:
        assert client.pttl(store.challenges._names.challenge(challenge.id)) > 0  # noqa: SLF001 - the key's name


def test_what_is_known_of_a_message_stays_after_the_last_guess(store: Stores) -> None:
    """A worker that finds no guess left changes nothing about a message whose outcome is known."""
    id_ = opened(store).id
    lease, reference = armed(store, id_)
    store.challenges.settle(lease, Wait(1), reference=reference, status=Status.ACCEPTED)
    guess_all(store, id_)
    store.scripts.offset += 1000
    assert store.challenges.claim(id_) is None
    assert seen(store, id_).last.status is Status.ACCEPTED


@pytest.mark.parametrize("move", [Again(0), Again(2), Next(1), Wait(), Hold(), GiveUp()])
def test_nothing_follows_an_outcome_after_the_last_guess(
    store: Stores, valkey: ValkeyServer, move: Move
) -> None:
    """A worker that decided before the last guess adds no message, and does not take the last guess's win away."""
    challenge = opened(store)
    lease, reference = armed(store, challenge.id)
    guess_all(store, challenge.id)
    store.challenges.settle(lease, move, reference=reference, status=Status.REFUSED, account="main")
    after = seen(store, challenge.id)
    assert [d.status for d in after.deliveries] == [Status.REFUSED]
    assert (after.state, after.live_hashes()) == (State.PENDING, [(0, "hash")])
    assert deadline(valkey, store, challenge.id) == challenge.expires


def test_a_step_that_waits_for_its_account_ends_with_the_last_guess(store: Stores) -> None:
    """A worker that had claimed the delivery, and puts it off until an account may be used, does not queue it again."""
    id_ = opened(store, replace(PLAN, steps=PLAN.steps[:1])).id
    lease = claimed(store, id_)
    guess_all(store, id_)
    store.challenges.settle(lease, Again(2))
    store.scripts.offset += CLAIM_LEASE
    assert store.challenges.claim(id_) is None
    assert seen(store, id_).last.status is Status.NOT_SENT
