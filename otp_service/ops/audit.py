"""What the audit log says about an operator's act.

Knows who acted, why, and how an address is masked. Must not know any single act.
"""

import re
from dataclasses import dataclass

from otp_service.typed import is_line

REASON = r"[^\s\x00-\x20\x7f][^\x00-\x1f\x7f]{0,199}"
"""The pattern of a reason: it is not blank, and fits on one line of the history. See `is_reason`, too."""
REASON_RULE = "must be 1 to 200 visible characters on one line, not starting with a space"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditNote:
    """Who does something, and why."""

    by: str
    reason: str


def is_reason(text: str) -> bool:
    """Return whether a text can be shown as a reason in the history."""
    return bool(re.fullmatch(REASON, text)) and is_line(text)


def mask_address(subscriber: str) -> str:
    """Mask all but the first part of an IP address or network."""
    separator = ":" if ":" in subscriber else "."
    return f"{subscriber.partition(separator)[0]}{separator}*"
