"""Replies: texts from a person's phone.

Knows the inbound events. Must not know their receivers.
"""

import uuid
from dataclasses import dataclass

from otp_service.sandbox.outcomes import EVENT_CHANNELS
from otp_service.sandbox.reports.bodies import Event
from otp_service.sandbox.times import iso_time

CHANNELS = ("sms", *EVENT_CHANNELS)


@dataclass(frozen=True, slots=True)
class Reply:
    """One text from a person's phone (`sender`, digits) to a number or sender of an account."""

    sender: str
    to: str
    channel: str
    text: str
    account: str


def inbound_event(reply: Reply, now: float) -> Event:
    """Return the event for `reply`. An SMS arrives at a virtual mobile number, a VMN."""
    name = "vmn" if reply.channel == "sms" else reply.channel
    message: dict[str, object] = {"type": "text", "payload": {"text": reply.text}}
    if name != "vmn":
        message |= {"id": str(uuid.uuid4()), "timestamp": iso_time(now)}
    payload = {
        "id": str(uuid.uuid4()),
        "channels": [{"name": name, "to": reply.to}],
        "recipient": {"from": reply.sender, "user": _user(reply.sender)},
        "message": message,
    }
    event = f"{name}:message:in"
    return Event(event, {"event": event, "payload": payload}, reply.account)


def _user(number: str) -> dict[str, object]:
    known = str(uuid.uuid5(uuid.NAMESPACE_OID, number))
    return {
        "id": known,
        "identifier_id": known,
        "subscriber_id": known,
        "identity": number,
        "username": number,
        "first_name": None,
        "middle_name": None,
        "last_name": None,
        "email": None,
        "phone": number,
        "attributes": None,
        "user_info": {"picture": None, "gender": None, "title": None},
    }
