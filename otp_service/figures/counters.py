"""The counters in the store: a process gathers what its notes add, writes it in batches, and reads what all wrote.

Knows keys, batches and their limits. Must not know what a count means.
"""

import secrets
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from otp_service.figures.cells import Cell, read_cell
from otp_service.figures.counting import count_note
from otp_service.figures.periods import DAY, KEPT, LENGTH, Span, Unit
from otp_service.history.note import Note
from otp_service.store.scripts import SCAN_COUNT, Scripts

MOST_NAMES = 5000
"""Names in an hour or a day; what has a new name beyond is counted among the others."""
KEEP_WRITTEN = DAY
"""Milliseconds within which a batch that comes again counts once."""
Period = tuple[Unit, int]


@dataclass(frozen=True, slots=True)
class _Batch:
    """What is written at once. It stays the same until the store has answered, however often it is tried."""

    period: Period
    number: int
    counts: dict[Cell, int]


class Counters:
    """The counters of hours and days. Safe to use from many threads."""

    def __init__(self, scripts: Scripts, *, prefix: str, most: int = MOST_NAMES) -> None:
        self._scripts = scripts
        self._prefix = prefix
        self._most = most
        self._writer = secrets.token_hex(8)
        self._gathered: dict[Period, Counter[Cell]] = {}
        self._under_way: _Batch | None = None
        self._numbers = 0
        self._writing = threading.Lock()

    def take(self, notes: Sequence[Note]) -> None:
        """Count a batch of notes and write what is gathered: a listener of the journal.

        Raises StoreUnavailable; what was not written is written the next time.
        """
        with self._writing:
            for note in notes:
                self._gather(note)
            while batch := self._next():
                self._write(batch)
                self._under_way = None

    def read(self, span: Span) -> Iterator[tuple[int, Cell, int]]:
        """Yield when each hour or day of a span began, and the counters in it. Raises StoreUnavailable."""
        for number in span.periods():
            for name, count in self._read_period((span.unit, number)).items():
                yield number * LENGTH[span.unit], read_cell(name), count

    def _gather(self, note: Note) -> None:
        added = list(count_note(note))
        for unit, length in LENGTH.items() if added else ():
            counts = self._gathered.setdefault((unit, note.at // length), Counter())
            for cell, count in added:
                known = cell in counts or len(counts) < self._most
                counts[cell if known else cell.among_others()] += count
        self._drop_old(note.at)

    def _drop_old(self, now: int) -> None:
        """Drop what could not be written for so long that it would not be read."""
        for unit, number in list(self._gathered) if len(self._gathered) > sum(KEPT.values()) else ():
            if number <= now // LENGTH[unit] - KEPT[unit]:
                del self._gathered[unit, number]

    def _next(self) -> _Batch | None:
        if self._under_way is None and self._gathered:
            period, counts = next(iter(self._gathered.items()))
            some = dict(islice(counts.items(), SCAN_COUNT))
            for cell in some:
                del counts[cell]
            if not counts:
                del self._gathered[period]
            self._numbers += 1
            self._under_way = _Batch(period, self._numbers, some)
        return self._under_way

    def _write(self, batch: _Batch) -> None:
        unit = batch.period[0]
        pairs = (part for cell, count in batch.counts.items() for part in (cell.name, count))
        key = self._key(batch.period)
        ttl = (KEPT[unit] + 1) * LENGTH[unit]
        self._scripts.call(
            "figures_count",
            [key, f"{key}:{self._writer}"],
            batch.number,
            ttl,
            KEEP_WRITTEN,
            self._most,
            *pairs,
        )

    def _read_period(self, period: Period) -> dict[str, int]:
        """Read the counters of a period in steps, so that none delays other callers of the store."""
        counters: dict[str, int] = {}
        cursor = "0"
        while True:
            cursor, found = self._scripts.call("read_hash_page", [self._key(period)], cursor, SCAN_COUNT)
            counters |= {name: int(count) for name, count in zip(found[::2], found[1::2], strict=True)}
            if cursor == "0":
                return counters

    def _key(self, period: Period) -> str:
        unit, number = period
        return f"{{{self._prefix}:f:{unit}{number}}}"
