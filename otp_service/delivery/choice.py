"""Decides by which step and account a delivery may leave, by asking for one after another, and charges a fallback.

Knows the order: the suppression list, steps and accounts, the guard. Must not know how a message is sent. Raises
StoreUnavailable.
"""

from dataclasses import replace

from otp_service import phone
from otp_service.challenge import transitions
from otp_service.challenge.notes import about_delivery
from otp_service.challenge.send_store import Lease
from otp_service.crypto.sealing import Seal
from otp_service.delivery.charges import Charges
from otp_service.delivery.step_chooser import ChosenStep, StepChooser
from otp_service.guard.suppressions import Suppressions
from otp_service.history.journal import Journal
from otp_service.history.note import What
from otp_service.policy.active import ActivePolicy


class Choice:
    """Chooses and charges."""

    def __init__(
        self,
        *,
        suppressions: Suppressions,
        steps: StepChooser,
        charges: Charges,
        seal: Seal,
        journal: Journal,
    ) -> None:
        self._suppressions = suppressions
        self._steps = steps
        self._charges = charges
        self._seal = seal
        self._journal = journal

    def choose(
        self, active: ActivePolicy, lease: Lease, e164: str
    ) -> tuple[Lease, ChosenStep | float | None]:
        """Choose step and account, and charge a message that the system sends by itself.

        Without one, return the seconds until an account may be used again, or None if there is none to wait for.
        """
        if self._suppressions.read(*self._seal.indexes("suppressed", e164)) is not None:
            country = phone.country_of(e164)
            self._journal.add(
                about_delivery(What.SKIPPED, lease.challenge, country=country, reason="suppressed")
            )
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
