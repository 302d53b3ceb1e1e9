"""The calls that register webhooks and subscriptions, and the handshake with a new webhook.

Knows their requests and answers. Must not know what is reported to a webhook.
"""

import secrets
from collections.abc import Callable
from urllib.parse import urlsplit

import requests
from flask import Response

from otp_service.sandbox.api import answers
from otp_service.sandbox.api.calls import Call, Endpoints
from otp_service.sandbox.reports.reach import FarError, open_session
from otp_service.sandbox.reports.webhooks import EVENTS, Subscription, Webhook
from otp_service.sandbox.times import iso_time

HANDSHAKE_TIMEOUT = 5.0
PER_PAGE = 15


class Developer:
    """Handlers of everything below `developer/`."""

    def __init__(self, clock: Callable[[], float], *, reach_out: bool) -> None:
        self._clock = clock
        self._reaches_out = reach_out

    def endpoints(self) -> Endpoints:
        """Return the handlers by path and verb."""
        one = {"GET": self.show, "PUT": self.edit, "PATCH": self.edit, "DELETE": self.remove}
        return {
            "developer/webhooks": {"GET": self.list, "POST": self.create},
            "developer/webhooks/<id>": one,
            "developer/subscriptions": {"GET": self.list_subscriptions, "POST": self.subscribe},
            "developer/subscriptions/<id>": {"GET": self.show_subscription, "DELETE": self.unsubscribe},
        }

    def list(self, call: Call) -> Response:
        """List the webhooks, only those with the name `filter[name]` if it is given."""
        name = call.text("filter[name]")
        rows = [
            _webhook_row(webhook) for webhook in call.customer.webhooks.all() if name in ("", webhook.name)
        ]
        return answers.page_of(
            rows, page=call.page(), per_page=PER_PAGE, address=call.address, message="Webhooks List"
        )

    def create(self, call: Call) -> Response:
        """Register an address after a successful handshake."""
        call.require("name", "uri")
        uri, key = call.text("uri"), call.text("token") or secrets.token_hex(16)
        self._shake_hands(uri, key)
        webhook = call.customer.webhooks.add(
            call.text("name"),
            uri,
            call.text("secret") or None,
            key,
            active=call.text("status") != "0",
            now=self._clock(),
        )
        return answers.ok("Created successfully", _webhook_row(webhook))

    def show(self, call: Call) -> Response:
        """Show one webhook."""
        return answers.ok("OK", _webhook_row(self._one(call)))

    def edit(self, call: Call) -> Response:
        """Change a webhook; a new address must pass the handshake."""
        webhook = self._one(call)
        uri = call.text("uri") or webhook.uri
        if uri != webhook.uri:
            self._shake_hands(uri, webhook.verification_code)
        status = call.text("status")
        edited = call.customer.webhooks.edit(
            webhook,
            name=call.text("name") or webhook.name,
            uri=uri,
            secret=call.text("secret") or webhook.secret,
            active=status != "0" if status else webhook.active,
            now=self._clock(),
        )
        return answers.ok("Updated successfully", _webhook_row(edited))

    def remove(self, call: Call) -> Response:
        """Delete a webhook and its subscriptions."""
        call.customer.webhooks.remove(self._one(call))
        return answers.ok("Deleted successfully", [])

    def list_subscriptions(self, call: Call) -> Response:
        """List the subscriptions."""
        rows = [_subscription_row(row) for row in call.customer.webhooks.subscriptions()]
        return answers.page_of(
            rows, page=call.page(), per_page=PER_PAGE, address=call.address, message="Subscriptions List"
        )

    def subscribe(self, call: Call) -> Response:
        """Subscribe a registered webhook to an event."""
        call.require("event", "identity", "webhook_id")
        if call.text("event") not in EVENTS:
            raise answers.invalid({"event": ["The selected event is invalid."]})
        if call.customer.webhooks.webhook(call.text("webhook_id")) is None:
            raise answers.invalid({"webhook_id": ["The selected webhook id is invalid."]})
        created = call.customer.webhooks.subscribe(
            call.text("event"), call.text("identity"), call.text("webhook_id"), now=self._clock()
        )
        return answers.ok("Subscription Saved Successfully", _subscription_row(created))

    def show_subscription(self, call: Call) -> Response:
        """Show one subscription."""
        return answers.ok("Subscription", _subscription_row(self._one_subscription(call)))

    def unsubscribe(self, call: Call) -> Response:
        """Delete a subscription."""
        call.customer.webhooks.unsubscribe(self._one_subscription(call))
        return answers.ok("Subscription Deleted successfully", [])

    def _one(self, call: Call) -> Webhook:
        webhook = call.customer.webhooks.webhook(call.arguments["id"])
        if webhook is None:
            raise answers.not_found("Webhook not found")
        return webhook

    def _one_subscription(self, call: Call) -> Subscription:
        wanted = call.arguments["id"]
        subscription = (
            call.customer.webhooks.subscription(int(wanted))
            if wanted.isascii() and wanted.isdecimal()
            else None
        )
        if subscription is None:
            raise answers.not_found("Subscription not found")
        return subscription

    def _shake_hands(self, uri: str, key: str) -> None:
        challenge = secrets.token_hex(16)
        if urlsplit(uri).scheme not in ("http", "https"):
            raise answers.invalid({"uri": ["The uri format is invalid."]})
        try:
            echoed = self._answer_of(uri, key, challenge)
        except FarError:
            rule = "The uri is outside; the sandbox posts there only if started with --reach-out."
            raise answers.invalid({"uri": [rule]}) from None
        except (requests.RequestException, ValueError):
            echoed = None
        if not isinstance(echoed, dict) or echoed.get("challenge") != challenge:
            raise answers.invalid({"uri": ["The uri did not answer the verification challenge."]})

    def _answer_of(self, uri: str, key: str, challenge: str) -> object:
        with open_session(reach_out=self._reaches_out) as session:
            answer = session.post(
                uri,
                params={"token": key},
                json={"validation_key": key, "challenge": challenge},
                timeout=HANDSHAKE_TIMEOUT,
                allow_redirects=False,
            )
            return answer.json() if answer.status_code == requests.codes.ok else None


def _webhook_row(webhook: Webhook) -> dict[str, object]:
    return {
        "id": webhook.id,
        "name": webhook.name,
        "uri": webhook.uri,
        "secret": webhook.secret,
        "verification_code": webhook.verification_code,
        "status": "1" if webhook.active else "0",
        "created_at": iso_time(webhook.created_at),
        "updated_at": iso_time(webhook.updated_at),
    }


def _subscription_row(subscription: Subscription) -> dict[str, object]:
    return {
        "id": subscription.id,
        "event": subscription.event,
        "identity": subscription.identity,
        "payload": [],
        "webhook_id": subscription.webhook_id,
        "created_at": iso_time(subscription.created_at),
    }
