"""Arms a delivery for the account that it usually goes to, in one exchange with the questions whether it may go there.

Knows which deliveries have a usual account, and takes one back that must not go there. Must not know how a message is
sent. A choice step by step needs an exchange for each question before the code is hashed and the delivery armed.
"""

from dataclasses import dataclass
from typing import Literal

from otp_service.challenge import transitions
from otp_service.challenge.model import Challenge
from otp_service.challenge.send_store import Lease
from otp_service.challenge.store import ChallengeStore
from otp_service.crypto.sealing import Seal
from otp_service.delivery.preparation import Prepared
from otp_service.delivery.step_chooser import ChosenStep
from otp_service.guard.suppressions import Suppressions
from otp_service.policy.active import ActivePolicy
from otp_service.upstream.breakers import Breakers, passage


@dataclass(frozen=True, slots=True)
class Presumed:
    """What became of a presumption.

    `armed` (send the message), `barred` (the account may not be used, or the number asked for no more messages: choose
    step by step) or `lost` (another worker has it, or it must not be sent any more).
    """

    what: Literal["armed", "barred", "lost"]
    step: ChosenStep


class Presumption:
    """Presumes accounts. Raises StoreUnavailable."""

    def __init__(
        self, *, challenges: ChallengeStore, suppressions: Suppressions, breakers: Breakers, seal: Seal
    ) -> None:
        self._challenges = challenges
        self._suppressions = suppressions
        self._breakers = breakers
        self._seal = seal
        self._doubtful: set[tuple[str, str]] = set()
        """Accounts and channels that were presumed in vain: it is no use to hash a code for them first."""

    def account(self, active: ActivePolicy, challenge: Challenge) -> str | None:
        """Return the account of the newest delivery's own step; None if anything has to be asked before.

        A code that is no longer accepted once the delivery is armed would be lost if it is taken back.
        """
        last, plan = challenge.last, challenge.plan
        is_first_try = not (last.tried or last.deferrals)
        if challenge.step.condition or not is_first_try or transitions.needs_charge(challenge):
            return None
        if len(challenge.deliveries) > plan.live_codes or last.step not in transitions.candidates(challenge):
            return None
        account = next(iter(challenge.step.upstreams))
        place = (last.channel, account)
        return account if place in active.senders and place not in self._doubtful else None

    def arm(self, lease: Lease, account: str, ready: Prepared) -> Presumed:
        """Arm a delivery for its account, and take it back if it turns out that it must not go there."""
        last, reference = lease.challenge.last, ready.message.reference
        questions = (
            self._suppressions.reading(*self._seal.indexes("suppressed", ready.message.to)),
            self._breakers.asking(account, last.channel),
        )
        armed, (suppressed, asked) = self._challenges.arm_after(
            questions, lease, reference, ready.drawn.digest, account
        )
        chosen = ChosenStep(last.step, account, passage(asked))
        if not armed:
            return Presumed("lost", chosen)
        if suppressed is None and chosen.passage.state != "open":
            return Presumed("armed", chosen)
        if chosen.passage.state == "open":
            self._doubtful.add((last.channel, account))
        return Presumed("barred" if self._challenges.disarm(lease, reference) else "lost", chosen)

    def record_choice(self, channel: str, chosen: ChosenStep) -> None:
        """Presume an account again that was chosen step by step and whose breakers are closed."""
        if chosen.passage.state == "closed":
            self._doubtful.discard((channel, chosen.account))
