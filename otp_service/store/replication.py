"""Writes that must outlive a promotion: the connection that wrote asks WAIT how many replicas have what it wrote.

Knows what is wanted and what too few confirmations mean. Must not know scripts or connections.

WAIT counts for its own connection only: on a fresh one it would tell of an older write. So both commands go out
together, also for a repetition, which therefore has to write something anew.
"""

from dataclasses import dataclass

from otp_service.errors import StoreUnavailable

_UNCONFIRMED = (
    "The store made the change, but too few of its replicas confirmed it. A guess is counted, a right code used. "
    "Repeat the request with the same Idempotency-Key after retry_after seconds."
)


def unconfirmed(retry_after: int) -> StoreUnavailable:
    """Return the error for a change that was made, but that a promotion may undo."""
    error = StoreUnavailable(_UNCONFIRMED, retry_after=retry_after)
    error.made = True
    return error


@dataclass(frozen=True, slots=True)
class Durability:
    """How many replicas must have a write, and for how many milliseconds to wait for them. Without replicas: none."""

    replicas: int = 0
    milliseconds: int = 0


NOT_REPLICATED = Durability()
