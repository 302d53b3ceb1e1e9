"""Values as the upstream writes them: strict JSON, figures that are text, ids of any kind, numbers without a plus.

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
    """Parse a JSON text. Raises ValueError, also for an object with a key twice and for what nests too deep.

    Bytes that are no UTF-8 become replacement characters: they may spoil a message text, never the ASCII
    words that count. PHP likes to put a byte order mark first.
    """
    try:
        return json.loads(
            raw.decode("utf-8-sig", errors="replace"),
            object_pairs_hook=_without_twins,
            parse_constant=_no_constant,
        )
    except RecursionError:
        raise ValueError("it nests too deep") from None


def _without_twins(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key stands twice, so the object says two things")
    return dict(pairs)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def scalar(value: object) -> str | None:
    """Write a figure or a text as text; None if it is neither or no figure of a sensible size."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _MAX_FIGURE:
        return None
    return str(value)


def number(value: object) -> float | None:
    """Read a figure that the upstream writes as a number or as text; None if it is no finite figure."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        figure = float(value)
    except (ValueError, OverflowError):
        return None
    return figure if math.isfinite(figure) else None


def identifier(value: object) -> str | None:
    """Read an id, which is short, printable and no fraction; None if it is none."""
    text = None if isinstance(value, float) else scalar(value)
    return text if text and len(text) <= _MAX_ID and text.isprintable() else None


def truth(value: object) -> bool:
    """Read a yes that is spelt in any of PHP's ways; all else is a no."""
    return str(value).strip().lower() in {"1", "true", "yes"} if scalar(value) or value is True else False


def digits(to: str) -> str:
    """Write an E.164 number in the upstream's way, without its plus. Raises ValueError without telling it.

    What is no such number is not passed on to be refused there: the upstream takes a list, and would read a
    comma as one.
    """
    if not _E164.fullmatch(to):
        raise ValueError("to must be E.164 with a plus")
    return to.removeprefix("+")


def e164(value: object) -> str | None:
    """Read a number that the upstream wrote, with or without a plus; None if it is none."""
    number_ = f"+{(scalar(value) or '').strip().removeprefix('+')}"
    return number_ if _E164.fullmatch(number_) else None
