"""The threads that hash: few of them, because each keeps the memory of its largest hash for ever.

Knows threads. Must not know what is hashed. With the profile `owasp` a hash fills 19 MiB, which the C library keeps for
the thread that asked for it: hashing in 64 threads took 651 MB, in two 81 MB, each hash as fast. A hash that fills
little is made in its caller's own thread: to wake another one, and be woken, cost 3 % of all the work for a code.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TypeVar

T = TypeVar("T")
LITTLE = 1024
"""Memory of a hash (KiB) that each thread may keep."""


class HashingThreads:
    """So many threads, which start with their first work. What comes first is begun first.

    As many callers at most make a hash that fills little. No queue is bounded: callers are, by their tickets or places.
    """

    def __init__(
        self, count: int, *, waiting: Callable[[], AbstractContextManager[object]] = nullcontext
    ) -> None:
        """Start no thread yet; enter `waiting` while a caller waits for one, or for its turn."""
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="hash")
        self._turns = threading.Semaphore(count)
        self._waiting = waiting

    def run(self, act: Callable[[], T], memory: int) -> T:
        """Do something that fills so much memory (KiB); return or raise what it does."""
        if memory > LITTLE:
            return self._run_elsewhere(act)
        with self._waiting():
            self._turns.acquire()
        try:
            return act()
        finally:
            self._turns.release()

    def _run_elsewhere(self, act: Callable[[], T]) -> T:
        waits = ExitStack()
        waits.enter_context(self._waiting())

        def begin() -> T:
            waits.close()
            return act()

        return self._pool.submit(begin).result()
