"""The waits that are learned from the figures."""

import math
import secrets
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.figures.counters import Counters
from otp_service.figures.learned import DAYS, LEAST_SAMPLES, MEMORY, SHARE, LearnedWaits
from otp_service.figures.periods import DAY
from otp_service.figures.seconds import bucket_of, quantile
from otp_service.history.note import Note, What
from tests.support.spine import PatientScripts
from tests.support.valkey_server import ValkeyServer

NOW = 20_000 * DAY
ERROR = 2 ** (1 / 12)
"""Half a bucket: how far a learned wait may lie from the true one, as a factor."""


class Clock:
    """The monotonic clock of a process."""

    now = 0.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now


@pytest.fixture
def counters(valkey: ValkeyServer) -> Iterator[Counters]:
    """Give counters with keys of their own."""
    scripts = PatientScripts(valkey, 2)
    yield Counters(scripts, prefix=f"t{secrets.token_hex(6)}")
    scripts.close()


def verified(seconds: float, account: str = "main", *, back: int = 0) -> Note:
    """Make the note of a code that was verified over SMS in India, so many days back."""
    about = {"app": "web", "country": "IN", "channel": "sms", "account": account, "place": 0}
    return Note(what=What.ENDED, at=NOW - back * DAY, result="verified", seconds=seconds, **about)  # type: ignore[arg-type]


@given(st.lists(st.floats(0, 600), min_size=1, max_size=200))
def test_the_ninetieth_percentile_is_right_within_half_a_bucket(seconds: list[float]) -> None:
    """Compared with the sorted list; less than a second counts as one second."""
    true = max(1.0, sorted(seconds)[math.ceil(SHARE * len(seconds)) - 1])
    found = quantile(Counter(map(bucket_of, seconds)), SHARE)
    assert found is not None
    assert true / ERROR * 0.999 <= found <= true * ERROR * 1.001


def test_nothing_is_learned_from_a_few(counters: Counters) -> None:
    """With one verification too few there is no wait; with enough it covers nine in ten, over all accounts and days."""
    clock = Clock()
    waits = LearnedWaits(counters, clock=clock)
    counters.take([verified(10.0, ("main", "spare")[n % 2], back=n % DAYS) for n in range(LEAST_SAMPLES - 1)])
    counters.take([verified(10.0, back=DAYS)] * LEAST_SAMPLES)
    assert waits.wait(lambda: NOW, "sms", "IN") is None
    counters.take([verified(500.0)])
    clock.now += MEMORY + 1
    found = waits.wait(lambda: NOW, "sms", "IN")
    assert found is not None
    assert 10 / ERROR <= found <= 10 * ERROR
    assert waits.wait(lambda: NOW, "sms", "GB") is None
    assert waits.wait(lambda: NOW, "voice", "IN") is None


def test_a_reading_stays_good_for_a_while(counters: Counters) -> None:
    """A send does not read seven days of counters each time."""
    clock = Clock()
    waits = LearnedWaits(counters, clock=clock)
    assert waits.wait(lambda: NOW, "sms", "IN") is None
    counters.take([verified(10.0)] * LEAST_SAMPLES)
    clock.now += MEMORY
    assert waits.wait(lambda: NOW, "sms", "IN") is None
    clock.now += 1
    assert waits.wait(lambda: NOW, "sms", "IN") is not None
