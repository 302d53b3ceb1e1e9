"""Why a rule without a counter refuses a send, and where to change that, in words for operators.

Pure. Must not know a terminal or HTTP.
"""

from otp_service.policy import Policy

_LISTED = "`pins list` says who set it and why, `pins lift` ends it"
_WORDS = {
    "pin_destination": f"a pin refuses this number or its prefix: {_LISTED}",
    "pin_caller": f"a pin refuses this address: {_LISTED}",
    "suppression": "this number asked for no more messages",
}
_MOST = 10
"""Countries that are named."""


def without_counter(rule: str, country: str | None, policy: Policy) -> str:
    """Return why this rule, which counts nothing, applies to a number of this country (ISO 3166 alpha-2)."""
    if rule != "countries":
        return _WORDS.get(rule, "applies")
    allowed = policy.guard.countries.allow
    more = f" and {len(allowed) - _MOST} more" if len(allowed) > _MOST else ""
    named = f"{', '.join(allowed[:_MOST])}{more}" if allowed else "none"
    what = f"country {country} is" if country else "no country is known, so it is"
    return f"{what} not among the countries that are allowed ({named}): guard.countries.allow in the policy"
