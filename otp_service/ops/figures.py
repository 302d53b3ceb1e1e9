"""Figures and advice for operators: reads what they ask for, and answers with rows.

Knows how a time, a breakdown and a filter are written. Must not know HTTP, a terminal or Redis.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from otp_service.durations import read_duration
from otp_service.errors import Invalid
from otp_service.figures.advice import advise
from otp_service.figures.cells import DIMENSIONS
from otp_service.figures.counters import Counters
from otp_service.figures.periods import KEPT, last_days, oldest, span
from otp_service.figures.summary import BY, TooManyRows, summarise
from otp_service.ops.scope import EVERYTHING, Scope
from otp_service.policy import Policy

MOST_ROWS = 5000
USUAL_FROM = "24h"
TIME_RULE = "must be a time before now such as 24h or 7d, a day such as 2026-11-26, or a time such as 2026-11-26T09:00Z"
BY_RULE = f"must be a list of {', '.join(BY)}, each once, with commas between them"
FILTER_RULE = f"must be pairs such as country:IN, with commas between them, of {', '.join(DIMENSIONS)}"
_DAY_OR_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?Z)?"
TIME_FORM = rf"[0-9]{{1,4}}[hd]|{_DAY_OR_TIME}"
"""What a time looks like; whether there is such a day, `read_time` knows."""


class FiguresReader:
    """Reads figures. Its methods raise StoreUnavailable."""

    def __init__(self, counters: Counters, *, clock: Callable[[], int]) -> None:
        """`clock` gives the store's time in milliseconds."""
        self._counters = counters
        self._clock = clock

    def read(
        self, *, from_: str = "", to: str = "", by: str = "", filter_: str = "", scope: Scope = EVERYTHING
    ) -> dict[str, Any]:
        """Return rows by what is asked for, and their sum. Raises Invalid, which names the field and its rule."""
        now = self._clock()
        start = read_time("from", from_ or USUAL_FROM, now)
        end = min(read_time("to", to, now), now) if to else now
        if start < oldest(now, "day"):
            raise Invalid({"from": [f"must be today or one of the {KEPT['day'] - 1} days before (UTC)"]})
        if start >= end:
            raise Invalid({"from": ["must be before to" if end < now else "must be before now"]})
        asked, only = read_by(by), _within(read_filter(filter_), scope)
        hours = span(now, start, end)
        try:
            rows, total = summarise(self._counters.read(hours), asked, only, most=MOST_ROWS)
        except TooManyRows:
            rule = f"must give at most {MOST_ROWS} rows; ask for less, or for a shorter time"
            raise Invalid({"by": [rule]}) from None
        return {
            "from": hours.start,
            "to": hours.end,
            "unit": hours.unit,
            "by": asked,
            "rows": rows,
            "total": total,
        }

    def advise(self, policy: Policy) -> dict[str, Any]:
        """Say which order of steps verifies more people, as far as the data of all days can tell."""
        days = last_days(self._clock(), KEPT["day"])
        return {"from": days.start, "to": days.end, **advise(policy.routes, self._counters.read(days))}


def _within(only: dict[str, set[str]], scope: Scope) -> dict[str, set[str]]:
    """Let only what is of a scope's apps count."""
    if scope.apps is None:
        return only
    return only | {"app": only.get("app", set(scope.apps)) & scope.apps}


def read_time(field: str, text: str, now: int) -> int:
    """Read a time before now, a day, or a time in UTC, as milliseconds since 1970. Raises Invalid."""
    try:
        if re.fullmatch(_DAY_OR_TIME, text):
            return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)
        return now - read_duration(text, units="hd", max_digits=4) * 1000
    except ValueError:
        raise Invalid({field: [TIME_RULE]}) from None


def read_by(text: str) -> list[str]:
    """Read what figures are broken down by. Raises Invalid."""
    names = text.split(",") if text else []
    if len(set(names)) < len(names) or not set(names) <= set(BY):
        raise Invalid({"by": [BY_RULE]})
    return names


def read_filter(text: str) -> dict[str, set[str]]:
    """Read what counts; of several values of one dimension, each does. Raises Invalid."""
    only: dict[str, set[str]] = {}
    for pair in text.split(",") if text else ():
        name, mark, value = pair.partition(":")
        if name not in DIMENSIONS or not mark:
            raise Invalid({"filter": [FILTER_RULE]})
        only.setdefault(name, set()).add(value)
    return only
