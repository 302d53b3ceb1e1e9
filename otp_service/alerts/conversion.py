"""Conversion that fell, from the figures of hours.

Pure. Knows which difference is large enough to say so. Must not know where figures are read.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

HOUR = 3_600_000
LEAST = 20
"""Messages in an hour below which its share says nothing."""
SETTLED = 300_000
"""Milliseconds after which most of an hour's messages had time to be verified."""
FALLEN = 0.75
"""The part of yesterday's share below which conversion has fallen."""
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fall:
    """Conversion of a channel in a country: now, and in the same hour yesterday, of so many messages."""

    channel: str
    country: str
    now: float
    before: float
    sent: int


def hours_of(rows: Iterable[Row], *names: str) -> dict[tuple[str, ...], dict[int, Row]]:
    """Sort rows by hour, below what else names them."""
    found: dict[tuple[str, ...], dict[int, Row]] = defaultdict(dict)
    for row in rows:
        found[tuple(row[name] for name in names)][row["time"]] = row
    return found


def list_falls(rows: Iterable[Row], now: int) -> Iterator[Fall]:
    """Yield what fell, in this hour if it is old enough to tell, or else in the last one."""
    this = now // HOUR * HOUR
    told = (this, this - HOUR) if now - this >= SETTLED else (this - HOUR,)
    for (channel, country), hours in hours_of(rows, "channel", "country").items():
        for hour in told:
            new, old = hours.get(hour), hours.get(hour - 24 * HOUR)
            if new is None or old is None or min(new["sent"], old["sent"]) < LEAST:
                continue
            share, before = new["verified"] / new["sent"], old["verified"] / old["sent"]
            if share < FALLEN * before:
                yield Fall(channel, country, share, before, new["sent"])
            break
