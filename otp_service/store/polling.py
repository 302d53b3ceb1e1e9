"""A background thread that checks the store for changes.

Knows how often. Must not know what is checked.
"""

import logging
import threading
import time
from collections.abc import Callable

from otp_service.errors import StoreUnavailable
from otp_service.telemetry.failures import Failures

POLL_EVERY = 1.0
"""Seconds between two checks for a newer version."""


def start_polling(name: str, poll: Callable[[], None], *, every: float = POLL_EVERY) -> None:
    """Call `poll` again and again in a daemon thread, `every` so many seconds.

    While the store is away, what was read last stays valid.
    """
    failures = Failures()

    def run() -> None:
        while True:
            try:
                poll()
                failures.succeeded(f"{name}.followed_again")
            except StoreUnavailable:
                pass
            except Exception as error:  # noqa: BLE001 - whatever it is, the next change must be seen
                failures.failed(f"{name}.not_followed", logging.ERROR, error=error)
            time.sleep(every)

    threading.Thread(target=run, name=name, daemon=True).start()
