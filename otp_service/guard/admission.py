"""Whether a send is let in: asks the guard, poses the human check, and says in words what was refused.

Brings the rules and their counters together. Must not know HTTP, Redis or what a send is for.
"""

import logging
import math
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from otp_service import phone
from otp_service.crypto.sealing import Seal
from otp_service.crypto.tokens import DEVICE_LIFETIME
from otp_service.errors import (
    HumanCheckFailed,
    HumanCheckRequired,
    NoRoute,
    NumberOptedOut,
    OtpError,
    Standing,
    StoreUnavailable,
    TooManyRequests,
)
from otp_service.events.outbox import Outbox
from otp_service.guard.captcha import SiteVerify
from otp_service.guard.history import History, Past
from otp_service.guard.human_check import Proof, ProofOfWork, effort_for
from otp_service.guard.limiter import Allowance, Limiter
from otp_service.guard.preview import pins_of
from otp_service.guard.rules import (
    Asked,
    Decision,
    Finding,
    Line,
    after_refused_proof,
    lines_of_fallback,
    lines_of_send,
    subscriber,
)
from otp_service.policy import Guard
from otp_service.telemetry.logs import log
from otp_service.telemetry.metrics import Metrics

_FOR_GOOD: dict[str, type[NoRoute | NumberOptedOut]] = {
    "countries": NoRoute,
    "number_types": NoRoute,
    "recycled": NoRoute,
    "pin_destination": NoRoute,
    "suppression": NumberOptedOut,
}
"""What no waiting mends, by the rule that refused."""
_JITTER = 0.1
"""Share by which a browser is told to wait longer, so that a crowd does not come back in one moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A send that wants in. `cheap` tells whether cheap channels would do; `proof` is what a human check gave.

    `now` is the store's time where it was asked for already, so that no send asks twice.
    """

    asked: Asked
    rules: Guard
    request_id: str
    cheap: bool
    proof: str = ""
    browser: bool = True
    now: int = 0

    @property
    def lines(self) -> list[Line]:
        """List the rules' say."""
        return lines_of_send(self.rules, self.asked)


class Admission:
    """Lets sends in. Its methods raise StoreUnavailable."""

    def __init__(
        self,
        *,
        limiter: Limiter,
        history: History,
        seal: Seal,
        proof_of_work: ProofOfWork,
        captcha: Callable[[str], SiteVerify],
        outbox: Outbox,
        metrics: Metrics,
        clock: Callable[[], int],
    ) -> None:
        """`captcha` gives who judges tokens at a URL; `clock` the store's time in milliseconds."""
        self._limiter = limiter
        self._history = history
        self._seal = seal
        self._proof_of_work = proof_of_work
        self._captcha = captcha
        self._outbox = outbox
        self._metrics = metrics
        self._clock = clock

    def admit(self, entry: Entry, operation: str) -> Decision:
        """Charge a send to all rules, or to none and raise what the caller may be told.

        Raises NoRoute, NumberOptedOut, TooManyRequests, HumanCheckRequired, HumanCheckFailed or HumanCheckUnavailable.
        """
        lines, pins = entry.lines, pins_of(self._seal, entry.asked)
        brings = Allowance(cheap=entry.cheap, trusted=entry.asked.known == "device")
        if entry.proof and not brings.trusted:
            id_, enough = self._solved(entry, lambda: self._limiter.preview(lines, brings, pins))
            brings = replace(brings, proof=id_, enough=enough)
        decision = self._limiter.charge(lines, operation, brings, pins)
        self._tell(entry, decision)
        if decision.verdict in {"allow", "cheap"}:
            return decision
        raise self._refusal(entry, decision)

    def admit_fallback(self, entry: Entry, operation: str) -> Decision:
        """Charge a message that nobody asked for now, so that nobody can be asked for a human check.

        Its verdict is allow, cheap or refuse; nothing is charged then.
        """
        decision = self._limiter.charge(
            lines_of_fallback(entry.rules, entry.asked),
            operation,
            Allowance(cheap=entry.cheap, trusted=True),
            pins_of(self._seal, entry.asked),
        )
        self._tell(entry, decision)
        if decision.verdict == "refuse":
            self._refusal(entry, decision)
        return decision

    def refund(self, entry: Entry, operation: str) -> None:
        """Take a charge back; it decays by itself while the store is away."""
        with suppress(StoreUnavailable):
            self._limiter.refund(entry.lines, operation)

    def count(self, lines: Sequence[Line]) -> None:
        """Count what happened after a send; a store that is away has worse to tell."""
        with suppress(StoreUnavailable):
            self._limiter.count(lines)

    def record_session(self, app: str, session: str, e164: str) -> None:
        """Keep that a session verified a number; one that is not kept is a stranger's the next time."""
        with suppress(StoreUnavailable):
            self._history.record_session(app, session, e164, DEVICE_LIFETIME)

    def read_past(self, app: str, session: str, e164: str) -> Past:
        """Give what is known of a number, and of the session that a server named, if any."""
        return self._history.read_past(e164, app, session, DEVICE_LIFETIME)

    def _bounds(self, asked: Asked) -> tuple[str, ...]:
        """Name all that a human check is made for, under each lookup key, newest first."""
        return self._seal.indexes("human", asked.app, asked.number.e164, subscriber(asked.address or ""))

    def _solved(self, entry: Entry, preview: Callable[[], Decision]) -> Proof:
        """Judge the proof that is shown; one without an id where none is needed, or would help.

        A vendor is asked only for who is asked for a check, and what he does not take counts for its address, or
        somebody with made-up tokens and no limit would keep threads here and the account there busy.
        """
        rules, asked = entry.rules.human_check, entry.asked
        if rules.kind == "altcha":
            return self._proof_of_work.verify(
                entry.proof, *self._bounds(asked), now=entry.now or self._clock()
            )
        if preview().verdict != "human_check":
            return Proof("", 0)
        if not self._captcha(rules.url).passed(entry.proof, asked.address):
            self.count(after_refused_proof(entry.rules, asked))
            raise HumanCheckFailed
        return Proof(self._seal.index("proof", entry.proof), math.inf)

    def _tell(self, entry: Entry, decision: Decision) -> None:
        for one in decision.findings:
            mode = "enforce" if one.on else "watch"
            self._metrics.guard.labels(one.rule, one.level, mode).inc()
            log(
                "guard.tripped",
                logging.INFO,
                rule=one.rule,
                asks=one.level,
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
        if decision.verdict == "human_check":
            return HumanCheckRequired(self._posed(entry, decision))
        if decision.verdict == "spent":
            return HumanCheckFailed()
        self._outbox.queue_blocked(app, finding.rule, f"{app}:{finding.rule}")
        error: OtpError
        if kind := _FOR_GOOD.get(finding.rule):
            error = kind()
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


def _as_standing(finding: Finding) -> Standing | None:
    """Say of a budget that is used up when there is more; None for what is no budget."""
    if not finding.limit:
        return None
    reset = max(1, -(-finding.pause // 1000))
    return Standing(
        rule=finding.rule, limit=int(finding.limit), seconds=round(finding.seconds), left=0, reset=reset
    )


def _seconds(milliseconds: int, *, jitter: bool) -> int:
    longer = random.uniform(0, _JITTER) * milliseconds if jitter else 0.0  # noqa: S311 - no secret
    return max(1, -(-int(milliseconds + longer) // 1000))
