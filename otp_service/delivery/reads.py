"""When a worker reads each of its partitions: at once, at the next deadline, or later in case a wake-up was lost.

Knows times of this process. Must not know what is read, or how. Its caller holds the lock.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from otp_service.store.due import Due

POLL, IDLE_POLL = 1.0, 4.0
"""Seconds until a partition is read even without a wake-up, as one may be lost: after work, and the most without."""


class Reads:
    """The partitions of one worker, and when to read each."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}
        """Monotonic seconds."""
        self._poll = POLL

    def share(self, partitions: Iterable[str]) -> None:
        """Have these partitions from now on. New ones are read at once."""
        self._at = {partition: self._at.get(partition, 0.0) for partition in sorted(partitions)}

    def partitions(self) -> list[str]:
        """List the worker's partitions."""
        return list(self._at)

    def everything(self) -> None:
        """Read all of them now."""
        self._at = dict.fromkeys(self._at, 0.0)

    def wake(self) -> None:
        """Poll as often as after work, because there is some."""
        self._poll = POLL

    def sooner(self, partition: str, seconds: float) -> None:
        """Read a partition in so many seconds at the latest."""
        if partition in self._at:
            self._at[partition] = min(self._at[partition], time.monotonic() + max(0.0, seconds))

    def later(self, partitions: Iterable[str], seconds: float | None = None) -> None:
        """Read partitions in so many seconds, or when a lost wake-up is to be made up for."""
        at = time.monotonic() + (self._poll if seconds is None else seconds)
        self._at |= {partition: at for partition in partitions if partition in self._at}

    def ready(self) -> list[str]:
        """List the partitions to read now, the one that has waited longest first."""
        now = time.monotonic()
        return sorted((p for p, at in self._at.items() if at <= now), key=self._at.__getitem__)

    def pause(self) -> float:
        """Return the seconds until the next read."""
        return max(0.0, min([POLL, *(at - time.monotonic() for at in self._at.values())]))

    def plan(self, found: Mapping[str, Due], left: AbstractSet[str]) -> None:
        """Plan the next reads after one. In partitions of `left` more is due than there was room for."""
        idle = not any(due.ids for due in found.values())
        self._poll = min(IDLE_POLL, 2 * self._poll) if idle else POLL
        for partition, due in found.items():
            if partition in left:
                self.sooner(partition, 0)
            elif due.following is not None:
                self.sooner(partition, (due.following - due.now) / 1000)


def first(found: Mapping[str, Due]) -> Sequence[str]:
    """Return the ids that are due in partitions in the order in which they go: open before new, the oldest first."""
    scored = (entry for due in found.values() for entry in due.order)
    return [id_ for _, _, id_ in sorted(scored)]
