"""Why a rule refuses a send, and where to change that, in words for operators.

Pure. Must not know a terminal or HTTP.
"""

from otp_service.policy import Policy

_LISTED = "`pins list` says who set it and why, `pins lift` ends it"
_WORDS = {
    "pin_destination": f"a pin refuses this number or its prefix: {_LISTED}",
    "pin_caller": f"a pin refuses this address: {_LISTED}",
    "suppression": "this number asked for no more messages",
    "recycled": "this number may have a new owner",
    "number_types": "numbers of this type are refused: guard.number_types.refuse in the policy",
}
_MOST = 10
"""Countries that are named."""


def without_counter(rule: str, country: str | None, policy: Policy | None = None) -> str:
    """Return why this rule, which counts nothing, applies to a number of this country (ISO 3166 alpha-2).

    The countries that are allowed are named by the policy, if one is given.
    """
    if rule != "countries":
        return _WORDS.get(rule, "this rule applies")
    what = f"country {country} is" if country else "no country is known, so it is"
    named = f" ({_named(policy.guard.countries.allow)})" if policy else ""
    return f"{what} not among the countries that are allowed{named}: guard.countries.allow in the policy"


def _named(allowed: tuple[str, ...]) -> str:
    more = f" and {len(allowed) - _MOST} more" if len(allowed) > _MOST else ""
    return f"{', '.join(allowed[:_MOST])}{more}" if allowed else "none"


def with_counter(counter: float, threshold: float, within: str) -> str:
    """Return what a rule counted, and its threshold within a time in words; empty if it has no window."""
    window = f" in {within}" if within else ""
    return f"{_figure(counter)} counted, where {_figure(threshold)} is the limit{window}"


def _figure(value: float) -> str:
    return f"{value:.2f}".removesuffix(".00")
