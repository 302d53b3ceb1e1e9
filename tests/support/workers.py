"""Workers with the handler of a test, and the parts that such tests change."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from redis.client import PubSub

from otp_service.bootstrap.stores import Stores
from otp_service.delivery.membership import Membership
from otp_service.delivery.worker import Beside, Worker
from otp_service.store.due import Due, DueQueue
from otp_service.store.scripts import Scripts
from otp_service.telemetry.metrics import Metrics
from tests.support.patience import PATIENCE
from tests.support.spine import (
    PLAN,
    Spine,
    new_challenge,
    opened,
)

LONG_PLAN = replace(PLAN, ttl=600)


class Deaf(Scripts):
    """A connection that receives no wake-up."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    def listen(self, channel: str) -> PubSub:
        """Listen to a channel without messages."""
        return self._scripts.listen(f"{channel}:silent")


class Broken(Deaf):
    """A connection with a bug."""

    def listen(self, channel: str) -> PubSub:
        """Fail as a bug would."""
        raise RuntimeError(channel)


class Handled:
    """Takes the place of the dispatcher; a test may block it."""

    def __init__(self, store: Stores) -> None:
        self._store = store
        self._changed = threading.Condition()
        self.order: list[str] = []
        """Challenges in the order they were begun."""
        self.now = 0
        self.most = 0
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, id_: str, _stopping: Callable[[], bool]) -> None:
        """Claim it, and end it once the gate is open."""
        with self._changed:
            self.order.append(id_)
            self.now += 1
            self.most = max(self.most, self.now)
        assert self.gate.wait(PATIENCE)
        if lease := self._store.challenges.claim(id_):
            self._store.challenges.finish(id_, lease.challenge.app, lease.challenge.state.VERIFIED)
        with self._changed:
            self.now -= 1


class Watching(DueQueue):
    """A queue that counts how often it is read."""

    def __init__(self, store: Stores) -> None:
        super().__init__(store.scripts, store.partitions, "due")
        self.looks = 0

    def due(self, partitions: Sequence[str], limit: int) -> dict[str, Due]:
        """Read, and count it."""
        found = super().due(partitions, limit)
        self.looks += 1
        return found


class Known(Membership):
    """A list of workers that remembers how many there were at the last beat."""

    def __init__(self, store: Stores) -> None:
        super().__init__(store.scripts, prefix=store.prefix, queue="due")
        self.known = 0
        self.beats = 0
        """How often the same number was known in a row."""

    def beat(self, worker: str, seconds: float) -> list[str]:
        """Beat for as long as nothing is so late on a slow machine, and remember."""
        names = super().beat(worker, max(seconds, PATIENCE))
        self.beats = self.beats + 1 if len(names) == self.known else 1
        self.known = len(names)
        return names


def a_worker(
    spine: Spine,
    handle: Callable[[str, Callable[[], bool]], None],
    *,
    name: str = "one",
    sends: int = 8,
    queue: DueQueue | None = None,
    membership: Membership | None = None,
    scripts: Scripts | None = None,
    clock: Callable[[], float] = time.monotonic,
    beside: Sequence[Beside] = (),
) -> Worker:
    """Make a worker with the test's handler."""
    return Worker(
        queue=queue or spine.store.due,
        membership=membership or spine.store.membership(spine.store.due),
        scripts=scripts or spine.scripts,
        handle=handle,
        metrics=Metrics(),
        name=name,
        at_once=sends,
        clock=clock,
        beside=beside,
    )


def in_partition(store: Stores, partition: str) -> str:
    """Open a challenge in a partition."""
    return opened(store, LONG_PLAN, id=partition + new_challenge(store).id[2:]).id
