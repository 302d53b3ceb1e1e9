"""The queue of events for apps; it is separate from challenges, so that a slow endpoint delays no code.

Knows the keys and the scripts. Must not know what an event says or how it is sent.
"""

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from otp_service.challenge.keys import ChallengeKeys
from otp_service.store.due import DueQueue
from otp_service.store.partitions import Partitions, operation
from otp_service.store.scripts import Scripts

LEASE = 20_000
"""Milliseconds that a worker has to send an event and get the app's answer."""
SCOPE = "e"


@dataclass(frozen=True, slots=True)
class QueuedEvent:
    """A queued event: its id, its record, and the number of earlier tries."""

    id: str
    record: Mapping[str, Any]
    tries: int


class EventQueue:
    """The events of all apps. Every method raises StoreUnavailable if the server does not answer in time."""

    def __init__(
        self, scripts: Scripts, partitions: Partitions, *, due: DueQueue, challenges: ChallengeKeys, ttl: int
    ) -> None:
        """`due` is the queue of events, `challenges` names challenges' keys. An event is kept `ttl` milliseconds."""
        self._scripts = scripts
        self._partitions = partitions
        self._due = due
        self._challenges = challenges
        self._ttl = ttl

    def put(
        self, id_: str, told: Sequence[str], records: Mapping[str, Mapping[str, Any]], *, over: str = ""
    ) -> None:
        """Queue events of a challenge, each one once: `told` lists their names and is stored with the challenge.

        `records` are by event name. `over` is the operation id of the lease on a challenge that has ended and needs
        no further work. The id may also belong to no challenge.
        """
        partition = id_[:2]
        ids = [self._partitions.new_id_in(partition) for _ in records]
        events = [
            part for id_and_record in zip(ids, records.items(), strict=True) for part in _flat(*id_and_record)
        ]
        self._scripts.call(
            "put_events",
            [
                self._challenges.challenge(id_),
                self._challenges.schedule(id_),
                self._due.key(id_),
                *(self._key(event_id) for event_id in ids),
            ],
            id_,
            json.dumps(list(told)),
            over,
            self._ttl,
            self._due.wake_channel,
            partition,
            *events,
        )

    def put_for(self, owner: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Queue events that belong to no challenge, in the partition of their owner."""
        id_ = self._partitions.new_id(owner)
        named = {str(place): record for place, record in enumerate(records)}
        self.put(id_, list(named), named)

    def due_for(self, owner: str, limit: int) -> list[str]:
        """List what is due in the partition of an owner, at most `limit` events."""
        partition = self._partitions.home(owner)
        return list(self._due.due([partition], limit)[partition].ids)

    def claim(self, id_: str) -> QueuedEvent | None:
        """Lease an event that is due. Return None if it is gone or another worker holds it."""
        tries, record = self._scripts.call("claim_event", self._keys(id_), id_, LEASE, operation())
        return QueuedEvent(id_, json.loads(record), tries) if record else None

    def finish(self, id_: str, pause: float | None = None, *, untried: bool = False) -> None:
        """Remove an event, or try it again after `pause` seconds. `untried`: this try did not take place."""
        milliseconds = "" if pause is None else int(pause * 1000)
        self._scripts.call("finish_event", self._keys(id_), id_, milliseconds, "1" if untried else "")

    def erase(self, challenges: Container[str]) -> int:
        """Erase the events of these challenges. Return how many there were."""
        found = [
            self._partitions.id_of(key)
            for batch in self._scripts.walk(self._key("??*"), "walk")
            for key, value in batch
            if json.loads(value)["data"].get("challenge_id") in challenges
        ]
        for id_ in found:
            self.finish(id_)
        return len(found)

    def _keys(self, id_: str) -> list[str]:
        return [self._due.key(id_), self._key(id_)]

    def _key(self, id_: str) -> str:
        return self._partitions.key_of(id_, SCOPE)


def _flat(id_: str, named: tuple[str, Mapping[str, Any]]) -> tuple[str, str, str]:
    name, record = named
    return id_, json.dumps(record), name
