"""How many cores a rate of messages needs, by hash profile.

Pure. Knows what a message costs besides its hashes, as `make bench` measured it. Must not know how fast a machine is.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

LOAD = 0.7
"""The share of a core that is planned to be busy: waits grow steeply above it."""
API, WORKER, STORE = 0.0035, 0.0027, 0.0010
"""Seconds of a core that one send with one check costs besides its two hashes: `make bench`, part `throughput`."""
SLOT = 2400
"""Sends a second, each delivered and checked, that the guard's one slot takes: `make bench`, part `cluster`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The cores that `serve`, the workers and the store need for a rate."""

    profile: str
    api: float
    worker: float
    store: float

    @property
    def processes(self) -> float:
        """The cores of `serve` and the workers together."""
        return self.api + self.worker


def sizes(per_minute: int, hashes: Mapping[str, float]) -> list[Size]:
    """Return what each profile needs. `hashes` has the core seconds of one hash, the strongest profile first.

    Each message is hashed by a worker, and once by `serve` when the code is checked.
    """
    rate = per_minute / 60 / LOAD
    return [
        Size(profile=name, api=rate * (one + API), worker=rate * (one + WORKER), store=rate * STORE)
        for name, one in hashes.items()
    ]


def strongest(found: Iterable[Size], cores: int) -> Size | None:
    """Return the first that so many cores can carry, without the store's; None if there is none."""
    return next((size for size in found if size.processes <= cores), None)


def slot_share(per_minute: int) -> float:
    """Return the share of the guard's one node that a rate takes; above 1 no cluster can carry it."""
    return per_minute / 60 / SLOT


def whole(cores: float) -> int:
    """Return the cores to provide."""
    return max(1, math.ceil(cores))
