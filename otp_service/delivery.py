"""What can become of one try to bring one code over one channel.

Knows the four verdicts of an upstream's answer. Must not know any vendor's words or how an answer is fetched.
"""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a send ended, as far as the caller can know."""

    ACCEPTED = "accepted"
    """The upstream took the message."""
    REFUSED = "refused"
    """The upstream will not take it, now or later: the next channel's turn."""
    DEFERRED = "deferred"
    """Nothing left, or the upstream said "not now": the same send may be tried again."""
    UNKNOWN = "unknown"
    """The request left and no answer says what became of it: never blindly sent again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one send.

    `reason` is a stable word of ours (`bad_token`, `no_credits`, `timeout`...), fit for logs and metrics.
    `upstream_id` is the upstream's id of the message, `retry_after` is in seconds, `charges` is in the
    upstream's own unit; each only where the upstream named it.
    """

    verdict: Verdict
    reason: str
    upstream_id: str | None = None
    retry_after: float | None = None
    charges: float | None = None
