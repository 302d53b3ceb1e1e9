"""The list of workers that share a queue."""

from otp_service.bootstrap.stores import Stores


def test_workers_are_known_while_they_beat(store: Stores) -> None:
    """The list is sorted and the same for all; a worker that stops beating or leaves is removed."""
    assert store.membership(store.due).beat("b", 3) == ["b"]
    assert store.membership(store.due).beat("a", 5) == ["a", "b"]
    store.scripts.offset += 3000
    assert store.membership(store.due).beat("c", 3) == ["a", "c"]
    store.membership(store.due).leave("a")
    assert store.membership(store.due).beat("c", 3) == ["c"]
