"""Ends challenges whose time is over, in bulk and beside all other work, so that no message waits for it.

Knows how many are ended at once, and for how long to rest in between. Must not know Redis, or what an app is told.

A million challenges may expire in the same second. The store ends a batch of them within a few milliseconds; after each
batch this waits for longer than it took, so that most of the store's time stays with messages and checks.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from otp_service.challenge.model import Challenge
from otp_service.challenge.store import ChallengeStore
from otp_service.errors import StoreUnavailable
from otp_service.store.due import DueQueue
from otp_service.telemetry.failures import Failures

BATCH = 100
"""Challenges that one call ends."""
EVERY = 1.0
"""Seconds between two looks while nothing ends."""
REST = 2
"""How much longer than a batch the rest after it is."""


class Expiry:
    """Ends the challenges of some partitions."""

    def __init__(
        self,
        *,
        challenges: ChallengeStore,
        queue: DueQueue,
        now: Callable[[], int],
        tell: Callable[[str, Callable[[], bool]], None],
        record: Callable[[Challenge], None],
    ) -> None:
        """`now` is the store's time (milliseconds). `record` counts a challenge that has ended.

        `tell` does what is left for one that had ended before.
        """
        self._challenges = challenges
        self._queue = queue
        self._now = now
        self._tell = tell
        self._record = record
        self._failures = Failures()

    def run(self, partitions: Callable[[], Sequence[str]], stop: threading.Event) -> None:
        """Work until stopped. `partitions` names those of this worker."""
        while not stop.is_set():
            try:
                found = self.sweep(partitions(), stop)
            except StoreUnavailable:
                found = False  # the store's own log says so
            except Exception as error:  # noqa: BLE001 - the others must still end
                self._failures.failed("expiry.failed", logging.ERROR, error=error)
                found = False
            if not found:
                stop.wait(EVERY)

    def sweep(self, partitions: Sequence[str], stop: threading.Event) -> bool:
        """End a batch of each partition where something has ended; return whether there was one.

        Raises StoreUnavailable.
        """
        found = self._queue.with_ended(partitions, self._now())
        for partition in found:
            started = time.monotonic()
            self._end(self._queue.ended(partition, BATCH), stop)
            if stop.wait(REST * (time.monotonic() - started)):
                break
        return bool(found)

    def _end(self, ids: Sequence[str], stop: threading.Event) -> None:
        if not ids:
            return
        for id_, challenge in self._challenges.end_expired(ids):
            if challenge is None:
                self._tell(id_, stop.is_set)
            else:
                self._record(challenge)
