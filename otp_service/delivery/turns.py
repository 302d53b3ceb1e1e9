"""Turns: how many items of a worker use the processor at once. Those that wait for an upstream do not count.

Knows numbers only. Must not know what an item is. Many threads that want the interpreter at once cost each other more
time than they use, and what is claimed long before its turn loses its lease; but an upstream may be slow for hundreds
of messages at once.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Turns:
    """The turns of one worker."""

    def __init__(self, most: int) -> None:
        """Allow `most` items to use the processor at once."""
        self._free = most
        self._lock = threading.Lock()
        self.on_free: Callable[[], None] = lambda: None
        """Called when a turn becomes free."""

    @property
    def free(self) -> int:
        """The number of turns that are free; negative while more items than that came back from an upstream."""
        return self._free

    def take(self) -> None:
        """Use a turn, whether one is free or not."""
        with self._lock:
            self._free -= 1

    def give_back(self) -> None:
        """Use no turn any more."""
        with self._lock:
            self._free += 1
        self.on_free()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Use no turn within the block, which waits for someone else."""
        self.give_back()
        try:
            yield
        finally:
            self.take()
