"""A queue by time: in each partition, one sorted set of ids with the time when each is due.

Knows the keys of queues and the channel that wakes workers. Must not know what is due.
"""

from dataclasses import dataclass

from otp_service.store.partitions import Partitions
from otp_service.store.scripts import Scripts


@dataclass(frozen=True, slots=True)
class Due:
    """What is due in a partition. Times are milliseconds of the store's clock.

    `ids` maps each id to the time when it became due. `following` is when the next one will be due.
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

        Reads the first item of each partition in one round trip. Raises StoreUnavailable.
        """
        keys = [self._partitions.key(partition, self.name) for partition in self.partitions()]
        return max(0, now - min(self._scripts.lowest(keys), default=now))

    def due(self, partition: str, limit: int) -> Due:
        """Return at most `limit` ids that are due in a partition. Raises StoreUnavailable."""
        now, following, *found = self._scripts.call("due", [self.key(partition)], limit)
        ids = {id_: int(since) for id_, since in zip(found[::2], found[1::2], strict=True)}
        return Due(now, ids, int(following) if following else None)
