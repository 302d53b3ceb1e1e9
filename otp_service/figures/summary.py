"""Adds counters up, by the dimensions that are asked for.

Pure. Knows what is shown of each count. Must not know where counters come from.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from otp_service.figures.cells import DIMENSIONS, Cell
from otp_service.figures.counting import FIRST, LATER, MILLIONTHS
from otp_service.figures.seconds import quantile

TIME = "time"
BY = (TIME, *DIMENSIONS)
"""What figures can be broken down by."""
MEASURES = (
    "asked",
    "let_in",
    "human_check",
    "refused",
    "sent",
    "unknown",
    "not_sent",
    "skipped",
    "fell_back",
    "resent",
    "refused_later",
    "delivered",
    "reached",
    "failed",
    "verified",
    "ended",
)
"""The counts of each row, in the order in which things happen."""
REASONS = ("refused", "human_check", "not_sent", "skipped", "refused_later", "failed", "ended")
"""The counts that are also shown by reason."""
DERIVED = (
    "money",
    "first_sent",
    "first_verified",
    "later_sent",
    "later_verified",
    "median_seconds",
    "p90_seconds",
)
Counted = Iterable[tuple[int, Cell, int]]
"""When an hour or day began, a counter in it, and its count."""


class TooManyRows(Exception):
    """More rows than can be shown at once."""


def summarise(
    counted: Counted, by: Sequence[str], only: Mapping[str, Collection[str]], *, most: int
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return a row for each combination of `by`, and the sum of all rows. `only` maps dimensions to what counts.

    Raises TooManyRows.
    """
    sums: dict[tuple[Any, ...], Counter[tuple[str, str]]] = defaultdict(Counter)
    total: Counter[tuple[str, str]] = Counter()
    for start, cell, count in counted:
        if all(getattr(cell, dimension) in wanted for dimension, wanted in only.items()):
            key = tuple(start if name == TIME else getattr(cell, name) for name in by)
            sums[key][cell.what, cell.detail] += count
            total[cell.what, cell.detail] += count
            if len(sums) > most:
                raise TooManyRows
    rows = [dict(zip(by, key, strict=True)) | _row(sums[key]) for key in sorted(sums)]
    return rows, _row(total)


def _row(sums: Counter[tuple[str, str]]) -> dict[str, Any]:
    by_what: dict[str, Counter[str]] = defaultdict(Counter)
    for (what, detail), count in sums.items():
        by_what[what][detail] += count
    times = {int(bucket): count for bucket, count in by_what["seconds"].items()}
    return {
        **{what: by_what[what].total() for what in MEASURES},
        "money": by_what["money"].total() / MILLIONTHS,
        **{
            f"{which}_{what}": by_what[what][which]
            for which in (FIRST, LATER)
            for what in ("sent", "verified")
        },
        "median_seconds": _rounded(quantile(times, 0.5)),
        "p90_seconds": _rounded(quantile(times, 0.9)),
        "reasons": {what: dict(sorted(by_what[what].items())) for what in REASONS if by_what[what]},
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def as_table(rows: Iterable[Mapping[str, Any]], by: Sequence[str]) -> Iterator[list[Any]]:
    """Yield the names of the columns, then each row's values: all that is one value."""
    columns = [*by, *MEASURES, *DERIVED]
    yield columns
    for row in rows:
        yield ["" if row[column] is None else row[column] for column in columns]
