"""Whether workers are alive and keep up, as each process of the API sees it.

Knows beats and deadlines, which it reads in a thread of its own: a send asks the memory of its process, not the store.
Must not know what workers do.

The silence counts only while this process has read the store without a gap: neither a process that has just started nor
a store that was away says anything about workers.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from otp_service.delivery.membership import Membership
from otp_service.errors import NoWorker, StoreUnavailable
from otp_service.store.due import DueQueue
from otp_service.store.polling import POLL_EVERY, start_polling
from otp_service.telemetry.metrics import Metrics

RETRY_AFTER = 5
"""Seconds after which a send that found no worker may be repeated."""
OLDEST_EVERY = 5
"""Polls between two reads of all partitions."""
STALE = 5 * POLL_EVERY
"""Seconds after which what was read says nothing any more."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was read last: when (seconds of this process's clock), and the silence of all workers then (seconds)."""

    at: float
    silence: float


class WorkerWatch:
    """Follows the workers of the queue of challenges, and how late each queue is."""

    def __init__(
        self,
        membership: Membership,
        queues: Sequence[DueQueue],
        metrics: Metrics,
        *,
        silence: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """After `silence` seconds without a beat no message is accepted. `clock` uses seconds."""
        self._membership = membership
        self._queues = queues
        self._metrics = metrics
        self._silence = silence
        self._clock = clock
        self._seen: _Seen | None = None
        self._heard: int | None = None
        """The last beat, or else when this process began to read without a gap (milliseconds of the store's clock)."""
        self._polls = 0

    def follow(self) -> None:
        """Read again and again in a daemon thread."""
        start_polling("workers", self.refresh)

    def refresh(self) -> None:
        """Read the beats, and sometimes how late and how long the queues are. Raises StoreUnavailable."""
        try:
            now, alive, beat = self._membership.read()
        except StoreUnavailable:
            self._seen = self._heard = None
            raise
        self._heard = max(beat or 0, self._heard or now)
        self._seen = _Seen(self._clock(), (now - self._heard) / 1000)
        self._metrics.workers.labels(self._queues[0].name).set(alive)
        if self._polls % OLDEST_EVERY == 0:
            for queue in self._queues:
                self._metrics.oldest_overdue.labels(queue.name).set(queue.overdue(now) / 1000)
                self._metrics.queued.labels(queue.name).set(queue.size())
        self._polls += 1

    def require(self) -> None:
        """Raise NoWorker if no worker has been heard of for so long that a message would wait."""
        seen = self._seen
        if seen and self._clock() - seen.at < STALE and seen.silence >= self._silence:
            raise NoWorker(retry_after=RETRY_AFTER)

    def ping(self) -> None:
        """Check that a worker is alive now. Raises NoWorker or StoreUnavailable."""
        if not self._membership.read()[1]:
            raise NoWorker(retry_after=RETRY_AFTER)
