"""Challenges whose time is over are ended in bulk, beside the queue."""

import threading
from collections.abc import Callable

import pytest

from otp_service.bootstrap.stores import Stores
from otp_service.challenge.model import Challenge, State
from otp_service.challenge.send_store import CLAIM_LEASE
from otp_service.challenge.transitions import Hold
from otp_service.delivery.expiry import BATCH, Expiry
from otp_service.store.due import BAND
from tests.support.patience import until
from tests.support.spine import PLAN, Spine, brought, claimed, deadline, new_challenge, opened, seen
from tests.support.valkey_server import ValkeyServer
from tests.support.workers import Handled, a_worker


class Swept:
    """Ends what is due, and remembers what has ended and which apps are to be told."""

    def __init__(self, store: Stores) -> None:
        self.told: list[str] = []
        self.ended: list[Challenge] = []
        self._store = store
        self.expiry = Expiry(
            challenges=store.challenges,
            queue=store.due,
            now=store.facts.time,
            tell=self._put_events,
            record=self.ended.append,
        )

    def sweep(self) -> None:
        """End everything whose time is over."""
        while self.expiry.sweep(self._store.partitions.names(), threading.Event()):
            pass

    def _put_events(self, id_: str, _stopping: Callable[[], bool]) -> None:
        self.told.append(id_)
        lease = claimed(self._store, id_)
        assert lease.what == "over"
        self._store.events.put(id_, [], {}, over=lease.operation)


def exhaust(store: Stores, id_: str) -> None:
    """Use up all guesses."""
    for _ in range(PLAN.max_attempts):
        store.challenges.take_attempt(id_, "web", 6)


@pytest.mark.parametrize("state", [State.EXPIRED, State.EXHAUSTED])
def test_a_challenge_ends_by_itself_at_its_expiry(store: Stores, valkey: ValkeyServer, state: State) -> None:
    """Not before; then its end is stored and counted once, its hashes are removed, and it leaves the schedule."""
    swept, id_ = Swept(store), opened(store).id
    brought(store, id_)
    if state is State.EXHAUSTED:
        exhaust(store, id_)
    before = seen(store, id_)
    store.scripts.offset += PLAN.ttl * 1000 - 60_000
    swept.sweep()
    assert seen(store, id_) == before
    store.scripts.offset += 60_000
    swept.sweep()
    after = seen(store, id_)
    assert after.state is state
    assert after.live_hashes() == []
    assert deadline(valkey, store, id_) is None
    assert swept.ended == [after]
    assert swept.told == []


def test_the_app_of_a_watched_challenge_is_told_when_it_expires(store: Stores, valkey: ValkeyServer) -> None:
    """It stays among the endings, so that nothing that is sent waits for it, also when the worker that tells dies."""
    swept, id_ = Swept(store), opened(store, watched=True).id
    brought(store, id_)
    store.challenges.settle(claimed(store, id_), Hold())
    store.scripts.offset += PLAN.ttl * 1000
    swept.expiry.sweep(store.partitions.names(), threading.Event())
    assert (seen(store, id_).state, swept.told) == (State.EXPIRED, [])
    assert store.due.due([id_[:2]], 10)[id_[:2]].ids == {}
    assert claimed(store, id_).what == "over"
    swept.sweep()
    assert swept.told == []
    store.scripts.offset += CLAIM_LEASE
    assert store.due.due([id_[:2]], 10)[id_[:2]].ids == {}
    swept.sweep()
    assert swept.told == [id_]
    assert deadline(valkey, store, id_) is None
    assert [one.id for one in swept.ended] == [id_]


def test_endings_without_a_challenge_are_removed(store: Stores, valkey: ValkeyServer) -> None:
    """A challenge that is gone or was won leaves the schedule, one that is not over stays as it is."""
    gone, won, open_ = (opened(store, id="00" + new_challenge(store).id[2:]).id for _ in range(3))
    store.challenges.finish(won, "web", State.VERIFIED, 0)
    with valkey.client() as client:
        client.delete(f"{{{store.prefix}:00}}:c:{gone[2:]}")
        client.zadd(f"{{{store.prefix}:00}}:due", {gone: BAND, won: BAND, open_: BAND})
    assert store.challenges.end_expired([gone, won, open_]) == []
    assert [deadline(valkey, store, id_) for id_ in (gone, won, open_)] == [None, None, 0]
    assert seen(store, open_).state is State.PENDING


def test_many_expiries_are_ended_in_batches(store: Stores) -> None:
    """However many there are, one call ends a batch of one partition at most."""
    count = BATCH + 5
    for _ in range(count):
        brought(store, opened(store, id="00" + new_challenge(store).id[2:]).id)
    store.scripts.offset += PLAN.ttl * 1000
    swept = Swept(store)
    swept.expiry.sweep(store.partitions.names(), threading.Event())
    assert len(swept.ended) == BATCH
    swept.sweep()
    assert len({one.id for one in swept.ended}) == len(swept.ended) == count


def test_a_worker_ends_what_has_expired_in_its_partitions(spine: Spine) -> None:
    """Whatever else it does; and it goes on after an error."""
    store, swept = spine.store, Swept(spine.store)
    ids = [opened(store).id for _ in range(3)]
    for id_ in ids:
        brought(store, id_)
    store.scripts.offset += PLAN.ttl * 1000
    worker = a_worker(spine, Handled(store), beside=[swept.expiry.run])
    thread = threading.Thread(target=worker.run)
    thread.start()
    until(lambda: all(seen(store, id_).state is State.EXPIRED for id_ in ids))
    worker.stop()
    thread.join()
    assert not worker.broken
