"""The counters of conversion on a real server, and the waits that are learned from them."""

import math
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.delivery.conversion import DAY, DAYS, LEAST_SAMPLES, MEMORY, SHARE, Conversion, Row, _bucket
from otp_service.errors import StoreUnavailable
from otp_service.store.scripts import SCAN_COUNT
from tests.support.patience import until
from tests.support.spine import PATIENT, PatientScripts
from tests.support.valkey_server import ValkeyServer

NOW = 20_000 * DAY
ERROR = 2 ** (1 / 24)
"""Half a bucket: how far a learned wait may lie from the true one, as a factor."""


class Clock:
    """The monotonic clock of a process."""

    now = 0.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Give a clock that a test moves."""
    return Clock()


@pytest.fixture
def conversion(valkey: ValkeyServer, clock: Clock) -> Iterator[Conversion]:
    """Give counters with keys of their own."""
    scripts = PatientScripts(valkey, 2)
    yield Conversion(scripts, prefix=f"t{secrets.token_hex(6)}", clock=clock)
    scripts.close()


@PATIENT
@given(st.lists(st.floats(0, 600), min_size=1, max_size=200))
def test_the_ninetieth_percentile_is_right_within_half_a_bucket(seconds: list[float]) -> None:
    """Compared with the sorted list; less than a second counts as one second."""
    row = Row("sms", "IN", "main")
    row.times.update(map(_bucket, seconds))
    true = max(1.0, sorted(seconds)[math.ceil(SHARE * len(seconds)) - 1])
    found = row.seconds(SHARE)
    assert found is not None
    assert true / ERROR * 0.999 <= found <= true * ERROR * 1.001


def test_many_counters_are_read_in_steps(conversion: Conversion) -> None:
    """No step reads more than a page, so that the store answers others in between; nothing is lost or counted twice."""
    upstreams = [f"account-{place}" for place in range(3 * SCAN_COUNT)]
    for upstream in upstreams:
        conversion.count_sent(NOW, "sms", "IN", upstream)
    conversion.write()
    sizes: list[int] = []
    pages: Any = Pages(conversion._scripts.call, sizes)  # noqa: SLF001 - what it uses of them
    rows = Conversion(pages, prefix=conversion._prefix, clock=float).read_rows(NOW)  # noqa: SLF001
    assert [(row.upstream, row.sent) for row in rows] == [(upstream, 1) for upstream in sorted(upstreams)]
    assert max(sizes) < 2 * SCAN_COUNT


class Pages:
    """The scripts, with the size of each page that was read."""

    def __init__(self, call: Callable[..., Any], sizes: list[int]) -> None:
        self._call = call
        self._sizes = sizes

    def call(self, name: str, keys: list[str], *arguments: object) -> Any:  # noqa: ANN401 - the script's
        """Read a page."""
        assert name == "read_hash_page"
        cursor, found = self._call(name, keys, *arguments)
        self._sizes.append(len(found) // 2)
        return cursor, found


def test_codes_are_counted_by_channel_country_and_upstream(conversion: Conversion) -> None:
    """Sent and verified codes are counted apart; days add up, and only the last week is read."""
    for back in (0, 1, DAYS - 1, DAYS):
        conversion.count_sent(NOW - back * DAY, "sms", "IN", "main")
    conversion.count_verified(NOW, "sms", "IN", "main", 12.0)
    conversion.count_sent(NOW, "voice", "GB", "spare")
    first, second = conversion.read_rows(NOW)
    assert (first.channel, first.country, first.upstream) == ("sms", "IN", "main")
    assert (first.sent, first.verified, sum(first.times.values())) == (3, 1, 1)
    assert (second.channel, second.country, second.upstream) == ("voice", "GB", "spare")
    assert (second.sent, second.verified, second.seconds(SHARE)) == (1, 0, None)


def test_what_is_counted_is_written_in_one_call_at_the_next_second(conversion: Conversion) -> None:
    """A count makes no call of the store by itself. Other processes see all of it once it is written."""
    other = Conversion(conversion._scripts, prefix=conversion._prefix, clock=float)  # noqa: SLF001
    for seconds in (5.0, 5.0, 80.0):
        conversion.count_sent(NOW, "sms", "IN", "main")
        conversion.count_verified(NOW - DAY, "sms", "IN", "main", seconds)
    assert other.read_rows(NOW) == []
    conversion.follow()
    until(lambda: [(row.sent, row.verified) for row in other.read_rows(NOW)] == [(3, 3)])
    conversion.write()
    assert sorted(other.read_rows(NOW)[0].times.values()) == [1, 2]


def test_what_could_not_be_written_is_written_later(conversion: Conversion) -> None:
    """While the store is away, counts wait for it; more are counted meanwhile."""
    scripts: Any = conversion._scripts  # noqa: SLF001
    away = Conversion(Away(), prefix=conversion._prefix, clock=float)  # type: ignore[arg-type]  # noqa: SLF001
    away.count_sent(NOW, "sms", "IN", "main")
    with pytest.raises(StoreUnavailable):
        away.write()
    away.count_sent(NOW, "sms", "IN", "main")
    away._scripts = scripts  # noqa: SLF001
    assert [row.sent for row in away.read_rows(NOW)] == [2]
    assert [row.sent for row in conversion.read_rows(NOW)] == [2]


class Away:
    """A store that does not answer."""

    def call(self, *_: object) -> None:
        """Fail."""
        raise StoreUnavailable(retry_after=1)


def test_nothing_is_learned_from_a_few(conversion: Conversion, clock: Clock) -> None:
    """With one verification too few there is no wait; with enough it covers nine in ten, over all upstreams."""
    for n in range(LEAST_SAMPLES - 1):
        conversion.count_verified(NOW, "sms", "IN", ("main", "spare")[n % 2], 10.0)
    assert conversion.learned_wait(lambda: NOW, "sms", "IN") is None
    conversion.count_verified(NOW, "sms", "IN", "main", 500.0)
    clock.now += MEMORY + 1
    found = conversion.learned_wait(lambda: NOW, "sms", "IN")
    assert found is not None
    assert 10 / ERROR <= found <= 10 * ERROR
    assert conversion.learned_wait(lambda: NOW, "sms", "GB") is None
    assert conversion.learned_wait(lambda: NOW, "voice", "IN") is None


def test_a_reading_stays_good_for_a_while(conversion: Conversion, clock: Clock) -> None:
    """A send does not read seven days of counters each time."""
    assert conversion.learned_wait(lambda: NOW, "sms", "IN") is None
    for _ in range(LEAST_SAMPLES):
        conversion.count_verified(NOW, "sms", "IN", "main", 10.0)
    clock.now += MEMORY
    assert conversion.learned_wait(lambda: NOW, "sms", "IN") is None
    clock.now += 1
    assert conversion.learned_wait(lambda: NOW, "sms", "IN") is not None


def test_counters_expire_after_the_days_that_are_read(conversion: Conversion, valkey: ValkeyServer) -> None:
    """No key is kept for ever."""
    conversion.count_sent(NOW, "sms", "IN", "main")
    conversion.write()
    with valkey.client() as client:
        [key] = client.scan_iter(f"{conversion._prefix}*", count=10_000)  # noqa: SLF001
        assert DAYS * DAY < client.pttl(key) <= (DAYS + 1) * DAY
