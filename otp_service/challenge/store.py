"""Challenges, their schedule, events for apps, charges and spent tokens in Redis.

Knows the keys, the scripts and how a challenge becomes a record. Must not know why anything is stored. The store's
clock is the only clock: every answer brings its time, in milliseconds.
"""

import json
import secrets
import zlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from otp_service.challenge.model import (
    FAILED,
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
    overruled_by,
)
from otp_service.store.scripts import Scripts

ID_BYTES = 16
ID_LENGTH = 24
CLAIM_LEASE = 8_000
"""Milliseconds to draw and hash; then another worker takes the delivery."""
SEND_LEASE = 9_000
"""Milliseconds for the upstream's answer, above the longest time an account may allow; then it is unknown."""
EVENT_LEASE = 20_000
"""Milliseconds for an app's answer to an event."""
GET_WINDOW = 66
"""Seconds in which an upstream's limit for one minute is used up at most once: a request may arrive 6 s late."""
CHALLENGES, EVENTS = "due", "evt"
"""The two queues of each partition: what workers attend to, and what apps are to be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How many milliseconds something is kept when it is over.

    `challenges`: after their expiry, to be looked at; `idempotency`: keys, from their send on; `events`: until they are
    told, at the most.
    """

    challenges: int = 10 * 60_000
    idempotency: int = 24 * 3_600_000
    events: int = 4 * 24 * 3_600_000


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
    """A challenge that one worker holds for a while. `what` is `send`, `waited`, `over` or `ended`."""

    what: str
    now: int
    challenge: Challenge
    operation: str


@dataclass(frozen=True, slots=True)
class Spooled:
    """An event on its way to an app: its id, its record, and how often it was tried before."""

    id: str
    record: Mapping[str, Any]
    tries: int


class Store:
    """All that is kept. Every method raises StoreUnavailable when the server does not serve it in time."""

    def __init__(
        self,
        scripts: Scripts,
        *,
        prefix: str,
        partitions: int,
        retention: Retention = Retention(),
        offset: int = 0,
    ) -> None:
        """`offset` is added to the server's clock (milliseconds): zero but in tests."""
        self._scripts = scripts
        self._prefix = prefix
        self._partitions = partitions
        self._retention = retention
        self.offset = offset

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

    def _due(self, partition: str, queue: str = CHALLENGES) -> str:
        return f"{{{self._prefix}:{partition}}}:{queue}"

    def _spooled(self, id_: str) -> str:
        return f"{{{self._prefix}:{id_[:2]}}}:e:{id_[2:]}"

    def wake_channel(self, queue: str = CHALLENGES) -> str:
        """Name the channel on which the partitions of a queue are called out."""
        return f"{self._prefix}:wake:{queue}"

    def _idempotency(self, name: str) -> str:
        return f"{{{self._prefix}:{self._home(name)}}}:i:{name}"

    def _suppression(self, name: str) -> str:
        # One slot, so that one call looks under the names of all lookup keys, and one renames.
        return f"{{{self._prefix}:guard}}:x:{name}"

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
            self._retention.challenges,
            fingerprint,
            self._retention.idempotency,
            self.wake_channel(),
            challenge.id[:2],
        )
        if what == "known":
            return Opened(now, None, stored)
        return Opened(now, _challenge(challenge.id, stored))

    def recall(self, *names: str) -> str | None:
        """Give id and fingerprint of what an idempotency key started, as one text; it may have any of these names."""
        return self._first(map(self._idempotency, names))

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
            self.wake_channel(),
            id_[:2],
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
            self.wake_channel(),
            id_[:2],
        )
        what, now = answer[:2]
        if what == "queued":
            return what, now, _challenge(id_, answer[2])
        return what, now, answer[2] if what == "early" else None

    def may_get(self, upstream: str, budget: int) -> bool:
        """Spend one of the GET requests that all processes together may make to an account in a minute."""
        key = f"{self._prefix}:n:gets:{upstream}"
        spent = self._scripts.call("charge", [key], self.offset, _operation(), budget, GET_WINDOW * 1000)
        return bool(spent)

    def spend(self, name: str, seconds: int) -> bool:
        """Spend something that counts once within `seconds`; False for all but the first."""
        return bool(
            self._scripts.call("spend", [f"{self._prefix}:s:{name}"], _operation(), max(1, seconds) * 1000)
        )

    # What workers do.

    def due(self, partition: str, limit: int, queue: str = CHALLENGES) -> Due:
        """List what needs attention in a partition's queue, at most `limit`."""
        now, following, *found = self._scripts.call("due", [self._due(partition, queue)], self.offset, limit)
        ids = {id_: int(since) for id_, since in zip(found[::2], found[1::2], strict=True)}
        return Due(now, ids, int(following) if following else None)

    def claim(self, id_: str) -> Lease | None:
        """Lease a challenge that is due; None when there is nothing to do any more."""
        operation = _operation()
        answer = self._scripts.call(
            "claim",
            [self._due(id_[:2]), self._challenge(id_)],
            self.offset,
            id_,
            operation,
            CLAIM_LEASE,
            self.wake_channel(),
            id_[:2],
        )
        if answer[0] == "none":
            return None
        return Lease(answer[0], answer[1], _challenge(id_, answer[2]), operation)

    def arm(self, lease: Lease, reference: str, code_hash: str, upstream: str) -> bool:
        """Mark the newest delivery as leaving by an account, with the lease's step; False when it must not be sent."""
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
            [self._due(id_[:2]), self._challenge(id_)],
            self.offset,
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
            self.wake_channel(),
            id_[:2],
        )
        return _challenge(id_, answer[2]) if answer[0] == "settled" else None

    def receive(
        self, id_: str, account: str, *, upstream_id: str, reference: str, status: Status, reason: str
    ) -> tuple[str, Challenge | None, int]:
        """Take a receipt of an account in, about a message that left by it.

        Gives `changed` with the challenge and the delivery's place, `known` for what was so before, or `none`.
        """
        answer = self._scripts.call(
            "receive",
            [self._due(id_[:2]), self._challenge(id_)],
            self.offset,
            id_,
            upstream_id,
            reference,
            status,
            _names(overruled_by(status)),
            reason,
            "1" if status in FAILED else "",
            self.wake_channel(),
            id_[:2],
            account,
        )
        if answer[0] != "changed":
            return answer[0], None, 0
        return "changed", _challenge(id_, answer[2]), answer[3]

    def remember_message(self, name: str, id_: str, left: int) -> None:
        """Keep under which name an upstream knows a message of a challenge with `left` milliseconds to its expiry."""
        ttl = max(1, left + self._retention.challenges)
        self._scripts.call("keep", [f"{self._prefix}:u:{name}"], id_, ttl)

    def challenge_of_message(self, *names: str) -> str | None:
        """Give the id of the challenge whose message an upstream knows under one of these names."""
        return self._first(f"{self._prefix}:u:{name}" for name in names)

    def release(self, lease: Lease) -> None:
        """Hand a claimed delivery back before it left."""
        id_ = lease.challenge.id
        keys = [self._due(id_[:2]), self._challenge(id_)]
        self._scripts.call("release", keys, self.offset, id_, lease.operation, self.wake_channel(), id_[:2])

    def beat(self, worker: str, seconds: float, queue: str = CHALLENGES) -> list[str]:
        """Say that a worker of a queue lives for `seconds` more and list all that do."""
        key = f"{self._prefix}:workers:{queue}"
        names: list[str] = self._scripts.call("beat", [key], self.offset, worker, int(seconds * 1000))
        return names

    def leave(self, worker: str, queue: str = CHALLENGES) -> None:
        """Take a worker that stops off the list."""
        self._scripts.call("leave", [f"{self._prefix}:workers:{queue}"], worker)

    # Events for apps.

    def spool(
        self, id_: str, told: Sequence[str], records: Mapping[str, Mapping[str, Any]], *, over: str = ""
    ) -> None:
        """Put events of a challenge on their way, each once: `told` names them, and stays with the challenge.

        `records` are by their names. `over` is the operation of the lease on a challenge that has ended: it needs no
        more attention then. An id that belongs to no challenge is taken, too.
        """
        partition = id_[:2]
        ids = [f"{partition}{secrets.token_urlsafe(ID_BYTES)}" for _ in records]
        self._scripts.call(
            "spool",
            [
                self._challenge(id_),
                self._due(partition),
                self._due(partition, EVENTS),
                *(self._spooled(event_id) for event_id in ids),
            ],
            self.offset,
            id_,
            json.dumps(list(told)),
            over,
            self._retention.events,
            self.wake_channel(EVENTS),
            partition,
            *(
                part
                for event_id, (name, record) in zip(ids, records.items(), strict=True)
                for part in (event_id, json.dumps(record), name)
            ),
        )

    def take_event(self, id_: str) -> Spooled | None:
        """Lease an event that is due; None when there is none any more, or another worker has it."""
        keys = [self._due(id_[:2], EVENTS), self._spooled(id_)]
        arguments = self.offset, id_, EVENT_LEASE, _operation()
        tries, record = self._scripts.call("take_event", keys, *arguments)
        return Spooled(id_, json.loads(record), tries) if record else None

    def end_event(self, id_: str, pause: float | None = None) -> None:
        """Forget an event, or try it again after `pause` seconds."""
        keys = [self._due(id_[:2], EVENTS), self._spooled(id_)]
        self._scripts.call("end_event", keys, self.offset, id_, "" if pause is None else int(pause * 1000))

    # Numbers that want nothing from us.

    def suppress(self, name: str, why: Mapping[str, Any], seconds: int) -> None:
        """Put a number on the suppression list."""
        self._scripts.call("keep", [self._suppression(name)], json.dumps(why), seconds * 1000)

    def suppressed(self, *names: str) -> dict[str, Any] | None:
        """Say why a number is on the suppression list, if it is, under any of its names."""
        found = self._scripts.call("find", [self._suppression(name) for name in names])
        return json.loads(found) if found else None

    def unsuppress(self, *names: str) -> bool:
        """Take a number off the suppression list under all of its names; False if it was not on it."""
        return bool(self._scripts.call("forget", [self._suppression(name) for name in names]))

    def suppressions(self) -> Iterator[list[tuple[str, dict[str, Any]]]]:
        """Go through the suppression list, in batches of names with their records."""
        for batch in self._scripts.walk(self._suppression("*"), "walk"):
            yield [(key.rpartition(":")[2], json.loads(value)) for key, value in batch]

    def rename_suppression(
        self, old: str, why: Mapping[str, Any], new: str, instead: Mapping[str, Any]
    ) -> bool:
        """Write a record of the list anew under another name or its own; False if it is another by now."""
        keys = [self._suppression(old), self._suppression(new)]
        return bool(self._scripts.call("rename", keys, json.dumps(why), json.dumps(instead)))

    def keep(self, name: str, value: str, seconds: int) -> None:
        """Keep a small fact for a while."""
        self._scripts.call("keep", [f"{self._prefix}:k:{name}"], value, seconds * 1000)

    def kept(self, *names: str) -> str | None:
        """Give a small fact that may be kept under any of these names."""
        return self._first(f"{self._prefix}:k:{name}" for name in names)

    def drop(self, *names: str) -> int:
        """Drop small facts; gives how many there were."""
        return self._erased(f"{self._prefix}:k:{name}" for name in names)

    # What is gone through to forget a number.

    def challenges(self) -> Iterator[list[Challenge]]:
        """Go through all challenges, in batches."""
        for batch in self._scripts.walk(self._challenge("??*"), "walk"):
            yield [_challenge(_id_of(key), value) for key, value in batch]

    def erase_challenge(self, id_: str) -> bool:
        """Erase a challenge, whatever its state; False if it was gone."""
        return bool(self._scripts.call("erase", [self._challenge(id_), self._due(id_[:2])], id_))

    def erase_events(self, challenges: Container[str]) -> int:
        """Erase what apps were to be told of these challenges; gives how many events there were."""
        found = [
            _id_of(key)
            for batch in self._scripts.walk(self._spooled("??*"), "walk")
            for key, value in batch
            if json.loads(value)["data"].get("challenge_id") in challenges
        ]
        for id_ in found:
            self.end_event(id_)
        return len(found)

    def erase_idempotency(self, challenges: Container[str]) -> int:
        """Erase the idempotency keys that started these challenges; gives how many there were."""
        return self._erased(self._keys_of(f"{{{self._prefix}:??}}:i:*", challenges))

    def erase_messages(self, challenges: Container[str]) -> int:
        """Erase under which names upstreams know messages of these challenges; gives how many there were."""
        return self._erased(self._keys_of(f"{self._prefix}:u:*", challenges))

    def _keys_of(self, pattern: str, challenges: Container[str]) -> Iterator[str]:
        """List the keys of values that begin with the id of one of these challenges."""
        for batch in self._scripts.walk(pattern, "walk"):
            yield from (key for key, value in batch if value[:ID_LENGTH] in challenges)

    def _erased(self, keys: Iterable[str]) -> int:
        return sum(self._scripts.call("forget", [key]) for key in keys)

    def time(self) -> int:
        """Give the store's time in milliseconds."""
        return self._look(f"{self._prefix}:time")[0]

    def ping(self) -> None:
        """See that the server answers and takes writes."""
        self.spend("ping", 1)

    def _first(self, keys: Iterable[str]) -> str | None:
        """Give the first value that is found; the keys may lie apart."""
        return next((value for key in keys if (value := self._get(key))), None)

    def _get(self, key: str) -> str | None:
        """Read a value without the time, and so without a script, which costs half as much again."""
        found = self._scripts.bounded(lambda client: client.get(key), "get")
        return None if found is None else str(found)

    def _look(self, key: str) -> tuple[int, str | None]:
        now, value = self._scripts.call("look", [key], self.offset)
        return now, value or None


def _id_of(key: str) -> str:
    """Read a challenge's or an event's id from its key."""
    slot, _, rest = key.partition("}")
    return slot[-2:] + rest.rpartition(":")[2]


def _names(statuses: Sequence[Status]) -> str:
    """Write statuses as the scripts look for one: each between commas."""
    return f",{','.join(statuses)},"


def _operation() -> str:
    return secrets.token_urlsafe(6)


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
            return "next", 0, json.dumps(_delivery_record(delivery))
        case GiveUp():
            return "give_up", 0, ""


# The record: flat JSON with short names and without what is empty or usual, as a pending challenge may cost a KiB of
# memory in all. The first delivery's time is when the challenge was opened; a state is written only when it is final.

_TEXTS = ("locale", "app_hash", "host", "reference", "known")
_USUAL = {"purpose": "login", "policy": 0, "watched": False}


def _record(challenge: Challenge) -> str:
    plan = challenge.plan
    record: dict[str, Any] = {
        "app": challenge.app,
        "sealed": challenge.sealed,
        "scheme": challenge.scheme,
        "steps": [_step_record(step) for step in plan.steps],
        "digits": plan.code_length,
        "guesses": plan.max_attempts,
        "sends": plan.max_sends,
        "cooldown": plan.cooldown,
        "deliveries": [_delivery_record(delivery) for delivery in challenge.deliveries],
    }
    record |= {name: value for name in _TEXTS if (value := getattr(challenge, name))}
    record |= {name: value for name, usual in _USUAL.items() if (value := getattr(challenge, name)) != usual}
    record |= {name: value for name, usual in _PLAN_USUAL.items() if (value := getattr(plan, name)) != usual}
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


_PLAN_USUAL = {"live_codes": 4, "after_choice": "continue"}


def _step_record(step: Step) -> list[Any]:
    whole = [step.channel, " ".join(step.upstreams), step.wait, step.until, step.condition]
    return whole if step.condition else whole[:4] if step.until != "delivered" else whole[:3]


def _step(record: Sequence[Any]) -> Step:
    channel, upstreams, *rest = record
    return Step(channel, tuple(upstreams.split()), *rest)


def _delivery_record(delivery: Delivery) -> dict[str, Any]:
    record: dict[str, Any] = {
        "step": delivery.step,
        "status": delivery.status,
        "at": delivery.at,
        "req": delivery.request_id,
    }
    if delivery.operation:
        record["op"] = delivery.operation
    if delivery.only:
        record["only"] = " ".join(delivery.only)
    return record | {name: True for name in ("chosen", "automatic") if getattr(delivery, name)}


def _challenge(id_: str, stored: str) -> Challenge:
    record: Mapping[str, Any] = json.loads(stored)
    steps = tuple(map(_step, record["steps"]))
    plan = Plan(
        steps,
        record["digits"],
        round((record["expires"] - record["deliveries"][0]["at"]) / 1000),
        record["guesses"],
        record["sends"],
        tuple(record["cooldown"]),
        **{name: record.get(name, usual) for name, usual in _PLAN_USUAL.items()},
    )
    return Challenge(
        id=id_,
        app=record["app"],
        sealed=record["sealed"],
        scheme=record["scheme"],
        state=State(record.get("state", State.PENDING)),
        expires=record["expires"],
        plan=plan,
        deliveries=tuple(_delivery(one, steps) for one in record["deliveries"]),
        attempts=len(record.get("attempts", ())),
        via=record.get("via"),
        told=tuple(record.get("told", ())),
        **{name: record.get(name, "") for name in _TEXTS},
        **{name: record.get(name, usual) for name, usual in _USUAL.items()},
    )


def _delivery(record: Mapping[str, Any], steps: Sequence[Step]) -> Delivery:
    upstreams = steps[record["step"]].upstreams
    sole = upstreams[0] if len(upstreams) == 1 else ""
    return Delivery(
        step=record["step"],
        channel=steps[record["step"]].channel,
        status=Status(record["status"]),
        at=record["at"],
        operation=record.get("op", ""),
        request_id=record["req"],
        chosen=record.get("chosen", False),
        automatic=record.get("automatic", False),
        upstream=record.get("up") or (sole if "ref" in record else ""),
        tried=tuple(record.get("tried", ())),
        ends=record.get("ends"),
        reference=record.get("ref", ""),
        code_hash=record.get("hash", ""),
        reason=record.get("reason", ""),
        upstream_id=record.get("uid", ""),
        deferrals=record.get("deferrals", 0),
        only=tuple(record.get("only", "").split()),
    )
