"""Sends queued events to the endpoints of apps and of operators: signs, posts, retries and gives up.

Knows the queue, the schedule and the endpoints. Must not know what an event means.
"""

import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from otp_service.events import standard_webhooks
from otp_service.events.queue import EventQueue, QueuedEvent
from otp_service.events.standard_webhooks import Disable, Done, Retry
from otp_service.net.public_only import PostResult, PublicClient
from otp_service.net.shares import Shares
from otp_service.policy import Endpoint, Policy
from otp_service.store.facts import Facts
from otp_service.telemetry.logs import log
from otp_service.telemetry.metrics import Metrics

OFF_FOR = 30 * 24 * 3600
"""Seconds that an endpoint stays switched off after a 410, unless the policy names another endpoint earlier."""
APP_SHARE = 4
"""Events of one app that a worker posts at once: half of what it can, so that a slow endpoint delays no other app."""
CROWDED = 1.0
"""Seconds to postpone an event whose app has its share under way."""
NOT_NOW = 300.0
"""Seconds to postpone an event if this process does not know its endpoint or secret."""
OPERATORS = ""
"""The app of events for operators: no app has this name."""


class WebhookSender:
    """Sends events from the queue to the endpoints of their apps, or of the operators."""

    def __init__(
        self,
        *,
        policy: Callable[[], Policy],
        secrets: Mapping[str, Sequence[bytes]],
        queue: EventQueue,
        facts: Facts,
        client: PublicClient,
        metrics: Metrics,
    ) -> None:
        """`secrets` are by the name of their setting, each with the newest first."""
        self._policy = policy
        self._secrets = secrets
        self._queue = queue
        self._facts = facts
        self._client = client
        self._metrics = metrics
        self._shares = Shares(APP_SHARE)

    def send(self, event_id: str, stopping: Callable[[], bool]) -> None:
        """Send an event that is due. Raises StoreUnavailable; the event then stays due."""
        if stopping() or (queued := self._queue.claim(event_id)) is None:
            return
        with self._shares.take(queued.record["app"]) as taken:
            if taken:
                self._deliver(queued)
            else:
                self._queue.finish(queued.id, CROWDED, untried=True)

    def _deliver(self, queued: QueuedEvent) -> None:
        app, event_id = queued.record["app"], queued.id
        endpoint = self._endpoint(app)
        secrets = self._secrets.get(endpoint.secret_env, ()) if endpoint else ()
        if not (endpoint and secrets):
            # A newer policy version, or a process with newer settings, may know the endpoint.
            self._queue.finish(event_id, NOT_NOW)
            self._count(queued, "postponed", "no_endpoint", None)
            return
        if self._is_off(app, endpoint.url):
            self._end(queued, "dropped")
            return
        answer = self._post(queued, endpoint.url, secrets)
        match standard_webhooks.after_answer(queued.tries + 1, answer, random.random):
            case Done():
                self._end(queued, "delivered")
            case Retry(seconds):
                self._queue.finish(event_id, seconds)
                self._count(queued, "retried", answer.reason, answer.status)
            case Disable():
                self._facts.put(f"off:{app}", endpoint.url, OFF_FOR)
                self._end(queued, "disabled")
            case _:
                self._end(queued, "given_up", answer.reason)

    def _endpoint(self, app: str) -> Endpoint | None:
        policy = self._policy()
        if app == OPERATORS:
            return policy.alerts
        found = policy.apps.get(app)
        return found.events if found else None

    def _post(self, queued: QueuedEvent, url: str, secrets: Sequence[bytes]) -> PostResult:
        record: Mapping[str, Any] = queued.record
        body = standard_webhooks.write_body(record["type"], record["at"], record["data"])
        return self._client.post(
            url, standard_webhooks.sign(queued.id, int(time.time()), body, secrets), body
        )

    def _is_off(self, app: str, url: str) -> bool:
        return self._facts.get(f"off:{app}") == url

    def _end(self, queued: QueuedEvent, result: str, reason: str = "") -> None:
        self._queue.finish(queued.id)
        self._count(queued, result, reason, None)

    def _count(self, queued: QueuedEvent, result: str, reason: str, status: int | None) -> None:
        app = queued.record["app"] or "(operators)"
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
