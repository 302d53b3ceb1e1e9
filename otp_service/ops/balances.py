"""The balances of upstream accounts, as operators ask for them.

Knows when an account is not asked. Must not know an upstream's words, or how a balance is shown.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

from otp_service.policy.active import ActivePolicy
from otp_service.upstream.get_budget import GetBudget
from otp_service.upstream.port import UpstreamError

ASK_WITHIN = 6.0
"""Seconds after which no further account is asked; each may take as long as its timeouts say."""


class AskedBalances:
    """Asks accounts for their balance, one after another."""

    def __init__(self, *, budget: GetBudget, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        self._budget = budget
        self._clock = clock

    def read(self, active: ActivePolicy) -> Iterator[dict[str, Any]]:
        """Yield the state and the balance of each account. Raises StoreUnavailable."""
        until = self._clock() + ASK_WITHIN
        for name in active.accounts:
            late = self._clock() > until
            yield (
                _unasked(name, "the accounts before it took too long") if late else self._state(name, active)
            )

    def _state(self, name: str, active: ActivePolicy) -> dict[str, Any]:
        if not self._budget.take(name, active.policy.upstreams[name].gets_per_minute):
            return _unasked(name, "its limit of GET requests is used up")
        try:
            rows = active.accounts[name].balance()
        except UpstreamError as error:
            return {"name": name, "status": str(error), "balance": []}
        shown = [
            {"service": r.service, "name": r.name, "credits": r.credits, "postpaid": r.postpaid} for r in rows
        ]
        return {"name": name, "status": "ok", "balance": shown}


def _unasked(name: str, why: str) -> dict[str, Any]:
    return {"name": name, "status": f"not asked: {why}", "balance": []}
