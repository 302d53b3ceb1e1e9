"""What is due, in which order, and when the next will be."""

from otp_service.bootstrap.stores import Stores
from tests.support.spine import (
    brought,
    new_challenge,
    opened,
)


def test_what_is_due_comes_oldest_first_and_says_when_the_next_one_is(store: Stores) -> None:
    """A partition lists what is due and since when, up to a limit, and when the next id is due."""
    partition = store.partitions.names()[0]
    ids = []
    for _ in range(3):
        made = new_challenge(store)
        ids.append(opened(store, id=partition + made.id[2:]).id)
        store.scripts.offset += 1000
    resting = opened(store, id=partition + store.challenges.new_id()[2:])
    brought(store, resting.id)
    found = store.due.due(partition, 2)
    assert list(found.ids) == ids[:2]
    assert found.now - found.ids[ids[0]] >= 3000
    assert list(store.due.due(partition, 10).ids) == ids
    assert found.following == resting.expires
    assert store.due.due(store.partitions.names()[1], 10).following is None
