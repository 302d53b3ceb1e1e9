"""Chooses the step and the upstream account for a delivery.

Knows the conditions of steps and asks the breakers of accounts. Must not know how a message is sent or charged.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from otp_service import phone
from otp_service.challenge import transitions
from otp_service.challenge.model import Challenge, Step
from otp_service.challenge.notes import about_delivery
from otp_service.crypto.sealing import Seal
from otp_service.delivery.turns import Turns
from otp_service.history.journal import Journal
from otp_service.history.note import What
from otp_service.policy.active import ActivePolicy
from otp_service.store.facts import Facts
from otp_service.telemetry.failures import Failures
from otp_service.telemetry.logs import log
from otp_service.telemetry.metrics import Metrics
from otp_service.upstream.breakers import Breakers, Passage
from otp_service.upstream.port import UpstreamAccount, UpstreamError

LOOKUP_KEPT = 24 * 3600
"""Seconds that the answer to a paid lookup of a number is remembered."""


@dataclass(frozen=True, slots=True)
class ChosenStep:
    """A step, by its place in the plan, and an account of it whose breakers let the request pass."""

    place: int
    account: str
    passage: Passage


class StepChooser:
    """Chooses steps. Its methods raise StoreUnavailable."""

    def __init__(
        self,
        *,
        facts: Facts,
        breakers: Breakers,
        seal: Seal,
        journal: Journal,
        metrics: Metrics,
        turns: Turns,
    ) -> None:
        self._facts = facts
        self._breakers = breakers
        self._seal = seal
        self._journal = journal
        self._metrics = metrics
        self._turns = turns
        self._failures = Failures()

    def choose(self, active: ActivePolicy, challenge: Challenge, e164: str) -> ChosenStep | float | None:
        """Choose the first account that may be used, of the first step whose condition is met.

        Otherwise return the seconds until an account may be used again, or None if there is none to wait for.
        """
        pauses = []
        for place in transitions.candidates(challenge):
            step = challenge.plan.steps[place]
            if not self._is_met(active, step, e164):
                self._skip(challenge, step, e164, step.condition)
                continue
            for account in _accounts(active, challenge, place):
                passage = self._breakers.ask(account, step.channel)
                if passage.state != "open":
                    return ChosenStep(place, account, passage)
                pauses.append(passage.pause)
            self._skip(challenge, step, e164, "no account")
        return min(pauses, default=None)

    def _skip(self, challenge: Challenge, step: Step, e164: str, why: str) -> None:
        self._metrics.skips.labels(step.channel, why).inc()
        country, reason = phone.country_of(e164), why.replace(" ", "_")
        about = about_delivery(What.SKIPPED, challenge, channel=step.channel, account="", reason=reason)
        self._journal.add(replace(about, country=country))

    def _is_met(self, active: ActivePolicy, step: Step, e164: str) -> bool:
        """Check a step's condition. A lookup that fails counts as met, so that it never stops a code."""
        if step.condition == "open":
            marks = (f"open:{step.channel}:{index}" for index in self._seal.indexes("number", e164))
            return self._facts.get(*marks) is not None
        if step.condition == "mobile":
            account = next(
                (active.accounts[name] for name in step.upstreams if name in active.accounts), None
            )
            return account is None or self._is_mobile(account, e164)
        return True

    def _is_mobile(self, account: UpstreamAccount, e164: str) -> bool:
        """Look up whether a number is a mobile one, and remember the answer, as each lookup is paid for."""
        names = [f"mobile:{index}" for index in self._seal.indexes("number", e164)]
        if known := self._facts.get(*names):
            return known == "yes"
        try:
            with self._turns.aside():
                found = account.lookup(e164)
        except UpstreamError as error:
            self._failures.failed("lookup.failed", kind=error.reason, reason=error.reason)
            return True
        mobile = found.mobile is True
        log("lookup.answered", mobile=mobile, network=found.network, ported=found.ported)
        self._facts.put(names[0], "yes" if mobile else "no", LOOKUP_KEPT)
        return mobile


def _accounts(active: ActivePolicy, challenge: Challenge, place: int) -> Iterator[str]:
    """List the accounts of a step that this process has and that the newest delivery has not tried."""
    step = challenge.plan.steps[place]
    tried = challenge.last.tried if place == challenge.last.step else ()
    for account in step.upstreams:
        if account not in tried and (step.channel, account) in active.senders:
            yield account
