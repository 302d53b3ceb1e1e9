"""Conversion by channel, country and upstream: how many codes went out, how many came back, and how soon.

Knows the counters in Redis and how a wait is learned from them. Must not know challenges or numbers; it keeps no
trace of a person.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from otp_service.store.scripts import Scripts

DAYS = 7
"""So many days are looked back on."""
DAY = 86_400_000
KEEP = (DAYS + 1) * DAY
LEAST_SAMPLES = 20
"""Verifications below which nothing is learned."""
SHARE = 0.9
"""The wait by which so many of those who verified had done so."""
MEMORY = 30.0
"""Seconds for which a process uses what it has read."""
# A twelfth of a doubling each: bounds a wait to 6 % from 1 s to 10 min in few counters.
_STEPS = 12


@dataclass(slots=True)
class Row:
    """What became of the codes of one channel, country and upstream. Seconds are from leaving to coming back."""

    channel: str
    country: str
    upstream: str
    sent: int = 0
    verified: int = 0
    times: Counter[int] = field(default_factory=Counter)

    def seconds(self, share: float) -> float | None:
        """Give the time by which `share` of those who verified had done so."""
        return _quantile(self.times, share)


class Figures:
    """The counters. Every method raises StoreUnavailable when the server does not serve it in time."""

    def __init__(self, scripts: Scripts, *, prefix: str, clock: Callable[[], float]) -> None:
        """`clock` gives the process's own monotonic seconds, for how long a reading stays good."""
        self._scripts = scripts
        self._prefix = prefix
        self._clock = clock
        self._read: tuple[float, list[Row]] | None = None

    def sent(self, now: int, channel: str, country: str, upstream: str) -> None:
        """Count a code that an upstream took. `now` is the store's time in milliseconds."""
        self._count(now, f"s|{channel}|{country}|{upstream}")

    def verified(self, now: int, channel: str, country: str, upstream: str, seconds: float) -> None:
        """Count a code that came back so many seconds after it left."""
        self._count(
            now,
            f"v|{channel}|{country}|{upstream}",
            f"t{_bucket(seconds)}|{channel}|{country}|{upstream}",
        )

    def rows(self, now: int) -> list[Row]:
        """Give the figures of the last days."""
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

    def learned(self, now: int, channel: str, country: str) -> float | None:
        """Give the seconds within which nine of ten who verified did so, over a channel in a country."""
        moment = self._clock()
        if self._read is None or moment - self._read[0] > MEMORY:
            self._read = moment, self.rows(now)
        times: Counter[int] = Counter()
        for row in self._read[1]:
            if (row.channel, row.country) == (channel, country):
                times += row.times
        return _quantile(times, SHARE) if times.total() >= LEAST_SAMPLES else None

    def _count(self, now: int, *names: str) -> None:
        self._scripts.call("count", [self._day(now)], KEEP, *names)

    def _all(self, now: int) -> Iterator[tuple[str, int]]:
        for back in range(DAYS):
            found = self._scripts.call("counts", [self._day(now - back * DAY)])
            yield from ((name, int(count)) for name, count in zip(found[::2], found[1::2], strict=True))

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
