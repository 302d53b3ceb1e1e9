"""A queue of what needs attention: in each partition, one sorted set of ids by the time when each is due.

Knows the keys of queues and the channel that wakes workers. Must not know what is due.
"""

from dataclasses import dataclass

from otp_service.store.partitions import Partitions
from otp_service.store.scripts import Scripts


@dataclass(frozen=True, slots=True)
class Due:
    """What needs attention in a partition. Times are milliseconds of the store's clock.

    `ids` come with the time since when each has been due; `following` is when the next one will be.
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
        """The channel on which partitions are announced that have something new."""

    def partitions(self) -> list[str]:
        """List all partitions."""
        return self._partitions.names()

    def key(self, id_: str) -> str:
        """Name the key of the set that an id is in."""
        return self._partitions.key(id_[:2], self.name)

    def wake(self, id_: str) -> tuple[str, str]:
        """Give the channel on which a script announces an id, and what it says there: the id's partition."""
        return self.wake_channel, id_[:2]

    def due(self, partition: str, limit: int) -> Due:
        """List what needs attention in a partition, at most `limit`. Raises StoreUnavailable."""
        now, following, *found = self._scripts.call("due", [self.key(partition)], limit)
        ids = {id_: int(since) for id_, since in zip(found[::2], found[1::2], strict=True)}
        return Due(now, ids, int(following) if following else None)
