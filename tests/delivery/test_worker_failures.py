"""How a worker survives failures of handlers and of its store, and how it stops without loss."""

import logging
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest

from otp_service.bootstrap.stores import Stores
from otp_service.challenge.model import Status
from otp_service.crypto.hashing_threads import LITTLE
from otp_service.delivery.membership import Membership
from otp_service.delivery.worker import Worker
from otp_service.errors import StoreUnavailable
from otp_service.store.connection import USUAL_LIMITS
from otp_service.store.due import Due, DueQueue
from otp_service.telemetry.failures import CALM, EVERY
from otp_service.telemetry.metrics import Metrics
from otp_service.upstream.port import Message, Outcome
from tests.support.deployments import ask
from tests.support.fault_proxy import FaultProxy
from tests.support.patience import PATIENCE, until
from tests.support.ports import HOST, free_port
from tests.support.spine import (
    NUMBERS,
    Phone,
    Spine,
    deadline,
    make_spine,
    open_spine,
    opened,
    prefix_of,
    seen,
    working,
)
from tests.support.valkey_server import ValkeyServer
from tests.support.watched import scripts_at
from tests.support.workers import Broken, Handled, a_worker


class FailsOnce:
    """Handles challenges as `handled` does, but raises `error` at the first."""

    def __init__(self, handled: Handled, error: Exception) -> None:
        self.failed: list[str] = []
        self._handled, self._error = handled, error

    def __call__(self, id_: str, stopping: Callable[[], bool]) -> None:
        """Raise the error, or handle the challenge."""
        if not self.failed:
            self.failed.append(id_)
            raise self._error
        self._handled(id_, stopping)


def test_a_fault_in_one_challenge_does_not_end_the_worker(
    spine: Spine, caplog: pytest.LogCaptureFixture
) -> None:
    """An unexpected error is logged; the challenge is handled again, and the others are served."""
    handled = Handled(spine.store)
    failing = FailsOnce(handled, RuntimeError("secret 123456"))
    worker = a_worker(spine, failing)
    with working(worker):
        first = opened(spine.store).id
        until(lambda: handled.order == [first])
        second = opened(spine.store).id
        until(lambda: second in handled.order)
    assert failing.failed == [first]
    assert not worker.broken
    assert "worker.failed" in caplog.messages


def test_a_store_that_is_away_for_one_challenge_does_not_end_the_worker(
    spine: Spine, caplog: pytest.LogCaptureFixture
) -> None:
    """An outage during a send is not logged as a bug, and the challenge is handled again."""
    handled = Handled(spine.store)
    failing = FailsOnce(handled, StoreUnavailable(retry_after=1))
    with working(a_worker(spine, failing)):
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


def test_a_worker_whose_store_is_full_does_not_fill_its_log(caplog: pytest.LogCaptureFixture) -> None:
    """Each try of each message fails: one line says so, one a minute follows, and one tells when it is over."""
    caplog.set_level(logging.INFO, logger="otp")
    server, ahead, tries = ValkeyServer(), [0.0], []
    scripts = scripts_at(
        server.url,
        observe=lambda name, _: tries.append(name),
        clock=lambda: ahead[0],
    )
    spine = make_spine(scripts, partitions=2)
    try:
        for number in NUMBERS[:4]:
            spine.opened(number)
        ask(server, "CONFIG", "SET", "maxmemory", "1")
        with working(spine.worker()):
            for lines in (1, 2):
                tries.clear()
                until(lambda: tries.count("error") > 20)
                assert caplog.messages.count("store.away") == lines
                ahead[0] += EVERY
            ask(server, "CONFIG", "SET", "maxmemory", "0")
            assert {spine.phone.next()[0] for _ in range(4)} == set(NUMBERS[:4])
            ahead[0] += CALM
            until(lambda: "store.back" in caplog.messages)
        assert caplog.messages.count("store.back") == 1
    finally:
        scripts.close()
        server.close()


def test_a_handler_that_always_fails_does_not_fill_the_log(
    spine: Spine, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug that meets every message is one line a minute, and the worker goes on."""
    ahead, failed = [0.0], []

    def fail(id_: str, _stopping: Callable[[], bool]) -> None:
        failed.append(id_)
        raise RuntimeError(id_)

    opened(spine.store)
    worker = a_worker(spine, fail, clock=lambda: ahead[0])
    with working(worker):
        until(lambda: len(failed) > 4)
        assert caplog.messages.count("worker.failed") == 1
        ahead[0] += EVERY
        until(lambda: caplog.messages.count("worker.failed") == 2)
        assert not worker.broken


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

        def listening() -> set[str]:
            return {one["id"] for one in valkey.client().client_list(_type="pubsub")}

        with working(spine.worker()):
            until(lambda: ask(valkey, "PUBSUB", "NUMSUB", channel)[1] == 1)
            before = listening()
            proxy.cut()
            until(lambda: bool(listening() - before))
            spine.opened(NUMBERS[0])
            assert spine.phone.next()[0] == NUMBERS[0]
        scripts.close()


# Stopping.


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


def test_a_worker_that_stops_releases_what_has_not_left(valkey: ValkeyServer) -> None:
    """A claimed delivery that waits for its hash is released: due at once, and not sent by this worker."""
    with open_spine(valkey, connections=32, partitions=2, hash_slots=1) as spine:
        worker = spine.worker()
        running, begun, free = threading.Thread(target=worker.run), threading.Event(), threading.Event()

        def hold() -> bool:
            begun.set()
            return free.wait(PATIENCE)

        hashing = threading.Thread(target=lambda: spine.hasher.threads.run(hold, LITTLE))
        hashing.start()
        assert begun.wait(PATIENCE)
        running.start()
        ids = [spine.opened(number) for number in NUMBERS[:5]]
        until(lambda: all(seen(spine.store, id_).last.status is Status.CLAIMED for id_ in ids))
        worker.stop()
        free.set()
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
            def by_server(self, partitions: Sequence[str]) -> list[list[str]]:
                return [[partition] for partition in partitions]

            def due(self, partitions: Sequence[str], limit: int) -> dict[str, Due]:
                looks.extend(partitions)
                begun.set()
                assert stopped.wait(PATIENCE)
                return super().due(partitions, limit)

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
