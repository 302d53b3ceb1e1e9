"""The worker: handles what is due in a queue, many items at once; new items wake it, and it sleeps otherwise.

Knows partitions, capacity and time. Must not know what a challenge or an event is.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from math import ceil

from otp_service.delivery.membership import LIFE, Membership
from otp_service.delivery.reads import POLL, Reads, first
from otp_service.delivery.turns import Turns
from otp_service.errors import StoreUnavailable
from otp_service.store.connection import AWAY
from otp_service.store.due import DueQueue
from otp_service.store.scripts import Scripts
from otp_service.telemetry.failures import Failures
from otp_service.telemetry.logs import LOG
from otp_service.telemetry.metrics import Metrics

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
        turns: Turns | None = None,
        beside: Sequence[Beside] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Handle at most `at_once` items, and begin each in its turn (by default all have one). `clock`: the log's."""
        self._membership = membership
        self._queue = queue
        self._scripts = scripts
        self._handle = handle
        self._metrics = metrics
        self._name = name
        self._at_once = at_once
        self._turns = turns or Turns(at_once)
        self._turns.on_free = self._notify
        self._beside = beside
        self._failures = Failures(clock)
        self.broken = False
        """Whether the worker stopped because of a bug."""
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._busy: dict[str, bool] = {}
        """The ids of the items being handled; True if an item became due again meanwhile."""
        self._reads = Reads()
        self._woken: list[str] = []
        """Ids that were announced as due, and need no read of their partition."""

    def stop(self) -> None:
        """Take no more items; running ones are finished or released. Safe in the thread of a signal handler."""
        self._stop.set()
        self._notify()

    def _notify(self) -> None:
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

    def _beat_until_stopped(self) -> None:
        while not self._stop.is_set():
            with suppress(StoreUnavailable):  # the store's own log says so
                self._share(self._membership.beat(self._name, LIFE))
            self._stop.wait(BEAT)

    def _share(self, workers: list[str]) -> None:
        """Take every n-th partition. Two workers may briefly share one; each item is still claimed by one of them."""
        rank, count = workers.index(self._name), len(workers)
        with self._changed:
            self._reads.share(self._queue.partitions()[rank::count])
            self._changed.notify_all()

    def _bound(self, work: Beside) -> Callable[[], None]:
        return lambda: work(self._partitions, self._stop)

    def _partitions(self) -> list[str]:
        with self._changed:
            return self._reads.partitions()

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                subscription = self._scripts.listen(self._queue.wake_channel)
                with subscription:
                    with self._changed:
                        self._reads.everything()  # what was announced before was not heard
                        self._changed.notify_all()
                    while not self._stop.is_set():
                        message = subscription.get_message(timeout=POLL)
                        if message:
                            self._wake(message["data"])
            except AWAY:
                self._stop.wait(BACK_OFF)

    def _wake(self, announced: str) -> None:
        """Take what was announced: an id, or a partition, which may say in how many milliseconds something is due."""
        partition, rest = announced[:2], announced[2:]
        with self._changed:
            if partition not in self._reads.partitions():
                return
            self._reads.wake()
            if rest.startswith("+"):
                self._reads.sooner(partition, int(rest) / 1000)
            elif rest and len(self._woken) < self._at_once:
                self._woken.append(announced)
            else:
                self._reads.sooner(partition, 0)
            self._changed.notify_all()

    def _round(self, pool: ThreadPoolExecutor) -> None:
        with self._changed:
            ready, woken, self._woken = self._reads.ready(), self._woken, []
        self._take_woken(pool, woken, backlog=bool(ready))
        for partitions in self._queue.by_server(ready):
            if self._free() <= 0 or self._stop.is_set():
                break
            try:
                self._take(pool, partitions)
            except StoreUnavailable:
                with self._changed:
                    self._reads.later(partitions, BACK_OFF)
        with self._changed:
            if not self._stop.is_set():
                self._changed.wait(self._pause())

    def _free(self) -> int:
        return min(self._at_once - len(self._busy), self._turns.free)

    def _pause(self) -> float:
        return POLL if self._free() <= 0 else 0.0 if self._woken else self._reads.pause()

    def _take_woken(self, pool: ThreadPoolExecutor, woken: Sequence[str], *, backlog: bool) -> None:
        """Begin what was announced. If more is due than that, its partition is read instead, which knows the order."""
        for id_ in woken:
            if backlog or not self._begin(pool, id_):
                with self._changed:
                    self._reads.sooner(id_[:2], 0)

    def _take(self, pool: ThreadPoolExecutor, partitions: Sequence[str]) -> None:
        """Read partitions, and begin what is due in them as far as there is room."""
        with self._changed:
            self._reads.later(partitions)  # first, so that a wake-up during the read is not lost
            handled = Counter(id_[:2] for id_ in self._busy)
        limit = ceil(self._at_once / len(partitions)) + max(handled.values(), default=0)
        found = self._queue.due(partitions, limit)
        left = {partition for partition, due in found.items() if len(due.ids) >= limit}
        for id_ in first(found):
            due = found[id_[:2]]
            if self._begin(pool, id_):
                self._metrics.deadline_lag.labels(self._queue.name).observe((due.now - due.ids[id_]) / 1000)
            else:
                left.add(id_[:2])
        with self._changed:
            self._reads.plan(found, left)

    def _begin(self, pool: ThreadPoolExecutor, id_: str) -> bool:
        """Handle an item unless it is being handled, after which its partition is read. Return False without room."""
        with self._changed:
            if id_ in self._busy:
                self._busy[id_] = True
                return True
            if self._free() <= 0:
                return False
            self._busy[id_] = False
        self._turns.take()
        self._metrics.in_flight.labels(self._queue.name).inc()
        pool.submit(self._handle, id_, self._stop.is_set).add_done_callback(
            lambda done: self._done(done, id_)
        )
        return True

    def _done(self, done: Future[None], id_: str) -> None:
        self._metrics.in_flight.labels(self._queue.name).dec()
        error = done.exception()
        if error and not isinstance(error, StoreUnavailable):
            self._failures.failed(
                "worker.failed", logging.ERROR, error=error, queue=self._queue.name, id=id_[:8]
            )
        with self._changed:
            again = self._busy.pop(id_)
            if again or error:
                self._reads.sooner(id_[:2], BACK_OFF if error else 0.0)
        self._turns.give_back()
