"""What the audit log says about an operator's act.

Knows who acted, why, and how an address is masked. Must not know any single act.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditNote:
    """Who does something, and why."""

    by: str
    reason: str


def mask_address(subscriber: str) -> str:
    """Mask all but the first part of an IP address or network."""
    separator = ":" if ":" in subscriber else "."
    return f"{subscriber.partition(separator)[0]}{separator}*"
