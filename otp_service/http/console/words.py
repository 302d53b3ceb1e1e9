"""How moments, durations and amounts are written on pages.

Pure, but for the one function that makes templates know the others. Must not know what they are about.
"""

from datetime import UTC, datetime

from flask import Blueprint

CHANNELS = {"sms": "SMS", "whatsapp": "WhatsApp", "rcs": "RCS", "mip": "MIP", "voice": "Voice"}
"""The names of channels for people."""
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def install(site: Blueprint) -> None:
    """Let templates use these words."""
    for filter_ in (moment, clock, machine_time, duration, share, channel_name):
        site.add_app_template_filter(filter_)


def moment(milliseconds: float) -> str:
    """Write a moment as people read it, in UTC."""
    return _moment(milliseconds).strftime("%d %b %Y %H:%M:%S").lstrip("0")


def clock(milliseconds: float) -> str:
    """Write the time of the day, in UTC."""
    return _moment(milliseconds).strftime("%H:%M:%S")


def machine_time(milliseconds: float) -> str:
    """Write a moment as programs read it."""
    return _moment(milliseconds).strftime("%Y-%m-%dT%H:%M:%SZ")


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
    return CHANNELS.get(channel, channel)


def _moment(milliseconds: float) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
