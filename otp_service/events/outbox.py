"""What apps are to be told: puts events on their way, each once.

Knows who wants to hear what. Must not know how events travel.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from otp_service.challenge.model import Challenge, State
from otp_service.challenge.store import ChallengeStore
from otp_service.events import from_challenge as news
from otp_service.events.queue import EventQueue
from otp_service.events.standard_webhooks import Type
from otp_service.policy.active import Runtime
from otp_service.store.facts import Facts

BLOCKED_PAUSE = 60
"""Seconds between two events about the same block."""


class Outbox:
    """Puts events of challenges, and of refusals, on their way. Its methods raise StoreUnavailable."""

    def __init__(
        self, *, runtime: Callable[[], Runtime], challenges: ChallengeStore, queue: EventQueue, facts: Facts
    ) -> None:
        self._runtime = runtime
        self._challenges = challenges
        self._queue = queue
        self._facts = facts

    def blocked(self, app: str, rule: str, counter: str) -> None:
        """Tell of a send that the guard refused; a flood of refusals must not become a flood of events."""
        if Type.BLOCKED in self._wanted(app) and self._facts.use_once(f"blocked:{counter}", BLOCKED_PAUSE):
            self._tell_app(self._challenges.new_id(), app, [news.blocked(rule)])

    def tell(self, challenge: Challenge, *, over: str = "") -> None:
        """Put what the app was not told yet on its way; `over` is the lease on a challenge that has ended."""
        if not challenge.watched or self._runtime().version < challenge.policy:
            return  # whoever follows the challenge's policy already knows who wants to hear
        unheard = [one for one in news.of(challenge) if one.name not in challenge.told]
        self._tell_app(challenge.id, challenge.app, unheard, over=over)

    def exhausted(self, challenge: Challenge) -> None:
        """Tell of a last guess that was wrong, which the record itself says only when the challenge expires.

        Nothing is told once an earlier guess has won. One that is still in its check may win afterwards.
        """
        if not challenge.watched:
            return
        _, newest = self._challenges.read_challenge(challenge.id)
        if newest is not None and newest.state is State.PENDING:
            self.tell(replace(newest, state=State.EXHAUSTED))

    def _tell_app(self, id_: str, app: str, unheard: Sequence[news.Event], *, over: str = "") -> None:
        if not unheard and not over:
            return
        wanted, now = self._wanted(app), self._facts.time()
        records = {
            one.name: {"app": app, "type": one.type, "at": now, "data": one.data}
            for one in unheard
            if one.type in wanted
        }
        self._queue.put(id_, [one.name for one in unheard], records, over=over)

    def _wanted(self, app: str) -> Sequence[str]:
        found = self._runtime().policy.apps.get(app)
        if not (found and found.events):
            return ()
        return found.events.types or tuple(Type)
