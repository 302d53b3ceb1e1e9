"""How a worker works: it wakes, shares, stays within its limits, and stops without loss."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import pytest
from redis.client import PubSub

from otp_service.bootstrap.stores import Stores
from otp_service.challenge.model import Status
from otp_service.challenge.store import CLAIM_LEASE
from otp_service.delivery.membership import Membership
from otp_service.delivery.worker import Worker
from otp_service.errors import StoreUnavailable
from otp_service.store.connection import USUAL_LIMITS
from otp_service.store.due import Due, DueQueue
from otp_service.store.scripts import Scripts
from otp_service.telemetry.metrics import Metrics
from otp_service.upstream.port import Message, Outcome, Verdict
from tests.support.deployments import ask
from tests.support.fault_proxy import FaultProxy
from tests.support.patience import PATIENCE, until
from tests.support.ports import HOST, free_port
from tests.support.spine import (
    NUMBERS,
    PLAN,
    Phone,
    Spine,
    claimed,
    deadline,
    make_spine,
    new_challenge,
    open_spine,
    opened,
    prefix_of,
    seen,
    working,
)
from tests.support.valkey_server import ValkeyServer
from tests.support.watched import scripts_at

LONG_PLAN = replace(PLAN, ttl=600)


@pytest.fixture
def spine(valkey: ValkeyServer) -> Iterator[Spine]:
    """Give a service of one partition, whose messages land in an inbox."""
    with open_spine(valkey, connections=64, partitions=1) as made:
        yield made


@pytest.fixture
def shared(valkey: ValkeyServer) -> Iterator[Spine]:
    """Give a service of eight partitions for several workers."""
    with open_spine(valkey, connections=64, partitions=8) as made:
        yield made


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


def a_worker(
    spine: Spine,
    handle: Callable[[str, Callable[[], bool]], None],
    *,
    name: str = "one",
    sends: int = 8,
    queue: DueQueue | None = None,
    membership: Membership | None = None,
    scripts: Scripts | None = None,
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
    )


def in_partition(store: Stores, partition: str) -> str:
    """Open a challenge in a partition."""
    return opened(store, LONG_PLAN, id=partition + new_challenge(store).id[2:]).id


# When it works.


def test_a_new_send_wakes_the_worker(spine: Spine) -> None:
    """Messages leave one after the other, as they are requested.

    Each is requested after the previous one has left, while the worker sleeps. Without wake-ups each would wait for the
    next poll, a second later: forty seconds in total, twice the test's patience.
    """
    with working(spine.worker()):
        gone = threading.Event()

        def send_all() -> None:
            for number in NUMBERS[:40]:
                spine.opened(number)
                spine.phone.next()
            gone.set()

        threading.Thread(target=send_all).start()
        assert gone.wait(PATIENCE)


def test_polling_makes_up_for_a_lost_wake_up(spine: Spine) -> None:
    """A worker without wake-ups still finds what is due."""
    handled = Handled(spine.store)
    with working(a_worker(spine, handled, scripts=Deaf(spine.scripts))):
        for _ in range(2):
            id_ = opened(spine.store).id
            until(lambda id_=id_: id_ in handled.order)  # type: ignore[misc]


def test_what_was_due_before_the_worker_started_is_taken(spine: Spine) -> None:
    """A crash leaves deadlines behind; the next worker takes them."""
    ids = [opened(spine.store).id for _ in range(5)]
    handled = Handled(spine.store)
    with working(a_worker(spine, handled)):
        until(lambda: set(handled.order) >= set(ids))


def test_a_deadline_in_the_future_is_met_without_a_wake_up(spine: Spine) -> None:
    """It is read when it becomes due: here, a claim of a dead worker whose lease ends."""
    id_ = opened(spine.store).id
    claimed(spine.store, id_)
    spine.store.scripts.offset += CLAIM_LEASE - 300
    handled = Handled(spine.store)
    with working(a_worker(spine, handled, scripts=Deaf(spine.scripts))):
        until(lambda: id_ in handled.order)


def test_a_backlog_is_handled_without_pauses(spine: Spine) -> None:
    """With more in one partition than fits at once, the worker continues as soon as it has room.

    With one poll a second it would take two hundred seconds.
    """
    ids = {opened(spine.store).id for _ in range(400)}
    handled = Handled(spine.store)
    with working(a_worker(spine, handled, sends=2)):
        until(lambda: set(handled.order) == ids and not handled.now)


def test_a_backlog_in_one_partition_does_not_starve_the_others(shared: Spine) -> None:
    """Partitions take turns: the last one starts long before the backlog of the first one is done."""
    first, last = shared.store.partitions.names()[0], shared.store.partitions.names()[-1]
    backlog = [in_partition(shared.store, first) for _ in range(60)]
    alone = in_partition(shared.store, last)
    handled = Handled(shared.store)
    with working(a_worker(shared, handled, sends=3)):
        until(lambda: len(set(handled.order)) == len(backlog) + 1)
    assert handled.order.index(alone) < len(backlog) / 2


# How much at once.


def test_a_worker_never_exceeds_its_limit(spine: Spine) -> None:
    """At its limit it starts nothing more, however much is due; everything is done in the end."""
    ids = [opened(spine.store).id for _ in range(30)]
    handled = Handled(spine.store)
    handled.gate.clear()
    with working(a_worker(spine, handled, sends=4)):
        until(lambda: handled.now == 4)
        more = opened(spine.store).id  # its wake-up comes while all places are taken
        until(lambda: spine.store.challenges.read_challenge(more)[1] is not None)
        handled.gate.set()
        until(lambda: set(handled.order) >= {*ids, more})
    assert handled.most == 4


def test_one_slow_message_does_not_delay_the_others(valkey: ValkeyServer) -> None:
    """While an upstream keeps one message hanging, all others leave."""
    phone, hang = Phone(), threading.Event()

    class Hanging(Phone):
        def __call__(self, message: Message) -> Outcome:
            if message.to == NUMBERS[0]:
                assert hang.wait(PATIENCE)
            return phone(message)

    with open_spine(valkey, connections=32, partitions=2, phone=Hanging()) as spine:
        with working(spine.worker(sends=4)):
            slow = spine.opened(NUMBERS[0])
            until(lambda: seen(spine.store, slow).last.status is Status.SENDING)
            for number in NUMBERS[1:30]:
                spine.opened(number)
            assert {phone.next()[0] for _ in range(29)} == set(NUMBERS[1:30])
            assert seen(spine.store, slow).last.status is Status.SENDING
            hang.set()
            assert phone.next()[0] == NUMBERS[0]
        assert seen(spine.store, slow).last.status is Status.ACCEPTED


def test_a_challenge_that_is_due_while_it_is_being_handled_is_taken_again(spine: Spine) -> None:
    """If it becomes due during a send, it is handled after it, and never twice at the same time."""
    begun: list[str] = []
    gate = threading.Event()

    def handle(id_: str, _stopping: Callable[[], bool]) -> None:
        begun.append(id_)
        assert gate.wait(PATIENCE)  # and leaves it as due as it was

    watched = Watching(spine.store)
    with working(a_worker(spine, handle, queue=watched)):
        id_ = opened(spine.store).id
        until(lambda: begun == [id_])
        looks = watched.looks
        other = opened(spine.store).id  # wakes the worker, which sees both as due
        until(lambda: watched.looks > looks and other in begun)
        assert begun.count(id_) == 1
        gate.set()
        until(lambda: begun.count(id_) > 1)


class Watching(DueQueue):
    """A queue that counts the reads of its partitions."""

    def __init__(self, store: Stores) -> None:
        super().__init__(store.scripts, store.partitions, "due")
        self.looks = 0

    def due(self, partition: str, limit: int) -> Due:
        """Read, and count it."""
        found = super().due(partition, limit)
        self.looks += 1
        return found


# Several workers.


def test_two_workers_share_the_partitions(shared: Spine) -> None:
    """Each partition belongs to one worker, which handles all that is due in it; both have their share."""
    who: dict[str, set[str]] = {}
    did: dict[str, set[str]] = {"one": set(), "two": set()}
    lock = threading.Lock()

    def named(name: str) -> Callable[[str, Callable[[], bool]], None]:
        handled = Handled(shared.store)

        def handle(id_: str, stopping: Callable[[], bool]) -> None:
            with lock:
                who.setdefault(id_[:2], set()).add(name)
                did[name].add(id_)  # a wake-up may bring a worker to a challenge that it has just ended
            handled(id_, stopping)

        return handle

    one = Known(shared.store)
    two = Known(shared.store)
    with working(
        a_worker(shared, named("one"), name="one", membership=one),
        a_worker(shared, named("two"), name="two", membership=two),
    ):
        until(lambda: one.known == two.known == 2 and one.beats > 2 and two.beats > 2)
        for _ in range(5):
            for partition in shared.store.partitions.names():
                in_partition(shared.store, partition)
        until(lambda: sum(map(len, did.values())) >= 40)
    assert {len(names) for names in who.values()} == {1}
    assert {name: len(ids) for name, ids in did.items()} == {"one": 20, "two": 20}


class Known(Membership):
    """A list of workers that remembers how many there were at the last beat."""

    def __init__(self, store: Stores) -> None:
        super().__init__(store.scripts, prefix=store.prefix, queue="due")
        self.known = 0
        self.beats = 0
        """How often the same number was known in a row."""

    def beat(self, worker: str, seconds: float) -> list[str]:
        """Beat, and remember."""
        names = super().beat(worker, seconds)
        self.beats = self.beats + 1 if len(names) == self.known else 1
        self.known = len(names)
        return names


def test_the_partitions_of_a_worker_that_leaves_are_taken_over(shared: Spine) -> None:
    """After one of two workers has stopped, the other serves all partitions."""
    handled = Handled(shared.store)
    known = Known(shared.store)
    with working(a_worker(shared, handled, name="stays", membership=known)):
        with working(a_worker(shared, handled, name="leaves")):
            until(lambda: known.known == 2)
        until(lambda: known.known == 1)
        ids = {in_partition(shared.store, partition) for partition in shared.store.partitions.names()}
        until(lambda: set(handled.order) >= ids)


def test_the_partitions_of_a_worker_that_died_are_taken_over(shared: Spine) -> None:
    """A worker without beats keeps its partitions until its time is over; then the other one takes them."""
    handled = Handled(shared.store)
    shared.store.membership(shared.store.due).beat("ghost", 100)  # comes first in the order, and never works
    known = Known(shared.store)
    with working(a_worker(shared, handled, name="one", membership=known)):
        until(lambda: known.beats > 1)
        ids = [in_partition(shared.store, partition) for partition in shared.store.partitions.names()]
        until(lambda: set(handled.order) == set(ids[1::2]))
        shared.store.scripts.offset = 100_000
        until(lambda: set(handled.order) == set(ids))


# Trouble.


def test_a_fault_in_one_challenge_does_not_end_the_worker(
    spine: Spine, caplog: pytest.LogCaptureFixture
) -> None:
    """An unexpected error is logged; the challenge is handled again, and the others are served."""
    handled = Handled(spine.store)
    failed: list[str] = []

    def handle(id_: str, stopping: Callable[[], bool]) -> None:
        if not failed:
            failed.append(id_)
            raise RuntimeError("secret 123456")
        handled(id_, stopping)

    worker = a_worker(spine, handle)
    with working(worker):
        first = opened(spine.store).id
        until(lambda: handled.order == [first])
        second = opened(spine.store).id
        until(lambda: second in handled.order)
    assert failed == [first]
    assert not worker.broken
    assert "worker.failed" in caplog.messages


def test_a_store_that_is_away_for_one_challenge_does_not_end_the_worker(
    spine: Spine, caplog: pytest.LogCaptureFixture
) -> None:
    """An outage during a send is not logged as a bug, and the challenge is handled again."""
    handled = Handled(spine.store)
    failed: list[str] = []

    def handle(id_: str, stopping: Callable[[], bool]) -> None:
        if not failed:
            failed.append(id_)
            raise StoreUnavailable(retry_after=1)
        handled(id_, stopping)

    with working(a_worker(spine, handle)):
        id_ = opened(spine.store).id
        until(lambda: handled.order == [id_])
    assert "worker.failed" not in caplog.messages


def test_a_worker_that_cannot_listen_ends_as_broken(spine: Spine, caplog: pytest.LogCaptureFixture) -> None:
    """A failure of the listening thread ends the worker, and it says so."""
    worker = a_worker(spine, Handled(spine.store), scripts=Broken(spine.scripts))
    worker.run()
    assert worker.broken
    assert "worker.broken" in caplog.messages


def test_a_worker_that_cannot_beat_ends_as_broken(spine: Spine, caplog: pytest.LogCaptureFixture) -> None:
    """The same for the beating thread."""

    class Mute(Membership):
        def beat(self, worker: str, seconds: float) -> list[str]:
            raise RuntimeError(worker, seconds)

    mute = Mute(spine.scripts, prefix=prefix_of(spine.store), queue="due")
    worker = a_worker(spine, Handled(spine.store), membership=mute)
    worker.run()
    assert worker.broken
    assert "worker.broken" in caplog.messages


def test_a_worker_goes_on_when_the_store_is_back(valkey: ValkeyServer) -> None:
    """After a restart of the store the same worker sends what is requested, woken as before."""
    server = ValkeyServer()
    scripts = scripts_at(server.url)
    spine = make_spine(scripts, partitions=2)
    worker = spine.worker()
    try:
        with working(worker):
            spine.opened(NUMBERS[0])
            assert spine.phone.next()[0] == NUMBERS[0]
            server.kill()
            with pytest.raises(StoreUnavailable):
                spine.opened(NUMBERS[1])
            server.start()
            for number in NUMBERS[2:6]:
                spine.opened(number)
                assert spine.phone.next()[0] == number
        assert not worker.broken
    finally:
        scripts.close()
        server.close()


def test_a_worker_starts_before_its_store(valkey: ValkeyServer) -> None:
    """Without a server it waits for one, and works when there is one."""
    port = free_port()
    url = f"redis://{HOST}:{port}"
    scripts = scripts_at(url)
    spine = make_spine(scripts, partitions=2)
    worker = spine.worker()
    server: ValkeyServer | None = None
    try:
        with working(worker):
            with pytest.raises(StoreUnavailable):
                spine.store.facts.ping()
            server = ValkeyServer(port=port)
            spine.opened(NUMBERS[0])
            assert spine.phone.next()[0] == NUMBERS[0]
        assert not worker.broken
    finally:
        scripts.close()
        if server is not None:
            server.close()


def test_a_worker_survives_the_loss_of_its_listening_connection(valkey: ValkeyServer) -> None:
    """When all connections break, it listens again and is woken as before."""
    with FaultProxy(valkey.socket) as proxy:
        scripts = scripts_at(proxy.url)
        spine = make_spine(scripts, partitions=2)
        channel = spine.store.due.wake_channel
        with working(spine.worker()):
            until(lambda: ask(valkey, "PUBSUB", "NUMSUB", channel)[1] == 1)
            proxy.cut()
            until(lambda: ask(valkey, "PUBSUB", "NUMSUB", channel)[1] == 0)
            until(lambda: ask(valkey, "PUBSUB", "NUMSUB", channel)[1] == 1)
            spine.opened(NUMBERS[0])
            assert spine.phone.next()[0] == NUMBERS[0]
        scripts.close()


# Ending.


def test_a_worker_that_stops_finishes_what_has_left(valkey: ValkeyServer) -> None:
    """It waits for a message that has left and records its outcome; it starts nothing new."""
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Phone):
        def __call__(self, message: Message) -> Outcome:
            begun.set()
            assert go_on.wait(PATIENCE)
            return super().__call__(message)

    with open_spine(valkey, connections=32, partitions=2, phone=Slow()) as spine:
        worker = spine.worker()
        running = threading.Thread(target=worker.run)
        running.start()
        id_ = spine.opened(NUMBERS[0])
        assert begun.wait(PATIENCE)
        worker.stop()
        late = spine.opened(NUMBERS[1])
        go_on.set()
        running.join(PATIENCE)
        assert not running.is_alive()
        assert seen(spine.store, id_).last.status is Status.ACCEPTED
        assert seen(spine.store, late).last.status is Status.QUEUED
        assert spine.store.membership(spine.store.due).beat("next", 3) == ["next"]


def test_a_worker_that_stops_releases_what_has_not_left(
    valkey: ValkeyServer,
) -> None:
    """A claimed delivery that waits for its hash is released: due at once, and not sent by this worker."""
    with open_spine(valkey, connections=32, partitions=2, hash_slots=1) as spine:
        worker = spine.worker()
        running = threading.Thread(target=worker.run)
        with spine.hasher.slot():
            running.start()
            ids = [spine.opened(number) for number in NUMBERS[:5]]
            until(lambda: all(seen(spine.store, id_).last.status is Status.CLAIMED for id_ in ids))
            worker.stop()
        running.join(PATIENCE)
        assert not running.is_alive()
        assert spine.phone.inbox.empty()
        for id_ in ids:
            assert seen(spine.store, id_).last.status is Status.QUEUED
            due = deadline(valkey, spine.store, id_)
            assert due is not None
            assert due <= spine.store.facts.time()
        with working(spine.worker("next")):
            assert {spine.phone.next()[0] for _ in ids} == set(NUMBERS[:5])


def test_a_worker_can_be_stopped_while_its_store_is_silent() -> None:
    """With many partitions and a store that accepts calls and never answers, it reads no further one."""
    with socket.create_server((HOST, 0), backlog=256) as listener:
        url = f"redis://{HOST}:{listener.getsockname()[1]}"
        scripts = scripts_at(url, limits=USUAL_LIMITS)
        looks: list[str] = []
        begun, stopped = threading.Event(), threading.Event()

        class Alone(Membership):
            def beat(self, worker: str, seconds: float) -> list[str]:
                with suppress(StoreUnavailable):
                    return super().beat(worker, seconds)
                return [worker]  # as if it had known its share before

        class Silent(DueQueue):
            def due(self, partition: str, limit: int) -> Due:
                looks.append(partition)
                begun.set()
                assert stopped.wait(PATIENCE)
                return super().due(partition, limit)

        store = Stores(scripts, prefix="test", partitions=64)
        worker = Worker(
            queue=Silent(scripts, store.partitions, "due"),
            membership=Alone(scripts, prefix="test", queue="due"),
            scripts=scripts,
            handle=Handled(store),
            metrics=Metrics(),
            name="one",
            at_once=4,
        )
        running = threading.Thread(target=worker.run)
        running.start()
        assert begun.wait(PATIENCE)
        worker.stop()
        stopped.set()
        running.join(PATIENCE)
        assert not running.is_alive()
        assert len(looks) == 1
        scripts.close()


def test_a_worker_that_is_stopped_before_it_runs_does_nothing(spine: Spine) -> None:
    """A signal may arrive before the first round."""
    id_ = opened(spine.store).id
    handled = Handled(spine.store)
    worker = a_worker(spine, handled)
    worker.stop()
    worker.run()
    assert handled.order == []
    assert seen(spine.store, id_).last.status is Status.QUEUED


# The service's part in it.


def test_an_unknown_outcome_moves_on_to_the_next_channel(valkey: ValkeyServer) -> None:
    """If an upstream took the request and did not answer, the next step sends a code after the wait."""
    phone = Phone(Outcome(Verdict.UNKNOWN, "timeout"))
    with open_spine(valkey, connections=32, partitions=1, phone=phone) as spine, working(spine.worker()):
        id_ = spine.opened(NUMBERS[0])
        first = phone.next()[1]
        until(lambda: seen(spine.store, id_).last.status is Status.UNKNOWN)
        spine.store.scripts.offset += 30_000
        second = phone.next()[1]
        until(lambda: seen(spine.store, id_).last.status is Status.ACCEPTED)
        assert [d.channel for d in seen(spine.store, id_).deliveries] == ["sms", "voice"]
        proof = spine.check.verify(spine.caller, id_, first if first == second else second)
        assert proof.view.channel == "voice"
