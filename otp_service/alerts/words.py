"""How durations, shares and channels are written for people.

Pure. Must not know what they are about.
"""

CHANNEL_NAMES = {"sms": "SMS", "whatsapp": "WhatsApp", "rcs": "RCS", "mip": "MIP", "voice": "Voice"}
"""The names of channels for people."""
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


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
