"""How many calls to one app's outside services may run at once, so that a slow one takes no other app's threads.

Knows counts. Must not know what is called.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Shares:
    """Lets each app have at most `most` calls under way. Safe for many threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._running: Counter[str] = Counter()
        self._changing = threading.Lock()

    @contextmanager
    def take(self, app: str) -> Iterator[bool]:
        """Take one of an app's shares, if one is free; yields whether it was. Does not wait."""
        with self._changing:
            taken = self._running[app] < self._most
            self._running[app] += taken
        try:
            yield taken
        finally:
            with self._changing:
                self._running[app] -= taken
                if not self._running[app]:
                    del self._running[app]
