"""What waits for each worker and how fast it works: written by workers, read by the API.

Knows the key. Must not know how either is measured, or what follows from it.
"""

from dataclasses import dataclass

from otp_service.store.scripts import Scripts

LIFE = 3.0
"""Seconds after which the figures of a silent worker are forgotten."""


@dataclass(frozen=True, slots=True)
class Share:
    """The figures of one worker, `age` seconds ago.

    `open` is work that goes before every new send, `new` are the new sends that wait behind it. `rate` is how many
    leave in a second, None if that is not known.
    """

    open: int
    new: int
    rate: float | None
    age: float = 0.0


class PaceBoard:
    """The figures of all workers. Every method raises StoreUnavailable if the server does not answer in time."""

    def __init__(self, scripts: Scripts, *, prefix: str) -> None:
        self._scripts = scripts
        self._key = f"{prefix}:pace"

    def write(self, worker: str, share: Share) -> None:
        """Write a worker's figures."""
        rate = "" if share.rate is None else f"{share.rate:.3f}"
        figures = f"{share.open} {share.new} {rate}"
        self._scripts.call("pace_write", [self._key], worker, figures, int(LIFE * 1000))

    def read(self) -> list[Share]:
        """Read the figures of all workers."""
        now, *found = self._scripts.call("pace_read", [self._key])
        return [_share(now, written) for written in found[1::2]]


def _share(now: int, written: str) -> Share:
    at, open_, new, rate = written.split(" ")
    return Share(int(open_), int(new), float(rate) if rate else None, (now - int(at)) / 1000)
