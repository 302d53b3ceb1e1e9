"""Challenges and their schedule in Redis.

Knows the scripts. Must not know why anything is stored. The store's clock is the only clock: every answer includes its
time, in milliseconds.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from otp_service.challenge import record
from otp_service.challenge.keys import ChallengeKeys
from otp_service.challenge.model import ARRIVED, FAILED, Challenge, Delivery, Status, overruled_by
from otp_service.challenge.send_store import SendStore, listed
from otp_service.store.due import DueQueue
from otp_service.store.partitions import Partitions, operation
from otp_service.store.scripts import Scripts
from otp_service.store.sources import Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long things are kept, in milliseconds.

    `challenges` counts from the expiry, so that an ended challenge can be read. `idempotency` counts from the send.
    """

    challenges: int = 10 * 60_000
    idempotency: int = 24 * 3_600_000


USUAL_RETENTION = Retention()


@dataclass(frozen=True, slots=True)
class Opened:
    """A stored challenge; or in `known` what the idempotency key started before: a challenge's id and a fingerprint."""

    now: int
    challenge: Challenge | None
    known: str = ""


class Recorded(NamedTuple):
    """What became of a report: `changed`, `known` or `none`, and what it changed.

    `first` means that it is the first that says of any message of the challenge that it arrived. `at` is when it was
    recorded (the store's time in milliseconds).
    """

    result: str
    challenge: Challenge | None = None
    place: int = 0
    before: str = ""
    first: bool = False
    at: int = 0


class ChallengeStore(SendStore):
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
        super().__init__(scripts, ChallengeKeys(partitions, due), due)
        self._partitions = partitions
        self._retention = retention

    def new_id(self, idempotency: str = "") -> str:
        """Draw a challenge's id. The name of an idempotency record decides its partition, so that both share a slot."""
        return self._partitions.new_id(idempotency)

    # For the API.

    def open(self, challenge: Challenge, *, idempotency: str = "", fingerprint: str = "") -> Opened:
        """Store a challenge and schedule its first delivery: both or neither. The store sets all times."""
        keys = self._names.of(challenge.id)
        if idempotency:
            keys.append(self._names.idempotency(idempotency))
        what, now, stored = self._scripts.call(
            "open",
            keys,
            challenge.id,
            record.write(challenge),
            challenge.plan.ttl * 1000,
            self._retention.challenges,
            fingerprint,
            self._retention.idempotency,
            self._due.wake_channel,
        )
        if what == "known":
            return Opened(now, None, stored)
        return Opened(now, record.read(challenge.id, stored))

    def recall(self, *names: str) -> str | None:
        """Return the record of an idempotency key under any of its names: a challenge's id, then a fingerprint."""
        return self._scripts.first(map(self._names.idempotency, names))

    def read_challenge(self, id_: str) -> tuple[int, Challenge | None]:
        """Return the time and a challenge, None if it is unknown."""
        return self.read_challenges([id_])[0]

    def read_challenges(self, ids: Sequence[str]) -> list[tuple[int, Challenge | None]]:
        """Do as `read_challenge` for many, in one round trip to each server and partition."""
        calls = [Call("read_with_time", [self._names.challenge(id_)]) for id_ in ids]
        found = self._scripts.call_in_turn(calls)
        return [
            (now, record.read(id_, stored) if stored else None)
            for id_, (now, stored) in zip(ids, found, strict=True)
        ]

    def resend(self, id_: str, app: str, delivery: Delivery) -> tuple[str, int, Challenge | int | None]:
        """Add a delivery.

        Return `queued` with the challenge, `early` with the milliseconds left to wait, `spent` (no sends are left) or
        `gone`.
        """
        answer = self._scripts.call(
            "resend",
            self._names.of(id_),
            app,
            id_,
            json.dumps(record.write_delivery(delivery)),
            self._due.wake_channel,
        )
        what, now = answer[:2]
        if what == "queued":
            return what, now, record.read(id_, answer[2])
        return what, now, answer[2] if what == "early" else None

    # For workers, and for delivery reports.

    def end_expired(self, ids: Sequence[str]) -> list[tuple[str, Challenge | None]]:
        """End those of some challenges of one partition whose time is over. Return each that this call ended.

        For an id without a challenge a claim is needed: its app has yet to be told, or a charge to be given back.
        """
        keys = [self._names.schedule(ids[0]), *map(self._names.challenge, ids)]
        ended = self._scripts.call("end_expired", keys, operation(), *ids)
        return [
            (id_, record.read(id_, stored) if stored else None)
            for id_, stored in zip(*[iter(ended)] * 2, strict=True)
        ]

    def record_receipt(
        self,
        id_: str,
        account: str,
        *,
        upstream_id: str,
        reference: str,
        status: Status,
        reason: str,
        in_parts: bool = False,
    ) -> Recorded:
        """Store what an account reports of a message that it sent.

        Return `changed` with what changed, `known` if that was known already, or `none` if the account sent no such
        message. `in_parts` means that each part of the message may be
        reported.
        """
        receipt = {
            "account": account,
            "upstream_id": upstream_id,
            "reference": reference,
            "status": status,
            "overruled": listed(overruled_by(status, in_parts=in_parts)),
            "reason": reason,
            "failed": status in FAILED,
            "arrived": status in ARRIVED,
        }
        answer = self._scripts.call(
            "record_receipt",
            self._names.of(id_),
            id_,
            operation(),
            json.dumps(receipt),
            self._due.wake_channel,
        )
        if answer[0] != "changed":
            return Recorded(answer[0])
        return Recorded(
            "changed", record.read(id_, answer[2]), answer[3], answer[4], bool(answer[5]), answer[1]
        )

    def index_message(self, name: str, id_: str, left: int) -> None:
        """Store an upstream's name of a message of a challenge that expires in `left` milliseconds."""
        call = self.indexing_message(name, id_, left)
        self._scripts.call(call.name, call.keys, *call.arguments)

    def indexing_message(self, name: str, id_: str, left: int) -> Call:
        """Return the call that stores an upstream's name of a message."""
        ttl = max(1, left + self._retention.challenges)
        return Call("put", [self._names.message(name)], (id_, ttl))

    def challenge_of_message(self, *names: str) -> str | None:
        """Return the id of the challenge with a message that an upstream knows by one of these names."""
        return self._scripts.first(self._names.message(name) for name in names)
