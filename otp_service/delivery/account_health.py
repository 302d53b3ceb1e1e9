"""Records at the breakers of upstream accounts how sends ended, and how their messages ended later.

Knows which outcomes count for or against an account. Must not know challenges or vendors.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress

from otp_service.errors import StoreUnavailable
from otp_service.policy import TOLERANCE
from otp_service.policy.active import ActivePolicy
from otp_service.telemetry.logs import log
from otp_service.telemetry.metrics import Metrics
from otp_service.upstream import faults
from otp_service.upstream.breakers import WHOLE, Breakers
from otp_service.upstream.faults import Signal
from otp_service.upstream.port import Outcome


class AccountHealth:
    """The health of upstream accounts, as this process sees it."""

    def __init__(self, breakers: Breakers, metrics: Metrics, active: Callable[[], ActivePolicy]) -> None:
        self._breakers = breakers
        self._active = active
        self._metrics = metrics
        self._runs: dict[tuple[str, str], int] = {}

    def record_report(self, account: str, channel: str, fault: str | None) -> None:
        """Count the end of a message that the account had accepted. `fault` is why it failed, None if it arrived.

        An account that accepts every message and delivers none closes its breaker with each one that it accepts. So
        reports are counted separately: when this process has seen as many faults in a row as the account is allowed,
        the breaker opens at once.
        """
        run = (account, channel)
        if fault is None:
            self._runs.pop(run, None)
        elif fault in faults.ACCOUNT_FAULTS:
            self._runs[run] = self._runs.get(run, 0) + 1
            if self._runs[run] >= self._tolerance(account):
                del self._runs[run]
                self._fault(account, channel, fault, Signal(healthy=False, at_once=True))

    def record_outcome(self, account: str, channel: str, outcome: Outcome, *, clean: bool = True) -> None:
        """Count an outcome. The success of a `clean` account changes nothing: there are no faults to forget."""
        signal = faults.signal_of(outcome)
        if signal is None or (signal.healthy and clean):
            return
        if not signal.healthy:
            self._fault(account, channel, outcome.reason, signal)
            return
        with suppress(StoreUnavailable):  # the next send closes it
            self._breakers.close(account, channel)
            for where in (channel, WHOLE):
                self._metrics.breaker_open_until.labels(account, where).set(0)
            log("breaker.closed", upstream=account, channel=channel)

    def _fault(self, account: str, channel: str, reason: str, signal: Signal) -> None:
        if reason in faults.ALARMS:
            log("upstream.alarm", logging.ERROR, upstream=account, channel=channel, reason=reason)
        where = WHOLE if reason in faults.WHOLE_ACCOUNT else channel
        tolerance = 1 if signal.at_once else self._tolerance(account)
        with suppress(StoreUnavailable):
            if opened := self._breakers.record_fault(account, where, signal.pause, tolerance):
                self._opened(account, where, reason, opened)

    def _tolerance(self, account: str) -> int:
        known = self._active().policy.upstreams.get(account)
        return known.tolerance if known else TOLERANCE

    def _opened(self, account: str, where: str, reason: str, seconds: float) -> None:
        self._metrics.breaker_openings.labels(account, where, reason).inc()
        self._metrics.breaker_open_until.labels(account, where).set(time.time() + seconds)
        log(
            "breaker.opened",
            logging.WARNING,
            upstream=account,
            channel="all" if where == WHOLE else where,
            reason=reason,
            seconds=seconds,
        )
