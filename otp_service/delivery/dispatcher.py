"""What a worker does for a challenge that is due: send its code, or see how the message did and decide what follows.

Brings the pure transitions, the store and the upstreams together. Must not know Redis or vendors. The steps of a send
are in modules of their own: `presumption`, `choice`, `step_chooser`, `charges`, `preparation`, `message`,
`send_recorder` and `settlement`.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from otp_service.challenge import transitions
from otp_service.challenge.model import Challenge, State
from otp_service.challenge.notes import about_challenge, about_delivery
from otp_service.challenge.sealed import PersonalData, country_in, unseal
from otp_service.challenge.send_store import Lease
from otp_service.challenge.store import ChallengeStore
from otp_service.challenge.transitions import Again, Move
from otp_service.crypto.sealing import Seal
from otp_service.delivery.charges import Charges
from otp_service.delivery.choice import Choice
from otp_service.delivery.pace import Pace
from otp_service.delivery.preparation import Drawn, Preparation, Prepared, Stopping
from otp_service.delivery.presumption import Presumption
from otp_service.delivery.receipt_pull import ReceiptPull
from otp_service.delivery.send_recorder import SendRecorder
from otp_service.delivery.settlement import Settlement
from otp_service.delivery.step_chooser import ChosenStep
from otp_service.delivery.turns import Turns
from otp_service.errors import Busy
from otp_service.events.outbox import Outbox
from otp_service.history.journal import Journal
from otp_service.history.note import What
from otp_service.policy.active import ActivePolicy
from otp_service.telemetry.logs import log
from otp_service.telemetry.metrics import Metrics
from otp_service.upstream.faults import NOTHING_LEFT


class Dispatcher:
    """Does what is due for challenges."""

    def __init__(
        self,
        *,
        active: Callable[[], ActivePolicy],
        challenges: ChallengeStore,
        choice: Choice,
        charges: Charges,
        recorder: SendRecorder,
        settlement: Settlement,
        receipt_pull: ReceiptPull,
        preparation: Preparation,
        presumption: Presumption,
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
        self._choice = choice
        self._charges = charges
        self._recorder = recorder
        self._settlement = settlement
        self._receipt_pull = receipt_pull
        self._preparation = preparation
        self._presumption = presumption
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

    def _dispatch(self, challenge_id: str, stopping: Stopping, unused: Drawn | None) -> None:
        """Do what is due; `unused` is a code of the newest delivery that never left."""
        lease = self._challenges.claim(challenge_id)
        if lease is None:
            return
        self._reach("claimed")
        if lease.what == "ended":
            self.record_end(lease.challenge)
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
            dropped = {"reason": transitions.TOO_LATE, "country": country_in(self._seal, challenge)}
            self._journal.add(about_delivery(What.DROPPED, challenge, challenge.owed or 0, **dropped))
            if challenge.state is not State.PENDING:
                self.record_end(challenge)

    def record_end(self, challenge: Challenge) -> None:
        """Count a challenge whose time was over when it ended."""
        if challenge.state is not State.EXHAUSTED:  # counted with its last guess
            self._metrics.challenges.labels(challenge.app, challenge.state).inc()
            country = country_in(self._seal, challenge)
            at = challenge.expires if challenge.state is State.EXPIRED else 0
            self._journal.add(
                about_challenge(What.ENDED, challenge, at=at, country=country, result=challenge.state)
            )
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
        self, lease: Lease, stopping: Stopping, unused: Drawn | None, leave: Callable[[], None]
    ) -> None:
        active = self._active()
        person = unseal(self._seal, lease.challenge)
        ready = None
        if account := self._presumption.account(active, lease.challenge):
            ready = self._prepare(active, lease, person, unused, stopping)
            if ready is None:
                return
            presumed = self._presumption.arm(lease, account, ready)
            if presumed.what == "armed":
                self._reach("armed")
                leave()
                self._send(active, lease, presumed.step, ready, stopping)
            if presumed.what != "barred":
                return
        self._deliver_by_choice(active, lease, person, ready.drawn if ready else unused, stopping, leave)

    def _deliver_by_choice(
        self,
        active: ActivePolicy,
        lease: Lease,
        person: PersonalData,
        unused: Drawn | None,
        stopping: Stopping,
        leave: Callable[[], None],
    ) -> None:
        """Deliver by the step and the account that are found by asking for one after another."""
        lease, chosen = self._choice.choose(active, lease, person.e164)
        if not isinstance(chosen, ChosenStep):
            self._settle_move(lease, transitions.after_no_step(lease.challenge, lease.now, chosen))
            return
        lease = replace(lease, challenge=transitions.with_step(lease.challenge, chosen.place))
        ready = self._prepare(active, lease, person, unused, stopping)
        if ready is None or not self._challenges.arm(
            lease, ready.message.reference, ready.drawn.digest, chosen.account
        ):
            return
        self._presumption.record_choice(lease.challenge.step.channel, chosen)
        self._reach("armed")
        leave()
        self._send(active, lease, chosen, ready, stopping)

    def _prepare(
        self,
        active: ActivePolicy,
        lease: Lease,
        person: PersonalData,
        unused: Drawn | None,
        stopping: Stopping,
    ) -> Prepared | None:
        """Draw a code and compose its message; None, with the delivery handed back, if the process is to stop."""
        ready = self._preparation.prepare(active, lease, person, unused, stopping)
        if ready is None:
            self._challenges.release(lease)
        else:
            self._reach("hashed")
        return ready

    def _send(
        self, active: ActivePolicy, lease: Lease, chosen: ChosenStep, ready: Prepared, stopping: Stopping
    ) -> None:
        """Send a message, then record and settle its outcome. If it can leave by another account, do that at once."""
        challenge, account, message = lease.challenge, chosen.account, ready.message
        channel = challenge.step.channel
        started = time.perf_counter()
        with self._turns.aside():
            outcome = active.senders[channel, account](message)
        self._reach("sent")
        seconds = time.perf_counter() - started
        self._recorder.record_health(account, channel, outcome, seconds=seconds, clean=chosen.passage.clean)
        guard = self._active().policy.guard_of(challenge.app)
        counting = self._recorder.record_delivery(
            guard, challenge, message.to, account, outcome, seconds=seconds
        )
        move = transitions.after_outcome(challenge, outcome, account, lease.now)
        self._settlement.settle_outcome(
            lease,
            move,
            outcome,
            reference=message.reference,
            account=account,
            counting=counting,
            stopping=stopping,
        )
        self._reach("settled")
        if move == Again(0) and outcome.reason in NOTHING_LEFT:
            self._dispatch(challenge.id, stopping, ready.drawn)

    def _settle_move(self, lease: Lease, move: Move) -> None:
        self._settlement.settle_move(lease, move)
        self._reach("moved")
