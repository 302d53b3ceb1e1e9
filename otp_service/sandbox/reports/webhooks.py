"""The registry of webhooks and subscriptions.

Knows which webhook receives which event. Must not know requests, or how a report is sent.
"""

import itertools
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

EVENTS = frozenset(
    {
        *(f"{channel}:unsubscription" for channel in ("sms", "whatsapp", "rcs", "viber", "voice")),
        *(f"{channel}:message:status" for channel in ("sms", "whatsapp", "rcs", "mip", "viber")),
        *(f"{channel}:message:in" for channel in ("vmn", "whatsapp", "rcs", "mip", "viber")),
        "voice:message:out",
        "contacts:subscriber:subscription",
    }
)
"""All events for subscriptions. The sandbox sends those with `message` in their names."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A registered address."""

    id: str
    name: str
    uri: str
    secret: str | None = field(repr=False)
    verification_code: str = field(repr=False)
    active: bool
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class Subscription:
    """The subscription of a webhook to an event."""

    id: int
    event: str
    identity: str
    webhook_id: str
    created_at: float


class Webhooks:
    """The account's webhooks and subscriptions; many threads may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._webhooks: dict[str, Webhook] = {}
        self._subscriptions: dict[int, Subscription] = {}

    def add(self, name: str, uri: str, secret: str | None, code: str, *, active: bool, now: float) -> Webhook:
        """Register an address."""
        webhook = Webhook(str(uuid.uuid4()), name, uri, secret, code, active, now, now)
        with self._lock:
            self._webhooks[webhook.id] = webhook
        return webhook

    def edit(
        self, webhook: Webhook, *, name: str, uri: str, secret: str | None, active: bool, now: float
    ) -> Webhook:
        """Change a registered address."""
        edited = replace(webhook, name=name, uri=uri, secret=secret, active=active, updated_at=now)
        with self._lock:
            self._webhooks[webhook.id] = edited
        return edited

    def remove(self, webhook: Webhook) -> None:
        """Remove an address and its subscriptions."""
        with self._lock:
            self._webhooks.pop(webhook.id, None)
            for number, subscription in list(self._subscriptions.items()):
                if subscription.webhook_id == webhook.id:
                    del self._subscriptions[number]

    def webhook(self, webhook_id: str) -> Webhook | None:
        """Return the webhook with this id."""
        with self._lock:
            return self._webhooks.get(webhook_id)

    def all(self) -> list[Webhook]:
        """Return every webhook, newest first."""
        with self._lock:
            return list(reversed(self._webhooks.values()))

    def subscribe(self, event: str, identity: str, webhook_id: str, *, now: float) -> Subscription:
        """Subscribe a webhook to an event."""
        with self._lock:
            subscription = Subscription(next(self._ids), event, identity, webhook_id, now)
            self._subscriptions[subscription.id] = subscription
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription."""
        with self._lock:
            self._subscriptions.pop(subscription.id, None)

    def subscription(self, number: int) -> Subscription | None:
        """Return the subscription with this id."""
        with self._lock:
            return self._subscriptions.get(number)

    def subscriptions(self) -> list[Subscription]:
        """Return every subscription, newest first."""
        with self._lock:
            return list(reversed(self._subscriptions.values()))

    def receivers(self, event: str, chosen: str | None) -> Iterator[Webhook]:
        """Return the active webhooks for an event: the chosen one and all subscribers, each once."""
        with self._lock:
            wanted = [row.webhook_id for row in self._subscriptions.values() if row.event == event]
            ids = dict.fromkeys([chosen, *wanted] if chosen else wanted)
            found = [self._webhooks[webhook_id] for webhook_id in ids if webhook_id in self._webhooks]
        return (webhook for webhook in found if webhook.active)
