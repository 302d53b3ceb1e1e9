"""The names of the guard's keys, which share one slot, so that one script can use any of them.

Knows how a key is named. Must not know what a key holds.
"""

import secrets

from otp_service.crypto.sealing import Seal
from otp_service.guard.lines import Line

REMEMBER = 10_000
"""Milliseconds for which an operation is remembered: longer than all repetitions of one call, and until its refund."""
CHARGED = 60_000
"""Milliseconds for which a charge is remembered: a request that is repeated after a failure is not charged again."""


class Slot:
    """Names keys in the guard's slot."""

    def __init__(self, prefix: str) -> None:
        self._slot = f"{{{prefix}:guard}}"

    def key(self, scope: str, name: str = "") -> str:
        """Name the key of a scope, or one of its keys."""
        return f"{self._slot}:{scope}:{name}" if name else f"{self._slot}:{scope}"

    def counter(self, scope: str, index: str) -> str:
        """Name a counter. A block's id is the rule and what follows the slot here."""
        return f"{self._slot}:{scope}:{index}"

    def operation(self, operation: str) -> str:
        """Name the key that remembers an operation."""
        return self.key("o", operation)

    def new_operation(self) -> str:
        """Name the key of a new operation."""
        return self.operation(secrets.token_urlsafe(9))


def counter_index(seal: Seal, line: Line) -> str:
    """Return the HMAC of a line's subject; empty for a counter that all subjects share."""
    return seal.index(line.scope, *line.subject) if line.subject else ""
