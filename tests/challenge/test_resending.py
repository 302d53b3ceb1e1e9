"""How further messages are added to a challenge, and which codes count then."""

from dataclasses import replace

import pytest

from otp_service.bootstrap.stores import Stores
from otp_service.challenge.model import State, Status
from otp_service.challenge.transitions import (
    GiveUp,
    Hold,
    Next,
    Wait,
)
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
    resent,
    seen,
)
from tests.support.valkey_server import ValkeyServer

ONE_STEP = replace(PLAN, steps=PLAN.steps[:1])


WAIT = PLAN.steps[0].wait * 1000


def test_a_resend_waits_for_the_cooldown(store: Stores) -> None:
    """Each message must be as old as its cooldown says, to the millisecond. The last cooldown repeats."""
    id_ = opened(store, replace(PLAN, cooldown=(30, 60))).id
    for rung in (30_000, 60_000, 60_000):
        what, now, left = store.challenges.resend(id_, "web", new_delivery())
        last = seen(store, id_).last
        assert (what, left) == ("early", last.at + rung - now)
        assert isinstance(left, int)
        assert resent(store, id_).last.at >= last.at + rung


def test_a_challenge_causes_no_more_messages_than_its_plan_allows(store: Stores) -> None:
    """After the last send every resend is refused."""
    id_ = opened(store).id
    for _ in range(PLAN.max_sends - 1):
        resent(store, id_)
    store.scripts.offset += 60_000
    assert store.challenges.resend(id_, "web", new_delivery())[0] == "spent"
    assert len(seen(store, id_).deliveries) == PLAN.max_sends


def test_a_resend_is_due_at_once(store: Stores, valkey: ValkeyServer) -> None:
    """The new delivery is due when it was requested, although nothing else of the challenge was."""
    id_ = opened(store).id
    brought(store, id_)
    last = resent(store, id_).last
    assert deadline(valkey, store, id_) == last.at
    assert last.status is Status.QUEUED


@pytest.mark.parametrize("already_claimed", [False, True])
def test_a_delivery_that_a_resend_overtook_never_leaves(store: Stores, *, already_claimed: bool) -> None:
    """A delivery that was not sent is superseded and cannot be sent, so that two messages do not arrive at once."""
    id_ = opened(store).id
    lease = claimed(store, id_) if already_claimed else None
    overtaken, fresh = resent(store, id_).deliveries
    assert (overtaken.status, fresh.status) == (Status.SUPERSEDED, Status.QUEUED)
    if lease:
        assert not store.challenges.arm(lease, "reference", "hash", "main")
        store.challenges.release(lease)
    brought(store, id_, "fresh")
    assert seen(store, id_).live_hashes() == [(1, "fresh")]


def test_a_message_under_way_is_not_superseded_by_a_resend(store: Stores) -> None:
    """A message that was sent keeps its code and gets its outcome, but decides nothing."""
    id_ = opened(store).id
    lease, reference = armed(store, id_, "first")
    resent(store, id_)
    ended(store, lease, reference, Verdict.REFUSED)
    assert [d.status for d in seen(store, id_).deliveries] == [Status.REFUSED, Status.QUEUED]
    brought(store, id_, "second")
    assert [d.status for d in seen(store, id_).deliveries] == [Status.REFUSED, Status.ACCEPTED]


@pytest.mark.parametrize("move", [Hold(), Next(1), Wait(30), GiveUp()])
def test_a_resend_is_not_lost_to_a_worker_that_decided_before_it(
    store: Stores, valkey: ValkeyServer, move: Hold | Next | Wait | GiveUp
) -> None:
    """A decision about an older delivery changes nothing: the resend stays due, and no delivery is added."""
    id_ = opened(store).id
    lease, reference = armed(store, id_)
    ended(store, lease, reference, Verdict.UNKNOWN)
    store.scripts.offset += WAIT
    waited = claimed(store, id_)
    assert waited.what == "waited"
    fresh = resent(store, id_).last
    store.challenges.settle(waited, move)
    assert seen(store, id_).deliveries[1:] == (fresh,)
    assert seen(store, id_).state is State.PENDING
    assert deadline(valkey, store, id_) == fresh.at


def test_the_oldest_codes_give_way_to_the_newest(store: Stores) -> None:
    """At most `live_codes` hashes are kept, the newest ones, even if some deliveries were never sent."""
    plan = replace(PLAN, max_sends=10, cooldown=(1,), ttl=600)
    id_ = opened(store, plan).id
    left = []
    for place in range(plan.max_sends):
        if place:
            resent(store, id_)
        if place not in {4, 7}:  # these are overtaken before they leave
            brought(store, id_, f"hash-{place}")
            left.append((place, f"hash-{place}"))
        assert seen(store, id_).live_hashes() == left[-plan.live_codes :]


def test_a_refused_resend_leaves_the_code_of_the_first_message_alive(store: Stores) -> None:
    """A person who has a code can use it, although a later message was refused."""
    id_ = opened(store, ONE_STEP).id
    brought(store, id_, "first")
    resent(store, id_)
    lease, reference = armed(store, id_, "second")
    ended(store, lease, reference, Verdict.REFUSED)
    after = seen(store, id_)
    assert after.state is State.PENDING
    assert (0, "first") in after.live_hashes()
    assert store.challenges.finish(id_, "web", State.VERIFIED, 0)[1] is not None
