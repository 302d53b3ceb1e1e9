"""Recycled numbers: operators name numbers that have, or may have, new owners.

Brings the guard's history and the audit log together. Must not know HTTP, a terminal or Redis.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from otp_service import phone
from otp_service.durations import DAY
from otp_service.errors import InvalidNumber
from otp_service.guard.history import MOST_RECYCLED, History
from otp_service.ops.audit import AuditNote
from otp_service.telemetry.logs import Record

RECYCLED_FOR = 90
"""Days that a number counts as recycled: carriers keep a number for about that long before they assign it again."""


class RecycledNumbers:
    """Records recycled numbers."""

    def __init__(self, *, history: History, clock: Callable[[], int], record: Record) -> None:
        """`clock` gives the store's time in milliseconds, and `record` writes each act down."""
        self._record = record
        self._history = history
        self._clock = clock

    def record(
        self, numbers: Iterable[str], audit: AuditNote, *, days: int = RECYCLED_FOR
    ) -> tuple[int, list[int]]:
        """Forget what was known about numbers, and remember that their owners changed.

        Return how many numbers were recorded, and the places (from 0) of texts that are not phone numbers.
        Raises StoreUnavailable.
        """
        taken, wrong = 0, list[int]()
        now, left = self._clock(), _phone_numbers(numbers, wrong)
        while batch := list(islice(left, MOST_RECYCLED)):
            self._history.record_recycled(batch, now, days * DAY)
            taken += len(batch)
        self._record("numbers.recycled", taken=taken, wrong=len(wrong), by=audit.by, reason=audit.reason)
        return taken, wrong


def _phone_numbers(texts: Iterable[str], wrong: list[int]) -> Iterator[str]:
    """Yield phone numbers as E.164, and add the places of other texts to `wrong`."""
    for place, text in enumerate(texts):
        try:
            yield phone.parse(text, possible=True).e164
        except InvalidNumber:
            wrong.append(place)
