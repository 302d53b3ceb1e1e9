"""Records how a send ended: log, metrics, the health of the account and the guard's counters.

Knows what is counted for which outcome. Must not decide what follows.
"""

from collections.abc import Mapping
from typing import Any

from otp_service import phone
from otp_service.challenge.model import Challenge
from otp_service.challenge.notes import about_delivery
from otp_service.challenge.sealed import log_challenge
from otp_service.delivery.account_health import AccountHealth
from otp_service.delivery.charges import Charges
from otp_service.history.journal import Journal
from otp_service.history.note import Note, What
from otp_service.policy import Guard
from otp_service.store.sources import Call
from otp_service.telemetry.metrics import Metrics
from otp_service.upstream.port import Outcome, Verdict


class SendRecorder:
    """Records sends. Raises nothing: while the store is away, counts are lost."""

    def __init__(
        self,
        *,
        account_health: AccountHealth,
        charges: Charges,
        journal: Journal,
        metrics: Metrics,
    ) -> None:
        self._account_health = account_health
        self._charges = charges
        self._journal = journal
        self._metrics = metrics

    def record_health(
        self, account: str, channel: str, outcome: Outcome, *, seconds: float, clean: bool
    ) -> None:
        """Record how long a send took and what its end says about the account. `clean`: no fault was known."""
        self._metrics.upstream_seconds.labels(account).observe(seconds)
        self._account_health.record_outcome(account, channel, outcome, clean=clean)

    def record_delivery(
        self,
        guard: Guard,
        challenge: Challenge,
        e164: str,
        account: str,
        outcome: Outcome,
        *,
        seconds: float,
    ) -> list[Call]:
        """Record how the newest delivery ended. The upstream took `seconds`.

        Return the calls by which the guard counts the message.
        """
        channel = challenge.step.channel
        self._metrics.deliveries.labels(channel, account, outcome.verdict, outcome.reason).inc()
        if outcome.charges:
            self._metrics.charges.labels(channel, account).inc(outcome.charges)
        log_challenge(
            "delivery.ended",
            challenge,
            e164,
            request_id=challenge.last.request_id,
            channel=channel,
            upstream=account,
            verdict=outcome.verdict,
            reason=outcome.reason,
        )
        country = phone.country_of(e164)
        price = self._charges.price(guard, challenge, country, outcome)
        facts = {"country": country, "account": account, "seconds": seconds}
        self._journal.add(_outcome_note(challenge, outcome, price, facts))
        if outcome.verdict is Verdict.ACCEPTED:
            return self._charges.counting_message(guard, challenge, e164, outcome)
        return []


def _outcome_note(challenge: Challenge, outcome: Outcome, price: float, facts: Mapping[str, Any]) -> Note:
    """Make the note of an outcome; `price` is what a message costs that left."""
    left = outcome.verdict in {Verdict.ACCEPTED, Verdict.UNKNOWN}
    return about_delivery(
        What.SENT if left else What.NOT_SENT,
        challenge,
        result=outcome.verdict,
        reason=outcome.reason,
        word=outcome.said or "",
        price=price if left else None,
        **facts,
    )
