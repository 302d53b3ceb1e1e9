"""Challenges, their schedule, charges and spent tokens in Redis.

Knows the keys, the scripts and how a challenge becomes a record. Must not know why anything is stored. The store's
clock is the only clock: every answer brings its time, in milliseconds.
"""

import json
import secrets
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from otp_service.challenge import (
    LIVE_CODES,
    Again,
    Challenge,
    Delivery,
    GiveUp,
    Hold,
    Move,
    Next,
    Plan,
    State,
    Status,
    Step,
    Wait,
)
from otp_service.connection import Scripts
from otp_service.policy import Window

ID_BYTES = 16
ID_LENGTH = 24
KEEP = 10 * 60_000
"""Milliseconds that a challenge can still be looked at after its expiry."""
IDEMPOTENCY_TTL = 24 * 3_600_000
CLAIM_LEASE = 8_000
"""Milliseconds to draw and hash; then another worker takes the delivery."""
SEND_LEASE = 9_000
"""Milliseconds for the upstream's answer, above the longest time an account may allow; then it is unknown."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A stored challenge, or, when `known`, what the idempotency key had started before."""

    now: int
    challenge: Challenge | None
    known: str = ""


@dataclass(frozen=True, slots=True)
class Due:
    """Challenges of a partition that need attention; `following` is when the next one will (milliseconds).

    `ids` are with the time since when each has been due.
    """

    now: int
    ids: dict[str, int]
    following: int | None


@dataclass(frozen=True, slots=True)
class Lease:
    """A challenge that one worker holds for a while. `what` is `send`, `waited` or `ended`."""

    what: str
    now: int
    challenge: Challenge
    operation: str


class Store:
    """All that is kept. Every method raises StoreUnavailable when the server does not serve it in time."""

    def __init__(self, scripts: Scripts, *, prefix: str, partitions: int, offset: int = 0) -> None:
        """`offset` is added to the server's clock (milliseconds): zero but in tests."""
        self._scripts = scripts
        self._prefix = prefix
        self._partitions = partitions
        self.offset = offset
        self.wake_channel = f"{prefix}:wake"

    # Names of keys. All keys of a challenge share the partition's hash tag, and so one slot of a cluster.

    def partitions(self) -> list[str]:
        """Name all partitions."""
        return [f"{place:02x}" for place in range(self._partitions)]

    def new_id(self, idempotency: str = "") -> str:
        """Draw a challenge's id: its partition, then 128 random bits.

        With an idempotency record's name the partition follows from it, so that both share a slot.
        """
        partition = self._home(idempotency) if idempotency else f"{secrets.randbelow(self._partitions):02x}"
        return f"{partition}{secrets.token_urlsafe(ID_BYTES)}"

    def _home(self, idempotency: str) -> str:
        return f"{zlib.crc32(idempotency.encode()) % self._partitions:02x}"

    def _challenge(self, id_: str) -> str:
        return f"{{{self._prefix}:{id_[:2]}}}:c:{id_[2:]}"

    def _due(self, partition: str) -> str:
        return f"{{{self._prefix}:{partition}}}:due"

    def _idempotency(self, name: str) -> str:
        return f"{{{self._prefix}:{self._home(name)}}}:i:{name}"

    # What the API does.

    def open(self, challenge: Challenge, *, idempotency: str = "", fingerprint: str = "") -> Opened:
        """Store a challenge and schedule its first delivery, both or neither; times are set by the store."""
        keys = [self._challenge(challenge.id), self._due(challenge.id[:2])]
        if idempotency:
            keys.append(self._idempotency(idempotency))
        what, now, stored = self._scripts.call(
            "open",
            keys,
            self.offset,
            challenge.id,
            _record(challenge),
            challenge.plan.ttl * 1000,
            KEEP,
            fingerprint,
            IDEMPOTENCY_TTL,
            self.wake_channel,
            challenge.id[:2],
        )
        if what == "known":
            return Opened(now, None, stored)
        return Opened(now, _challenge(challenge.id, stored))

    def recall(self, idempotency: str) -> str | None:
        """Give id and fingerprint of what an idempotency key started, as one text."""
        _, known = self._look(self._idempotency(idempotency))
        return known

    def look(self, id_: str) -> tuple[int, Challenge | None]:
        """Read a challenge and the time."""
        now, stored = self._look(self._challenge(id_))
        return now, _challenge(id_, stored) if stored else None

    def take_attempt(self, id_: str, app: str, code_length: int) -> tuple[str, int, Challenge | None]:
        """Count a guess before it is checked: `counted` with the challenge, or `shape`, `exhausted`, `gone`."""
        answer = self._scripts.call(
            "attempt", [self._challenge(id_)], self.offset, app, _operation(), code_length
        )
        what, now = answer[:2]
        return what, now, _challenge(id_, answer[2]) if what == "counted" else None

    def finish(
        self, id_: str, app: str, state: State, via: int | None = None
    ) -> tuple[int, Challenge | None]:
        """End a pending challenge; nothing for everyone but the one winner."""
        answer = self._scripts.call(
            "finish",
            [self._challenge(id_), self._due(id_[:2])],
            self.offset,
            app,
            id_,
            _operation(),
            state,
            "" if via is None else via,
        )
        return answer[1], _challenge(id_, answer[2]) if answer[0] == "done" else None

    def resend(self, id_: str, app: str, delivery: Delivery) -> tuple[str, int, Challenge | int | None]:
        """Add a delivery: `queued` with the challenge, `early` with the milliseconds left, `spent` or `gone`."""
        answer = self._scripts.call(
            "resend",
            [self._challenge(id_), self._due(id_[:2])],
            self.offset,
            app,
            id_,
            json.dumps(_delivery_record(delivery)),
            self.wake_channel,
            id_[:2],
        )
        what, now = answer[:2]
        if what == "queued":
            return what, now, _challenge(id_, answer[2])
        return what, now, answer[2] if what == "early" else None

    def charge(self, counter: str, operation: str, windows: Sequence[Window]) -> int:
        """Charge one act to all windows of a counter or to none; gives the milliseconds to wait, 0 if charged."""
        ordered = sorted(windows, key=lambda window: window.seconds)
        limits = [figure for w in ordered for figure in (w.limit, w.seconds * 1000)]
        _, pause = self._scripts.call("charge", [self._counter(counter)], self.offset, operation, *limits)
        return int(pause)

    def refund(self, counter: str, operation: str) -> None:
        """Take a charge back."""
        self._scripts.call("refund", [self._counter(counter)], operation)

    def _counter(self, name: str) -> str:
        return f"{self._prefix}:n:{name}"

    def spend(self, name: str, seconds: int) -> bool:
        """Spend something that counts once within `seconds`; False for all but the first."""
        return bool(
            self._scripts.call("spend", [f"{self._prefix}:s:{name}"], _operation(), max(1, seconds) * 1000)
        )

    # What workers do.

    def due(self, partition: str, limit: int) -> Due:
        """List what needs attention in a partition, at most `limit`."""
        now, following, *found = self._scripts.call("due", [self._due(partition)], self.offset, limit)
        ids = {id_: int(since) for id_, since in zip(found[::2], found[1::2], strict=True)}
        return Due(now, ids, int(following) if following else None)

    def claim(self, id_: str) -> Lease | None:
        """Lease a challenge that is due; None when there is nothing to do any more."""
        operation = _operation()
        answer = self._scripts.call(
            "claim", [self._due(id_[:2]), self._challenge(id_)], self.offset, id_, operation, CLAIM_LEASE
        )
        if answer[0] == "none":
            return None
        return Lease(answer[0], answer[1], _challenge(id_, answer[2]), operation)

    def arm(self, lease: Lease, reference: str, code_hash: str) -> bool:
        """Mark the newest delivery as leaving; False when it must not be sent any more."""
        id_ = lease.challenge.id
        answer = self._scripts.call(
            "arm",
            [self._due(id_[:2]), self._challenge(id_)],
            self.offset,
            id_,
            lease.operation,
            reference,
            code_hash,
            SEND_LEASE,
            LIVE_CODES,
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
    ) -> None:
        """Write down how a leased delivery ended and what follows; what follows counts only while the lease does."""
        id_ = lease.challenge.id
        word, pause, following = _move(move, lease)
        self._scripts.call(
            "settle",
            [self._due(id_[:2]), self._challenge(id_)],
            self.offset,
            id_,
            lease.operation,
            reference,
            status or "",
            reason,
            upstream_id,
            word,
            pause,
            following,
            self.wake_channel,
            id_[:2],
        )

    def release(self, lease: Lease) -> None:
        """Hand a claimed delivery back before it left."""
        id_ = lease.challenge.id
        keys = [self._due(id_[:2]), self._challenge(id_)]
        self._scripts.call("release", keys, self.offset, id_, lease.operation, self.wake_channel, id_[:2])

    def beat(self, worker: str, seconds: float) -> list[str]:
        """Say that a worker lives for `seconds` more and list all that do."""
        key = f"{self._prefix}:workers"
        names: list[str] = self._scripts.call("beat", [key], self.offset, worker, int(seconds * 1000))
        return names

    def leave(self, worker: str) -> None:
        """Take a worker that stops off the list."""
        self._scripts.call("leave", [f"{self._prefix}:workers"], worker)

    def time(self) -> int:
        """Give the store's time in milliseconds."""
        return self._look(f"{self._prefix}:time")[0]

    def ping(self) -> None:
        """See that the server answers and takes writes."""
        self.spend("ping", 1)

    def _look(self, key: str) -> tuple[int, str | None]:
        now, value = self._scripts.call("look", [key], self.offset)
        return now, value or None


def _operation() -> str:
    return secrets.token_urlsafe(6)


def _move(move: Move, lease: Lease) -> tuple[str, int, str]:
    """Give a move's word, its pause in milliseconds and the delivery it adds."""
    match move:
        case Hold():
            return "hold", max(0, lease.challenge.expires - lease.now), ""
        case Wait(seconds):
            return "wait", int(seconds * 1000), ""
        case Again(seconds):
            return "again", int(seconds * 1000), ""
        case Next(step):
            chosen = lease.challenge.plan.steps[step]
            delivery = Delivery(
                step, chosen.channel, Status.QUEUED, 0, _operation(), lease.challenge.last.request_id
            )
            return "next", 0, json.dumps(_delivery_record(delivery))
        case GiveUp():
            return "give_up", 0, ""


# The record: flat JSON with short names and without what is empty, as a pending challenge may cost a KiB of memory
# in all. The first delivery's time is when the challenge was opened; a state is written only when it is final.

_TEXTS = ("locale", "app_hash", "host", "reference")


def _record(challenge: Challenge) -> str:
    plan = challenge.plan
    record: dict[str, Any] = {
        "app": challenge.app,
        "purpose": challenge.purpose,
        "sealed": challenge.sealed,
        "scheme": challenge.scheme,
        "steps": [step.as_record() for step in plan.steps],
        "digits": plan.code_length,
        "guesses": plan.max_attempts,
        "sends": plan.max_sends,
        "cooldown": plan.cooldown,
        "deliveries": [_delivery_record(delivery) for delivery in challenge.deliveries],
    }
    record |= {name: value for name in _TEXTS if (value := getattr(challenge, name))}
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def _delivery_record(delivery: Delivery) -> dict[str, Any]:
    return {
        "step": delivery.step,
        "status": delivery.status,
        "at": delivery.at,
        "op": delivery.operation,
        "request": delivery.request_id,
    }


def _challenge(id_: str, stored: str) -> Challenge:
    record: Mapping[str, Any] = json.loads(stored)
    steps = tuple(Step(*step) for step in record["steps"])
    plan = Plan(
        steps,
        record["digits"],
        round((record["expires"] - record["deliveries"][0]["at"]) / 1000),
        record["guesses"],
        record["sends"],
        tuple(record["cooldown"]),
    )
    return Challenge(
        id=id_,
        app=record["app"],
        purpose=record["purpose"],
        sealed=record["sealed"],
        scheme=record["scheme"],
        state=State(record.get("state", State.PENDING)),
        expires=record["expires"],
        plan=plan,
        deliveries=tuple(_delivery(one, steps) for one in record["deliveries"]),
        attempts=len(record.get("attempts", ())),
        via=record.get("via"),
        **{name: record.get(name, "") for name in _TEXTS},
    )


def _delivery(record: Mapping[str, Any], steps: Sequence[Step]) -> Delivery:
    return Delivery(
        step=record["step"],
        channel=steps[record["step"]].channel,
        status=Status(record["status"]),
        at=record["at"],
        operation=record["op"],
        request_id=record["request"],
        reference=record.get("ref", ""),
        code_hash=record.get("hash", ""),
        reason=record.get("reason", ""),
        upstream_id=record.get("upstream_id", ""),
        deferrals=record.get("deferrals", 0),
    )
