"""Find the code in a message's text, as a phone would.

Knows the WebOTP line (`@host #code`, origin-bound one-time codes) and what a code looks like to the eye. Must
not know who sent the text.
"""

import re

_WEBOTP = re.compile(r"^@[A-Za-z0-9.:-]+ #(\S+)(?: %\S+)*$", re.MULTILINE)
_ALONE = re.compile(
    r"(?<![\w+])(?<![0-9][-.,:/])"  # not inside a word, a phone number, a date, an amount
    r"[0-9]{4,10}"
    r"(?!\w)(?![-.,:/][0-9])"
)


def code_in(text: str) -> str | None:
    """Return the code of the last WebOTP line of `text`, else its first digits that stand alone."""
    bound = _WEBOTP.findall(text)
    if bound:
        return str(bound[-1])
    alone = _ALONE.search(text)
    return alone.group() if alone else None
