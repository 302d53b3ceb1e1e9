"""Durations as people write them: 30s, 5m, 24h, 4d.

Knows the notation and the units. Must not know which durations a caller allows, or how it words its refusal.
"""

import re

MINUTE, HOUR, DAY = 60, 3600, 86_400
"""In seconds."""
_UNITS = {"s": 1, "m": MINUTE, "h": HOUR, "d": DAY}


def read_duration(
    text: object,
    *,
    units: str = "smhd",
    max_digits: int = 9,
    shortest: int = 0,
    longest: int | None = None,
) -> int:
    """Return the seconds that a whole number with one unit stands for.

    Raises ValueError if the text is not of this form, or if its seconds are not within `shortest` and `longest`.
    """
    match = re.fullmatch(rf"([0-9]{{1,{max_digits}}})([{units}])", text) if isinstance(text, str) else None
    if not match:
        raise ValueError(f"{text!r} is not a duration")
    seconds = int(match[1]) * _UNITS[match[2]]
    if seconds < shortest or (longest is not None and seconds > longest):
        raise ValueError(f"{text} is too short or too long")
    return seconds
