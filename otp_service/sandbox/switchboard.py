"""Takes messages in, whatever call and channel they came by, and decides how each one ends.

Knows forced outcomes, charges, the random error rate and what is promised to the report. Must not know the
fields of a request or of an answer: callers bring drafts and get receipts.
"""

import threading
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from flask import Response

from otp_service.sandbox import answers
from otp_service.sandbox.account import Account
from otp_service.sandbox.codes import code_in
from otp_service.sandbox.config import SandboxConfig
from otp_service.sandbox.messages import Mailbox, Message
from otp_service.sandbox.outcomes import Outcome, outcome_for
from otp_service.sandbox.parts import TextType, encode
from otp_service.sandbox.reports import Reports

AWAITING = "AWAITING-DLR"
RETRY_AFTER = 2
"""Seconds that the outcome `rate_limited` asks for."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that someone wants to send to one recipient; numbers are digits."""

    channel: str
    to: str
    sender: str
    text: str
    service: str
    text_type: TextType = "A"
    custom: str = ""
    webhook_id: str | None = None
    max_units: int | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one draft, in the upstream's status words."""

    draft: Draft
    id: str
    status: str
    units: int
    length: int
    charges: float
    at: float


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What became of one call's drafts."""

    group_id: str
    receipts: Sequence[Receipt]
    garbled: bool = False

    def answer(self, body: object) -> Response:
        """Return `body` as the answer to the call, readable or not as the outcome has it."""
        response = answers.json_answer(body)
        return answers.cut_in_half(response) if self.garbled else response


class Switchboard:
    """The one entrance for messages; safe for many threads."""

    def __init__(
        self,
        config: SandboxConfig,
        account: Account,
        mailbox: Mailbox,
        reports: Reports,
        closing: threading.Event,
    ) -> None:
        self._config = config
        self._account = account
        self._mailbox = mailbox
        self._reports = reports
        self._closing = closing
        self._lock = threading.Lock()
        self._tries: Counter[str] = Counter()

    def accept(self, drafts: Sequence[Draft]) -> Acceptance:
        """Send `drafts`; raises `Refusal` where the call as a whole is refused, and then nothing was sent."""
        self._pause(self._config.latency)
        if self._config.error_rate and self._config.random() < self._config.error_rate:
            raise _server_error()
        outcomes = [outcome_for(draft.to, draft.channel) for draft in drafts]
        for draft, outcome in zip(drafts, outcomes, strict=True):
            self._refuse_call(draft, outcome)
        group_id = str(uuid.uuid4())
        receipts = [
            self._take(draft, outcome, group_id, number)
            for number, (draft, outcome) in enumerate(zip(drafts, outcomes, strict=True), start=1)
        ]
        if Outcome.SLOW in outcomes:
            self._pause(self._config.slow)
        if Outcome.TIMEOUT_AFTER_ACCEPT in outcomes:
            self._pause(self._config.stall)
        return Acceptance(group_id, receipts, garbled=Outcome.GARBAGE in outcomes)

    def _pause(self, seconds: float) -> None:
        if seconds:
            self._closing.wait(seconds)

    def _refuse_call(self, draft: Draft, outcome: Outcome) -> None:
        if outcome is Outcome.UNAVAILABLE_ONCE:
            self._refuse_every_other(draft)
        elif make_refusal := _CALL_REFUSALS.get(outcome):
            refusal = make_refusal()
            raise refusal

    def _refuse_every_other(self, draft: Draft) -> None:
        with self._lock:
            self._tries[draft.to] += 1
            first = self._tries[draft.to] % 2 == 1
        if first:
            raise answers.Refusal(answers.json_answer({"message": "Service Unavailable"}, 503))

    def _take(self, draft: Draft, outcome: Outcome, group_id: str, number: int) -> Receipt:
        encoded = encode(draft.text, draft.text_type)
        now = self._config.clock()
        status = self._admit(draft, outcome, encoded.units)
        charges = encoded.units if status == AWAITING else 0
        receipt = Receipt(draft, f"{group_id}:{number}", status, encoded.units, encoded.length, charges, now)
        if status == AWAITING:
            self._deliver(receipt, group_id, encoded.text, outcome)
        return receipt

    def _admit(self, draft: Draft, outcome: Outcome, units: int) -> str:
        if outcome is Outcome.REFUSED_RECIPIENT or (draft.max_units and units > draft.max_units):
            return "NOTALLOWED"
        if outcome is Outcome.NO_CREDITS or not self._account.charge(draft.service, units):
            return "NO-CREDITS"
        return AWAITING

    def _deliver(self, receipt: Receipt, group_id: str, text: str, outcome: Outcome) -> None:
        draft = receipt.draft
        message = Message(
            id=receipt.id,
            group_id=group_id,
            channel=draft.channel,
            to=draft.to,
            sender=draft.sender,
            text=text,
            code=code_in(text),
            service=draft.service,
            units=receipt.units,
            length=receipt.length,
            charges=receipt.charges,
            custom=draft.custom,
            webhook_id=draft.webhook_id,
            submitted_at=receipt.at,
            status=AWAITING,
        )
        self._mailbox.add(message)
        if outcome is not Outcome.SILENT:
            final = "UNDELIV" if outcome is Outcome.UNDELIVERED else "DELIVRD"
            slow = self._config.slow if outcome is Outcome.SLOW else 0
            self._reports.promise(message, final, slow + self._config.report_delay)


def _refused() -> answers.Refusal:
    return answers.Refusal(
        answers.json_answer({"status": "ERROR", "message": "Message rejected for this number."})
    )


def _rate_limited() -> answers.Refusal:
    return answers.too_many({"Retry-After": str(RETRY_AFTER)})


def _server_error() -> answers.Refusal:
    return answers.Refusal(answers.json_answer({"message": "Server Error"}, 500))


def _login_page() -> answers.Refusal:
    return answers.Refusal(answers.login_page(200))


def _invalid() -> answers.Refusal:
    return answers.invalid({"to": ["The to format is invalid."]})


_CALL_REFUSALS = {
    Outcome.REFUSED: _refused,
    Outcome.INVALID: _invalid,
    Outcome.RATE_LIMITED: _rate_limited,
    Outcome.HTML: _login_page,
    Outcome.SERVER_ERROR: _server_error,
}
