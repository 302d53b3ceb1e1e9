"""A thread that looks for what is new in the store.

Knows how often. Must not know what is looked at.
"""

import threading
import time
from collections.abc import Callable

from otp_service.errors import StoreUnavailable
from otp_service.telemetry.logs import LOG

LOOK = 1.0
"""Seconds between two looks for a newer version."""


def keep_looking(name: str, look: Callable[[], None]) -> None:
    """Look for what is new, again and again, in a thread that ends with its process."""

    def forever() -> None:
        while True:
            try:
                look()
            except StoreUnavailable:
                pass  # what was known stays so
            except Exception as error:  # noqa: BLE001 - whatever it is, the next change must be seen
                LOG.error(f"{name}.not_followed", exc_info=error)
            time.sleep(LOOK)

    threading.Thread(target=forever, name=name, daemon=True).start()
