"""Runs actions later, on its own threads.

Knows due times and threads. Must not know what it runs. Threads start with the first action, so that creating a sandbox
has no effect, and end with `close`.
"""

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)
Action = Callable[[], None]


class Schedule:
    """A few daemon threads that run actions when they are due, in the order of their times."""

    def __init__(self, name: str, threads: int) -> None:
        self._name = name
        self._threads = threads
        self._running: list[threading.Thread] = []
        self._changed = threading.Condition()
        self._closed = False
        self._due: list[tuple[float, int, Action]] = []
        self._order = itertools.count()

    def after(self, delay: float, action: Action) -> None:
        """Run `action` in `delay` seconds, unless the schedule is closed."""
        with self._changed:
            if self._closed:
                return
            heapq.heappush(self._due, (time.monotonic() + delay, next(self._order), action))
            if not self._running:
                self._start()
            self._changed.notify()

    def __len__(self) -> int:
        with self._changed:
            return len(self._due)

    def close(self, timeout: float = 5.0) -> None:
        """Drop all waiting actions and end the threads."""
        with self._changed:
            self._closed = True
            self._due.clear()
            self._changed.notify_all()
            running = list(self._running)
        for thread in running:
            thread.join(timeout)

    def _start(self) -> None:
        for number in range(self._threads):
            thread = threading.Thread(target=self._work, name=f"{self._name}-{number}", daemon=True)
            self._running.append(thread)
            thread.start()

    def _work(self) -> None:
        while (action := self._next()) is not None:
            try:
                action()
            except Exception as error:  # noqa: BLE001 - one broken action must not end the thread for all others
                # The class only: the text could contain a number or a token.
                log.error("%s: an action failed with %s", self._name, type(error).__name__)  # noqa: TRY400

    def _next(self) -> Action | None:
        with self._changed:
            while not self._closed:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    action = heapq.heappop(self._due)[2]
                    # Another thread must wait for the next action, because this one may be busy for long.
                    self._changed.notify()
                    return action
                self._changed.wait(wait)
            return None
