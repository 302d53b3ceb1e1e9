"""The events that follow from a challenge's record.

Pure: each event has a name that is unique within its challenge, so that it is sent once. Must not know how events
travel.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from otp_service.challenge.model import Challenge, Delivery, State, Status
from otp_service.events.standard_webhooks import EventType

_LEFT = frozenset({Status.ACCEPTED, Status.SENT, Status.FAILED, Status.DELIVERED, Status.READ})


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `data` holds no number and no code."""

    name: str
    type: EventType
    data: dict[str, Any] = field(default_factory=dict)


def events_of(challenge: Challenge) -> Iterator[Event]:
    """List all events of a challenge so far, in order."""
    about = {"challenge_id": challenge.id, "purpose": challenge.purpose}
    if challenge.reference:
        about["reference"] = challenge.reference
    for place, delivery in enumerate(challenge.deliveries):
        yield from _events_of_delivery(challenge, place, delivery, about)
    if challenge.state is State.VERIFIED:
        channel = challenge.deliveries[challenge.via or 0].channel
        yield Event("v", EventType.VERIFIED, {**about, "channel": channel})
    elif challenge.state in {State.EXHAUSTED, State.EXPIRED, State.UNDELIVERABLE}:
        yield Event("x", EventType.FAILED, {**about, "reason": str(challenge.state)})


def blocked_event(rule: str) -> Event:
    """Make the event for a send that a rule of the guard refused."""
    return Event("", EventType.BLOCKED, {"rule": rule})


def _events_of_delivery(
    challenge: Challenge, place: int, delivery: Delivery, about: dict[str, str]
) -> Iterator[Event]:
    here = {**about, "channel": delivery.channel}
    if delivery.automatic:
        before = challenge.deliveries[place - 1]
        why = {"from": before.channel, "reason": before.reason or str(before.status)}
        yield Event(f"{place}f", EventType.FELL_BACK, here | why)
    if delivery.status in _LEFT:
        yield Event(f"{place}s", EventType.SENT, here)
    if delivery.status in {Status.DELIVERED, Status.READ}:
        yield Event(f"{place}d", EventType.DELIVERED, here)
