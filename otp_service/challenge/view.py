"""What callers may see of a challenge.

Knows what a screen shows and counts down. Must not know how a number is masked or how an answer is written: it is pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from otp_service.challenge.model import Challenge, State, Status, Step


@dataclass(frozen=True, slots=True)
class View:
    """What a caller may see of a challenge. `to` is masked. The `*_in` values are whole seconds from now."""

    challenge_id: str
    status: State
    to: str
    channel: str
    purpose: str
    expires_in: int
    resend_in: int
    sends_left: int
    checks_left: int
    code_length: int
    channels_left: list[str]
    deliveries: list[Mapping[str, str]]
    reference: str | None = None


_SHOWN = {Status.CLAIMED: Status.QUEUED}
"""Claims are internal to workers."""


def of(challenge: Challenge, now: int, masked: str) -> View:
    """Show a challenge as it is at `now`. Seconds are rounded up, so that waiting for that long is enough."""
    status = challenge.status(now)
    open_ = status is State.PENDING
    shown = challenge.deliveries[challenge.via] if challenge.via is not None else challenge.last
    left = challenge.sends_left if open_ else 0
    return View(
        challenge_id=challenge.id,
        status=status,
        to=masked,
        channel=shown.channel,
        purpose=challenge.purpose,
        expires_in=_seconds(challenge.expires - now) if open_ else 0,
        resend_in=_seconds(challenge.resend_at() - now) if left else 0,
        sends_left=left,
        checks_left=challenge.checks_left if open_ else 0,
        code_length=challenge.plan.code_length,
        channels_left=_channels(challenge.plan.steps) if left else [],
        deliveries=[
            {"channel": d.channel, "status": _SHOWN.get(d.status, d.status)} for d in challenge.deliveries
        ],
        reference=challenge.reference or None,
    )


def _channels(steps: Sequence[Step]) -> list[str]:
    return list(dict.fromkeys(step.channel for step in steps))


def _seconds(milliseconds: int) -> int:
    return max(0, -(-milliseconds // 1000))
