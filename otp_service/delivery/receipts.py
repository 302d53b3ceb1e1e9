"""What comes in from upstreams: delivery reports, and what persons wrote.

Knows whose report it is and what a word asks. Must not know vendors' words or how a report travels.
"""

import logging
from collections.abc import Callable, Iterator
from typing import Any

from otp_service import phone
from otp_service.challenge.model import Challenge, Delivery, Status
from otp_service.challenge.store import ChallengeStore
from otp_service.crypto.sealing import Seal
from otp_service.delivery.account_health import AccountHealth
from otp_service.guard.suppressions import Suppressions
from otp_service.messages import opt_out as inbound
from otp_service.policy.active import ActivePolicy
from otp_service.store.facts import Facts
from otp_service.telemetry.logs import log
from otp_service.telemetry.metrics import Metrics
from otp_service.upstream.breakers import Breakers
from otp_service.upstream.port import Inbound, Receipt, Stage

OPEN_FOR = 24 * 3600
"""Seconds that a channel counts as open after the person wrote (WhatsApp's customer service window)."""
SUPPRESSED_FOR = 10 * 365 * 24 * 3600
"""Seconds that a STOP holds: until it is lifted, as far as anybody will notice."""


class Reception:
    """Takes in receipts and messages. Its methods raise StoreUnavailable."""

    def __init__(
        self,
        *,
        active: Callable[[], ActivePolicy],
        challenges: ChallengeStore,
        facts: Facts,
        suppressions: Suppressions,
        breakers: Breakers,
        seal: Seal,
        metrics: Metrics,
    ) -> None:
        self._challenges = challenges
        self._facts = facts
        self._suppressions = suppressions
        self._account_health = AccountHealth(breakers, metrics, active)
        self._seal = seal
        self._metrics = metrics

    def receive(self, upstream: str, receipt: Receipt) -> str:
        """Take a receipt of an account in; gives `changed`, `known` or `none` (no challenge of ours).

        Raises StoreUnavailable. Never ends a challenge.
        """
        if receipt.word:
            log("receipt.new_word", logging.WARNING, channel=receipt.channel, word=receipt.word)
        status = _BY_STAGE.get(receipt.stage)
        what = "none" if status is None else self._note(upstream, receipt, status)
        self._metrics.receipts.labels(receipt.channel, upstream, receipt.stage, what).inc()
        return what

    def _note(self, upstream: str, receipt: Receipt, status: Status) -> str:
        for challenge_id in self._challenges_of(upstream, receipt):
            what, challenge, place = self._challenges.record_receipt(
                challenge_id,
                upstream,
                upstream_id=receipt.upstream_id or "",
                reference=receipt.reference or "",
                status=status,
                reason=receipt.reason if status is Status.FAILED else "",
            )
            if challenge is not None:
                self._changed(upstream, receipt, status, challenge, challenge.deliveries[place])
            if what != "none":
                return what
        return "none"

    def _changed(
        self, upstream: str, receipt: Receipt, status: Status, challenge: Challenge, delivery: Delivery
    ) -> None:
        log(
            "delivery.reported",
            challenge=challenge.id[:8],
            app=challenge.app,
            request_id=delivery.request_id,
            channel=delivery.channel,
            upstream=delivery.upstream,
            status=status,
            reason=receipt.reason,
        )
        fault = receipt.reason if status is Status.FAILED else None
        if status is not Status.SENT:
            self._account_health.record_report(upstream, delivery.channel, fault)

    def _challenges_of(self, upstream: str, receipt: Receipt) -> Iterator[str]:
        """Find what a receipt may be about: our reference tells it at once, the upstream's id by what was kept.

        A reference that is not ours may look like one of ours.
        """
        if receipt.reference:
            yield from self._seal.challenges_of(receipt.reference)
        if receipt.upstream_id:
            names = self._seal.indexes("message", upstream, receipt.upstream_id)
            if found := self._challenges.challenge_of_message(*names):
                yield found

    def hear(self, upstream: str, message: Inbound) -> None:
        """Take in what a person wrote: STOP and START, and that the channel to them is open now.

        Raises StoreUnavailable.
        """
        word = inbound.word(message.text)
        index = self._seal.index("number", message.sender)
        suppressed = self._seal.indexes("suppressed", message.sender)
        self._facts.put(f"open:{message.channel}:{index}", "1", OPEN_FOR)
        if word == "stop":
            why = {
                "channel": message.channel,
                "upstream": upstream,
                "at": self._facts.time(),
                "by": "the person",
                "sealed": self._seal.close(message.sender, suppressed[0]),
            }
            self._suppressions.add(suppressed[0], why, SUPPRESSED_FOR)
        elif word == "start":
            self._suppressions.remove(*suppressed)
        self._metrics.inbound.labels(message.channel, word or "other").inc()
        log("inbound.heard", channel=message.channel, to=phone.mask(message.sender), word=word or "other")

    def suppression(self, to: str, country: str | None = None) -> dict[str, Any] | None:
        """Say why a number gets no messages, if so. Raises InvalidNumber, StoreUnavailable."""
        names = self._seal.indexes("suppressed", phone.parse(to, country).e164)
        found = self._suppressions.read(*names)
        return found and {name: found[name] for name in ("channel", "upstream", "at", "by")}

    def lift_suppression(self, to: str, country: str | None = None, *, by: str) -> bool:
        """Let a number get messages again. Raises InvalidNumber, StoreUnavailable."""
        number = phone.parse(to, country).e164
        lifted = self._suppressions.remove(*self._seal.indexes("suppressed", number))
        log("suppression.lifted", to=phone.mask(number), found=lifted, by=by)
        return lifted


_BY_STAGE = {
    Stage.SENT: Status.SENT,
    Stage.DELIVERED: Status.DELIVERED,
    Stage.READ: Status.READ,
    Stage.FAILED: Status.FAILED,
}
"""What a receipt makes of a delivery; the other stages tell nothing new."""
