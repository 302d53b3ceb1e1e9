"""A policy as a text that is edited: where its tables are, and how values are written.

Pure. Knows the syntax of TOML. Must not know what a table means.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time

from otp_service.policy.places import headers_of


def tables_of(text: str, lines: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield where each table starts, including the comments directly above its header, and its path."""
    for line, path in headers_of(text):
        start = at = line - 1
        while start and lines[start - 1].lstrip().startswith("#"):
            start -= 1
        # a comment at the top is about the whole document
        yield start or at, path


def quoted(text: str) -> str:
    """Write a string; TOML has the same escapes as JSON."""
    return json.dumps(text, ensure_ascii=False)


def inline(value: object) -> str:
    """Write a value on one line."""
    if isinstance(value, Mapping):
        pairs = (f"{_key(key)} = {inline(one)}" for key, one in value.items())
        return f"{{ {', '.join(pairs)} }}" if value else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(inline, value))}]"
    if isinstance(value, date | time):  # a moment is a date, too
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    return name if name.replace("-", "").replace("_", "").isalnum() and name.isascii() else quoted(name)
