"""The hours and days by which figures are kept.

Pure. Knows how long they are kept, and which of them a span of time needs. Must not know what is counted in them.
"""

from dataclasses import dataclass
from typing import Literal

HOUR, DAY = 3_600_000, 86_400_000
"""In milliseconds."""
KEPT = {"hour": 48, "day": 35}
"""How many hours and days can be read, with the current one."""
Unit = Literal["hour", "day"]
LENGTH: dict[Unit, int] = {"hour": HOUR, "day": DAY}


@dataclass(frozen=True, slots=True)
class Span:
    """Whole hours or days (UTC), from `start` to before `end`, in milliseconds since 1970."""

    unit: Unit
    start: int
    end: int

    def periods(self) -> range:
        """Return the hours or days, counted since 1970."""
        length = LENGTH[self.unit]
        return range(self.start // length, self.end // length)


def oldest(now: int, unit: Unit) -> int:
    """Return when the oldest hour or day began that is kept."""
    length = LENGTH[unit]
    return (now // length - KEPT[unit] + 1) * length


def span(now: int, start: int, end: int) -> Span:
    """Return the hours that hold a span of time, or the days if its hours are no longer kept."""
    unit: Unit = "hour" if start >= oldest(now, "hour") else "day"
    length = LENGTH[unit]
    return Span(unit, start // length * length, -(-end // length) * length)


def last_days(now: int, days: int) -> Span:
    """Return the last days, with the current one."""
    end = (now // DAY + 1) * DAY
    return Span("day", end - days * DAY, end)
