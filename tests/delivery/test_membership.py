"""The list of workers that share a queue."""

from otp_service.bootstrap.stores import Stores
from otp_service.delivery.membership import LIFE


def test_workers_are_known_while_they_beat(store: Stores) -> None:
    """The list is sorted and the same for all; a worker that stops beating or leaves is removed."""
    assert store.membership(store.due).beat("b", 3) == ["b"]
    assert store.membership(store.due).beat("a", 5) == ["a", "b"]
    store.scripts.offset += 3000
    assert store.membership(store.due).beat("c", 3) == ["a", "c"]
    store.membership(store.due).leave("a")
    assert store.membership(store.due).beat("c", 3) == ["c"]


def test_the_last_beat_is_known_for_a_while(store: Stores) -> None:
    """Anybody may read how many workers are alive and when one beat last, even some seconds after all have died."""
    members = store.membership(store.due)
    assert members.read()[1:] == (0, None)
    members.beat("a", LIFE)
    store.scripts.offset += 1000
    members.beat("b", LIFE)
    now, alive, beat = members.read()
    assert alive == 2
    assert beat is not None
    assert 0 <= now - beat < 1000
    store.scripts.offset += 2000
    assert members.read()[1:] == (1, beat)
    store.scripts.offset += 1000
    assert members.read()[1:] == (0, beat)
