"""How many operators' calls one process of the API serves at once, beside those of apps.

Knows how places are counted. Must not know any call. An operator's call may take seconds, of a thread or of the store;
apps' calls keep their threads because the server has as many more as there are places.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from otp_service.errors import Busy

OPS_PLACES = 4
"""Operators' calls that one process serves at once."""
RETRY_AFTER = 1


class Places:
    """A number of places. A caller that finds none is refused at once: waiting would take a thread."""

    def __init__(self, count: int = OPS_PLACES) -> None:
        self._free = threading.BoundedSemaphore(count)

    @contextmanager
    def take(self) -> Iterator[None]:
        """Hold a place. Raises Busy if all are taken."""
        if not self._free.acquire(blocking=False):
            raise Busy(
                "Too many operators' calls at once. Nothing was done. Try again.", retry_after=RETRY_AFTER
            )
        try:
            yield
        finally:
            self._free.release()
