"""Servers of a cluster that do not answer: one caller at a time tries each, and the others are told at once.

Knows which server was silent when it was last asked. Must not know clients or scripts.

A call of a silent server takes as long as its limits allow. If each caller took that long, one dead server would hold
all threads of a process, also those that the callers of healthy servers need.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from otp_service.errors import StoreUnavailable


class Silences:
    """The silent servers, by name. Safe to use from many threads; a caller without a server's name is never refused."""

    def __init__(self, retry_after: int) -> None:
        """`retry_after` is what a refused caller is told (seconds)."""
        self._retry_after = retry_after
        self._changing = threading.Lock()
        self._tried: dict[str, bool] = {}
        """The silent servers, and whether a caller tries each now."""

    @contextmanager
    def caller(self, server: str) -> Iterator[None]:
        """Call a server. Raises StoreUnavailable if it is silent and another caller already tries it."""
        tries = self._try(server)
        try:
            yield
        finally:
            if tries:
                self._end_try(server)

    def record_silence(self, server: str) -> None:
        """Remember that a server did not answer in time."""
        if server:
            with self._changing:
                self._tried.setdefault(server, False)

    def record_answer(self, server: str) -> None:
        """Remember that a server answers."""
        if server in self._tried:
            with self._changing:
                self._tried.pop(server, None)

    def _try(self, server: str) -> bool:
        if server not in self._tried:
            return False
        with self._changing:
            tried = self._tried.get(server)
            if tried:
                raise StoreUnavailable(retry_after=self._retry_after)
            if tried is False:
                self._tried[server] = True
        return tried is False

    def _end_try(self, server: str) -> None:
        with self._changing:
            if server in self._tried:
                self._tried[server] = False
