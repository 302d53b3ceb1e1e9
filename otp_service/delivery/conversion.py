"""Conversion by channel, country and upstream: how many codes were sent, how many were verified, and how fast.

Knows the counters in Redis and how to learn a wait from them. Must not know challenges or numbers: the counters hold
no personal data.
"""

import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from otp_service.store.polling import start_polling
from otp_service.store.scripts import SCAN_COUNT, Scripts

DAYS = 7
"""Days that are read."""
DAY = 86_400_000
KEEP = (DAYS + 1) * DAY
LEAST_SAMPLES = 20
"""Minimum number of verifications from which a wait is learned."""
SHARE = 0.9
"""Share of the verifications that the learned wait covers."""
MEMORY = 30.0
"""Seconds that a process uses what it has read."""
# One bucket is a twelfth of a doubling: at most 6 % error from 1 s to 10 min, with few counters.
_STEPS = 12


@dataclass(slots=True)
class Row:
    """The figures of one channel, country and upstream. `times` counts seconds from sending to verification."""

    channel: str
    country: str
    upstream: str
    sent: int = 0
    verified: int = 0
    times: Counter[int] = field(default_factory=Counter)

    def seconds(self, share: float) -> float | None:
        """Return the time within which `share` of the verifications came; None without any."""
        return _quantile(self.times, share)


class Conversion:
    """The counters. What is read or written raises StoreUnavailable if the server does not answer in time."""

    def __init__(self, scripts: Scripts, *, prefix: str, clock: Callable[[], float]) -> None:
        """`clock` gives monotonic seconds of this process; it limits how long a reading is used."""
        self._scripts = scripts
        self._prefix = prefix
        self._clock = clock
        self._read: tuple[float, list[Row]] | None = None
        self._counted: Counter[tuple[str, str]] = Counter()
        """What is not written yet: how often each name was counted on each day."""
        self._counting, self._writing = threading.Lock(), threading.Lock()

    def count_sent(self, now: int, channel: str, country: str, upstream: str) -> None:
        """Count a code that an upstream accepted. `now` is the store's time in milliseconds."""
        self._count(now, f"s|{channel}|{country}|{upstream}")

    def count_verified(self, now: int, channel: str, country: str, upstream: str, seconds: float) -> None:
        """Count a code that was verified `seconds` after it was sent."""
        self._count(
            now,
            f"v|{channel}|{country}|{upstream}",
            f"t{_bucket(seconds)}|{channel}|{country}|{upstream}",
        )

    def read_rows(self, now: int) -> list[Row]:
        """Read the figures of the last days, with what this process has counted until now."""
        self.write()
        found: dict[tuple[str, str, str], Row] = {}
        for name, count in self._all(now):
            what, *key = name.split("|")
            row = found.setdefault((key[0], key[1], key[2]), Row(key[0], key[1], key[2]))
            if what == "s":
                row.sent += count
            elif what == "v":
                row.verified += count
            else:
                row.times[int(what[1:])] += count
        return sorted(found.values(), key=lambda row: (row.channel, row.country, row.upstream))

    def learned_wait(self, now: Callable[[], int], channel: str, country: str) -> float | None:
        """Return the seconds within which 90 % of the verifications over a channel in a country came.

        Returns None if there are too few of them. `now` gives the store's time, if the figures have to be read again.
        """
        moment = self._clock()
        if self._read is None or moment - self._read[0] > MEMORY:
            self._read = moment, self.read_rows(now())
        times: Counter[int] = Counter()
        for row in self._read[1]:
            if (row.channel, row.country) == (channel, country):
                times += row.times
        return _quantile(times, SHARE) if times.total() >= LEAST_SAMPLES else None

    def follow(self) -> None:
        """Write what is counted once a second, in a thread. A process that is killed loses what it has not written."""
        start_polling("conversion", self.write)

    def write(self) -> None:
        """Write what was counted. Raises StoreUnavailable; what was not written is written the next time."""
        with self._writing:
            while self._counted:
                with self._counting:
                    day = next(iter(self._counted))[0]
                    found = ((name, count) for (of, name), count in self._counted.items() if of == day)
                    counts = dict(islice(found, SCAN_COUNT))
                pairs = (part for pair in counts.items() for part in pair)
                self._scripts.call("conversion_count", [day], KEEP, *pairs)
                with self._counting:
                    self._counted -= Counter({(day, name): count for name, count in counts.items()})

    def _count(self, now: int, *names: str) -> None:
        day = self._day(now)
        with self._counting:
            self._counted.update((day, name) for name in names)

    def _all(self, now: int) -> Iterator[tuple[str, int]]:
        for back in range(DAYS):
            yield from self._read_day(self._day(now - back * DAY)).items()

    def _read_day(self, day: str) -> dict[str, int]:
        """Read the counters of a day in steps: there can be many, and no step may delay other callers of the store."""
        counters: dict[str, int] = {}
        cursor = "0"
        while True:
            cursor, found = self._scripts.call("read_hash_page", [day], cursor, SCAN_COUNT)
            counters |= {name: int(count) for name, count in zip(found[::2], found[1::2], strict=True)}
            if cursor == "0":
                return counters

    def _day(self, now: int) -> str:
        return f"{self._prefix}:f:{now // DAY}"


def _bucket(seconds: float) -> int:
    return round(_STEPS * math.log2(max(1.0, seconds)))


def _quantile(times: Mapping[int, int], share: float) -> float | None:
    left = math.ceil(share * sum(times.values()))
    for bucket in sorted(times):
        left -= times[bucket]
        if left <= 0:
            return math.exp2(bucket / _STEPS)
    return None
