"""The whole sandbox as one WSGI application.

Knows all parts. Must not know what any of them does. Threads start with the first accepted message and end with
`close`.
"""

import threading
from collections.abc import Iterator

from flask import Flask, Response

from otp_service.sandbox.api import answers, routing
from otp_service.sandbox.api.calls import Call, Endpoints
from otp_service.sandbox.api.customers import customers_of
from otp_service.sandbox.api.developer import Developer
from otp_service.sandbox.api.lookup import Lookup
from otp_service.sandbox.api.messengers import Messengers
from otp_service.sandbox.api.sms import Sms
from otp_service.sandbox.api.sms_templates import SmsTemplates
from otp_service.sandbox.api.switchboard import Switchboard
from otp_service.sandbox.api.voice import Voice
from otp_service.sandbox.config import SandboxConfig
from otp_service.sandbox.mailbox import Mailbox
from otp_service.sandbox.outcomes import Outcomes
from otp_service.sandbox.phone.controls import Controls
from otp_service.sandbox.phone.pages import MOST_VIEWERS, Pages
from otp_service.sandbox.reports.bodies import Event
from otp_service.sandbox.reports.pushes import Pushes, Target
from otp_service.sandbox.reports.settling import Reports

MOST_BYTES = 4 * 1024 * 1024


class Sandbox:
    """The parts of one sandbox, kept as `app.extensions["sandbox"]`."""

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.closing = threading.Event()
        self.mailbox = Mailbox(config.inbox_size)
        self.customers = customers_of(config)
        self.outcomes = Outcomes()
        self.pushes = Pushes(config, self._targets)
        self.reports = Reports(self.mailbox, self.pushes, config.clock)
        self.switchboard = Switchboard(config, self.outcomes, self.mailbox, self.reports, self.closing)

    def close(self) -> None:
        """End the background threads, the open feeds and all delayed answers."""
        self.closing.set()
        self.mailbox.wake()
        self.reports.close()
        self.pushes.close()

    def controls(self) -> Controls:
        """Return the views that control the sandbox."""
        accounts = tuple(customer.name for customer in self.customers.values())
        return Controls(self.outcomes, self.mailbox, self.pushes, accounts, self.config.clock)

    def tables(self) -> list[Endpoints]:
        """Return every table of endpoints."""
        templates = SmsTemplates()
        balance = {"GET": _balance}
        return [
            Sms(self.switchboard, self.mailbox, templates).endpoints(),
            templates.endpoints(),
            Messengers(self.switchboard, self.mailbox).endpoints(),
            Voice(self.switchboard, self.mailbox).endpoints(),
            Lookup(self.switchboard).endpoints(),
            Developer(self.config.clock, reach_out=self.config.reach_out).endpoints(),
            {"account/balance": balance, "finance/balance": balance, "auth/me": {"GET": _me}},
        ]

    def _targets(self, event: Event) -> Iterator[Target]:
        config = self.config
        usual = (config.report_url or "").replace("{account}", event.account)
        if usual:
            yield Target(
                usual,
                config.report_secret,
                config.report_webhook_id,
                config.report_form,
                config.report_fields,
            )
        for customer in self.customers.values():
            if customer.name != event.account:
                continue
            for webhook in customer.webhooks.receivers(event.name, event.webhook_id):
                if webhook.uri != usual:
                    yield Target(webhook.uri, webhook.secret, webhook.id)


def create_sandbox(config: SandboxConfig) -> Flask:
    """Return the sandbox as a WSGI application."""
    sandbox = Sandbox(config)
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MOST_BYTES
    app.extensions["sandbox"] = sandbox
    routing.mount(app, routing.RequestChecks(sandbox.customers, config.clock), sandbox.tables())
    viewers = threading.BoundedSemaphore(MOST_VIEWERS)
    Pages(sandbox.mailbox, sandbox.outcomes, sandbox.closing, viewers).mount(app)
    sandbox.controls().mount(app)
    app.add_url_rule("/login", "login", lambda: answers.login_page(200))
    return app


def _balance(call: Call) -> Response:
    service = call.text("service")
    rows = [row for row in call.customer.account.rows() if service in ("", row["service"])]
    return answers.json_answer({"status": 200, "message": "OK", "data": rows})


def _me(_call: Call) -> Response:
    return answers.ok("OK", {"id": 1, "name": "Sandbox", "username": "sandbox"})
