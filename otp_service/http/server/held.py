"""Refusals that leave later than they were made, because their client came back before the time that it was told.

A client that asks again at once would otherwise cost as much as the processor allows. A held refusal costs a place here
and no thread. Knows time and how many places there are. Must not know sockets.
"""

import heapq
import itertools
import math
import threading
import time
from collections.abc import Callable

from otp_service.http.server.bounds import Bounds
from otp_service.http.server.connection import Connection, State


class HeldRefusals:
    """The connections whose refusal waits. Any thread may add one; the loop alone takes those that are due."""

    def __init__(self, bounds: Bounds, clock: Callable[[], float] = time.monotonic) -> None:
        self._bounds = bounds
        self._clock = clock
        self._waiting: list[tuple[float, int, Connection]] = []
        self._order = itertools.count()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def delay(self, connection: Connection, retry_after: int) -> float:
        """Return for how many seconds a refusal has to wait, and note when the client may come again."""
        now = self._clock()
        early = connection.told - now
        connection.told = now + max(1, retry_after)
        return min(max(0.0, early), self._bounds.holding)

    @property
    def full(self) -> bool:
        """Whether no more should wait."""
        return len(self._waiting) >= self._bounds.held

    def add(self, connection: Connection, seconds: float) -> None:
        """Hold a refusal for so many seconds."""
        with self._lock:
            connection.state = State.HELD
            heapq.heappush(self._waiting, (self._clock() + seconds, next(self._order), connection))

    def due(self, *, all_of_them: bool = False) -> list[Connection]:
        """Take those whose time has come. Some may have been closed meanwhile."""
        now, found = math.inf if all_of_them else self._clock(), []
        with self._lock:
            while self._waiting and self._waiting[0][0] <= now:
                found.append(heapq.heappop(self._waiting)[2])
        return found

    def until_next(self, seconds: float) -> float:
        """Return how many seconds it takes until the next is due, at most so many."""
        with self._lock:
            return min(seconds, max(0.0, self._waiting[0][0] - self._clock())) if self._waiting else seconds
