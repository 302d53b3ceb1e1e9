"""The threads that hash: few of them, because each keeps the memory of its largest hash for ever.

Knows threads. Must not know what is hashed. With the profile `owasp` a hash fills 19 MiB, which the C library keeps for
the thread that asked for it: hashing in 64 threads took 651 MB, in two 81 MB, each hash as fast.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TypeVar

T = TypeVar("T")


class HashingThreads:
    """So many threads, which start with their first work. What comes first is begun first.

    They bound no queue: callers are bounded by their tickets or places.
    """

    def __init__(
        self, count: int, *, waiting: Callable[[], AbstractContextManager[object]] = nullcontext
    ) -> None:
        """Start no thread yet; enter `waiting` while a caller waits for one."""
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="hash")
        self._waiting = waiting

    def run(self, act: Callable[[], T]) -> T:
        """Do something in one of the threads; return or raise what it does."""
        waits = ExitStack()
        waits.enter_context(self._waiting())

        def begin() -> T:
            waits.close()
            return act()

        return self._pool.submit(begin).result()
