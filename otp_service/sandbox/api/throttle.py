"""The documented limit for all GET requests in a minute.

Knows one fixed window that starts with its first request, as in the upstream's framework. Must not know requests: it
takes the time and returns a decision.
"""

import math
import threading
from dataclasses import dataclass

WINDOW = 60.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """The decision about one request; `retry_in` is in seconds, if the request is not allowed."""

    allowed: bool
    limit: int
    remaining: int
    retry_in: int
    resets_at: int

    def headers(self) -> dict[str, str]:
        """Return the response headers with the decision."""
        headers = {"X-RateLimit-Limit": str(self.limit), "X-RateLimit-Remaining": str(self.remaining)}
        if not self.allowed:
            headers |= {"Retry-After": str(self.retry_in), "X-RateLimit-Reset": str(self.resets_at)}
        return headers


class Throttle:
    """Counts in one window; many threads may use it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._opened = -math.inf
        self._count = 0

    def take(self, now: float) -> Allowance:
        """Count one request at `now` (Unix seconds) and decide whether it is allowed."""
        with self._lock:
            if now - self._opened >= WINDOW:
                self._opened, self._count = now, 0
            allowed = self._count < self._limit
            self._count += allowed
            closes = self._opened + WINDOW
            return Allowance(
                allowed=allowed,
                limit=self._limit,
                remaining=self._limit - self._count,
                retry_in=max(1, math.ceil(closes - now)),
                resets_at=math.ceil(closes),
            )
