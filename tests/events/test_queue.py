"""The queue of events: each event once, and one worker at a time."""

from otp_service.bootstrap.stores import Stores
from otp_service.events import queue
from tests.support.spine import (
    opened,
    queued_events,
    seen,
)


def test_an_event_is_due_at_once(store: Stores) -> None:
    """By the store's clock, not by the server's."""
    store.scripts.offset -= 60_000
    store.events.put(store.challenges.new_id(), ["v"], {"v": {"n": 1}})
    assert len(queued_events(store)) == 1


def test_an_event_is_queued_once(store: Stores) -> None:
    """A second caller or a repetition adds nothing; the names of sent events stay with the challenge."""
    id_ = opened(store, watched=True).id
    for _ in range(2):
        store.events.put(id_, ["0s", "0d"], {"0s": {"n": 1}, "0d": {"n": 2}})
    assert len(queued_events(store)) == 2
    assert seen(store, id_).told == ("0s", "0d")
    store.events.put(id_, ["0s", "v"], {"0s": {"n": 1}, "v": {"n": 3}})  # from an older read
    assert len(queued_events(store)) == 3
    assert seen(store, id_).told == ("0s", "0d", "v")
    store.events.put(store.challenges.new_id(), [""], {"": {"n": 4}})
    assert len(queued_events(store)) == 4


def test_an_event_belongs_to_one_worker_until_its_lease_ends(store: Stores) -> None:
    """After a crash the next worker gets it; each claim counts; a pause is kept; a finished event is gone."""
    store.events.put(store.challenges.new_id(), [""], {"": {"app": "web"}})
    [id_] = queued_events(store)
    for tries in range(2):
        taken = store.events.claim(id_)
        assert taken is not None
        assert (taken.tries, taken.record["app"]) == (tries, "web")
        assert store.events.claim(id_) is None
        assert queued_events(store) == []
        store.scripts.offset += queue.LEASE
        assert queued_events(store) == [id_]
    store.events.finish(id_, 300)
    store.scripts.offset += 240_000
    assert store.events.claim(id_) is None
    store.scripts.offset += 60_000
    assert store.events.claim(id_) is not None
    store.events.finish(id_)
    store.events.finish(id_, 5)
    store.scripts.offset += queue.LEASE
    assert (queued_events(store), store.events.claim(id_)) == ([], None)


def test_a_try_that_did_not_take_place_is_not_counted(store: Stores) -> None:
    """Its app had enough under way: the event comes again soon, with as many tries as before."""
    store.events.put("00" + "x" * 22, ["0s"], {"0s": {"app": "web"}})
    [id_] = queued_events(store)
    for _ in range(3):
        claimed = store.events.claim(id_)
        assert claimed is not None
        assert claimed.tries == 0
        for _ in range(2):
            store.events.finish(id_, 1, untried=True)
        store.scripts.offset += 1000
    assert store.events.claim(id_) is not None
    store.events.finish(id_, 1)
    store.scripts.offset += 1000
    again = store.events.claim(id_)
    assert again is not None
    assert again.tries == 1
