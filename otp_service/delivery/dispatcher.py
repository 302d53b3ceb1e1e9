"""What a worker does for a challenge that is due: send its code, or see how the message did and decide what follows.

Brings the pure transitions, the store and the upstreams together. Must not know Redis or vendors. The steps of a send
are in modules of their own: `step_chooser`, `charges`, `message`, `send_recorder` and `settlement`.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from otp_service.challenge import transitions
from otp_service.challenge.model import Challenge, State
from otp_service.challenge.notes import about_challenge, about_delivery
from otp_service.challenge.sealed import country_in, unreadable, unseal
from otp_service.challenge.store import ChallengeStore, Lease
from otp_service.challenge.transitions import Again, Move
from otp_service.crypto.code_hashes import Claim, Hasher, UnknownPepper, digest_of, draw
from otp_service.crypto.sealing import Seal
from otp_service.delivery.charges import Charges
from otp_service.delivery.message import compose
from otp_service.delivery.pace import Pace
from otp_service.delivery.receipt_pull import ReceiptPull
from otp_service.delivery.send_recorder import SendRecorder
from otp_service.delivery.settlement import Settlement
from otp_service.delivery.step_chooser import ChosenStep, StepChooser
from otp_service.delivery.turns import Turns
from otp_service.errors import Busy
from otp_service.events.outbox import Outbox
from otp_service.guard.suppressions import Suppressions
from otp_service.history.journal import Journal
from otp_service.history.note import What
from otp_service.policy.active import ActivePolicy
from otp_service.telemetry.logs import log
from otp_service.telemetry.metrics import Metrics
from otp_service.upstream.faults import NOTHING_LEFT
from otp_service.upstream.port import Message, Outcome

Stopping = Callable[[], bool]
"""Says whether the process is to stop."""


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A code, and its hash as a PHC string."""

    code: str = field(repr=False)
    code_hash: str


class Dispatcher:
    """Does what is due for challenges."""

    def __init__(
        self,
        *,
        active: Callable[[], ActivePolicy],
        challenges: ChallengeStore,
        suppressions: Suppressions,
        steps: StepChooser,
        charges: Charges,
        recorder: SendRecorder,
        settlement: Settlement,
        receipt_pull: ReceiptPull,
        hasher: Hasher,
        seal: Seal,
        outbox: Outbox,
        pace: Pace,
        journal: Journal,
        metrics: Metrics,
        turns: Turns,
        reach: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`active` gives the policy in force. `reach` is called at each point where a test may kill the process."""
        self._active = active
        self._challenges = challenges
        self._suppressions = suppressions
        self._steps = steps
        self._charges = charges
        self._recorder = recorder
        self._settlement = settlement
        self._receipt_pull = receipt_pull
        self._hasher = hasher
        self._seal = seal
        self._outbox = outbox
        self._pace = pace
        self._journal = journal
        self._metrics = metrics
        self._turns = turns
        self._reach = reach

    def dispatch(self, challenge_id: str, stopping: Stopping) -> None:
        """Do what is due for a challenge. Raises StoreUnavailable; the challenge then stays due."""
        self._dispatch(challenge_id, stopping, None)

    def _dispatch(self, challenge_id: str, stopping: Stopping, unused: _Drawn | None) -> None:
        """Do what is due; `unused` is a code of the newest delivery that never left."""
        lease = self._challenges.claim(challenge_id)
        if lease is None:
            return
        self._reach("claimed")
        if lease.what == "ended":
            self._record_end(lease.challenge)
        elif lease.what == "owed":
            self._give_back(lease)
        elif lease.what == "over":
            self._outbox.queue_events(lease.challenge, over=lease.operation)
        elif lease.what == "waited":
            self._after_wait(lease)
        else:
            with suppress(Busy), self._pace.in_hand() as leave:
                # Busy: a key is missing; when the lease ends, a worker may hold it
                self._deliver(lease, stopping, unused, leave)

    def _give_back(self, lease: Lease) -> None:
        """Give back the charge of a delivery that was dropped as too late."""
        challenge = lease.challenge
        with suppress(Busy):  # a key is missing: when the lease ends, a worker may hold it
            guard = self._active().policy.guard_of(challenge.app)
            self._charges.give_back(guard, challenge, unseal(self._seal, challenge))
            self._challenges.record_repaid(lease)
            dropped = {"reason": "too_late", "country": country_in(self._seal, challenge)}
            self._journal.add(about_delivery(What.DROPPED, challenge, challenge.owed or 0, **dropped))
            if challenge.state is not State.PENDING:
                self._record_end(challenge)

    def _record_end(self, challenge: Challenge) -> None:
        if challenge.state is not State.EXHAUSTED:  # counted with its last guess
            self._metrics.challenges.labels(challenge.app, challenge.state).inc()
            self._journal.add(about_challenge(What.ENDED, challenge, result=challenge.state))
        log("challenge.ended", challenge=challenge.id[:8], state=challenge.state)

    def _after_wait(self, lease: Lease) -> None:
        """Do what follows for a message that left: a receipt came, or its step's time is over."""
        challenge = lease.challenge
        self._outbox.queue_events(challenge)
        self._reach("told")
        if transitions.is_worth_asking(challenge, lease.now):
            with self._turns.aside():
                challenge = self._receipt_pull.pull(self._active(), challenge) or challenge
        move = transitions.after_wait(challenge, lease.now)
        self._reach("decided")
        self._settle_move(lease, move)

    def _deliver(
        self, lease: Lease, stopping: Stopping, unused: _Drawn | None, leave: Callable[[], None]
    ) -> None:
        active = self._active()
        person = unseal(self._seal, lease.challenge)
        lease, chosen = self._choose(active, lease, person.e164)
        if not isinstance(chosen, ChosenStep):
            self._settle_move(lease, transitions.after_no_step(lease.challenge, lease.now, chosen))
            return
        lease = replace(lease, challenge=transitions.with_step(lease.challenge, chosen.place))
        reference = self._seal.reference(lease.challenge.id)
        drawn = unused or self._draw(lease.challenge, person.binding, stopping)
        if drawn is None:
            self._challenges.release(lease)
            return
        message = compose(
            active.policy,
            lease.challenge,
            person.e164,
            code=drawn.code,
            reference=reference,
            now=lease.now,
            binding=person.binding,
        )
        self._reach("hashed")
        if not self._challenges.arm(lease, reference, drawn.code_hash, chosen.account):
            return
        self._reach("armed")
        leave()
        move, outcome = self._send(active, lease, chosen, message, stopping)
        if move == Again(0) and outcome.reason in NOTHING_LEFT:
            self._dispatch(lease.challenge.id, stopping, drawn)

    def _choose(
        self, active: ActivePolicy, lease: Lease, e164: str
    ) -> tuple[Lease, ChosenStep | float | None]:
        """Choose step and account, and charge a message that the system sends by itself."""
        if self._suppressions.read(*self._seal.indexes("suppressed", e164)) is not None:
            self._journal.add(about_delivery(What.SKIPPED, lease.challenge, reason="suppressed"))
            return lease, None
        chosen = self._steps.choose(active, lease.challenge, e164)
        if isinstance(chosen, ChosenStep) and transitions.needs_charge(lease.challenge):
            return self._charge(active, lease, e164, chosen)
        return lease, chosen

    def _charge(
        self, active: ActivePolicy, lease: Lease, e164: str, chosen: ChosenStep
    ) -> tuple[Lease, ChosenStep | float | None]:
        """Charge a fallback. Return the step that the guard leaves it, if any, and the lease limited to such steps."""
        guard = active.policy.guard_of(lease.challenge.app)
        channel = lease.challenge.plan.steps[chosen.place].channel
        verdict = self._charges.charge_fallback(guard, lease.challenge, e164, channel)
        if verdict == "refuse":
            return lease, None
        if verdict != "cheap":
            return lease, chosen
        lease = replace(lease, challenge=transitions.limited_to(lease.challenge, guard.cheap_channels))
        if channel in guard.cheap_channels:
            return lease, chosen
        return lease, self._steps.choose(active, lease.challenge, e164)

    def _draw(self, challenge: Challenge, binding: str, stopping: Stopping) -> _Drawn | None:
        """Draw a code and hash it; None if the process is to stop. Raises Busy."""
        code = draw(challenge.plan.code_length)
        claim = Claim(challenge.id, challenge.purpose, binding)
        try:
            code_hash = self._hasher.hash_unless(stopping, code, claim, challenge.scheme)
        except UnknownPepper:
            raise unreadable(challenge.id) from None
        return _Drawn(code, digest_of(code_hash)) if code_hash else None

    def _send(
        self, active: ActivePolicy, lease: Lease, chosen: ChosenStep, message: Message, stopping: Stopping
    ) -> tuple[Move, Outcome]:
        """Send a message, then record and settle its outcome."""
        challenge, account = lease.challenge, chosen.account
        channel = challenge.step.channel
        started = time.perf_counter()
        with self._turns.aside():
            outcome = active.senders[channel, account](message)
        self._reach("sent")
        seconds = time.perf_counter() - started
        self._recorder.record_health(account, channel, outcome, seconds=seconds, clean=chosen.passage.clean)
        guard = self._active().policy.guard_of(challenge.app)
        self._recorder.record_delivery(guard, challenge, message.to, account, outcome, seconds=seconds)
        move = transitions.after_outcome(challenge, outcome, account, lease.now)
        self._settlement.settle_outcome(
            lease, move, outcome, reference=message.reference, account=account, stopping=stopping
        )
        if outcome.upstream_id:
            self._receipt_pull.take_early(account, channel, outcome.upstream_id)
        self._reach("settled")
        return move, outcome

    def _settle_move(self, lease: Lease, move: Move) -> None:
        self._settlement.settle_move(lease, move)
        self._reach("moved")
