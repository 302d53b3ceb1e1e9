"""How large a policy may be: what is checked before a document is parsed, and before its tables are read.

Pure. Knows the syntax of TOML as far as sizes go. Must not know what a document means. Readers of TOML, our own among
them, take time that grows with the square of some sizes, so that a small text could stall a process.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from otp_service.policy.places import join

MOST_TEXT = 256 * 1024
"""Bytes of a document in UTF-8."""
MOST_PARTS = 8
"""Parts of a dotted key; the longest that means anything has seven."""
MOST_NESTING = 8
"""Arrays and inline tables within one another; what means anything has four."""
MOST_KEY = 128
"""Characters of one part of a key."""
MOST_VALUES = 20_000
"""Values of a document, tables and lists included."""
MOST_ENTRIES = 500
"""Entries of one list or table."""
MOST_OF: Mapping[str, int] = {"app": 200, "upstream": 64, "operator": 200, "route": 250}
"""Entries of each table that other tables are compared with; routes suffice for one in each country."""
MOST_TEXTS = 1_000_000
"""Comparisons of texts with ids of registered templates, over all accounts."""
MOST_STEPS = 16
"""Steps of one route; no challenge has more than ten messages."""

_STRING = (
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?!"")(?:[^"\\\n]|\\.)*"'
    r"|'(?!'')[^'\n]*'"
)
_PART = rf"(?>{_STRING}|[A-Za-z0-9_-]+)"
_DOT = r"[ \t]*\.[ \t]*"
_TOKEN = re.compile(
    rf"#[^\n]*|(?P<key>{_PART}(?:{_DOT}{_PART}){{{MOST_PARTS}}})|{_PART}"
    r"|(?P<open>[\[{])|(?P<close>[\]}])|(?P<unclosed>[\"'])",
    re.DOTALL,
)


def text_problem(text: str) -> str | None:
    """Return what makes a text too large to be parsed, in a time that grows with its length only.

    The text is read as tomllib reads it, up to the first mistake in its syntax; tomllib goes no further.
    """
    if len(text.encode("utf-8", "replace")) > MOST_TEXT:
        return f"is longer than {MOST_TEXT // 1024} KiB"
    depth = 0
    for token in _TOKEN.finditer(text):
        if token["unclosed"]:
            return None
        if token["key"]:
            return f"has a key of more than {MOST_PARTS} parts{_line(text, token.start())}"
        depth += bool(token["open"]) - bool(token["close"])
        if depth > MOST_NESTING:
            return f"is nested more than {MOST_NESTING} deep{_line(text, token.start())}"
    return None


def _line(text: str, at: int) -> str:
    return f" (line {text.count(chr(10), 0, at) + 1})"


def total_problem(document: Mapping[str, Any]) -> str | None:
    """Return what makes a document too large for its places to be named."""
    left: list[Any] = [document]
    count = 0
    while left:
        value = left.pop()
        count += 1
        if count > MOST_VALUES:
            return f"has more than {MOST_VALUES} values"
        if isinstance(value, dict):
            if long := next((key for key in value if len(key) > MOST_KEY), None):
                return f"has a key of more than {MOST_KEY} characters: {long[:20]}..."
            left += value.values()
        elif isinstance(value, list):
            left += value
    return None


def list_crowds(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each table and list with too many entries, and the rule that it breaks."""
    left: list[tuple[str, Any]] = [("", document)]
    while left:
        place, value = left.pop()
        if not isinstance(value, dict | list):
            continue
        if len(value) > (most := _most(place)):
            yield place, f"has more than {most} entries"
        if isinstance(value, dict):
            left += ((join(place, key), inner) for key, inner in value.items())
        else:
            left += ((f"{place}[{at}]", inner) for at, inner in enumerate(value))


def _most(place: str) -> int:
    if re.fullmatch(r"route\[[0-9]+\]\.steps", place):
        return MOST_STEPS
    return MOST_OF.get(place, MOST_ENTRIES)
