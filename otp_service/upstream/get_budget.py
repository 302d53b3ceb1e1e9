"""The number of GET requests that all processes together may make to an upstream account in a minute.

Knows the keys of the counters. Must not know what the requests are for.
"""

from otp_service.store.recent import Recent
from otp_service.store.scripts import Scripts

WINDOW = 66
"""Seconds in which the limit of one minute is used at most once; 6 s more, as a request may arrive late."""


class GetBudget:
    """The budgets of all accounts."""

    def __init__(self, scripts: Scripts, *, prefix: str) -> None:
        self._recent = Recent(scripts)
        self._prefix = prefix

    def take(self, account: str, limit: int) -> bool:
        """Take one of `limit` requests a minute. Return False if none is left. Raises StoreUnavailable."""
        return not self._recent.take(f"{self._prefix}:n:gets:{account}", limit, WINDOW * 1000)
