"""The list of workers that share a queue."""

from otp_service.bootstrap.stores import Stores
from otp_service.delivery.membership import LIFE


def test_workers_are_known_while_they_beat(store: Stores) -> None:
    """The list is sorted and the same for all; a worker that stops beating or leaves is removed."""
    assert store.membership(store.due).beat("b", 60) == ["b"]
    assert store.membership(store.due).beat("a", 120) == ["a", "b"]
    store.scripts.offset += 60_000
    assert store.membership(store.due).beat("c", 60) == ["a", "c"]
    store.membership(store.due).leave("a")
    assert store.membership(store.due).beat("c", 60) == ["c"]


def test_the_last_beat_is_known_for_a_while(store: Stores) -> None:
    """Anybody may read how many workers are alive and when one beat last, even some seconds after all have died."""
    members = store.membership(store.due)
    assert members.read()[1:] == (0, None)
    before = store.facts.time()
    members.beat("a", LIFE)
    now, _, beat = members.read()
    assert beat is not None
    assert before <= beat <= now
    members.beat("b", 20 * LIFE)
    members.beat("a", 10 * LIFE)
    _, alive, last = members.read()
    assert alive == 2
    assert last is not None
    assert last > beat
    store.scripts.offset += int(10 * LIFE * 1000)
    assert members.read()[1:] == (1, last)
    store.scripts.offset += int(10 * LIFE * 1000)
    assert members.read()[1:] == (0, last)
