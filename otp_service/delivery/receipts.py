"""Delivery reports from upstreams: finds the challenge of each and records how far its message came.

Knows which challenge a report belongs to. Must not know vendors' words or how a report travels.
"""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from otp_service.challenge.model import Challenge, Status
from otp_service.challenge.notes import about_delivery
from otp_service.challenge.sealed import country_in
from otp_service.challenge.store import ChallengeStore, Recorded
from otp_service.crypto.sealing import Seal
from otp_service.delivery.account_health import AccountHealth
from otp_service.history.journal import Journal
from otp_service.history.note import What
from otp_service.policy.active import ActivePolicy
from otp_service.store.facts import Facts
from otp_service.store.sources import Call
from otp_service.telemetry.logs import log
from otp_service.telemetry.metrics import Metrics
from otp_service.upstream.channels import MIN_SECONDS
from otp_service.upstream.port import Receipt, Stage

_BY_STAGE = {
    Stage.SENT: Status.SENT,
    Stage.DELIVERED: Status.DELIVERED,
    Stage.READ: Status.READ,
    Stage.FAILED: Status.FAILED,
}
"""The status that a receipt gives to its delivery; other stages change nothing."""


EARLY_FOR = 120
"""Seconds that a receipt is kept whose message is not known yet: its send may be under way."""


class Receipts:
    """Records receipts. Its methods raise StoreUnavailable."""

    def __init__(
        self,
        *,
        active: Callable[[], ActivePolicy],
        challenges: ChallengeStore,
        facts: Facts,
        account_health: AccountHealth,
        seal: Seal,
        journal: Journal,
        metrics: Metrics,
    ) -> None:
        self._active = active
        self._challenges = challenges
        self._facts = facts
        self._account_health = account_health
        self._seal = seal
        self._journal = journal
        self._metrics = metrics

    def record_receipt(self, upstream: str, receipt: Receipt) -> str:
        """Record a receipt of an account. Returns `changed`, `known` or `none` (no challenge of this service).

        Never ends a challenge.
        """
        if receipt.word:
            log("receipt.new_word", logging.WARNING, channel=receipt.channel, word=receipt.word)
        receipt = self._failed_if_hung_up(upstream, receipt)
        status = _BY_STAGE.get(receipt.stage)
        result = "none" if status is None else self._record_or_store(upstream, receipt, status)
        self._metrics.receipts.labels(receipt.channel, upstream, receipt.stage, result).inc()
        return result

    def reading_early(self, upstream: str, upstream_id: str) -> list[Call]:
        """Return the calls that read the receipt of a message that came before the answer to its send."""
        return self._facts.reading(*self._early(upstream, upstream_id))

    def record_early(
        self, upstream: str, channel: str, upstream_id: str, answers: Sequence[str | None]
    ) -> None:
        """Record the receipt of a message that came before the answer to its send, if a call found one."""
        for kept in filter(None, answers):
            stage, reason, in_parts, said = json.loads(kept)
            receipt = Receipt(
                channel=channel,
                stage=Stage(stage),
                reason=reason,
                upstream_id=upstream_id,
                in_parts=in_parts,
                said=said,
            )
            self.record_receipt(upstream, receipt)

    def _early(self, upstream: str, upstream_id: str) -> list[str]:
        return [f"early:{name}" for name in self._seal.indexes("message", upstream, upstream_id)]

    def _record_or_store(self, upstream: str, receipt: Receipt, status: Status) -> str:
        """Record a receipt. If its message is not known, keep it and look again: the send may have just ended."""
        result = self._record_status(upstream, receipt, status)
        if result != "none" or not receipt.upstream_id:
            return result
        kept = json.dumps([receipt.stage, receipt.reason, receipt.in_parts, receipt.said])
        self._facts.put(self._early(upstream, receipt.upstream_id)[0], kept, EARLY_FOR)
        return self._record_status(upstream, receipt, status)

    def _failed_if_hung_up(self, upstream: str, receipt: Receipt) -> Receipt:
        """Turn a call that was answered but too short to say the code into a failure."""
        if receipt.stage is not Stage.DELIVERED or receipt.seconds is None:
            return receipt
        account = self._active().policy.upstreams.get(upstream)
        least = account.voice.min_seconds if account and account.voice else MIN_SECONDS
        return replace(receipt, stage=Stage.FAILED, reason="hung_up") if receipt.seconds < least else receipt

    def _record_status(self, upstream: str, receipt: Receipt, status: Status) -> str:
        for challenge_id, reference in self._challenges_of(upstream, receipt):
            recorded = self._challenges.record_receipt(
                challenge_id,
                upstream,
                upstream_id=receipt.upstream_id or "",
                reference=reference,
                status=status,
                reason=receipt.reason if status is Status.FAILED else "",
                in_parts=receipt.in_parts,
            )
            if recorded.challenge is not None:
                self._after_change(upstream, receipt, status, recorded.challenge, recorded)
            if recorded.result != "none":
                return recorded.result
        return "none"

    def _after_change(
        self, upstream: str, receipt: Receipt, status: Status, challenge: Challenge, recorded: Recorded
    ) -> None:
        """Log the new status and count it for the health of the account."""
        delivery = challenge.deliveries[recorded.place]
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
        self._journal.add(
            about_delivery(
                What.REPORTED,
                challenge,
                recorded.place,
                at=recorded.at,
                country=country_in(self._seal, challenge),
                result=status,
                before=recorded.before,
                first=recorded.first,
                reason=receipt.reason,
                word=receipt.said or "",
            )
        )
        fault = receipt.reason if status is Status.FAILED else None
        if status is not Status.SENT:
            self._account_health.record_report(upstream, delivery.channel, fault)

    def _challenges_of(self, upstream: str, receipt: Receipt) -> Iterator[tuple[str, str]]:
        """List the ids of challenges that a receipt may belong to, each with the reference that leads to it.

        The reference contains the challenge's id; the upstream's id leads to it through an index. A foreign
        reference may look like one of this service, so all are tried.
        """
        for reference in (receipt.reference, *receipt.other_references):
            for id_ in self._seal.challenges_of(reference) if reference else ():
                yield id_, reference or ""
        if receipt.upstream_id:
            names = self._seal.indexes("message", upstream, receipt.upstream_id)
            if found := self._challenges.challenge_of_message(*names):
                yield found, receipt.reference or ""
