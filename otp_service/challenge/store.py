"""Challenges and their schedule in Redis.

Knows the keys and the scripts. Must not know why anything is stored. The store's clock is the only clock: every answer
brings its time, in milliseconds.
"""

import json
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from otp_service.challenge import record
from otp_service.challenge.model import (
    FAILED,
    Challenge,
    Delivery,
    State,
    Status,
    overruled_by,
)
from otp_service.challenge.transitions import Again, GiveUp, Hold, Move, Next, Wait
from otp_service.store.due import DueQueue
from otp_service.store.partitions import ID_LENGTH, Partitions, operation
from otp_service.store.scripts import Scripts

CLAIM_LEASE = 8_000
"""Milliseconds to draw and hash; then another worker takes the delivery."""
SEND_LEASE = 9_000
"""Milliseconds for the upstream's answer, above the longest time an account may allow; then it is unknown."""
SCOPE = "c"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How many milliseconds something is kept when it is over.

    `challenges`: after their expiry, so that they can be read; `idempotency`: keys, from their send on.
    """

    challenges: int = 10 * 60_000
    idempotency: int = 24 * 3_600_000


USUAL_RETENTION = Retention()


@dataclass(frozen=True, slots=True)
class Opened:
    """A stored challenge, or, when `known`, what the idempotency key had started before."""

    now: int
    challenge: Challenge | None
    known: str = ""


@dataclass(frozen=True, slots=True)
class Lease:
    """A challenge that one worker holds for a while. `what` is `send`, `waited`, `over` or `ended`."""

    what: str
    now: int
    challenge: Challenge
    operation: str


class ChallengeStore:
    """All challenges. Every method raises StoreUnavailable if the server does not answer in time."""

    def __init__(
        self,
        scripts: Scripts,
        partitions: Partitions,
        *,
        due: DueQueue,
        retention: Retention = USUAL_RETENTION,
    ) -> None:
        """`due` is the queue that schedules challenges."""
        self._scripts = scripts
        self._partitions = partitions
        self._due = due
        self._retention = retention

    def new_id(self, idempotency: str = "") -> str:
        """Draw a challenge's id.

        With an idempotency record's name the partition follows from it, so that both share a slot.
        """
        return self._partitions.new_id(idempotency)

    # What the API does.

    def open(self, challenge: Challenge, *, idempotency: str = "", fingerprint: str = "") -> Opened:
        """Store a challenge and schedule its first delivery, both or neither; times are set by the store."""
        keys = self._keys(challenge.id)
        if idempotency:
            keys.append(self._idempotency(idempotency))
        what, now, stored = self._scripts.call(
            "open",
            keys,
            challenge.id,
            record.written(challenge),
            challenge.plan.ttl * 1000,
            self._retention.challenges,
            fingerprint,
            self._retention.idempotency,
            self._due.wake_channel,
            challenge.id[:2],
        )
        if what == "known":
            return Opened(now, None, stored)
        return Opened(now, record.read(challenge.id, stored))

    def recall(self, *names: str) -> str | None:
        """Give id and fingerprint of what an idempotency key started, as one text; it may have any of these names."""
        return self._scripts.first(map(self._idempotency, names))

    def read_challenge(self, id_: str) -> tuple[int, Challenge | None]:
        """Read a challenge and the time."""
        now, stored = self._scripts.call("look", [self._key(id_)])
        return now, record.read(id_, stored) if stored else None

    def take_attempt(self, id_: str, app: str, code_length: int) -> tuple[str, int, Challenge | None]:
        """Count a guess before it is checked: `counted` with the challenge, or `shape`, `exhausted`, `gone`."""
        answer = self._scripts.call("attempt", [self._key(id_)], app, operation(), code_length)
        what, now = answer[:2]
        return what, now, record.read(id_, answer[2]) if what == "counted" else None

    def finish(
        self, id_: str, app: str, state: State, via: int | None = None
    ) -> tuple[int, Challenge | None]:
        """End a pending challenge; nothing for everyone but the one winner."""
        answer = self._scripts.call(
            "finish",
            self._keys(id_),
            app,
            id_,
            operation(),
            state,
            "" if via is None else via,
            self._due.wake_channel,
            id_[:2],
        )
        return answer[1], record.read(id_, answer[2]) if answer[0] == "done" else None

    def resend(self, id_: str, app: str, delivery: Delivery) -> tuple[str, int, Challenge | int | None]:
        """Add a delivery: `queued` with the challenge, `early` with the milliseconds left, `spent` or `gone`."""
        answer = self._scripts.call(
            "resend",
            self._keys(id_),
            app,
            id_,
            json.dumps(record.written_delivery(delivery)),
            self._due.wake_channel,
            id_[:2],
        )
        what, now = answer[:2]
        if what == "queued":
            return what, now, record.read(id_, answer[2])
        return what, now, answer[2] if what == "early" else None

    # What workers do.

    def claim(self, id_: str) -> Lease | None:
        """Lease a challenge that is due; None when there is nothing to do any more."""
        act = operation()
        answer = self._scripts.call(
            "claim",
            self._keys(id_),
            id_,
            act,
            CLAIM_LEASE,
            self._due.wake_channel,
            id_[:2],
        )
        if answer[0] == "none":
            return None
        return Lease(answer[0], answer[1], record.read(id_, answer[2]), act)

    def arm(self, lease: Lease, reference: str, code_hash: str, upstream: str) -> bool:
        """Mark the newest delivery as leaving by an account, with the lease's step; False when it must not be sent."""
        id_ = lease.challenge.id
        answer = self._scripts.call(
            "arm",
            self._keys(id_),
            id_,
            lease.operation,
            reference,
            code_hash,
            SEND_LEASE,
            lease.challenge.plan.live_codes,
            "" if lease.challenge.step.upstreams == (upstream,) else upstream,
            lease.challenge.step.wait * 1000,
            lease.challenge.last.step,
            " ".join(lease.challenge.last.only),
        )
        return bool(answer[0] == "armed")

    def settle(
        self,
        lease: Lease,
        move: Move,
        *,
        reference: str = "",
        status: Status | None = None,
        reason: str = "",
        upstream_id: str = "",
        account: str = "",
    ) -> Challenge | None:
        """Write down how a leased delivery ended and what follows; what follows counts only while the lease does.

        `account` is one that could not take the message. Gives the challenge as it is then, None if it is gone.
        """
        id_ = lease.challenge.id
        word, pause, following = _move(move, lease)
        answer = self._scripts.call(
            "settle",
            self._keys(id_),
            id_,
            lease.operation,
            reference,
            status or "",
            _names(overruled_by(status)) if status else "",
            reason,
            upstream_id,
            word,
            pause,
            following,
            account,
            self._due.wake_channel,
            id_[:2],
        )
        return record.read(id_, answer[2]) if answer[0] == "settled" else None

    def record_receipt(
        self, id_: str, account: str, *, upstream_id: str, reference: str, status: Status, reason: str
    ) -> tuple[str, Challenge | None, int]:
        """Take a receipt of an account in, about a message that left by it.

        Gives `changed` with the challenge and the delivery's place, `known` for what was so before, or `none`.
        """
        answer = self._scripts.call(
            "receive",
            self._keys(id_),
            id_,
            upstream_id,
            reference,
            status,
            _names(overruled_by(status)),
            reason,
            "1" if status in FAILED else "",
            self._due.wake_channel,
            id_[:2],
            account,
        )
        if answer[0] != "changed":
            return answer[0], None, 0
        return "changed", record.read(id_, answer[2]), answer[3]

    def index_message(self, name: str, id_: str, left: int) -> None:
        """Keep under which name an upstream knows a message of a challenge with `left` milliseconds to its expiry."""
        ttl = max(1, left + self._retention.challenges)
        self._scripts.call("keep", [self._message(name)], id_, ttl)

    def challenge_of_message(self, *names: str) -> str | None:
        """Give the id of the challenge whose message an upstream knows under one of these names."""
        return self._scripts.first(self._message(name) for name in names)

    def release(self, lease: Lease) -> None:
        """Hand a claimed delivery back before it left."""
        id_ = lease.challenge.id
        keys = self._keys(id_)
        self._scripts.call("release", keys, id_, lease.operation, self._due.wake_channel, id_[:2])

    # What is gone through to forget a number.

    def walk(self) -> Iterator[list[Challenge]]:
        """Go through all challenges, in batches."""
        for batch in self._scripts.walk(self._key("??*"), "walk"):
            yield [record.read(self._partitions.id_of(key), value) for key, value in batch]

    def erase(self, id_: str) -> bool:
        """Erase a challenge, whatever its state; False if it was gone."""
        return bool(self._scripts.call("erase", self._keys(id_), id_))

    def erase_idempotency(self, challenges: Container[str]) -> int:
        """Erase the idempotency keys that started these challenges; gives how many there were."""
        return self._scripts.delete(self._keys_of(self._partitions.key("??", "i:*"), challenges))

    def erase_messages(self, challenges: Container[str]) -> int:
        """Erase under which names upstreams know messages of these challenges; gives how many there were."""
        return self._scripts.delete(self._keys_of(self._message("*"), challenges))

    def _keys_of(self, pattern: str, challenges: Container[str]) -> Iterator[str]:
        """List the keys of values that begin with the id of one of these challenges."""
        for batch in self._scripts.walk(pattern, "walk"):
            yield from (key for key, value in batch if value[:ID_LENGTH] in challenges)

    def _keys(self, id_: str) -> list[str]:
        return [self._due.key(id_), self._key(id_)]

    def _key(self, id_: str) -> str:
        return self._partitions.key_of(id_, SCOPE)

    def _idempotency(self, name: str) -> str:
        return self._partitions.key(self._partitions.home(name), f"i:{name}")

    def _message(self, name: str) -> str:
        return f"{self._partitions.prefix}:u:{name}"


def _names(statuses: Sequence[Status]) -> str:
    """Write statuses as the scripts look for one: each between commas."""
    return f",{','.join(statuses)},"


def _move(move: Move, lease: Lease) -> tuple[str, int, str]:
    """Give a move's word, its pause in milliseconds and the delivery it adds."""
    match move:
        case Hold():
            return "hold", max(0, lease.challenge.expires - lease.now), ""
        case Wait(seconds):
            return "wait", -1 if seconds is None else int(seconds * 1000), ""
        case Again(seconds):
            return "again", int(seconds * 1000), ""
        case Next(step):
            last = lease.challenge.last
            delivery = Delivery(
                step,
                lease.challenge.plan.steps[step].channel,
                Status.QUEUED,
                0,
                "",
                last.request_id,
                chosen=last.chosen and step == last.step,  # a repetition is still what the person named
                automatic=True,
                only=last.only,
            )
            return "next", 0, json.dumps(record.written_delivery(delivery))
        case GiveUp():
            return "give_up", 0, ""
