"""Find the code in a message's text, as a phone would.

Knows the WebOTP line (`@host #code`, origin-bound one-time codes), the usual look of a code, and codes that are read
out digit by digit, once or several times. Must not know the sender of the text.
"""

import re

_WEBOTP = re.compile(r"^@[A-Za-z0-9.:-]+ #(\S+)(?: %\S+)*$", re.MULTILINE)
_ALONE = re.compile(
    r"(?<![\w+])(?<![0-9][-.,:/])"  # not inside a word, a phone number, a date, an amount
    r"[0-9]{4,10}"
    r"(?!\w)(?![-.,:/][0-9])"
)
_READ_OUT = re.compile(r"(?<![\w+])[0-9](?:[^\w\s]*\s+[0-9](?!\w)){3,}")
_SHORTEST, _LONGEST = 4, 10


def code_in(text: str) -> str | None:
    """Return the code in the last WebOTP line, or the first free-standing digits, or the digits that are read out."""
    bound = _WEBOTP.findall(text)
    if bound:
        return str(bound[-1])
    alone = _ALONE.search(text)
    return alone.group() if alone else _read_out(text)


def _read_out(text: str) -> str | None:
    found = _READ_OUT.search(text)
    if not found:
        return None
    # A full stop or a new line separates two readings, but sometimes also the digits of one.
    first_reading, _, _ = re.sub(r"[.;\n]", "|", found.group()).partition("|")
    readings = (_digits(first_reading), _once(_digits(found.group())))
    return next((digits for digits in readings if _SHORTEST <= len(digits) <= _LONGEST), None)


def _digits(text: str) -> str:
    return "".join(filter(str.isdecimal, text))


def _once(digits: str) -> str:
    """Return the repeated part of `digits` if it is long enough for a code, or else all of them."""
    for times in (3, 2):
        part = digits[: len(digits) // times]
        if len(part) >= _SHORTEST and part * times == digits:
            return part
    return digits
