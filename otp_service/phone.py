"""Phone numbers: any spelling in, one E.164 number out.

Knows Google's metadata. Must not know who asks, or why.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

import phonenumbers
from phonenumbers import (
    NumberParseException,
    PhoneNumber,
    PhoneNumberFormat,
    PhoneNumberType,
    ValidationResult,
)

from otp_service import typed
from otp_service.errors import Invalid, InvalidNumber
from otp_service.renumbering import todays

_VISIBLE_TAIL = 2
_LONGEST = 160
"""Characters of a number in any spelling: a search for an extension in a longer text could take long."""
E164 = re.compile(r"\+[1-9][0-9]{6,14}")
"""ITU-T E.164, as all our interfaces write numbers; use with fullmatch."""


_TYPES: Mapping[int, str] = {
    value: name.lower() for name, value in vars(PhoneNumberType).items() if isinstance(value, int)
}
_EXTENSION = re.compile(
    r"(?i)[0-9)][\s.,:;-]*(?:[;,#*~]|e?xt?n?\b|x|ext\w*|int\w*|anexo|ramal|poste|доб\w*|durchwahl|p|w"
    r"|(?<=[\s.,:;-])[^\W\d_]{2,15}\b)"
    r"[\s.,:;#=-]*(?:no\.?|nr\.?)?[\s.:=-]*[0-9]{1,9}[\s#]*$"
)
"""The end of a number that names an extension: "x5", "ext. 5", ";ext=5", "#5", ",,5", or any word and digits."""
UNKNOWN = _TYPES[PhoneNumberType.UNKNOWN]
"""The type of a number that the metadata does not know."""
TYPES = frozenset(_TYPES.values())
"""Types of numbers, as the metadata names them: mobile, fixed_line, fixed_line_or_mobile, voip, toll_free..."""


_SATELLITES = ("+870", "+881")
NETWORKS = frozenset({"satellite", "international_networks"})
"""What has numbers and is no country: satellites (+870, +881), and other shared codes (+878, +882, +883, +979...)."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number that can exist. `e164` starts with a plus; `country` is ISO 3166 alpha-2, or empty if there is none.

    `type` is one of TYPES. It is `fixed_line_or_mobile` where the numbering plan does not distinguish them, as in the
    US and Canada.
    """

    e164: str
    country: str
    type: str

    @property
    def place(self) -> str:
        """The country, or one of NETWORKS for a number that belongs to none."""
        if self.country:
            return self.country
        return "satellite" if self.e164.startswith(_SATELLITES) else "international_networks"


def parse(text: str, country: str | None = None, *, possible: bool = False) -> Number:
    """Read a number in any spelling, old ones too. `country` (ISO 3166 alpha-2, any case) is for those without a code.

    With `possible`, a number also passes that its country may have opened since the metadata was made; its type is
    `unknown`. Raises InvalidNumber, or Invalid if the country is unknown.
    """
    country = country.upper() if country and country.isascii() else country
    if country is not None and not is_country(country):
        raise Invalid({"country": ["must be the two letters of a country (ISO 3166)"]})
    number = todays(_read(_plain(text), country))
    kind = _TYPES[phonenumbers.number_type(number)]
    if kind == UNKNOWN and not (possible and _is_possible(number)):
        raise _unknown(number)
    e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    if not E164.fullmatch(e164):
        raise InvalidNumber("must have 7 to 15 digits")
    return Number(e164, _country(number), kind)


def parse_international(text: str) -> Number:
    """Read a number with its country code, as networks write it: often without a plus.

    What a network names exists, so the metadata need not know it. Raises InvalidNumber.
    """
    plain = _plain(text)
    return parse(plain if plain.startswith("+") else f"+{plain.removeprefix('00')}", possible=True)


def as_read(text: str) -> str:
    """Return a text without what cannot be seen, the widths of East Asia, and `tel:` (RFC 3966)."""
    plain = typed.visible(text if text.isascii() else unicodedata.normalize("NFKC", text)).strip()
    return re.sub(r"(?i)^tel:\s*", "", plain)


def _plain(text: str) -> str:
    """Return a number as it is read. Refuse what is long."""
    plain = as_read(text)
    if len(plain) > _LONGEST:
        raise InvalidNumber("must be a phone number")
    return plain


def _read(text: str, country: str | None) -> PhoneNumber:
    if _EXTENSION.search(text):
        raise _with_extension()
    if any(unicodedata.category(char)[0] == "L" for char in text):
        raise InvalidNumber("must be written in digits, not letters", detail="This number has letters.")
    try:
        number = phonenumbers.parse(text, country)
    except NumberParseException as error:
        raise _unreadable(error.error_type, text, country) from None
    if number.extension:
        raise _with_extension()
    return number


def _unreadable(what: int, text: str, country: str | None) -> InvalidNumber:
    """Say why the metadata reads no number in a text."""
    if what in {NumberParseException.TOO_SHORT_AFTER_IDD, NumberParseException.TOO_SHORT_NSN}:
        return InvalidNumber(_RULES[ValidationResult.TOO_SHORT], detail="This number is too short.")
    if what == NumberParseException.TOO_LONG:
        return InvalidNumber(_RULES[ValidationResult.TOO_LONG], detail="This number is too long.")
    if what != NumberParseException.INVALID_COUNTRY_CODE or country is not None:
        return InvalidNumber("must be a phone number", detail="This is not a phone number.")
    rule = "must start with + and a country code, or come with 'country'"
    if text.startswith("+"):
        return InvalidNumber(rule, detail="No country has the code with which this number begins.")
    return InvalidNumber(rule, detail="This number has no country code. Write it as in +14155552671.")


def _unknown(number: PhoneNumber) -> InvalidNumber:
    """Say why no country has a number: by its length, or else by its digits."""
    reason = phonenumbers.is_possible_number_with_reason(number)
    code = f"+{number.country_code}"
    if reason in {ValidationResult.TOO_SHORT, ValidationResult.IS_POSSIBLE_LOCAL_ONLY}:
        return InvalidNumber(
            _RULES[ValidationResult.TOO_SHORT], detail=f"This number is too short for {code}."
        )
    if reason == ValidationResult.TOO_LONG:
        return InvalidNumber(_RULES[reason], detail=f"This number is too long for {code}.")
    return InvalidNumber(
        "must be a number that is known in its country", detail=f"There is no such number in {code}."
    )


_RULES: Mapping[int, str] = {
    ValidationResult.TOO_SHORT: "must have all digits of a number of its country",
    ValidationResult.TOO_LONG: "must have no more digits than a number of its country",
}


def _with_extension() -> InvalidNumber:
    rule = "must have no extension, because a message cannot reach one"
    return InvalidNumber(rule, detail="This number has an extension.")


def is_country(code: str) -> bool:
    """Return whether this is a country (ISO 3166 alpha-2) that has numbers."""
    return code in phonenumbers.SUPPORTED_REGIONS


def calling_code(country: str) -> str:
    """Return the prefix of all numbers of a country (ISO 3166 alpha-2), such as +44."""
    return f"+{phonenumbers.country_code_for_region(country)}"


def type_of_mobiles(country: str) -> str:
    """Return the type of a country's mobile numbers: `mobile`, or `fixed_line_or_mobile` where they look the same."""
    example = phonenumbers.example_number_for_type(country, PhoneNumberType.MOBILE)
    return _TYPES[phonenumbers.number_type(example)] if example else UNKNOWN


def mask(e164: str) -> str:
    """Return a number with only its country code and last two digits visible, so that its owner recognises it.

    Of a text that is no number, nothing is visible.
    """
    head = _code(e164) if E164.fullmatch(e164) else ""
    if not head:
        return "*" * len(e164)
    hidden = len(e164) - len(head) - _VISIBLE_TAIL
    return f"{head}{'*' * hidden}{e164[-_VISIBLE_TAIL:]}"


def country_of(e164: str) -> str:
    """Return the country of a number in E.164 (ISO 3166 alpha-2), empty if it has none."""
    code = _code(e164)
    national = e164.removeprefix(code)
    zeros = len(national) - len(national.lstrip("0"))
    number = PhoneNumber(
        country_code=int(code or 0),
        national_number=int(national),
        italian_leading_zero=zeros > 0,
        number_of_leading_zeros=zeros,
    )
    return _country(number)


def _code(e164: str) -> str:
    """Return the calling code of a number in E.164, with its plus; empty if no country or network has it."""
    return next((code for end in (2, 3, 4) if (code := e164[:end]) in _CODES), "")


_CODES = frozenset(f"+{code}" for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
"""All calling codes. None is the beginning of another one (ITU-T E.164), so the first that fits is the code."""


def _is_possible(number: PhoneNumber) -> bool:
    """Tell whether a number has a length of its country. It must also be read back as itself: 0s may be a prefix."""
    e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    reason = phonenumbers.is_possible_number_with_reason(number)
    return reason == phonenumbers.ValidationResult.IS_POSSIBLE and phonenumbers.parse(e164) == number


def _country(number: PhoneNumber) -> str:
    """Return the country. A number without one, such as a satellite phone, has digits as its region."""
    region = phonenumbers.region_code_for_number(number)
    if region is None:  # not in the metadata yet: the first country of its code
        region = phonenumbers.region_code_for_country_code(number.country_code or 0)
    return region if region and is_country(region) else ""
