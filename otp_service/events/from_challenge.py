"""What an app is told of its challenges: which events a challenge has had so far.

Pure: the events follow from the record, each with a name by which it is told once. Must not know how they travel.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from otp_service.challenge.model import Challenge, Delivery, State, Status
from otp_service.events.standard_webhooks import Type

_LEFT = frozenset({Status.ACCEPTED, Status.SENT, Status.FAILED, Status.DELIVERED, Status.READ})


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `data` holds no number and no code."""

    name: str
    type: Type
    data: dict[str, Any] = field(default_factory=dict)


def of(challenge: Challenge) -> Iterator[Event]:
    """List all events that a challenge has had, in order."""
    about = {"challenge_id": challenge.id, "purpose": challenge.purpose}
    if challenge.reference:
        about["reference"] = challenge.reference
    for place, delivery in enumerate(challenge.deliveries):
        yield from _of_delivery(challenge, place, delivery, about)
    if challenge.state is State.VERIFIED:
        channel = challenge.deliveries[challenge.via or 0].channel
        yield Event("v", Type.VERIFIED, {**about, "channel": channel})
    elif challenge.state in {State.EXHAUSTED, State.EXPIRED, State.UNDELIVERABLE}:
        yield Event("x", Type.FAILED, {**about, "reason": str(challenge.state)})


def _of_delivery(
    challenge: Challenge, place: int, delivery: Delivery, about: dict[str, str]
) -> Iterator[Event]:
    here = {**about, "channel": delivery.channel}
    if delivery.automatic:
        before = challenge.deliveries[place - 1]
        why = {"from": before.channel, "reason": before.reason or str(before.status)}
        yield Event(f"{place}f", Type.FELL_BACK, here | why)
    if delivery.status in _LEFT:
        yield Event(f"{place}s", Type.SENT, here)
    if delivery.status in {Status.DELIVERED, Status.READ}:
        yield Event(f"{place}d", Type.DELIVERED, here)


def blocked(rule: str) -> Event:
    """Make the event of a send that the guard refused."""
    return Event("", Type.BLOCKED, {"rule": rule})
