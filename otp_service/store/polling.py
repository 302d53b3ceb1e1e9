"""A background thread that checks the store for changes.

Knows how often. Must not know what is checked.
"""

import threading
import time
from collections.abc import Callable

from otp_service.errors import StoreUnavailable
from otp_service.telemetry.logs import LOG

POLL_EVERY = 1.0
"""Seconds between two checks for a newer version."""


def start_polling(name: str, poll: Callable[[], None]) -> None:
    """Call `poll` again and again in a daemon thread. While the store is away, what was read last stays valid."""

    def run() -> None:
        while True:
            try:
                poll()
            except StoreUnavailable:
                pass
            except Exception as error:  # noqa: BLE001 - whatever it is, the next change must be seen
                LOG.error(f"{name}.not_followed", exc_info=error)
            time.sleep(POLL_EVERY)

    threading.Thread(target=run, name=name, daemon=True).start()
