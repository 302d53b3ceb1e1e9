"""A failure that repeats fills no log: a line when it begins, one a minute, and one when it is over."""

import logging
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.telemetry.failures import CALM, EVERY, Failures


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Give a clock of the test's own."""
    return Clock()


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Log everything."""
    caplog.set_level(logging.INFO, logger="otp")
    return caplog


def fields(lines: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    """Return the fields of each line."""
    return [record.fields for record in lines.records]  # type: ignore[attr-defined]


def test_many_failures_a_second_are_one_line_a_minute(clock: Clock, lines: pytest.LogCaptureFixture) -> None:
    """The first is logged at once. Each later line says how many it stands for, and since when."""
    failures = Failures(clock)
    for _ in range(16 * 180):
        failures.failed("store.away", cause="OutOfMemoryError")
        clock.now += 1 / 16
    assert lines.messages == ["store.away"] * 3
    first, second, third = fields(lines)
    assert first == {"cause": "OutOfMemoryError"}
    assert (second["times"], second["seconds"]) == (960, 60)
    assert (third["times"], third["seconds"]) == (960, 120)


def test_the_end_is_logged_once(clock: Clock, lines: pytest.LogCaptureFixture) -> None:
    """When something works and nothing has failed for a while. While all is well nothing is logged."""
    failures = Failures(clock)
    failures.succeeded("store.back")
    failures.failed("store.away")
    clock.now += CALM
    failures.succeeded("store.back")
    failures.succeeded("store.back")
    assert lines.messages == ["store.away", "store.back"]
    assert fields(lines)[1] == {"seconds": round(CALM)}
    failures.failed("store.away")
    assert lines.messages[2:] == ["store.away"]


def test_reads_that_work_while_writes_fail_are_no_end(clock: Clock, lines: pytest.LogCaptureFixture) -> None:
    """A store that is full still answers reads: success and failure alternate, and the log stays quiet."""
    failures = Failures(clock)
    for _ in range(100):
        failures.failed("store.away")
        clock.now += CALM / 10
        failures.succeeded("store.back")
    assert lines.messages == ["store.away"]


def test_another_kind_of_failure_is_news(clock: Clock, lines: pytest.LogCaptureFixture) -> None:
    """A server that restarts refuses connections, then loads its data. Both end together."""
    failures = Failures(clock)
    for kind in ("ConnectionError", "BusyLoadingError") * 5:
        failures.failed("store.away", kind=kind, cause=kind)
    assert [one["cause"] for one in fields(lines)] == ["ConnectionError", "BusyLoadingError"]
    clock.now += CALM
    failures.succeeded("store.back")
    assert lines.messages[2:] == ["store.back"]


def test_errors_of_another_place_are_news(clock: Clock, lines: pytest.LogCaptureFixture) -> None:
    """Two bugs are two failures, even if they have the same name; the same bug is one."""
    failures = Failures(clock)

    def one() -> None:
        raise ValueError("secret")

    def other() -> None:
        raise ValueError("secret")

    for bug in (one, other) * 5:
        with pytest.raises(ValueError, match="secret") as raised:
            bug()
        failures.failed("worker.failed", logging.ERROR, error=raised.value)
    assert lines.messages == ["worker.failed"] * 2
    assert [record.levelname for record in lines.records] == ["ERROR"] * 2


def test_a_failure_that_was_long_ago_is_forgotten(clock: Clock, lines: pytest.LogCaptureFixture) -> None:
    """A failure whose end nothing tells is news again after a minute, and takes no memory."""
    failures = Failures(clock)
    for kind in range(1000):
        failures.failed("lookup.failed", kind=kind)
        clock.now += 1
    assert len(failures._spells) <= EVERY + 1  # noqa: SLF001 - what is kept
    failures.failed("lookup.failed", kind=0)
    assert fields(lines)[-1] == {}


@given(st.lists(st.floats(0, 2 * EVERY), max_size=50))
def test_lines_are_at_least_a_minute_apart(pauses: list[float]) -> None:
    """Whenever the failures come, the same one is never logged twice within a minute."""
    clock, logged = Clock(), []

    class Remembers(logging.Handler):
        def emit(self, _: logging.LogRecord) -> None:
            logged.append(clock.now)

    handler = Remembers()
    logger = logging.getLogger("otp")
    logger.addHandler(handler)
    try:
        failures = Failures(clock)
        for pause in (0.0, *pauses):
            clock.now += pause
            failures.failed("store.away")
    finally:
        logger.removeHandler(handler)
    assert logged[0] == 1000.0
    assert all(later - earlier >= EVERY for earlier, later in pairwise(logged))
