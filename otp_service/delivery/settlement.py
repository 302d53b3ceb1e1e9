"""Writes down how a delivery ended and what follows, and waits for a store that is away after a send.

Knows how verdicts become statuses. Must not decide what follows.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from otp_service.challenge.model import Challenge, State, Status
from otp_service.challenge.notes import about_challenge, about_delivery
from otp_service.challenge.sealed import country_in
from otp_service.challenge.send_store import Around, Lease, Settled
from otp_service.challenge.store import ChallengeStore
from otp_service.challenge.transitions import Move, Next
from otp_service.crypto.sealing import Seal
from otp_service.delivery.receipts import Receipts
from otp_service.errors import StoreUnavailable
from otp_service.guard.slot import REMEMBER
from otp_service.history.journal import Journal
from otp_service.history.note import Note, What
from otp_service.store.sources import Call
from otp_service.telemetry.metrics import Metrics
from otp_service.upstream.port import Outcome, Verdict

PATIENCE = 60.0
"""Seconds that a worker keeps trying to write down the outcome of a message that left."""
PAUSE = 0.25
"""Seconds between two such tries."""
RECOGNISED = REMEMBER / 2000
"""Seconds for which a count may be tried again; after that it could count twice, so it is lost instead."""
_STATUS = {
    Verdict.ACCEPTED: Status.ACCEPTED,
    Verdict.REFUSED: Status.REFUSED,
    Verdict.DEFERRED: Status.REFUSED,
    Verdict.UNKNOWN: Status.UNKNOWN,
}
NO_REPORT = "no_report"
"""Why a step is given up whose wait is over, although nothing went wrong."""
_WAITED_FOR = frozenset({Status.ACCEPTED, Status.SENT, Status.DELIVERED})


class Settlement:
    """Settles leased challenges. Its methods raise StoreUnavailable."""

    def __init__(
        self,
        *,
        challenges: ChallengeStore,
        receipts: Receipts,
        seal: Seal,
        journal: Journal,
        metrics: Metrics,
    ) -> None:
        self._challenges = challenges
        self._receipts = receipts
        self._seal = seal
        self._journal = journal
        self._metrics = metrics

    def settle_move(self, lease: Lease, move: Move) -> None:
        """Write down what follows where nothing was sent."""
        self._count_move(lease, self._challenges.settle(lease, move), move)

    def settle_outcome(
        self,
        lease: Lease,
        move: Move,
        outcome: Outcome,
        *,
        reference: str,
        account: str,
        counting: Sequence[Call],
        stopping: Callable[[], bool],
    ) -> None:
        """Write down the outcome of a send and what follows, and a receipt that came before it.

        The message has left, so this tries again for PATIENCE seconds while the store is away, unless the process
        is `stopping`. `counting` is sent along only as long as the guard recognises a repetition.
        """
        started = time.monotonic()
        around = self._around(lease, outcome, account, counting)
        while True:
            try:
                settled, early = self._settle(around, lease, move, outcome, reference, account)
            except StoreUnavailable:
                spent = time.monotonic() - started
                if stopping() or spent > PATIENCE:
                    raise
                if spent > RECOGNISED:
                    around = replace(around, beside=())
                time.sleep(PAUSE)
            else:
                self._count_move(lease, settled, move)
                if outcome.upstream_id:
                    channel = lease.challenge.step.channel
                    self._receipts.record_early(account, channel, outcome.upstream_id, early)
                return

    def _around(self, lease: Lease, outcome: Outcome, account: str, counting: Sequence[Call]) -> Around:
        """List what goes along: the index first, so that a receipt is either kept before it is read, or finds it."""
        if not outcome.upstream_id:
            return Around(beside=counting)
        index = self._challenges.indexing_message(
            self._seal.index("message", account, outcome.upstream_id),
            lease.challenge.id,
            lease.challenge.expires - lease.now,
        )
        return Around([index], self._receipts.reading_early(account, outcome.upstream_id), counting)

    def _settle(
        self, around: Around, lease: Lease, move: Move, outcome: Outcome, reference: str, account: str
    ) -> tuple[Settled | None, list[Any]]:
        return self._challenges.settle_among(
            around,
            lease,
            move,
            reference=reference,
            status=_STATUS[outcome.verdict],
            reason="" if outcome.verdict is Verdict.ACCEPTED else outcome.reason,
            upstream_id=outcome.upstream_id or "",
            account=account,
        )

    def _count_move(self, lease: Lease, settled: Settled | None, move: Move) -> None:
        """Count a step that was given up, and a challenge that ended, unless something else came first."""
        if settled is None:
            return
        challenge, now, moved = settled
        facts = {"at": now, "country": country_in(self._seal, challenge)}
        if isinstance(move, Next) and moved == "next":
            following = lease.challenge.plan.steps[move.step].channel
            self._metrics.fallbacks.labels(lease.challenge.step.channel, following).inc()
            self._journal.add(_fallback(lease.challenge, challenge, following, facts))
        if moved == "give_up":
            self._metrics.challenges.labels(challenge.app, State.UNDELIVERABLE).inc()
            self._journal.add(about_challenge(What.ENDED, challenge, result=challenge.state, **facts))


def _fallback(before: Challenge, settled: Challenge, following: str, about: Mapping[str, Any]) -> Note:
    """Make the note of a step that is given up for the next one."""
    place = len(before.deliveries) - 1
    given_up = settled.deliveries[place]
    why = given_up.reason or (NO_REPORT if given_up.status in _WAITED_FOR else given_up.status)
    facts = {"channel": before.step.channel, "following": following, "reason": why}
    return about_delivery(What.FELL_BACK, settled, place, **facts, **about)
