"""The worker: handles what is due in a queue, many items at once; new items wake it, and it sleeps otherwise.

Knows partitions, capacity and time. Must not know what a challenge or an event is.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from otp_service.delivery.membership import LIFE, Membership
from otp_service.errors import StoreUnavailable
from otp_service.store.connection import AWAY
from otp_service.store.due import DueQueue
from otp_service.store.scripts import Scripts
from otp_service.telemetry.failures import Failures
from otp_service.telemetry.logs import LOG
from otp_service.telemetry.metrics import Metrics

POLL = 1.0
"""Seconds until a partition is read even without a wake-up, as a wake-up may be lost."""
BEAT = 1.0
"""Seconds between two beats, by which a worker shows that it is alive."""
BACK_OFF = 0.25
"""Seconds until the next try after a failure."""

Handle = Callable[[str, Callable[[], bool]], None]
"""Handles an item, given its id and a function that says whether the process is to stop."""
Beside = Callable[[Callable[[], list[str]], threading.Event], None]
"""Works beside the queue until the event is set, given a function that lists this worker's partitions."""


class Worker:
    """One worker of one queue."""

    def __init__(
        self,
        *,
        queue: DueQueue,
        membership: Membership,
        scripts: Scripts,
        handle: Handle,
        metrics: Metrics,
        name: str,
        at_once: int,
        beside: Sequence[Beside] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`at_once` is the maximum number of items that are handled at once. `clock` (seconds) is the log's."""
        self._membership = membership
        self._queue = queue
        self._scripts = scripts
        self._handle = handle
        self._metrics = metrics
        self._name = name
        self._at_once = at_once
        self._beside = beside
        self._failures = Failures(clock)
        self.broken = False
        """Whether the worker stopped because of a bug."""
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._busy: dict[str, bool] = {}
        """The ids of the items being handled; True if an item became due again meanwhile."""
        self._read_at: dict[str, float] = {}
        """When to read each partition of this worker (monotonic seconds)."""

    def stop(self) -> None:
        """Take no more items; running ones are finished or released. Safe in the thread of a signal handler."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()

    def run(self) -> None:
        """Work until stopped."""
        helpers = [
            threading.Thread(target=self._help, args=(work,), daemon=True)
            for work in (self._listen, self._beat_until_stopped, *map(self._bound, self._beside))
        ]
        for helper in helpers:
            helper.start()
        with ThreadPoolExecutor(self._at_once, thread_name_prefix=self._queue.name) as pool:
            while not self._stop.is_set():
                self._round(pool)
        for helper in helpers:
            helper.join()
        try:
            self._membership.leave(self._name)
        except StoreUnavailable:
            return  # the others notice the missing beats

    def _help(self, work: Callable[[], None]) -> None:
        """Run a helper thread. The worker needs all of them, so it stops if one fails."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - after any failure the process must end
            LOG.critical("worker.broken", exc_info=error)
            self.broken = True
            self.stop()

    # Sharing the partitions.

    def _beat_until_stopped(self) -> None:
        while not self._stop.is_set():
            with suppress(StoreUnavailable):  # the store's own log says so
                self._share(self._membership.beat(self._name, LIFE))
            self._stop.wait(BEAT)

    def _share(self, workers: list[str]) -> None:
        """Take every n-th partition. Two workers may briefly share one; each item is still claimed by one of them."""
        rank, count = workers.index(self._name), len(workers)
        ours = set(self._queue.partitions()[rank::count])
        with self._changed:
            self._read_at = {p: self._read_at.get(p, 0.0) for p in sorted(ours)}
            self._changed.notify_all()

    def _bound(self, work: Beside) -> Callable[[], None]:
        return lambda: work(self._partitions, self._stop)

    def _partitions(self) -> list[str]:
        with self._changed:
            return list(self._read_at)

    # When to read a partition.

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                subscription = self._scripts.listen(self._queue.wake_channel)
                with subscription:
                    while not self._stop.is_set():
                        message = subscription.get_message(timeout=POLL)
                        if message:
                            self._wake(message["data"])
            except AWAY:
                self._stop.wait(BACK_OFF)

    def _wake(self, partition: str) -> None:
        with self._changed:
            if partition in self._read_at:
                self._sooner(partition, 0)
                self._changed.notify_all()

    def _round(self, pool: ThreadPoolExecutor) -> None:
        for partition in self._ready():
            free = self._at_once - len(self._busy)
            if free <= 0 or self._stop.is_set():
                break
            try:
                self._take(pool, partition, free)
            except StoreUnavailable:
                self._later(partition, BACK_OFF)
        with self._changed:
            if not self._stop.is_set():
                self._changed.wait(self._pause())

    def _ready(self) -> list[str]:
        """List the partitions to read now, the one that has waited longest first."""
        now = time.monotonic()
        with self._changed:
            return sorted((p for p, at in self._read_at.items() if at <= now), key=self._read_at.__getitem__)

    def _pause(self) -> float:
        if len(self._busy) >= self._at_once:
            return POLL
        return max(0.0, min([POLL, *(at - time.monotonic() for at in self._read_at.values())]))

    def _later(self, partition: str, seconds: float) -> None:
        with self._changed:
            if partition in self._read_at:
                self._read_at[partition] = time.monotonic() + seconds

    # Taking and handling items.

    def _take(self, pool: ThreadPoolExecutor, partition: str, free: int) -> None:
        self._later(partition, POLL)  # first, so that a wake-up during the read is not lost
        due = self._queue.due(partition, self._at_once)
        more = len(due.ids) >= self._at_once
        for id_, since in due.ids.items():
            with self._changed:
                if id_ in self._busy:
                    self._busy[id_] = True
                    continue
                if free <= 0:
                    more = True
                    break
                self._busy[id_] = False
            free -= 1
            self._metrics.deadline_lag.labels(self._queue.name).observe((due.now - since) / 1000)
            self._metrics.in_flight.labels(self._queue.name).inc()
            pool.submit(self._handle, id_, self._stop.is_set).add_done_callback(
                lambda done, id_=id_, partition=partition: self._done(done, id_, partition)  # type: ignore[misc]
            )
        if more:
            self._sooner(partition, 0)
        elif due.following is not None:
            self._sooner(partition, (due.following - due.now) / 1000)

    def _sooner(self, partition: str, seconds: float) -> None:
        with self._changed:
            if partition in self._read_at:
                at = time.monotonic() + max(0.0, seconds)
                self._read_at[partition] = min(self._read_at[partition], at)

    def _done(self, done: Future[None], id_: str, partition: str) -> None:
        self._metrics.in_flight.labels(self._queue.name).dec()
        error = done.exception()
        if error and not isinstance(error, StoreUnavailable):
            self._failures.failed(
                "worker.failed", logging.ERROR, error=error, queue=self._queue.name, id=id_[:8]
            )
        with self._changed:
            again = self._busy.pop(id_)
            if partition in self._read_at and (again or error):
                self._sooner(partition, BACK_OFF if error else 0.0)
            self._changed.notify_all()
