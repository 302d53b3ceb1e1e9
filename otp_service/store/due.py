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
from otp_service.store.spread import by_server, call_over, counts, lowest

BAND = 10**13
"""The distance between two bands of scores, as the scripts have it."""


@dataclass(frozen=True, slots=True)
class Due:
    """What is due in a partition. Times are milliseconds of the store's clock.

    `ids` maps each id to the time when it became due, what goes first comes first; `new` are those that wait for their
    first work. `following` is when the next one will be due, apart from endings.
    """

    now: int
    ids: dict[str, int]
    new: frozenset[str]
    following: int | None

    @property
    def order(self) -> list[tuple[bool, int, str]]:
        """List the ids with what decides which of several partitions goes first: open before new, the oldest first."""
        return [(id_ in self.new, since, id_) for id_, since in self.ids.items()]


class DueQueue:
    """One of the queues of a deployment: `due` for challenges, `evt` for events."""

    def __init__(self, scripts: Scripts, partitions: Partitions, name: str) -> None:
        self._scripts = scripts
        self._partitions = partitions
        self.name = name
        self.wake_channel = f"{partitions.prefix}:wake:{name}"
        """Announces an id that is due; or a partition with something new, as the first two digits of its ids; or a
        partition and in how many milliseconds something will be due in it (`00+30000`)."""

    def partitions(self) -> list[str]:
        """List all partitions."""
        return self._partitions.names()

    def key(self, id_: str) -> str:
        """Return the key of the set with this id."""
        return self._partitions.key(id_[:2], self.name)

    def overdue(self, now: int) -> int:
        """Return for how long the oldest item has been due at `now`, 0 if none is (milliseconds).

        Endings do not count. Raises StoreUnavailable.
        """
        keys = self._keys(self.partitions())
        new = [BAND + first for first in lowest(self._scripts, keys, "-inf", -1) if first is not None]
        open_ = [first for first in lowest(self._scripts, keys, 0, now) if first is not None]
        return max(0, now - min(new + open_, default=now))

    def waiting(self, partitions: Sequence[str], now: int) -> tuple[int, int]:
        """Count what is due in partitions: what is open, and what is new. Raises StoreUnavailable."""
        keys = self._keys(partitions)
        found = counts(
            self._scripts, [*((key, 0, now) for key in keys), *((key, "-inf", -1) for key in keys)]
        )
        return sum(found[: len(keys)]), sum(found[len(keys) :])

    def size(self) -> int:
        """Count all that is in the queue, due or not, in one round trip. Raises StoreUnavailable."""
        return sum(counts(self._scripts, [(key, "-inf", "+inf") for key in self._keys(self.partitions())]))

    def with_ended(self, partitions: Sequence[str], now: int) -> list[str]:
        """Choose the partitions where something has ended. Reads them in one round trip. Raises StoreUnavailable."""
        first = lowest(self._scripts, self._keys(partitions), BAND, BAND + now) if partitions else []
        return [partition for partition, one in zip(partitions, first, strict=True) if one is not None]

    def ended(self, partition: str, limit: int) -> list[str]:
        """Return at most `limit` ids of a partition whose ending is due. Raises StoreUnavailable."""
        ids: list[str] = self._scripts.call("list_ended", [self.key(partition)], limit)[1:]
        return ids

    def due(self, partitions: Sequence[str], limit: int) -> dict[str, Due]:
        """Return what is due in partitions, at most `limit` ids of each, in one round trip. Raises StoreUnavailable.

        Give it partitions of one server, as `by_server` lists them, so that no other one delays them.
        """
        found: dict[str, Due] = {}
        for places, (now, *schedules) in call_over(self._scripts, "due", self._keys(partitions), limit):
            found |= {partitions[place]: Due(now, {}, frozenset(), None) for place in places}
            for place, following, *scored in schedules:
                found[partitions[places[place - 1]]] = _due(now, following, scored)
        return found

    def by_server(self, partitions: Sequence[str]) -> list[list[str]]:
        """Group partitions by the server that holds them."""
        return by_server(self._scripts, partitions, self._keys(partitions))

    def _keys(self, partitions: Sequence[str]) -> list[str]:
        return [self._partitions.key(partition, self.name) for partition in partitions]


def _due(now: int, following: str | None, scored: Sequence[str]) -> Due:
    scores = {id_: int(score) for id_, score in zip(scored[::2], scored[1::2], strict=True)}
    return Due(
        now,
        {id_: score + BAND if score < 0 else score for id_, score in scores.items()},
        frozenset(id_ for id_, score in scores.items() if score < 0),
        int(following) if following else None,
    )
