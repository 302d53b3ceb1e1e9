"""A queue by time: in each partition, one sorted set of ids with the time when each is due.

Knows the keys of queues, the three bands of each (`lua/includes/bands.lua`) and the channel that wakes workers. Must
not know what is due.

What is open goes before what is new: a person who waits for a second message has waited longer than any newcomer.
What is new goes in the order in which it came. Endings are apart from both, so that a million of them delay nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from otp_service.store.partitions import Partitions
from otp_service.store.scripts import Scripts

BAND = 10**13
"""The distance between two bands of scores, as the scripts have it."""


@dataclass(frozen=True, slots=True)
class Due:
    """What is due in a partition. Times are milliseconds of the store's clock.

    `ids` maps each id to the time when it became due, what goes first comes first. `following` is when the next one
    will be due, apart from endings.
    """

    now: int
    ids: dict[str, int]
    following: int | None


class DueQueue:
    """One of the queues of a deployment: `due` for challenges, `evt` for events."""

    def __init__(self, scripts: Scripts, partitions: Partitions, name: str) -> None:
        self._scripts = scripts
        self._partitions = partitions
        self.name = name
        self.wake_channel = f"{partitions.prefix}:wake:{name}"
        """The channel that announces partitions with something new."""

    def partitions(self) -> list[str]:
        """List all partitions."""
        return self._partitions.names()

    def key(self, id_: str) -> str:
        """Return the key of the set with this id."""
        return self._partitions.key(id_[:2], self.name)

    def wake(self, id_: str) -> tuple[str, str]:
        """Return the channel on which a script announces an id, and what it says there: the id's partition."""
        return self.wake_channel, id_[:2]

    def overdue(self, now: int) -> int:
        """Return for how long the oldest item has been due at `now`, 0 if none is (milliseconds).

        Endings do not count. Raises StoreUnavailable.
        """
        keys = self._keys(self.partitions())
        new = [BAND + first for first in self._scripts.lowest(keys, "-inf", -1) if first is not None]
        open_ = [first for first in self._scripts.lowest(keys, 0, now) if first is not None]
        return max(0, now - min(new + open_, default=now))

    def waiting(self, partitions: Sequence[str], now: int) -> tuple[int, int]:
        """Count what is due in partitions: what is open, and what is new. Raises StoreUnavailable."""
        keys = self._keys(partitions)
        found = self._scripts.counts([*((key, 0, now) for key in keys), *((key, "-inf", -1) for key in keys)])
        return sum(found[: len(keys)]), sum(found[len(keys) :])

    def with_ended(self, partitions: Sequence[str], now: int) -> list[str]:
        """Choose the partitions where something has ended. Reads them in one round trip. Raises StoreUnavailable."""
        first = self._scripts.lowest(self._keys(partitions), BAND, BAND + now) if partitions else []
        return [partition for partition, one in zip(partitions, first, strict=True) if one is not None]

    def ended(self, partition: str, limit: int) -> list[str]:
        """Return at most `limit` ids of a partition whose ending is due. Raises StoreUnavailable."""
        ids: list[str] = self._scripts.call("list_ended", [self.key(partition)], limit)[1:]
        return ids

    def due(self, partition: str, limit: int) -> Due:
        """Return at most `limit` ids that are due in a partition. Raises StoreUnavailable."""
        now, following, *found = self._scripts.call("due", [self.key(partition)], limit)
        ids = {id_: int(since) for id_, since in zip(found[::2], found[1::2], strict=True)}
        return Due(now, ids, int(following) if following else None)

    def _keys(self, partitions: Sequence[str]) -> list[str]:
        return [self._partitions.key(partition, self.name) for partition in partitions]
