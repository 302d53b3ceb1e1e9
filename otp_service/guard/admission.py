"""Admission: decides whether a send may go out, poses the human check, and turns a refusal into an error.

Brings the rules and their counters together. Must not know HTTP or Redis.
"""

import logging
import math
import random
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from otp_service import phone
from otp_service.crypto.lifetimes import DEVICE_LIFETIME
from otp_service.crypto.sealing import Seal
from otp_service.errors import (
    Excess,
    HumanCheckFailed,
    HumanCheckRequired,
    HumanCheckUnavailable,
    NoRoute,
    NumberOptedOut,
    OtpError,
    Standing,
    StoreUnavailable,
    TooManyRequests,
)
from otp_service.events.outbox import Outbox
from otp_service.guard.captcha import SiteVerify
from otp_service.guard.decision import Decision, Finding
from otp_service.guard.decision_hook import Answer, Decisions, Question
from otp_service.guard.history import History, Past
from otp_service.guard.human_check import Proof, ProofOfWork, effort_for
from otp_service.guard.limiter import Allowance, Limiter
from otp_service.guard.lines import Line
from otp_service.guard.networks import subscriber
from otp_service.guard.pins import pin_names
from otp_service.guard.preview import pins_of
from otp_service.guard.rules import (
    TRUSTED,
    UNKNOWN_NUMBER,
    GuardedSend,
    after_failure,
    after_refused_proof,
    after_success,
    lines_of_fallback,
    lines_of_send,
)
from otp_service.history.journal import Journal
from otp_service.history.note import Note
from otp_service.history.refusals import refusal
from otp_service.net.shares import Shares
from otp_service.policy import Guard
from otp_service.policy.model import DecisionHook
from otp_service.store.sources import Call
from otp_service.telemetry.logs import log
from otp_service.telemetry.metrics import Metrics

_FOR_GOOD: dict[str, type[NoRoute | NumberOptedOut]] = {
    "countries": NoRoute,
    "decision": NoRoute,
    "number_types": NoRoute,
    "recycled": NoRoute,
    "pin_destination": NoRoute,
    "suppression": NumberOptedOut,
}
"""Errors for refusals that waiting cannot resolve, by the rule that refused."""
_JITTER = 0.1
"""Share by which a browser's wait is randomly lengthened, so that a crowd does not return at the same moment."""


CAPTCHA_SHARE = 4
"""Calls of a CAPTCHA vendor that one app may have under way in a process, so that a slow vendor takes no other app's
threads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A send that asks for admission. `cheap` is True if a cheap channel could be used; `proof` is of a human check.

    `now` is the store's time (milliseconds) if it is already known, so that a send reads it only once.
    """

    asked: GuardedSend
    rules: Guard
    request_id: str
    cheap: bool
    proof: str = ""
    browser: bool = True
    now: int = 0
    hook: DecisionHook | None = None
    """The app's endpoint that is asked about the send, if it has one."""
    record_answer: Callable[[Answer], None] = lambda _: None
    """Receives what follows from the endpoint's answer, or from the lack of one."""
    call: str = field(default_factory=lambda: secrets.token_urlsafe(6))
    """Names this request, of several that may be the same operation."""

    @property
    def lines(self) -> list[Line]:
        """List the lines of the rules that apply."""
        return lines_of_send(self.rules, self.asked)

    @property
    def question(self) -> Question | None:
        """What the app's endpoint is asked, if it has one."""
        return Question(self.hook, self.asked, self.request_id, self.record_answer) if self.hook else None


class Admission:
    """Admits sends. Its methods raise StoreUnavailable."""

    def __init__(
        self,
        *,
        limiter: Limiter,
        history: History,
        seal: Seal,
        proof_of_work: ProofOfWork,
        captcha: Callable[[str], SiteVerify],
        decisions: Decisions,
        outbox: Outbox,
        journal: Journal,
        metrics: Metrics,
        clock: Callable[[], int],
    ) -> None:
        """`captcha` returns the client for a vendor's URL, `clock` the store's time in milliseconds."""
        self._limiter = limiter
        self._history = history
        self._seal = seal
        self._proof_of_work = proof_of_work
        self._captcha = captcha
        self._captcha_shares = Shares(CAPTCHA_SHARE)
        self._decisions = decisions
        self._outbox = outbox
        self._journal = journal
        self._metrics = metrics
        self._clock = clock

    def admit(self, entry: Entry, operation: str) -> Decision:
        """Charge a send to all rules, or charge nothing and raise the error for the caller.

        Raises NoRoute, NumberOptedOut, TooManyRequests, HumanCheckRequired, HumanCheckFailed or HumanCheckUnavailable,
        or Busy if the app's endpoint has to decide and did not.
        """
        lines, pins = entry.lines, pins_of(self._seal, entry.asked)
        allowance = Allowance(call=entry.call, cheap=entry.cheap, trusted=entry.asked.known in TRUSTED)

        def preview() -> Decision:
            return self._limiter.preview(lines, allowance, pins, operation)

        decided = self._decisions.lines(entry.question, lambda: preview().verdict, proof=bool(entry.proof))
        lines = [*lines, *(decided or ())]
        if entry.proof and not allowance.trusted:
            id_, enough = self._verified(entry, preview)
            allowance = replace(allowance, proof=id_, enough=enough)
        decision = self._limiter.charge(lines, operation, allowance, pins)
        self._report(entry, decision)
        if decision.verdict not in {"allow", "cheap"}:
            raise self._refusal(entry, decision)
        if decided is None:  # there is room now that was not there a moment ago: the next try asks
            self.refund(entry, operation)
            raise TooManyRequests(retry_after=1)
        return decision

    def admit_fallback(self, entry: Entry, operation: str, about: Note) -> Decision:
        """Charge a message that the service sends by itself, so that no human check is possible.

        The verdict is allow, cheap or refuse. What is refused is not charged; `about` is its note without the reason.
        """
        decision = self._limiter.charge(
            lines_of_fallback(entry.rules, entry.asked),
            operation,
            Allowance(call=entry.call, cheap=entry.cheap, trusted=True),
            pins_of(self._seal, entry.asked),
        )
        self._report(entry, decision)
        if decision.verdict == "refuse":
            self._journal.add(refusal(about, self._refusal(entry, decision)))
        return decision

    def allows_unknown(self, e164: str) -> bool:
        """Tell whether a pin lets messages go to a number that the metadata does not know."""
        pins = pin_names(self._seal, e164, None)
        return self._limiter.preview([UNKNOWN_NUMBER], Allowance(), pins).verdict == "allow"

    def refund(self, entry: Entry, operation: str) -> None:
        """Undo a charge of this entry. If the store is away, the charge stays until its windows end."""
        allowance = Allowance(call=entry.call, proof=self._proof_id(entry))
        with suppress(StoreUnavailable):
            self._limiter.refund(entry.lines, operation, allowance)

    def give_back(self, lines: Sequence[Line], operation: str, moment: int) -> None:
        """Undo, once, the charge of a message that was accepted at `moment` (milliseconds) and never sent."""
        self._limiter.give_back(lines, operation, moment)

    def counting(self, lines: Sequence[Line]) -> list[Call]:
        """Return the calls, if any, that count what happened after a send."""
        return [self._limiter.counting(lines, secrets.token_urlsafe(9))] if lines else []

    def counting_failure(self, rules: Guard, asked: GuardedSend) -> Call:
        """Return the call that counts a wrong code."""
        return self._limiter.counting(after_failure(rules, asked), secrets.token_urlsafe(9))

    def counting_success(
        self, rules: Guard, asked: GuardedSend, sent_at: Sequence[int], operation: str
    ) -> list[Call]:
        """Return the calls that count a right code and remember the session that typed it, once for each operation.

        `sent_at` is when each message of its challenge was sent.
        """
        calls = [self._limiter.counting(after_success(rules, asked, sent_at), operation)]
        if asked.session:
            app, e164 = asked.app, asked.number.e164
            calls.append(self._history.recording_session(app, asked.session, e164, DEVICE_LIFETIME))
        return calls

    def read_past(self, app: str, session: str, e164: str) -> Past:
        """Return what is known about a number, and about a server's session if there is one."""
        return self._history.read_past(e164, app, session, DEVICE_LIFETIME)

    def _bounds(self, asked: GuardedSend) -> tuple[str, ...]:
        """Name what a human check is bound to, under each lookup key, the newest first."""
        return self._seal.indexes("human", asked.app, asked.number.e164, subscriber(asked.address or ""))

    def _proof_id(self, entry: Entry) -> str:
        """Return the id of a proof that was valid when its send was charged, empty if there was none."""
        if not entry.proof or entry.asked.known in TRUSTED:
            return ""
        if entry.rules.human_check.kind == "altcha":
            return self._proof_of_work.verify(entry.proof, *self._bounds(entry.asked), now=0).id
        return self._seal.index("proof", entry.proof)

    def _verified(self, entry: Entry, preview: Callable[[], Decision]) -> Proof:
        """Verify the proof of a human check. Returns an empty proof if no check is needed, or if one would not help.

        A vendor accepts each token once: it is asked only if the guard requires a check, not for what is charged.
        A token that it rejects counts for the address, or made-up ones could keep its account busy without a limit.
        """
        rules, asked = entry.rules.human_check, entry.asked
        if rules.kind == "altcha":
            return self._proof_of_work.verify(
                entry.proof, *self._bounds(asked), now=entry.now or self._clock()
            )
        if preview().verdict != "human_check":
            return Proof("", 0)
        with self._captcha_shares.take(asked.app) as taken:
            if not taken:
                raise HumanCheckUnavailable(retry_after=1)
            passed = self._captcha(rules.url).passed(entry.proof, asked.address)
        if not passed:
            with suppress(StoreUnavailable):
                self._limiter.count(after_refused_proof(entry.rules, asked))
            raise HumanCheckFailed
        return Proof(self._seal.index("proof", entry.proof), math.inf)

    def _report(self, entry: Entry, decision: Decision) -> None:
        for finding in decision.findings:
            mode = "enforce" if finding.on else "watch"
            self._metrics.guard.labels(finding.rule, finding.level, mode).inc()
            log(
                "guard.tripped",
                logging.INFO,
                rule=finding.rule,
                asks=finding.level,
                mode=mode,
                verdict=decision.verdict,
                app=entry.asked.app,
                to=phone.mask(entry.asked.number.e164),
                request_id=entry.request_id,
            )

    def _refusal(self, entry: Entry, decision: Decision) -> OtpError:
        finding, app = decision.deciding, entry.asked.app
        self._metrics.refusals.labels(finding.rule).inc()
        log(
            "guard.refused",
            logging.INFO,
            rule=finding.rule,
            verdict=decision.verdict,
            app=app,
            request_id=entry.request_id,
        )
        error = self._error_for(entry, decision)
        error.excess = _as_excess(finding)
        return error

    def _error_for(self, entry: Entry, decision: Decision) -> OtpError:
        finding, app = decision.deciding, entry.asked.app
        if decision.verdict == "human_check":
            return HumanCheckRequired(self._posed(entry, decision))
        if decision.verdict == "spent":
            return HumanCheckFailed()
        self._outbox.queue_blocked(app, finding.rule, f"{app}:{finding.rule}")
        error: OtpError
        if kind := _FOR_GOOD.get(finding.rule):
            error = NoRoute() if entry.browser else kind()  # a page must not learn who wrote STOP
        else:
            error = TooManyRequests(retry_after=_seconds(finding.pause, jitter=entry.browser))
        error.rule, error.standing = finding.rule, _as_standing(finding)
        return error

    def _posed(self, entry: Entry, decision: Decision) -> dict[str, object]:
        rules = entry.rules.human_check
        if rules.kind == "siteverify":
            return rules.of_vendor()
        return self._proof_of_work.pose(
            self._bounds(entry.asked)[0], effort=effort_for(decision.over), now=decision.now
        )


def _as_excess(finding: Finding) -> Excess:
    if not finding.limit:
        return Excess(rule=finding.rule)
    return Excess(rule=finding.rule, counter=finding.value, threshold=finding.limit, window=finding.seconds)


def _as_standing(finding: Finding) -> Standing | None:
    """Tell when a used-up budget has room again; None if the rule is not a budget."""
    if not finding.limit or not finding.seconds:
        return None
    reset = max(1, -(-finding.pause // 1000))
    return Standing(
        rule=finding.rule, limit=int(finding.limit), seconds=round(finding.seconds), left=0, reset=reset
    )


def _seconds(milliseconds: int, *, jitter: bool) -> int:
    longer = random.uniform(0, _JITTER) * milliseconds if jitter else 0.0  # noqa: S311 - no secret
    return max(1, -(-int(milliseconds + longer) // 1000))
