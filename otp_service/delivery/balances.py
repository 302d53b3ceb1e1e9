"""Watches the balances of upstream accounts: reads each every ten seconds, exports it, and warns once it is low.

All processes share this work. Knows when to ask. Must not know how an upstream is asked.
"""

import threading
import time
from collections.abc import Callable, Sequence

from otp_service.delivery.low_balances import LowBalances
from otp_service.errors import StoreUnavailable
from otp_service.policy import Policy, Upstream
from otp_service.policy.active import ActivePolicy
from otp_service.store.facts import Facts
from otp_service.telemetry.failures import Failures
from otp_service.telemetry.metrics import Metrics
from otp_service.upstream.get_budget import GetBudget
from otp_service.upstream.port import Balance, UpstreamError

EVERY = 10
"""Seconds between two requests to an account: a low balance is seen within 15 s."""
POLL = 2.5
"""Seconds between two checks whether an account is due."""


class Balances:
    """Reads the balance of each account in turn."""

    def __init__(
        self, *, active: Callable[[], ActivePolicy], facts: Facts, budget: GetBudget, metrics: Metrics
    ) -> None:
        self._active = active
        self._facts = facts
        self._budget = budget
        self._metrics = metrics
        self._low = LowBalances(facts)
        self._alarm = Failures()

    def start(self) -> None:
        """Start a daemon thread that watches until the process ends."""
        threading.Thread(target=self._run, name="balances", daemon=True).start()

    def _run(self) -> None:
        pause = threading.Event()
        while not pause.wait(POLL):
            try:
                self.read_due()
            except StoreUnavailable:
                continue

    def read_due(self) -> None:
        """Read the balance of each account that no process has just read. Raises StoreUnavailable."""
        active = self._active()
        for name in active.accounts:
            limit = active.policy.upstreams[name].gets_per_minute
            if self._facts.use_once(f"balance:{name}", EVERY) and self._budget.take(name, limit):
                self._read(active, name)

    def _read(self, active: ActivePolicy, name: str) -> None:
        try:
            rows = active.accounts[name].balance()
        except UpstreamError as error:
            self._alarm.failed("balance.unknown", kind=name, upstream=name, reason=error.reason)
            return
        for row in rows:
            self._metrics.balance.labels(name, row.service).set(row.credits)
        self._metrics.balance_read.labels(name).set(time.time())
        low, used = active.policy.upstreams[name].low_balance, _in_use(rows, active.policy, name)
        short = []
        for row in rows:
            is_low = row in used and low is not None and row.credits < low and not row.postpaid
            self._metrics.balance_low.labels(name, row.service).set(is_low)
            if is_low:
                short.append(row)
                service, left = row.service, row.credits
                self._alarm.failed(
                    "balance.low", kind=(name, service), upstream=name, service=service, credits=left
                )
        self._low.write(name, short)


def _in_use(rows: Sequence[Balance], policy: Policy, name: str) -> list[Balance]:
    """List the services that the account sends by: no one refills what is not used.

    A white label has codes of its own. One that is not known counts only while a channel in use has no service that is
    known: it may be that channel's.
    """
    steps = (step for route in policy.routes for step in route.steps)
    channels = {step.channel for step in steps if name in step.upstreams}
    served = [_channel(row, policy.upstreams[name]) for row in rows]
    unserved = channels.difference(served)
    return [
        row
        for row, channel in zip(rows, served, strict=True)
        if channel in channels or (channel is None and unserved)
    ]


def _channel(row: Balance, upstream: Upstream) -> str | None:
    """Return what a service is for. That of SMS is the one that the policy names; the others send nothing."""
    if upstream.sms and row.service.strip().upper() == upstream.sms.service.upper():
        return "sms"
    return "another SMS service" if row.channel == "sms" else row.channel
