"""The history of numbers: which sessions verified one, and whether it may have a new owner.

Knows the keys of these facts and of everything else the guard keeps about a number, to erase it. Must not know what
follows from a fact.
"""

from collections.abc import Sequence
from typing import NamedTuple

from otp_service.crypto.sealing import Seal
from otp_service.guard.pins import PinStore
from otp_service.guard.rules import FAMILIARITY
from otp_service.guard.slot import Slot
from otp_service.store.scripts import Scripts
from otp_service.store.sources import Call

MOST_SESSIONS = 32
"""The newest sessions that are remembered for one number."""
MOST_RECYCLED = 50
"""Numbers that one call marks as recycled: few enough not to delay other callers of the store."""
RECYCLED = "r"
"""Scope of the keys of recycled numbers."""


class _Kept(NamedTuple):
    """The keys, blocks and pins of a number."""

    keys: list[str]
    blocks: list[str]
    pins: list[str]


class Past(NamedTuple):
    """What is known about a number: since when it may have a new owner, and whether the session verified it.

    `unverified` is how many sends of its known devices were not verified since the last one that was. Times are
    milliseconds; `now` is the store's.
    """

    now: int
    recycled: int | None
    met: bool
    unverified: int = 0


class History:
    """What is remembered of numbers. Every method raises StoreUnavailable if the server does not answer in time."""

    def __init__(self, scripts: Scripts, seal: Seal, pins: PinStore, *, prefix: str) -> None:
        self._scripts = scripts
        self._seal = seal
        self._pins = pins
        self._slot = Slot(prefix)

    def recording_session(self, app: str, session: str, e164: str, seconds: int) -> Call:
        """Return the call that remembers for so many seconds that a session of an app verified a number."""
        name = self._seal.index("session", app, session)
        return Call("guard_record_session", self._sessions(e164)[:1], (name, seconds * 1000, MOST_SESSIONS))

    def record_recycled(self, numbers: Sequence[str], at: int, seconds: int) -> None:
        """Forget what is kept of numbers, and remember that they may have new owners since `at` (milliseconds).

        That is remembered for so many seconds. One call of the store takes `MOST_RECYCLED` numbers at most.
        """
        written = [self._slot.key(RECYCLED, self._seal.index("recycled", e164)) for e164 in numbers]
        kept = [self._kept(e164) for e164 in numbers]
        blocks = [block for one in kept for block in one.blocks]
        self._scripts.call(
            "guard_recycle",
            [
                *(self._slot.key("blocks"), self._slot.key("pins"), *written),
                *(key for one in kept for key in one.keys),
            ],
            *(len(written), at, seconds * 1000, len(blocks)),
            *(*blocks, *(pin for one in kept for pin in one.pins)),
        )

    def read_past(self, e164: str, app: str = "", session: str = "", seconds: int = 0) -> Past:
        """Return what is known about a number. A session counts if it verified the number within `seconds`."""
        recycled = self._recycled(e164)
        names = self._seal.indexes("session", app, session) if session else ()
        sessions = self._sessions(e164) if session else []
        sends = self._slot.counter("number", self._seal.index("number", e164, "device"))
        now, since, met, unverified = self._scripts.call(
            "guard_read_past", [sends, *recycled, *sessions], len(recycled), seconds * 1000, *names
        )
        return Past(now, int(since) if since else None, bool(met), unverified)

    def erase(self, e164: str) -> int:
        """Erase what the guard keeps about a number except its suppression. Return how many records there were."""
        kept = self._kept(e164)
        removed = sum(map(self._pins.remove, kept.pins))
        return (
            int(self._scripts.call("guard_erase", [self._slot.key("blocks"), *kept.keys], *kept.blocks))
            + removed
        )

    def _kept(self, e164: str) -> "_Kept":
        """Name all that is kept of a number."""
        indexes = [index for known in FAMILIARITY for index in self._seal.indexes("number", e164, known)]
        streaks = [index for known in FAMILIARITY for index in self._seal.indexes("streak", e164, known)]
        return _Kept(
            keys=[
                *(self._slot.counter("number", index) for index in indexes),
                *(self._slot.counter("streak", index) for index in streaks),
                *self._recycled(e164),
                *self._sessions(e164),
            ],
            blocks=[
                *(
                    f"{rule}:number:{index}"
                    for rule in ("number", "cooldown", "failures")
                    for index in indexes
                ),
                *(f"consecutive:streak:{index}" for index in streaks),
            ],
            pins=[f"number {index}" for index in self._seal.indexes("number", e164)],
        )

    def _recycled(self, e164: str) -> list[str]:
        return [self._slot.key(RECYCLED, index) for index in self._seal.indexes("recycled", e164)]

    def _sessions(self, e164: str) -> list[str]:
        return [self._slot.key("k", index) for index in self._seal.indexes("met", e164)]
