"""What people type: digits count in every script, and what cannot be seen does not."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service import typed

CLASSES = {char: unicodedata.category(char) for char in map(chr, range(sys.maxunicode + 1))}


def test_a_digit_of_any_script_is_its_ascii_digit() -> None:
    """All of category Nd, not a list of the scripts that somebody thought of."""
    for char in (char for char, kind in CLASSES.items() if kind == "Nd"):
        assert typed.digits(char) == str(unicodedata.decimal(char))


def test_whole_classes_of_marks_and_spaces_are_dropped() -> None:
    """Format characters, variation selectors, separators, dashes: any of them may stick to a pasted code."""
    dropped = [char for char, kind in CLASSES.items() if kind in {"Cf", "Zs", "Zl", "Zp", "Pd"}]
    for char in [*dropped, *"\t\n\r\ufe0f\ufe00\u034f\u3164\u2212\u2800\U000e0101"]:
        assert typed.digits(f"12{char}3") == "123", hex(ord(char))


@given(st.text())
def test_visible_text_has_no_invisible_marks_and_one_kind_of_space(text: str) -> None:
    """And making it visible twice changes nothing."""
    seen = typed.visible(text)
    assert typed.visible(seen) == seen
    assert not [
        char for char in seen if CLASSES[char] in {"Cf", "Zl", "Zp"} or (char.isspace() and char in "\t\n")
    ]
    assert {char for char in seen if CLASSES[char] == "Zs"} <= {" "}


@pytest.mark.parametrize("text", ["a\nb", "a\x00", "a\u2028", "a\u202e", "a\udcff", "\ud83d"])
def test_a_line_can_be_shown_and_written_as_utf_8(text: str) -> None:
    """What controls the terminal or the page, or is half a character, is not shown."""
    assert not typed.is_line(text)
