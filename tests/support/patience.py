"""How long a test waits: for as long as anything moves.

A machine may be slow, so no test ends at a moment. What is waited for comes, or nothing moves for a long while.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from otp_service.store.connection import Limits

PATIENCE = 60.0
"""Seconds without any progress after which a test gives up; nothing waits that long when all is well."""
PATIENT_LIMITS = Limits(connect=PATIENCE, reply=PATIENCE, pool=PATIENCE, budget=10 * PATIENCE)
"""For a store that a test is not about: what is only slow is never away."""

SCALES = (0.3, 1.2, 4.8, 19.2)
"""Time limits for tests about limits (seconds): on a slow machine only the longer ones leave room for all the rest."""

T = TypeVar("T")


def soon(act: Callable[[], T]) -> T:
    """Give what `act` gives; an error when that takes longer than anybody waits."""
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(act).result(PATIENCE)
    finally:
        pool.shutdown(wait=False)


def until(
    holds: Callable[[], bool],
    *,
    progress: Callable[[], object] = lambda: None,
    explain: Callable[[], str] = lambda: "it never came to hold",
    pause: float = 0.01,
) -> None:
    """Wait until `holds`, looking again after each `pause` (seconds).

    An error with what `explain` says, once `progress` has given the same value for PATIENCE seconds.
    """
    before, since = progress(), time.monotonic()
    while not holds():
        time.sleep(pause)
        if (now := progress()) != before:
            before, since = now, time.monotonic()
        assert time.monotonic() - since < PATIENCE, explain()
