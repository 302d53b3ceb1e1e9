"""Failures that repeat: a line in the log when one begins, one a minute while it lasts, and one when it is over.

Knows when a repeated failure is worth a line. Must not know what failed.

A store that is full fails each act of each worker many times a second, while it still answers reads. So one success
does not end a failure: only success without any failure for a while does.
"""

import logging
import threading
import time
import traceback
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from otp_service.telemetry.logs import LOG

EVERY = 60.0
"""Seconds between two lines about the same failure."""
CALM = 5.0
"""Seconds without a failure after which a success ends it."""


@dataclass(slots=True)
class _Spell:
    """A failure that lasts: when it began, was last logged and last happened, and how often since it was logged."""

    began: float
    logged: float
    latest: float
    times: int = 0


class Failures:
    """The failures of one part of a process. Safe to use from many threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` uses seconds."""
        self._clock = clock
        self._changing = threading.Lock()
        self._spells: dict[Hashable, _Spell] = {}

    def failed(
        self,
        name: str,
        level: int = logging.WARNING,
        *,
        kind: Hashable = None,
        error: BaseException | None = None,
        **fields: object,
    ) -> None:
        """Log a failure, unless the same one was logged within the last minute.

        Failures are the same if they have the same name and `kind`, and their errors were raised at the same place. A
        later line has `times`, the failures since the line before it, and `seconds` since the first.
        """
        now = self._clock()
        with self._changing:
            self._forget(now)
            new = _Spell(now, now - EVERY, now)
            spell = self._spells.setdefault((name, kind, _place(error)), new)
            spell.latest, spell.times = now, spell.times + 1
            if now - spell.logged < EVERY:
                return
            if spell is not new:
                fields |= {"times": spell.times, "seconds": round(now - spell.began)}
            spell.logged, spell.times = now, 0
        LOG.log(level, name, exc_info=error, extra={"fields": fields})

    def succeeded(self, name: str) -> None:
        """Log that all is well again, if something failed before and nothing has failed for a while."""
        if not self._spells:
            return
        now = self._clock()
        with self._changing:
            spells = list(self._spells.values())
            if not spells or any(now - spell.latest < CALM for spell in spells):
                return
            self._spells.clear()
        LOG.info(name, extra={"fields": {"seconds": round(now - min(spell.began for spell in spells))}})

    def _forget(self, now: float) -> None:
        """Drop failures that have not happened for so long that the next one is news."""
        for kind in [kind for kind, spell in self._spells.items() if now - spell.latest > EVERY]:
            del self._spells[kind]


def _place(error: BaseException | None) -> Hashable:
    """Name the place where an error was raised."""
    if error is None:
        return None
    frames = traceback.extract_tb(error.__traceback__)
    return type(error).__name__, tuple((frame.filename, frame.lineno) for frame in frames[-1:])
