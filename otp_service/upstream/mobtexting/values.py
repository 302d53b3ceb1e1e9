"""Reads values as the upstream writes them: strict JSON, numbers as text, ids of any type, phone numbers.

Pure, and the same for answers and reports. Must not know what a field is for.
"""

import json
import math
import re
from collections.abc import Sequence
from typing import Any, Final

_MAX_ID: Final = 128  # documented ids have some 40 characters
_MAX_FIGURE: Final = 10**18
_E164: Final = re.compile(r"\+[1-9][0-9]{4,14}")


def parse_json(raw: bytes) -> Any:  # noqa: ANN401 - it is whatever JSON held
    """Parse a JSON text. Raises ValueError, also for an object with a repeated key and for deep nesting.

    Bytes that are not UTF-8 become replacement characters: they can damage a message text, but not the ASCII words that
    count. A byte order mark at the start is allowed, as PHP often writes one.
    """
    try:
        return json.loads(
            raw.decode("utf-8-sig", errors="replace"),
            object_pairs_hook=_without_duplicates,
            parse_constant=_no_constant,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _without_duplicates(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key occurs twice, so the object is ambiguous")
    return dict(pairs)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def scalar(value: object) -> str | None:
    """Return a number or a text as text; None for other types and for numbers that are too large."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _MAX_FIGURE:
        return None
    return str(value)


def number(value: object) -> float | None:
    """Read a number that the upstream writes as a number or as text; None if it is not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        figure = float(value)
    except (ValueError, OverflowError):
        return None
    return figure if math.isfinite(figure) else None


def identifier(value: object) -> str | None:
    """Read an id; None if it is too long, not printable or a fraction."""
    text = None if isinstance(value, float) else scalar(value)
    return text if text and len(text) <= _MAX_ID and text.isprintable() else None


def truth(value: object) -> bool:
    """Read a boolean in any of PHP's spellings; everything else is false."""
    return str(value).strip().lower() in {"1", "true", "yes"} if scalar(value) or value is True else False


def digits(to: str) -> str:
    """Write an E.164 number as the upstream expects it, without its plus.

    Raises ValueError; its text does not contain the number. Anything else must not reach the upstream: it accepts
    lists, so a comma would add a recipient.
    """
    if not _E164.fullmatch(to):
        raise ValueError("to must be E.164 with a plus")
    return to.removeprefix("+")
