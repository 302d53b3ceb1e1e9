"""What the guard would decide now about a send: nothing is charged, counted or written.

Knows how the limiter is asked without consequences. Must not know who asks, or why.
"""

from otp_service.crypto.sealing import Seal
from otp_service.guard.decision import Decision
from otp_service.guard.limiter import Allowance, Limiter
from otp_service.guard.networks import subscriber
from otp_service.guard.pins import PinNames, pin_names
from otp_service.guard.rules import UNKNOWN_NUMBER, GuardedSend, lines_of_send
from otp_service.phone import UNKNOWN
from otp_service.policy import Guard


def pins_of(seal: Seal, asked: GuardedSend) -> PinNames:
    """Name the pins that could decide a send."""
    caller = None if asked.address is None else subscriber(asked.address)
    return pin_names(seal, asked.number.e164, caller)


class Preview:
    """Previews the guard's decisions."""

    def __init__(self, limiter: Limiter, seal: Seal) -> None:
        self._limiter = limiter
        self._seal = seal

    def decide(self, rules: Guard, asked: GuardedSend) -> Decision:
        """Return what the guard would decide now. Raises StoreUnavailable.

        A number that the metadata does not know needs a pin, as a send does.
        """
        unknown = [UNKNOWN_NUMBER] if asked.number.type == UNKNOWN else []
        lines = [*unknown, *lines_of_send(rules, asked)]
        return self._limiter.preview(lines, Allowance(cheap=True), pins_of(self._seal, asked))
