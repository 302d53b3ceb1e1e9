"""What is due, in which order, and when the next will be."""

from otp_service.bootstrap.stores import Stores
from otp_service.challenge.send_store import CLAIM_LEASE
from otp_service.challenge.transitions import Hold, Next
from otp_service.upstream.port import Verdict
from tests.support.spine import PLAN, armed, brought, claimed, ended, new_challenge, opened, resent


def here(store: Stores) -> str:
    """Open a challenge in the first partition."""
    return opened(store, id=store.partitions.names()[0] + new_challenge(store).id[2:]).id


def test_what_is_new_is_due_in_the_order_in_which_it_came(store: Stores) -> None:
    """A partition lists what is due and since when, up to a limit."""
    partition = store.partitions.names()[0]
    ids = []
    for _ in range(3):
        ids.append(here(store))
        store.scripts.offset += 1000
    found = store.due.due([partition], 2)[partition]
    assert list(found.ids) == ids[:2]
    assert found.now - found.ids[ids[0]] >= 3000
    assert list(store.due.due([partition], 10)[partition].ids) == ids


def test_what_is_open_goes_before_what_is_new(store: Stores) -> None:
    """A resend, a fallback and a message whose worker died are due before all first messages, however old these are."""
    partition = store.partitions.names()[0]
    old, again, failed, lost = (here(store) for _ in range(4))
    brought(store, again)
    lease, reference = armed(store, failed)
    store.challenges.settle(lease, Next(1), reference=reference)
    claimed(store, lost)
    store.scripts.offset += CLAIM_LEASE
    resent(store, again)
    new = here(store)
    assert list(store.due.due([partition], 10)[partition].ids) == [failed, lost, again, old, new]
    assert list(store.due.due([partition], 4)[partition].ids) == [failed, lost, again, old]
    assert list(store.due.due([partition], 2)[partition].ids) == [failed, lost]


def test_an_ending_is_not_among_what_is_due(store: Stores) -> None:
    """A challenge that only waits for its end is neither due nor next; it is listed apart when its time is over."""
    partition = store.partitions.names()[0]
    resting, waiting = here(store), here(store)
    brought(store, resting)
    lease, reference = armed(store, waiting)
    ended(store, lease, reference, Verdict.UNKNOWN)
    found = store.due.due([partition], 10)[partition]
    assert found.ids == {}
    assert found.following is not None
    assert 0 <= found.following - lease.now - PLAN.steps[0].wait * 1000 <= store.facts.time() - lease.now
    store.scripts.offset += PLAN.steps[0].wait * 1000
    store.challenges.settle(claimed(store, waiting), Hold())
    assert store.due.due([partition], 10)[partition].following is None
    assert store.due.ended(partition, 10) == []
    assert store.due.with_ended(store.partitions.names(), store.facts.time()) == []
    store.scripts.offset += PLAN.ttl * 1000
    assert store.due.due([partition], 10)[partition].ids == {}
    assert sorted(store.due.ended(partition, 10)) == sorted([resting, waiting])
    assert len(store.due.ended(partition, 1)) == 1
    assert store.due.with_ended(store.partitions.names(), store.facts.time()) == [partition]
    assert store.due.due([store.partitions.names()[1]], 10)[store.partitions.names()[1]].following is None


def test_how_late_a_queue_is_counts_from_its_oldest_work(store: Stores) -> None:
    """First messages and work on open challenges count, endings do not."""
    assert store.due.overdue(store.facts.time()) == 0
    resting, resend = here(store), here(store)
    brought(store, resting)
    brought(store, resend)
    store.scripts.offset += 60_000
    assert store.due.overdue(store.facts.time()) == 0
    before = store.facts.time()
    resent(store, resend)
    store.scripts.offset += 2000
    assert 2000 <= store.due.overdue(now := store.facts.time()) <= now - before
    before = store.facts.time()
    here(store)
    store.scripts.offset += 5000
    assert store.challenges.claim(resend) is not None
    assert 5000 <= store.due.overdue(now := store.facts.time()) <= now - before
