"""Drops stories that are too old, and the oldest ones while all of them take more memory than they may.

Knows what goes first: refused sends before challenges, so that an attack cannot push out what it did not cause. Must
not know keys. Each step is bounded; a step that is interrupted is done again.
"""

import time
from collections.abc import Callable

from otp_service.history.dropper import Dropper
from otp_service.history.store import HOUR, StoryStore, hour_of
from otp_service.store.facts import Facts
from otp_service.store.polling import start_polling

EVERY = 5.0
"""Seconds between two sweeps of all workers."""
STEP = 200
"""Stories that one step drops."""
LONGEST = 2.0
"""Seconds after which a sweep rests, so that the store has time for others."""
LEEWAY = 2
"""Hours after the one in which it began until a challenge has ended and its hour is full."""


class Sweeper:
    """Drops stories."""

    def __init__(
        self, *, stories: StoryStore, facts: Facts, dropper: Dropper, keep: int, memory: int
    ) -> None:
        """Stories are kept for `keep` milliseconds and may take `memory` bytes."""
        self._stories = stories
        self._facts = facts
        self._dropper = dropper
        self._keep = keep
        self._memory = memory

    def follow(self) -> None:
        """Sweep every few seconds in a thread; of several workers, one does it each time."""
        start_polling("history", self.sweep_alone, every=EVERY)

    def sweep_alone(self) -> None:
        """Sweep, unless another process does. Raises StoreUnavailable."""
        if self._facts.use_once("history:sweep", int(EVERY) - 1):
            self.sweep()

    def sweep(self, clock: Callable[[], float] = time.monotonic) -> int:
        """Drop what has to go, within a bounded time; return how many stories. Raises StoreUnavailable."""
        until, dropped = clock() + LONGEST, 0
        counted = self._stories.count_bytes()
        oldest = hour_of("", self._facts.time() - self._keep - LEEWAY * HOUR)
        for hour in sorted(counted, key=lambda hour: (hour[:1] != "r", hour)):
            while (hour[1:] < oldest or sum(counted.values()) > self._memory) and clock() < until:
                ids = self._stories.read_hour(hour, 0, STEP - 1)
                dropped += self._dropper.drop(ids)
                left = self._stories.unlist(hour, ids)
                counted[hour] = self._stories.count_bytes().get(hour, 0) if left else 0
                if not left:
                    break
        return dropped
