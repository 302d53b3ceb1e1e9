"""Phone numbers as people type them: the first line is the country and, after it, `?` for "possible is enough"."""

import re

from otp_service import phone
from otp_service.errors import Invalid

GUIDED = ("otp_service.phone", "otp_service.renumbering", "otp_service.typed", "phonenumbers.phonenumberutil")
SEEDS = tuple(
    text.encode()
    for text in (
        "\n+12025550100",
        "US\n(202) 555-0100",
        "us\n2025550100",
        "US\n1-202-555-0100 ext. 7",
        "US\n202-555-0100;ext=5",
        "GB\n07700 900123",
        "?\n+447700900123",
        "GB\n\u200e+44 7700\u00a0900\u2011123\u2069",
        "FR\n06 39 98 12 34",
        "AU\n0491 570 156",
        "IE\n020 910 1234",
        "SE\n070-174 06 05",
        "\ntel:+1-202-555-0100",
        "\n\uff0b\uff11\uff12\uff10\uff12\uff15\uff15\uff15\uff10\uff11\uff10\uff10",
        "US\n\u0968\u0966\u0968\u096b\u096b\u096b\u0966\u0967\u0966\u0966",
        "US\n1-800-FLOWERS",
        "MX\n+52 1",
        "AR\n011 15",
        "BR\n0015 11",
        "GA\n0241 01",
        "VN\n0120",
        "?\n+8816555",
        "?\n+8830000",
        "XX\n1",
        "\n0044",
        "CI\n+225 0000",
    )
)
WORDS = (
    "+",
    "tel:",
    ";ext=",
    " x",
    "#",
    "00",
    "011",
    "\u200e",
    "\u2069",
    "\u00a0",
    "\u2011",
    "\uff0b",
    "\u0966",
    "?\n",
)
_FOLDED = str.maketrans("0123456789+", "\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19\uff0b")
Read = phone.Number | tuple[str, list[tuple[str, str]]]


def check(raw: bytes) -> None:
    """Read a number in all ways: only documented refusals, and one meaning for all spellings of one number."""
    head, _, text = raw.decode("utf-8", "ignore").partition("\n")
    country, possible = head.removesuffix("?") or None, head.endswith("?")
    found = _read(text, country, possible=possible)
    assert _read(text, country, possible=possible) == found
    assert _read(text.translate(_FOLDED), country, possible=possible) == found, "wide digits differ"
    assert _read(f"\u200e{text}\u2069", country, possible=possible) == found, "invisible marks differ"
    if isinstance(found, phone.Number):
        check_number(found, possible=possible)
    else:
        assert found[1], "a refusal without a rule"
    try:
        named = phone.parse_international(text)
    except Invalid:
        return
    check_number(named, possible=True)
    assert phone.parse_international(named.e164.removeprefix("+")) == named


def _read(text: str, country: str | None, *, possible: bool) -> Read:
    try:
        return phone.parse(text, country, possible=possible)
    except Invalid as error:
        return error.code, error.rules()


def check_number(number: phone.Number, *, possible: bool) -> None:
    """Hold a number that was read against what a number is."""
    assert phone.E164.fullmatch(number.e164)
    assert number.type in phone.TYPES
    assert possible or number.type != phone.UNKNOWN
    assert phone.is_country(number.place) or number.place in phone.NETWORKS
    assert phone.country_of(number.e164) == number.country
    assert phone.parse(number.e164, possible=possible) == number, "its own E.164 is another number"
    hidden = phone.mask(number.e164)
    assert re.fullmatch(r"\+[0-9]{1,3}\*+[0-9]{2}", hidden)
    assert len(hidden) == len(number.e164)
    assert number.e164.startswith(hidden.partition("*")[0])
    assert number.e164[-2:] == hidden[-2:]
