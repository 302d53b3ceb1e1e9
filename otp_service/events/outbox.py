"""Queues the events of challenges, each one once.

Knows which app wants which events. Must not know how events travel.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from otp_service.challenge.model import Challenge, State
from otp_service.challenge.store import ChallengeStore
from otp_service.events.from_challenge import Event, blocked_event, events_of
from otp_service.events.queue import EventQueue
from otp_service.events.standard_webhooks import EventType
from otp_service.history.journal import Journal
from otp_service.history.note import Note, What
from otp_service.policy.active import ActivePolicy
from otp_service.store.facts import Facts

BLOCKED_PAUSE = 60
"""Minimum seconds between two events about the same block."""


class Outbox:
    """Queues events about challenges and about refused sends. Its methods raise StoreUnavailable."""

    def __init__(
        self,
        *,
        active: Callable[[], ActivePolicy],
        challenges: ChallengeStore,
        queue: EventQueue,
        facts: Facts,
        journal: Journal,
    ) -> None:
        self._active = active
        self._challenges = challenges
        self._queue = queue
        self._facts = facts
        self._journal = journal

    def queue_blocked(self, app: str, rule: str, counter: str) -> None:
        """Queue an event for a send that the guard refused.

        Each `counter` causes at most one event in BLOCKED_PAUSE, so that many refusals do not cause many events.
        """
        if EventType.BLOCKED in self._wanted(app) and self._facts.use_once(
            f"blocked:{counter}", BLOCKED_PAUSE
        ):
            self._put(self._challenges.new_id(), app, [blocked_event(rule)])

    def queue_events(self, challenge: Challenge, *, over: str = "") -> None:
        """Queue the events that the app has not received yet.

        `over` is the operation id of the lease on a challenge that has ended.
        """
        if not challenge.watched or self._active().version < challenge.policy:
            return  # a process that has the challenge's policy version knows which events the app wants
        unsent = [event for event in events_of(challenge) if event.name not in challenge.told]
        self._put(challenge.id, challenge.app, unsent, over=over)

    def queue_exhausted(self, challenge: Challenge) -> None:
        """Queue the event for a wrong last guess; the record itself shows it only when the challenge expires.

        Does nothing if an earlier guess has won. A guess that is still being checked may win afterwards.
        """
        if not challenge.watched:
            return
        _, newest = self._challenges.read_challenge(challenge.id)
        if newest is not None and newest.state is State.PENDING:
            self.queue_events(replace(newest, state=State.EXHAUSTED))

    def _put(self, id_: str, app: str, unsent: Sequence[Event], *, over: str = "") -> None:
        if not unsent and not over:
            return
        wanted, now = self._wanted(app), self._facts.time()
        records = {
            event.name: {"app": app, "type": event.type, "at": now, "data": event.data}
            for event in unsent
            if event.type in wanted
        }
        self._queue.put(id_, [event.name for event in unsent], records, over=over)
        for event in unsent:
            if event.name in records and event.type is not EventType.BLOCKED:
                self._journal.add(Note(what=What.TOLD, at=now, challenge=id_, app=app, reason=event.type))

    def _wanted(self, app: str) -> Sequence[str]:
        found = self._active().policy.apps.get(app)
        if not (found and found.events):
            return ()
        return found.events.types or tuple(EventType)
