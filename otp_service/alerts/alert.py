"""Something that needs a person, and how durations and shares are written for people.

Pure. Must not know where a state is read.
"""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["critical", "warning"]
Page = Literal["find", "upstreams", "blocks"]
CHANNEL_NAMES = {"sms": "SMS", "whatsapp": "WhatsApp", "rcs": "RCS", "mip": "MIP", "voice": "Voice"}
"""The names of channels for people."""
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True, slots=True)
class Alert:
    """A state that needs a person: its kind, what it is about, a sentence, and the page of the console with its rows.

    Kind and subject together say which alert it is, for as long as the state lasts. No subject names a person.
    """

    kind: str
    subject: str
    severity: Severity
    text: str
    page: Page

    @property
    def key(self) -> str:
        """Name the alert among all."""
        return f"{self.kind}:{self.subject}"


def duration(seconds: float) -> str:
    """Write a time in its two largest units, such as 2 h 5 min."""
    left, parts = round(seconds), []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or ("0 s" if not seconds else f"{seconds:.1f} s")


def share(part: float) -> str:
    """Write a share as a percentage."""
    return f"{part * 100:.0f} %"


def channel_name(channel: str) -> str:
    """Write a channel's name."""
    return CHANNEL_NAMES.get(channel, channel)
