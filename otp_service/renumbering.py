"""Numbers that were renumbered, and vendors' own spellings: the number under which a handset is reached today.

Pure. Knows Google's metadata. Must not know who asks, or why.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberType

_HANDSETS = {PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE, PhoneNumberType.FIXED_LINE}


@dataclass(frozen=True, slots=True)
class _Change:
    """Old national numbers and how they begin today. `always` is set if the metadata still knows the old ones."""

    old: re.Pattern[str]
    new: str
    always: bool = False


def _changes(pairs: Iterable[tuple[str, str]], *, always: bool = False) -> list[_Change]:
    return [_Change(re.compile(old), new, always) for old, new in pairs]


_VIETNAM = (
    "120 70, 121 79, 122 77, 123 83, 124 84, 125 85, 126 76, 127 81, 128 78, 129 82, "
    "162 32, 163 33, 164 34, 165 35, 166 36, 167 37, 168 38, 169 39, 186 56, 188 58, 199 59"
)
_BY_CODE: Mapping[int, list[_Change]] = {
    52: _changes([("0?(?:1|44|45)([0-9]{10})", r"\1")]),
    54: [
        *_changes([("9([1-8][0-9]{11})", r"\1")]),
        *_changes([("([1-8][0-9]{9})", r"9\1")], always=True),
    ],
    55: _changes([("([1-9][1-9])([6-9][0-9]{7})", r"\g<1>9\2")]),
    57: _changes([("([1-8][0-9]{7})", r"60\1")]),
    84: _changes((f"{old}([0-9]{{7}})", rf"{new}\1") for old, new in map(str.split, _VIETNAM.split(", "))),
    225: _changes(
        [
            ("((?:0[1-3]|[4-7][0-3]|[89][1-3])[0-9]{6})", r"01\1"),
            ("((?:0|[4-9])[4-6][0-9]{6})", r"05\1"),
            ("((?:0|[4-9])[7-9][0-9]{6})", r"07\1"),
            ("(2[0-9]8[0-9]{5})", r"21\1"),
            ("([23][0-9]0[0-9]{5})", r"25\1"),
            ("([23][0-9]{7})", r"27\1"),
        ]
    ),
    229: _changes([("([0-9]{8})", r"01\1")]),
    237: _changes([("([579][0-9]{7})", r"6\1"), ("([23][0-9]{7})", r"2\1")]),
    241: _changes(
        [("01([0-9]{6})", r"11\1"), ("0?([256][0-9]{6})", r"6\1"), ("0?([47][0-9]{6})", r"7\1")],
        always=True,
    ),
}
"""By country code: what changed, when, and who says so.

- 52 Mexico: 1, 044 and 045 before mobile numbers ended on 2019-08-03 (IFT, Plan Técnico Fundamental de Numeración of
  2018-05-11; ITU communication of 12.VI.2018). WhatsApp and its vendors still write 521.
- 54 Argentina: 9 before a mobile number that is dialled from abroad, instead of 15 after the area code (WhatsApp,
  "About international phone number format"). Without the 9, networks name the same handset, so both are one number.
- 55 Brazil: a ninth digit, 9, before mobile numbers, complete on 2016-11-06 (Anatel, Resolution 553/2010; ITU
  communication of 6.II.2013). Trunk radio, 7 and seven digits, kept its numbers. WhatsApp keeps old names.
- 57 Colombia: 60 before fixed lines since 2021-09-01, from abroad since 2022-02-01 (CRC, Resolution 5826/2019).
- 84 Vietnam: mobile numbers of 10 digits became 9 digits from 2018-09-15 to 2018-11-14 (Ministry of Information and
  Communications).
- 225 Ivory Coast: since 2021-01-31, the operator's two digits before all numbers (ARTCI): 01, 05 and 07 by the old
  second digit of a mobile number; 21, 25 and 27 by the old third digit of a fixed line.
- 229 Benin: 01 before all numbers since 2024-11-30 (ARCEP Bénin; ITU communication T0202000017).
- 237 Cameroon: since 2014-11-21, 6 before mobile numbers and 2 before fixed lines (ART).
- 241 Gabon: since 2019-11-15, 1 instead of 0 before fixed lines, 6 or 7 before mobile numbers (ARCEP Gabon).

Brazil, Gabon, Mexico and Vietnam agree with the recipes of libphonenumber's migrator. Countries are left out whose new
number does not follow from the old one, or whose old numbers have new owners, such as Burkina Faso's fixed lines.
"""


def todays(number: PhoneNumber) -> PhoneNumber:
    """Return the number under which a handset is reached today, if this is an old or a vendor's spelling of it."""
    changes = _BY_CODE.get(number.country_code or 0)
    if not changes:
        return number
    national = phonenumbers.national_significant_number(number)
    found = ((change, change.old.fullmatch(national)) for change in changes)
    for change, match in found:
        if match and (change.always or not phonenumbers.is_valid_number(number)):
            mapped = _parsed(f"+{number.country_code}{match.expand(change.new)}")
            if mapped and phonenumbers.number_type(mapped) in _HANDSETS:
                return mapped
    return number


def _parsed(e164: str) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(e164)
    except NumberParseException:
        return None
