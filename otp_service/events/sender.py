"""Brings events to apps: signs, posts, tries again, gives up.

Knows queue, schedule and endpoints. Must not know what an event means.
"""

import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from otp_service.events import standard_webhooks as events
from otp_service.events.queue import EventQueue, QueuedEvent
from otp_service.events.standard_webhooks import Disable, Done, Retry
from otp_service.net.public_only import Answer, Sender
from otp_service.policy import Policy
from otp_service.store.facts import Facts
from otp_service.telemetry.logs import log
from otp_service.telemetry.metrics import Metrics

OFF_FOR = 30 * 24 * 3600
"""Seconds that an endpoint stays switched off after a 410, or until the policy names another."""
NOT_NOW = 300.0
"""Seconds until an event is looked at again whose endpoint or secret is not known here."""


class Herald:
    """Takes events from the queue to the endpoints of their apps."""

    def __init__(
        self,
        *,
        policy: Callable[[], Policy],
        secrets: Mapping[str, Sequence[bytes]],
        queue: EventQueue,
        facts: Facts,
        sender: Sender,
        metrics: Metrics,
    ) -> None:
        """`secrets` are by the setting's name, each with the newest first."""
        self._policy = policy
        self._secrets = secrets
        self._queue = queue
        self._facts = facts
        self._sender = sender
        self._metrics = metrics

    def attend(self, event_id: str, stopping: Callable[[], bool]) -> None:
        """Bring an event that is due. Raises StoreUnavailable; it stays due then."""
        if stopping() or (queued := self._queue.claim(event_id)) is None:
            return
        app = queued.record["app"]
        found = self._policy().apps.get(app)
        secrets = self._secrets.get(found.events.secret_env, ()) if found and found.events else ()
        if not (found and found.events and secrets):
            # A version of the policy, or a process, that knows better follows.
            self._queue.finish(event_id, NOT_NOW)
            self._count(queued, "postponed", "no_endpoint", None)
            return
        if self._is_off(app, found.events.url):
            self._end(queued, "dropped")
            return
        answer = self._post(queued, found.events.url, secrets)
        match events.following(queued.tries + 1, answer, random.random):
            case Done():
                self._end(queued, "delivered")
            case Retry(seconds):
                self._queue.finish(event_id, seconds)
                self._count(queued, "retried", answer.reason, answer.status)
            case Disable():
                self._facts.put(f"off:{app}", found.events.url, OFF_FOR)
                self._end(queued, "disabled")
            case _:
                self._end(queued, "given_up", answer.reason)

    def _post(self, queued: QueuedEvent, url: str, secrets: Sequence[bytes]) -> Answer:
        record: Mapping[str, Any] = queued.record
        body = events.body(events.Type(record["type"]), record["at"], record["data"])
        return self._sender.post(url, events.headers(queued.id, int(time.time()), body, secrets), body)

    def _is_off(self, app: str, url: str) -> bool:
        return self._facts.get(f"off:{app}") == url

    def _end(self, queued: QueuedEvent, result: str, reason: str = "") -> None:
        self._queue.finish(queued.id)
        self._count(queued, result, reason, None)

    def _count(self, queued: QueuedEvent, result: str, reason: str, status: int | None) -> None:
        app = queued.record["app"]
        self._metrics.events.labels(app, result).inc()
        log(
            f"event.{result}",
            logging.INFO if result == "delivered" else logging.WARNING,
            app=app,
            type=queued.record["type"],
            tries=queued.tries + 1,
            reason=reason,
            status=status,
        )
