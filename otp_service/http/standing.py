"""The state of the guard's budget that an answer shows in its RateLimit headers.

Knows where Flask keeps it until the answer is written. Must not know who decides about a budget.
"""

from flask import g

from otp_service.errors import Standing


def set_standing(standing: Standing | None) -> None:
    """Set the budget that the answer's RateLimit headers show.

    Only servers see it: a page must not learn which counter it met.
    """
    if g.key_kind == "secret":
        g.standing = standing
