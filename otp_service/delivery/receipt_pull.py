"""Asks an upstream for the receipt of a message that it did not report by itself.

Knows when an account may be asked. Must not know vendors or what a receipt changes.
"""

import logging

from otp_service.challenge.model import Challenge
from otp_service.challenge.store import ChallengeStore
from otp_service.delivery.receipts import Receipts
from otp_service.policy.active import ActivePolicy
from otp_service.telemetry.logs import log
from otp_service.upstream.get_budget import GetBudget
from otp_service.upstream.port import UpstreamError


class ReceiptPull:
    """Pulls receipts within the budget of each account."""

    def __init__(self, *, challenges: ChallengeStore, budget: GetBudget, receipts: Receipts) -> None:
        self._challenges = challenges
        self._budget = budget
        self._receipts = receipts

    def pull(self, active: ActivePolicy, challenge: Challenge) -> Challenge | None:
        """Ask for the receipt of the newest delivery and record it. Raises StoreUnavailable.

        Returns the challenge as it is then, or None if the upstream was not asked, did not answer, or the challenge
        is gone.
        """
        delivery = challenge.last
        upstream = active.policy.upstreams.get(delivery.upstream)
        account = active.accounts.get(delivery.upstream)
        if not (upstream and account and upstream.pull and delivery.upstream_id):
            return None
        if not self._budget.take(delivery.upstream, upstream.gets_per_minute):
            return None
        try:
            found = account.reports(delivery.channel, [delivery.upstream_id])
        except UpstreamError as error:
            log("receipt.unasked", logging.WARNING, upstream=delivery.upstream, reason=error.reason)
            return None
        for receipt in found:
            self._receipts.record_receipt(delivery.upstream, receipt)
        return self._challenges.read_challenge(challenge.id)[1]
