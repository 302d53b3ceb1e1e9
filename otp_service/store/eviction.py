"""Watches whether the store may delete keys that have time left: at the start and every minute, in a thread.

Knows how often. Must not know how an alarm reaches anyone.
"""

import logging
from collections.abc import Callable

from otp_service.store.polling import start_polling
from otp_service.store.scripts import Scripts
from otp_service.store.server_settings import SAFE_EVICTION, read_eviction
from otp_service.telemetry.failures import Failures

EVERY = 60.0
"""Seconds between two looks."""
OK = "ok"


class EvictionWatch:
    """What the servers of the store last said."""

    def __init__(self, scripts: Scripts, report: Callable[[bool], None]) -> None:
        """`report` is told after each look whether a server evicts keys."""
        self._scripts = scripts
        self._report = report
        self._alarm = Failures()
        self.state = OK
        """`ok`, or how keys are evicted, such as `allkeys-lru`."""

    def follow(self) -> None:
        """Start a daemon thread that looks every minute."""
        start_polling("eviction", self.refresh, every=EVERY)

    def refresh(self) -> None:
        """Read the servers' setting, and raise an alarm in the log if one evicts keys. Raises StoreUnavailable."""
        unsafe = sorted({*read_eviction(self._scripts)} - {SAFE_EVICTION})
        self.state = ",".join(unsafe) or OK
        self._report(bool(unsafe))
        if unsafe:
            self._alarm.failed("store.evicts", logging.ERROR, kind=self.state, policy=self.state)
        else:
            self._alarm.succeeded("store.keeps_keys")
