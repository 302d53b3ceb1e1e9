"""The content of reports, by channel.

Knows the events and their bodies. Must not know where a report goes.
"""

from dataclasses import dataclass

from otp_service.sandbox.mailbox import Message
from otp_service.sandbox.outcomes import EVENT_CHANNELS
from otp_service.sandbox.times import iso_time, portal_time

Body = dict[str, object]


@dataclass(frozen=True, slots=True)
class Event:
    """Something to report to a customer. `webhook_id` is the webhook that the message named."""

    name: str
    body: Body
    account: str
    webhook_id: str | None = None

    @property
    def is_messengers(self) -> bool:
        """Whether it is pushed like a WhatsApp event: signed, with its own retries."""
        return self.name.partition(":")[0] in (*EVENT_CHANNELS, "viber")


def event_of(message: Message) -> Event:
    """Return a report of the present status of `message`."""
    match message.channel:
        case "sms":
            name, body = "sms:message:status", _sms(message)
        case "voice":
            name, body = "voice:message:out", _call(message)
        case channel:
            name = f"{channel}:message:status"
            body = {"event": name, "payload": _payload(message)}
    return Event(name, body, message.account, message.webhook_id)


def talk_of(message: Message) -> tuple[str, str, int]:
    """Return the start, the end and the seconds of a call; the times are empty if it was not answered."""
    if message.status != "ANSWER":
        return "", "", 0
    start = message.submitted_at
    # The sandbox does not wait until the call ends.
    return portal_time(start), portal_time(start + message.duration), message.duration


def _sms(message: Message) -> Body:
    times = {"deliv": message.settled_at, "sent": message.submitted_at, "submit": message.submitted_at}
    return {
        "id": message.id,
        "mobile": message.to,
        "status": message.status,
        "credits": f"{message.charges:.4f}",
        "units": message.units,
        **{f"{name}_time": portal_time(at) for name, at in times.items()},
        **{f"{name}_at": "" if at is None else str(int(at)) for name, at in times.items()},
        "cid": message.custom,
        "custom": message.custom,
    }


def _payload(message: Message) -> Body:
    return {
        "id": message.id,
        "channel": message.channel,
        "from": message.sender,
        "to": message.to,
        "status": message.status,
        "delivered_at": _iso(message.times.get("delivered")),
        "read_at": _iso(message.times.get("read")),
        "processed_at": _iso(message.submitted_at),
        "timestamp": _iso(message.settled_at),
        "foreign_id": message.custom or None,
    }


def _call(message: Message) -> Body:
    start, end, seconds = talk_of(message)
    return {
        "event": "voice:message:out",
        "bridge": message.sender,
        "from": message.sender,
        "to": message.to,
        "source": "OBD",
        "mid": message.id,
        "flow_id": message.flow_id,
        "start_at": start,
        "end_at": end,
        "duration": str(seconds),
        "status": message.status,
        "recording_url": "",
        **({"foreign_id": message.custom, "custom": message.custom} if message.custom else {}),
    }


def _iso(at: float | None) -> str | None:
    return None if at is None else iso_time(at)
