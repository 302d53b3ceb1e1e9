"""How many sends wait for a worker and how fast they leave, so that the API can say how long a new one would wait.

Knows when a send is in hand and when it leaves. Must not know what a send is, or who is refused because of it.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from otp_service.delivery.pace_board import PaceBoard, Share
from otp_service.errors import StoreUnavailable
from otp_service.store.due import DueQueue

EVERY = 0.25
"""Seconds between two writes, while there is anything to do; an idle worker writes nothing."""
WINDOW = 5.0
"""Seconds over which a rate is measured."""
SURE = 0.5
"""Seconds of pressure from which a rate is believed."""
KEPT = 30.0
"""Seconds for which a rate is believed that is not measured again."""


class Rate:
    """How many leave in a second, measured only while more wait than can leave: else it says nothing of a limit."""

    def __init__(self) -> None:
        self.per_second: float | None = None
        """The last rate, None if it is not known."""
        self._window: deque[tuple[float, int]] = deque()
        self._since = 0.0

    def add(self, seconds: float, left: int, *, pressed: bool) -> None:
        """Add how many left within the last `seconds`. `pressed`: at their end others were still waiting."""
        if not pressed:
            self._window.clear()
            self._since += seconds
            if self._since > KEPT:
                self.per_second = None
            return
        self._window.append((seconds, left))
        while sum(one for one, _ in self._window) - self._window[0][0] >= WINDOW:
            self._window.popleft()
        whole = sum(one for one, _ in self._window)
        if whole >= SURE:
            self.per_second, self._since = sum(count for _, count in self._window) / whole, 0.0


class Pace:
    """The pace of one worker."""

    def __init__(
        self,
        *,
        queue: DueQueue,
        board: PaceBoard,
        now: Callable[[], int],
        name: str,
        places: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`places` is how many codes are hashed at once, `now` the store's time (milliseconds). `clock`: seconds."""
        self._queue = queue
        self._board = board
        self._now = now
        self._name = name
        self._places = places
        self._clock = clock
        self._lock = threading.Lock()
        self._in_hand = 0
        self._left = 0
        self._rate = Rate()
        self._at = clock()
        self._rests = True

    @contextmanager
    def in_hand(self) -> Iterator[Callable[[], None]]:
        """Count a send until it leaves: when the given function is called, at the latest at the end of the block."""
        gone = threading.Event()

        def leave() -> None:
            if not gone.is_set():
                gone.set()
                self._count(-1, 1)

        self._count(1, 0)
        try:
            yield leave
        finally:
            leave()

    def run(self, partitions: Callable[[], Sequence[str]], stop: threading.Event) -> None:
        """Write again and again until stopped. `partitions` names those of this worker."""
        while not stop.wait(EVERY):
            with suppress(StoreUnavailable):  # the store's own log says so
                self.measure(partitions())

    def measure(self, partitions: Sequence[str]) -> None:
        """Measure what was done since the last time, and write it unless the worker rests. Raises StoreUnavailable."""
        with self._lock:
            in_hand, left, self._left = self._in_hand, self._left, 0
        at = self._clock()
        seconds, self._at = at - self._at, at
        if self._rests and not in_hand and not left:
            self._rate.add(seconds, 0, pressed=False)
            return
        open_, new = self._queue.waiting(partitions, self._now())
        self._rate.add(seconds, left, pressed=open_ + new > 0 or in_hand > 2 * self._places)
        self._board.write(self._name, Share(open_ + in_hand, new, self._rate.per_second))
        self._rests = not (in_hand or open_ or new)

    def _count(self, in_hand: int, left: int) -> None:
        with self._lock:
            self._in_hand += in_hand
            self._left += left
