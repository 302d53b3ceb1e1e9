"""Erase everything that the store holds about a number, on request.

Knows every kind of trace that a number leaves. Must not know how traces are stored. An erasure can be interrupted and
repeated: a record that leads to others is erased last.
"""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from otp_service import phone
from otp_service.challenge.eraser import ChallengeEraser
from otp_service.challenge.sealed import open_data
from otp_service.crypto.sealing import Seal, Unsealable
from otp_service.errors import Busy
from otp_service.events.queue import EventQueue
from otp_service.guard.suppressions import Suppressions
from otp_service.policy import CHANNELS
from otp_service.store.facts import Facts
from otp_service.telemetry.logs import Record

RETRY_AFTER = 60
TOO_LARGE = "The store is too large to be read in one request. Nothing was erased. Use otp-service forget."


@dataclass(slots=True)
class Erased:
    """What was removed, by kind.

    `unreadable` counts challenges that are sealed with a key that is not in the ring: they may be of this number.
    `suppressed` says whether the number stays on the suppression list, as a bare HMAC.
    """

    removed: dict[str, int] = field(default_factory=dict)
    unreadable: int = 0
    suppressed: bool = False


class Erasure:
    """Erases numbers."""

    def __init__(
        self,
        *,
        challenges: ChallengeEraser,
        events: EventQueue,
        facts: Facts,
        suppressions: Suppressions,
        seal: Seal,
        counters: Callable[[str], int],
        stories: Callable[[str, Iterable[str]], int],
        record: Record,
    ) -> None:
        """`counters` erases what the guard holds about a number (E.164) and returns how many records there were.

        `stories` erases the stories of a number, and those of the challenges that are named. `record` writes each act
        down.
        """
        self._record = record
        self._challenges = challenges
        self._events = events
        self._facts = facts
        self._suppressions = suppressions
        self._seal = seal
        self._counters = counters
        self._stories = stories

    def forget(
        self,
        to: str,
        country: str | None = None,
        *,
        by: str,
        and_suppression: bool = False,
        progress: Callable[[str], None] = lambda _: None,
        seconds: float = math.inf,
    ) -> Erased:
        """End the challenges of a number and erase all traces of it.

        A number that wrote STOP stays on the suppression list, so that it gets no messages, unless `and_suppression`.
        `progress` is called with each kind of record. If finding the challenges takes more than `seconds`, nothing is
        erased. Raises InvalidNumber, StoreUnavailable, Busy.
        """
        e164 = phone.parse(to, country, possible=True).e164
        erased = Erased()
        progress("challenges")
        ids = self._challenges_of(e164, erased, time.monotonic() + seconds)
        self._erase_traces(ids, erased, progress)
        erased.removed["challenges"] = sum(map(self._challenges.erase, ids))
        self._erase_traces(ids, erased, progress)  # traces that a worker left meanwhile
        progress("stories")
        erased.removed["stories"] = self._stories(e164, ids)
        erased.removed["counters"] = self._counters(e164)
        numbers = self._seal.indexes("number", e164)
        marks = [f"open:{channel}:{index}" for channel in CHANNELS for index in numbers]
        erased.removed["open_channels"] = self._facts.delete(*marks)
        erased.removed["lookups"] = self._facts.delete(*(f"mobile:{index}" for index in numbers))
        self._suppression(e164, erased, and_suppression=and_suppression)
        self._record(
            "number.forgotten", to=phone.mask(e164), by=by, suppressed=erased.suppressed, **erased.removed
        )
        return erased

    def _challenges_of(self, e164: str, erased: Erased, until: float) -> set[str]:
        found = set()
        for batch in self._challenges.walk():
            if time.monotonic() > until:
                raise Busy(TOO_LARGE, retry_after=RETRY_AFTER)
            for challenge in batch:
                try:
                    number = open_data(self._seal, challenge).e164
                except Unsealable:
                    erased.unreadable += 1
                    continue
                if number == e164:
                    found.add(challenge.id)
        return found

    def _erase_traces(self, ids: set[str], erased: Erased, progress: Callable[[str], None]) -> None:
        """Erase what leads to challenges. These records hold no number: only the challenges tell whose they are."""
        for kind, erase in (
            ("events", self._events.erase),
            ("idempotency_keys", self._challenges.erase_idempotency),
            ("messages", self._challenges.erase_messages),
        ):
            progress(kind)
            erased.removed[kind] = erased.removed.get(kind, 0) + (erase(ids) if ids else 0)

    def _suppression(self, e164: str, erased: Erased, *, and_suppression: bool) -> None:
        names = self._seal.indexes("suppressed", e164)
        if and_suppression:
            erased.removed["suppressions"] = int(self._suppressions.remove(*names))
            return
        erased.removed["suppressions"] = 0
        for name in names:
            if (why := self._suppressions.read(name)) is not None:
                bare = {part: why[part] for part in why if part != "sealed"} | {"under": self._seal.lookup_id}
                self._suppressions.rename(name, why, names[0], bare)
                erased.suppressed = True
