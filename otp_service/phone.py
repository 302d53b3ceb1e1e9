"""Phone numbers: any spelling in, one E.164 number out.

Knows Google's metadata. Must not know who asks, or why.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, PhoneNumberType

from otp_service.errors import Invalid, InvalidNumber

_VISIBLE_TAIL = 2
E164 = re.compile(r"\+[1-9][0-9]{6,14}")
"""ITU-T E.164, as all our interfaces write numbers; use with fullmatch."""


_TYPES: Mapping[int, str] = {
    value: name.lower() for name, value in vars(PhoneNumberType).items() if isinstance(value, int)
}
TYPES = frozenset(_TYPES.values())
"""Types of numbers, as the metadata names them: mobile, fixed_line, fixed_line_or_mobile, voip, toll_free..."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number that can exist. `e164` starts with a plus; `country` is ISO 3166 alpha-2, or empty if there is none.

    `type` is one of TYPES. It is `fixed_line_or_mobile` where the numbering plan does not distinguish them, as in the
    US and Canada.
    """

    e164: str
    country: str
    type: str


def parse(text: str, country: str | None = None) -> Number:
    """Read a number in any spelling. `country` (ISO 3166 alpha-2, in any case) is for numbers without a country code.

    Raises InvalidNumber, or Invalid if the country is unknown.
    """
    country = country.upper() if country and country.isascii() else country
    if country is not None and not is_country(country):
        raise Invalid({"country": ["must be the two letters of a country (ISO 3166)"]})
    if any(unicodedata.category(char)[0] == "L" for char in _without_affixes(text)):
        raise InvalidNumber("must be written in digits, not letters")
    try:
        number = phonenumbers.parse(text, country)
    except NumberParseException as error:
        if error.error_type == NumberParseException.INVALID_COUNTRY_CODE and country is None:
            raise InvalidNumber("must start with + and a country code, or come with 'country'") from None
        raise InvalidNumber("must be a phone number") from None
    if not phonenumbers.is_valid_number(number):
        raise InvalidNumber("must be a number that can exist in its country")
    e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    if not E164.fullmatch(e164):
        raise InvalidNumber("must have 7 to 15 digits")
    return Number(e164, _country(number), _TYPES[phonenumbers.number_type(number)])


def is_country(code: str) -> bool:
    """Return whether this is a country (ISO 3166 alpha-2) that has numbers."""
    return code in phonenumbers.SUPPORTED_REGIONS


def calling_code(country: str) -> str:
    """Return the prefix of all numbers of a country (ISO 3166 alpha-2), such as +44."""
    return f"+{phonenumbers.country_code_for_region(country)}"


def mask(e164: str) -> str:
    """Return a number with only its country code and last two digits visible, so that its owner recognises it."""
    code = phonenumbers.parse(e164).country_code
    head = f"+{code}"
    hidden = len(e164) - len(head) - _VISIBLE_TAIL
    return f"{head}{'*' * hidden}{e164[-_VISIBLE_TAIL:]}"


def _without_affixes(text: str) -> str:
    """Remove `tel:` (RFC 3966) and extensions, so that any letter that is left belongs to the number."""
    return re.sub(r"(?i)^\s*tel:|(;?\s*ext\.?\s*=?|x)\s*[0-9]+\s*$", "", text)


def country_of(e164: str) -> str:
    """Return the country of a number (ISO 3166 alpha-2), empty if it has none."""
    return _country(phonenumbers.parse(e164))


def _country(number: PhoneNumber) -> str:
    """Return the country. A number without one, such as a satellite phone, has digits as its region."""
    region = phonenumbers.region_code_for_number(number)
    return region if region and is_country(region) else ""
