"""The workers of a queue that are alive and share its partitions.

Knows the key of the list. Must not know what workers do.
"""

from otp_service.store.scripts import Scripts

LIFE = 3.0
"""Seconds without a beat until a worker's partitions go to other workers."""


class Membership:
    """The workers of one queue. Every method raises StoreUnavailable if the server does not answer in time."""

    def __init__(self, scripts: Scripts, *, prefix: str, queue: str) -> None:
        self._scripts = scripts
        self._key = f"{prefix}:workers:{queue}"

    def beat(self, worker: str, seconds: float) -> list[str]:
        """Say that a worker is alive for `seconds` more, and list all that are."""
        names: list[str] = self._scripts.call("beat", [self._key], worker, int(seconds * 1000))
        return names

    def read(self) -> tuple[int, int, int | None]:
        """Return the time, how many workers are alive, and when one beat last, if that is known (milliseconds)."""
        now, end, alive = self._scripts.call("read_workers", [self._key])
        return now, alive, int(float(end)) - int(LIFE * 1000) if end else None

    def leave(self, worker: str) -> None:
        """Remove a worker that stops, so that the others take over at once."""
        self._scripts.call("leave", [self._key], worker)
