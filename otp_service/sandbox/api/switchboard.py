"""Accepts messages of all calls and channels, and decides the outcome of each.

Knows forced outcomes, charges, the random error rate and the reports that follow. Must not know the fields of a request
or an answer: callers pass drafts and get receipts.
"""

import threading
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from flask import Response

from otp_service.sandbox.api import answers
from otp_service.sandbox.api.customers import Customer
from otp_service.sandbox.api.sms_parts import Encoded, TextType, encode
from otp_service.sandbox.codes import code_in
from otp_service.sandbox.config import SandboxConfig
from otp_service.sandbox.mailbox import Mailbox, Message
from otp_service.sandbox.outcomes import Outcome, Outcomes
from otp_service.sandbox.reports.courses import course_of, first_word
from otp_service.sandbox.reports.settling import Reports

RETRY_AFTER = 2
"""Seconds in the Retry-After of the outcomes `rate_limited` and `unavailable`."""
TALK, HANGUP = 12, 1
"""Seconds of a call to the end of the message, and of one that is hung up early."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A message to send to one recipient; numbers are digits."""

    channel: str
    to: str
    sender: str
    text: str
    service: str
    text_type: TextType = "A"
    custom: str = ""
    webhook_id: str | None = None
    max_units: int | None = None
    ttl: int | None = None
    flow_id: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """The result of one draft, in the upstream's status words."""

    draft: Draft
    id: str
    accepted: bool
    status: str
    units: int
    length: int
    charges: float
    at: float


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The results of the drafts of one call."""

    group_id: str
    receipts: Sequence[Receipt]
    outcomes: Sequence[Outcome] = ()

    def answer(self, body: Mapping[str, object]) -> Response:
        """Return `body` as the answer to the call, in the form that the outcomes say."""
        if Outcome.ACCEPTED_EMPTY in self.outcomes:
            return Response(status=202)
        queued = Outcome.ACCEPTED in self.outcomes
        response = answers.json_answer({**body, "code": 202}, 202) if queued else answers.json_answer(body)
        return answers.cut_in_half(response) if Outcome.GARBAGE in self.outcomes else response


class Switchboard:
    """The single entry point for messages; many threads may use it."""

    def __init__(
        self,
        config: SandboxConfig,
        outcomes: Outcomes,
        mailbox: Mailbox,
        reports: Reports,
        closing: threading.Event,
    ) -> None:
        self._config = config
        self._outcomes = outcomes
        self._mailbox = mailbox
        self._reports = reports
        self._closing = closing
        self._lock = threading.Lock()
        self._tries: Counter[tuple[str, str]] = Counter()

    def accept(self, customer: Customer, drafts: Sequence[Draft]) -> Acceptance:
        """Send `drafts`. Raises `Refusal` if the whole call is refused; then nothing was sent."""
        outcomes = self.admit(customer, [(draft.channel, draft.to) for draft in drafts])
        group_id = str(uuid.uuid4())
        receipts = [
            self._take(customer, draft, outcome, group_id, number)
            for number, (draft, outcome) in enumerate(zip(drafts, outcomes, strict=True), start=1)
        ]
        self.hold_back(outcomes)
        return Acceptance(group_id, receipts, outcomes)

    def admit(self, customer: Customer, wanted: Sequence[tuple[str, str]]) -> list[Outcome]:
        """Return the outcome for each channel and number. Raises `Refusal` if the whole call is refused."""
        self._pause(self._config.latency)
        if self._config.error_rate and self._config.random() < self._config.error_rate:
            raise _server_error()
        outcomes = [self._outcomes.of(to, channel, customer.name) for channel, to in wanted]
        for where, outcome in zip(wanted, outcomes, strict=True):
            self._refuse_call(where, outcome)
        return outcomes

    def hold_back(self, outcomes: Sequence[Outcome]) -> None:
        """Delay the answer as `outcomes` demand."""
        if Outcome.SLOW in outcomes:
            self._pause(self._config.slow)
        if Outcome.TIMEOUT_AFTER_ACCEPT in outcomes:
            self._pause(self._config.stall)

    def _pause(self, seconds: float) -> None:
        if seconds:
            self._closing.wait(seconds)

    def _refuse_call(self, where: tuple[str, str], outcome: Outcome) -> None:
        if outcome is Outcome.UNAVAILABLE_ONCE:
            self._refuse_every_other(where)
        elif make_refusal := _CALL_REFUSALS.get(outcome):
            refusal = make_refusal()
            raise refusal

    def _refuse_every_other(self, where: tuple[str, str]) -> None:
        with self._lock:
            self._tries[where] += 1
            first = self._tries[where] % 2 == 1
        if first:
            raise answers.Refusal(answers.error(503, "Service Unavailable"))

    def _take(
        self, customer: Customer, draft: Draft, outcome: Outcome, group_id: str, number: int
    ) -> Receipt:
        is_sms = draft.channel == "sms"
        encoded = encode(draft.text, draft.text_type) if is_sms else Encoded(draft.text, len(draft.text), 1)
        refusal = _refusal(customer, draft, outcome, encoded.units)
        receipt = Receipt(
            draft,
            id=f"{group_id}:{number}" if is_sms else str(uuid.uuid4()),
            accepted=not refusal,
            status=refusal or first_word(draft.channel),
            units=encoded.units,
            length=encoded.length,
            charges=0 if refusal else encoded.units,
            at=self._config.clock(),
        )
        if receipt.accepted:
            self._deliver(customer, receipt, group_id, encoded.text, outcome)
        return receipt

    def _deliver(
        self, customer: Customer, receipt: Receipt, group_id: str, text: str, outcome: Outcome
    ) -> None:
        draft = receipt.draft
        message = Message(
            id=receipt.id,
            account=customer.name,
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
            status=receipt.status,
            ttl=draft.ttl,
            flow_id=draft.flow_id,
            duration=HANGUP if outcome is Outcome.HANGUP else TALK,
        )
        self._mailbox.add(message)
        delay, slow = self._config.report_delay, self._config.slow
        self._reports.schedule(
            message, course_of(draft.channel, outcome, delay=delay, slow=slow, ttl=draft.ttl)
        )


def _refusal(customer: Customer, draft: Draft, outcome: Outcome, units: int) -> str:
    if outcome is Outcome.REFUSED_RECIPIENT or (draft.max_units and units > draft.max_units):
        return "NOTALLOWED"
    if outcome is Outcome.NO_CREDITS or not customer.account.charge(draft.service, units):
        return "NO-CREDITS"
    return ""


def _refusal_of(code: int, message: str, **more: object) -> Callable[[], answers.Refusal]:
    return lambda: answers.Refusal(answers.error(code, message, None, **more))


def _refused() -> answers.Refusal:
    return answers.Refusal(
        answers.json_answer({"status": "ERROR", "code": 400, "message": "Message rejected for this number."})
    )


def _rate_limited() -> answers.Refusal:
    return answers.too_many({"Retry-After": str(RETRY_AFTER)})


_server_error = _refusal_of(500, "Server Error")


def _unavailable() -> answers.Refusal:
    return answers.Refusal(answers.error(503, "Service Unavailable", {"Retry-After": str(RETRY_AFTER)}))


def _login_page() -> answers.Refusal:
    return answers.Refusal(answers.login_page(200))


def _invalid() -> answers.Refusal:
    return answers.invalid({"to": ["The to format is invalid."]})


_CALL_REFUSALS = {
    Outcome.REFUSED: _refused,
    Outcome.BAD_REQUEST: _refusal_of(400, "Bad Request"),
    Outcome.FORBIDDEN: _refusal_of(403, "This action is unauthorized."),
    Outcome.NOT_FOUND: _refusal_of(404, "entity not found", data={"error": "entity not found"}),
    Outcome.CONFLICT: _refusal_of(409, "Conflict"),
    Outcome.INVALID: _invalid,
    Outcome.RATE_LIMITED: _rate_limited,
    Outcome.HTML: _login_page,
    Outcome.SERVER_ERROR: _server_error,
    Outcome.UNAVAILABLE: _unavailable,
    Outcome.UNAUTHENTICATED: answers.unauthenticated,
}
