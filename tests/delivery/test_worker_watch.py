"""A send is refused while no worker lives, and only then."""

import pytest

from otp_service.delivery.membership import LIFE
from otp_service.delivery.worker_watch import OLDEST_EVERY, RETRY_AFTER, STALE, WorkerWatch
from otp_service.errors import NoWorker, StoreUnavailable
from otp_service.telemetry.metrics import Metrics
from otp_service.verification.resend import ResendRequest
from tests.support.spine import NUMBERS, Spine, open_spine, opened, prefix_of
from tests.support.valkey_server import ValkeyServer
from tests.support.watched import store_at

SILENCE, BRIEFLY = 300, 30
"""Seconds: after which a send is refused, and how far a test stays away from that."""


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def watching(spine: Spine, metrics: Metrics | None = None, clock: Clock | None = None) -> WorkerWatch:
    """Make what a process of the API has."""
    store = spine.store
    return WorkerWatch(
        store.membership(store.due),
        [store.due, store.events_due],
        metrics or Metrics(),
        silence=SILENCE,
        clock=clock or Clock(),
    )


def beat(spine: Spine) -> None:
    """Show a worker."""
    spine.store.membership(spine.store.due).beat("one", LIFE)


def pass_time(spine: Spine, watch: WorkerWatch, seconds: float) -> None:
    """Move the store's clock, and let the process read once."""
    spine.scripts.offset += int(seconds * 1000)
    watch.refresh()


def refuses(watch: WorkerWatch) -> bool:
    """Say whether a send is refused, with a time to wait."""
    try:
        watch.require()
    except NoWorker as error:
        return error.retry_after == RETRY_AFTER
    return False


def test_a_send_is_refused_once_all_workers_are_silent_for_long(spine: Spine) -> None:
    """The silence counts from the last beat, also when the list of workers has expired; a beat ends it."""
    watch = watching(spine)
    beat(spine)
    watch.refresh()
    for _ in range(SILENCE // BRIEFLY - 1):
        pass_time(spine, watch, BRIEFLY)
        assert not refuses(watch)
    pass_time(spine, watch, BRIEFLY)
    assert refuses(watch)
    beat(spine)
    watch.refresh()
    assert not refuses(watch)


def test_workers_that_leave_are_missed_as_well(spine: Spine) -> None:
    """A worker that was stopped takes its name away; the last beat that was seen still counts."""
    watch = watching(spine)
    beat(spine)
    watch.refresh()
    spine.store.membership(spine.store.due).leave("one")
    pass_time(spine, watch, SILENCE - BRIEFLY)
    assert not refuses(watch)
    pass_time(spine, watch, BRIEFLY)
    assert refuses(watch)


def test_a_process_that_has_just_started_refuses_nothing(spine: Spine) -> None:
    """It does not know how long workers have been away, so it waits as long as for a worker that fell silent."""
    watch = watching(spine)
    assert not refuses(watch)
    watch.refresh()
    assert not refuses(watch)
    pass_time(spine, watch, SILENCE - BRIEFLY)
    assert not refuses(watch)
    pass_time(spine, watch, BRIEFLY)
    assert refuses(watch)


def test_a_store_that_was_away_says_nothing_about_workers() -> None:
    """After an outage workers get as long to show themselves as after a start."""
    server = ValkeyServer()
    with store_at(server.url) as store:
        watch = WorkerWatch(store.membership(store.due), [store.due], Metrics(), silence=SILENCE)
        watch.refresh()
        store.scripts.offset += (SILENCE - BRIEFLY) * 1000
        watch.refresh()
        server.kill()
        with pytest.raises(StoreUnavailable):
            watch.refresh()
        server.start()
        for refused in (False, True):
            watch.refresh()
            assert refuses(watch) is refused
            store.scripts.offset += SILENCE * 1000
    server.close()


def test_what_was_read_long_ago_refuses_nothing(spine: Spine) -> None:
    """A reader that hangs must not stop the service."""
    clock = Clock()
    watch = watching(spine, clock=clock)
    watch.refresh()
    pass_time(spine, watch, SILENCE)
    assert refuses(watch)
    clock.now += STALE
    assert not refuses(watch)


def stored(server: ValkeyServer, spine: Spine) -> dict[str, bytes | None]:
    """Return what the store holds for this service."""
    client = server.client()
    return {key: client.dump(key) for key in client.scan_iter(f"*{prefix_of(spine.store)}*", count=10_000)}


def test_a_refused_send_charges_and_stores_nothing(valkey: ValkeyServer) -> None:
    """It writes no key. What was accepted before is still shown, and with a worker the same request is served."""
    with open_spine(valkey, partitions=1, clock=Clock()) as spine:
        first = spine.opened(NUMBERS[0], "a-key")
        spine.workers.refresh()
        pass_time(spine, spine.workers, 60)
        before = stored(valkey, spine)
        with pytest.raises(NoWorker):
            spine.opened(NUMBERS[1])
        with pytest.raises(NoWorker):
            spine.resend.resend(spine.caller, first, ResendRequest())
        assert spine.opened(NUMBERS[0], "a-key") == first
        assert stored(valkey, spine) == before
        beat(spine)
        spine.workers.refresh()
        spine.opened(NUMBERS[1])
        assert stored(valkey, spine) != before


def test_the_api_shows_how_late_work_is(spine: Spine) -> None:
    """Without any worker its metrics tell how many are alive, and how long the oldest due message has waited."""
    metrics = Metrics()
    watch = watching(spine, metrics)
    since = spine.store.facts.time()
    opened(spine.store)
    spine.scripts.offset += 7000
    opened(spine.store)
    watch.refresh()

    def shown(name: str, queue: str = "due") -> float | None:
        return metrics.registry.get_sample_value(name, {"queue": queue})

    late = shown("otp_oldest_overdue_seconds")
    assert late is not None
    assert 7 <= late <= (spine.store.facts.time() - since) / 1000
    assert shown("otp_oldest_overdue_seconds", "evt") == 0
    assert shown("otp_workers") == 0
    spine.store.membership(spine.store.due).beat("one", 20 * LIFE)
    for _ in range(OLDEST_EVERY):
        pass_time(spine, watch, 0)
    assert shown("otp_workers") == 1
    assert late <= (shown("otp_oldest_overdue_seconds") or 0) <= (spine.store.facts.time() - since) / 1000


def test_the_api_shows_how_much_is_queued(spine: Spine) -> None:
    """Open challenges, and events that their app has not accepted, whether they are due or wait for a later try."""
    metrics = Metrics()
    watch = watching(spine, metrics)
    id_ = opened(spine.store).id
    spine.store.events.put(id_, ["a", "b"], {"a": {"n": 1}, "b": {"n": 2}})
    event = next(iter(spine.store.events_due.due([id_[:2]], 1)[id_[:2]].ids))
    assert spine.store.events.claim(event)
    spine.store.events.finish(event, 3600)
    watch.refresh()
    shown = [metrics.registry.get_sample_value("otp_queued", {"queue": queue}) for queue in ("due", "evt")]
    assert shown == [1, 2]
