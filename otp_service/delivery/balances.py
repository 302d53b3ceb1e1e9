"""Watches what is left at the upstreams: asks once a minute for all processes together, exports it, warns.

Knows when to ask. Must not know how an upstream is asked.
"""

import logging
import threading
from collections.abc import Callable

from otp_service.errors import StoreUnavailable
from otp_service.policy.active import ActivePolicy
from otp_service.store.facts import Facts
from otp_service.telemetry.logs import log
from otp_service.telemetry.metrics import Metrics
from otp_service.upstream.get_budget import GetBudget
from otp_service.upstream.port import UpstreamError

EVERY = 60
"""Seconds between two questions to an account."""
LOOK = 5.0


class Balances:
    """Asks each account in turn."""

    def __init__(
        self, *, active: Callable[[], ActivePolicy], facts: Facts, budget: GetBudget, metrics: Metrics
    ) -> None:
        self._active = active
        self._facts = facts
        self._budget = budget
        self._metrics = metrics

    def follow(self) -> None:
        """Keep asking, in a thread that ends with its process."""
        threading.Thread(target=self._follow, name="balances", daemon=True).start()

    def _follow(self) -> None:
        pause = threading.Event()
        while not pause.wait(LOOK):
            try:
                self.ask()
            except StoreUnavailable:
                continue

    def ask(self) -> None:
        """Ask every account that nobody asked for a minute. Raises StoreUnavailable."""
        active = self._active()
        for name in active.accounts:
            limit = active.policy.upstreams[name].gets_per_minute
            if self._facts.use_once(f"balance:{name}", EVERY) and self._budget.take(name, limit):
                self._ask(active, name)

    def _ask(self, active: ActivePolicy, name: str) -> None:
        try:
            rows = active.accounts[name].balance()
        except UpstreamError as error:
            log("balance.unknown", logging.WARNING, upstream=name, reason=error.reason)
            return
        low = active.policy.upstreams[name].low_balance
        for row in rows:
            self._metrics.balance.labels(name, row.service).set(row.credits)
            if low is not None and row.credits < low and not row.postpaid:
                log("balance.low", logging.WARNING, upstream=name, service=row.service, credits=row.credits)
