"""The number of units that a text costs (3GPP TS 23.038).

GSM 7-bit has 160 places, or 153 in each part of a longer text; Unicode has 70, or 67.

Knows alphabets and sizes of parts. Must not know requests, prices or messages.
"""

from dataclasses import dataclass
from typing import Literal

TextType = Literal["N", "U", "A"]

GSM_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_EXTENDED = frozenset("^{}\\[~]|€\f")
"""Characters that take two places: an escape and the character."""
PLAIN = (GSM_BASIC | GSM_EXTENDED) - frozenset("ΔΦΓΛΩΠΨΣΘΞ|^\f")
"""What type Normal keeps."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A text as it is transmitted: `length` in places of its alphabet, `units` as charged."""

    text: str
    length: int
    units: int


def encode(text: str, text_type: TextType) -> Encoded:
    """Encode `text`: Normal replaces unknown characters by `?`, Unicode keeps them, Auto chooses."""
    if text_type == "U" or (text_type == "A" and not _is_gsm(text)):
        return _encode_unicode(text)
    return _encode_gsm(text)


def _is_gsm(text: str) -> bool:
    return PLAIN.issuperset(text)


def _encode_gsm(text: str) -> Encoded:
    fitted = "".join(char if char in PLAIN else "?" for char in text)
    places = [2 if char in GSM_EXTENDED else 1 for char in fitted]
    return Encoded(fitted, sum(places), _units(places, single=160, part=153))


def _encode_unicode(text: str) -> Encoded:
    places = [2 if ord(char) > 0xFFFF else 1 for char in text]  # noqa: PLR2004 - end of the plane of 16 bits
    return Encoded(text, sum(places), _units(places, single=70, part=67))


def _units(places: list[int], *, single: int, part: int) -> int:
    if sum(places) <= single:
        return 1
    units, used = 1, 0
    for size in places:
        # A character of two places is never split between two parts.
        if used + size > part:
            units, used = units + 1, 0
        used += size
    return units
