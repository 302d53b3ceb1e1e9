"""Puts the sandbox together.

Knows all its parts; nothing else does. Threads start with the first accepted message and end with `close`.
"""

import threading
from collections.abc import Iterator

from flask import Flask, Response

from otp_service.sandbox import answers, api
from otp_service.sandbox.account import Account
from otp_service.sandbox.calls import Call, Endpoints
from otp_service.sandbox.config import SandboxConfig
from otp_service.sandbox.developer import Developer
from otp_service.sandbox.messages import Mailbox, Message
from otp_service.sandbox.pages import MOST_VIEWERS, Pages
from otp_service.sandbox.reports import Reports, Target
from otp_service.sandbox.sms import Sms
from otp_service.sandbox.sms_templates import SmsTemplates
from otp_service.sandbox.switchboard import Switchboard
from otp_service.sandbox.throttle import Throttle
from otp_service.sandbox.verify import Verify
from otp_service.sandbox.webhooks import SMS_STATUS, Webhooks

MOST_BYTES = 4 * 1024 * 1024


class Sandbox:
    """What one sandbox holds; kept as `app.extensions["sandbox"]`."""

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.closing = threading.Event()
        self.mailbox = Mailbox(config.inbox_size)
        self.account = Account(config.credits)
        self.webhooks = Webhooks()
        self.reports = Reports(config, self.mailbox, self._targets)
        self.switchboard = Switchboard(config, self.account, self.mailbox, self.reports, self.closing)

    def close(self) -> None:
        """End the background threads, the open feeds and every answer that is being held back."""
        self.closing.set()
        self.mailbox.wake()
        self.reports.close()

    def tables(self) -> list[Endpoints]:
        """Return every table of endpoints."""
        templates = SmsTemplates()
        balance = {"GET": self._balance}
        return [
            Sms(self.switchboard, self.mailbox, self.webhooks, templates).endpoints(),
            templates.endpoints(),
            Verify(self.switchboard, self.config.clock).endpoints(),
            Developer(self.webhooks, self.config.clock).endpoints(),
            {"account/balance": balance, "finance/balance": balance, "auth/me": {"GET": _me}},
        ]

    def _balance(self, call: Call) -> Response:
        service = call.text("service")
        rows = [row for row in self.account.rows() if service in ("", row["service"])]
        return answers.json_answer({"status": 200, "message": "OK", "data": rows})

    def _targets(self, message: Message) -> Iterator[Target]:
        if message.channel != "sms":
            return
        if self.config.report_url:
            yield Target(self.config.report_url, self.config.report_secret)
        for webhook in self.webhooks.told_of(SMS_STATUS, message.webhook_id):
            if webhook.uri != self.config.report_url:
                yield Target(webhook.uri, webhook.secret)


def create_sandbox(config: SandboxConfig) -> Flask:
    """Return the sandbox as a WSGI application."""
    sandbox = Sandbox(config)
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MOST_BYTES
    app.extensions["sandbox"] = sandbox
    gate = api.Gate(config.tokens, Throttle(config.gets_per_minute), config.clock)
    api.mount(app, gate, sandbox.tables())
    Pages(sandbox.mailbox, sandbox.closing, threading.BoundedSemaphore(MOST_VIEWERS)).mount(app)
    app.add_url_rule("/login", "login", lambda: answers.login_page(200))
    return app


def _me(_call: Call) -> Response:
    return answers.ok("OK", {"id": 1, "name": "Sandbox", "username": "sandbox"})
