"""Waits that are learned from the figures: how long codes take on a channel in a country.

Knows how much has to be known to learn a wait. Must not know which step waits.
"""

from collections import Counter, defaultdict
from collections.abc import Callable

from otp_service.figures.counters import Counters
from otp_service.figures.periods import last_days
from otp_service.figures.seconds import quantile

DAYS = 7
"""Days that are read."""
LEAST_SAMPLES = 20
"""Minimum number of verifications from which a wait is learned."""
SHARE = 0.9
"""Share of the verifications that the learned wait covers."""
MEMORY = 30.0
"""Seconds that a process uses what it has read."""


class LearnedWaits:
    """The waits of the last days, read again after half a minute."""

    def __init__(self, counters: Counters, *, clock: Callable[[], float]) -> None:
        """`clock` gives monotonic seconds of this process; it limits how long a reading is used."""
        self._counters = counters
        self._clock = clock
        self._read: tuple[float, dict[tuple[str, str], Counter[int]]] | None = None

    def wait(self, now: Callable[[], int], channel: str, country: str) -> float | None:
        """Return the seconds within which 90 % of the verifications over a channel in a country came.

        Returns None if there are too few of them. `now` gives the store's time, if the figures have to be read again.
        Raises StoreUnavailable.
        """
        moment = self._clock()
        if self._read is None or moment - self._read[0] > MEMORY:
            self._read = moment, self._times(now())
        times = self._read[1].get((channel, country), Counter())
        return quantile(times, SHARE) if times.total() >= LEAST_SAMPLES else None

    def _times(self, now: int) -> dict[tuple[str, str], Counter[int]]:
        times: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
        for _, cell, count in self._counters.read(last_days(now, DAYS)):
            if cell.what == "seconds":
                times[cell.channel, cell.country][int(cell.detail)] += count
        return dict(times)
