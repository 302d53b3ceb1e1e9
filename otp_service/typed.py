"""What people type or paste: digits of any script, odd spaces, and marks that cannot be seen.

Pure. Must not know what a text is for.
"""

import re
import unicodedata

# Default_Ignorable_Code_Point of Unicode 15.1 (DerivedCoreProperties.txt), so far as it is not in category Cf, and the
# keycap that an emoji puts around its digit.
_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u20e3\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    "\U000e0000-\U000e0fff]"
)
_SPACES = "\t\n\v\f\r\x85\u2800"
_NO_LINE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_MORE_DASHES = "\u2212\u30fc"
"""Minus, and the long-vowel mark that Japanese keyboards put where a dash is."""


def visible(text: str) -> str:
    """Remove the marks that cannot be seen; make every kind of space a plain one, every dash a hyphen."""
    if text.isascii() and text.isprintable():
        return text
    kept = (char for char in _IGNORABLE.sub("", text) if unicodedata.category(char) != "Cf")
    return "".join(" " if _is_space(char) else "-" if _is_dash(char) else char for char in kept)


def digits(text: str) -> str:
    """Fold digits of any script to ASCII (NFKC), and remove spaces, dashes and invisible marks. All else stays."""
    if text.isascii() and text.isdecimal():
        return text
    seen = visible(unicodedata.normalize("NFKC", text))
    return "".join(_plain(char) for char in seen if char not in " -")


def is_line(text: str) -> bool:
    """Return whether a text has no control or format characters, no line breaks, and no halves of a character."""
    return text.isprintable() or not any(unicodedata.category(char) in _NO_LINE for char in text)


def _plain(char: str) -> str:
    return str(unicodedata.decimal(char)) if char.isdecimal() else char


def _is_space(char: str) -> bool:
    return char in _SPACES or unicodedata.category(char)[0] == "Z"


def _is_dash(char: str) -> bool:
    return unicodedata.category(char) == "Pd" or char in _MORE_DASHES
