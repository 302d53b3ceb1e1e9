"""The GET requests that all processes together may make to an upstream account in a minute.

Knows the counters' keys. Must not know what is asked for.
"""

from otp_service.store.partitions import operation
from otp_service.store.scripts import Scripts

WINDOW = 66
"""Seconds in which an account's limit for one minute is used up at most once: a request may arrive 6 s late."""


class GetBudget:
    """The budgets of all accounts."""

    def __init__(self, scripts: Scripts, *, prefix: str) -> None:
        self._scripts = scripts
        self._prefix = prefix

    def take(self, account: str, limit: int) -> bool:
        """Take one of `limit` requests a minute; False if none is left. Raises StoreUnavailable."""
        key = f"{self._prefix}:n:gets:{account}"
        return bool(self._scripts.call("get_budget", [key], operation(), limit, WINDOW * 1000))
