"""Which routes can be reached: routes are compared with one another, and with the countries that are allowed.

Pure. Compares sets of routes as bits of one number, so that hundreds of routes and countries take milliseconds. Must
not know what a route does with a number.
"""

from collections.abc import Callable, Sequence
from functools import cache

from otp_service.phone import calling_code
from otp_service.policy.model import Match


class Reach:
    """The routes of a policy by what they match. Routes are bits of a number: 1 is the first route, 2 the second."""

    def __init__(self, matches: Sequence[Match], *, unknown: Callable[[int], bool] = lambda _: False) -> None:
        """`unknown` tells whether the match of a route could not be read; such a route covers nothing."""
        self._matches = matches
        self._known = self._bits(lambda _, at: not unknown(at))
        self._own = cache(self._select_own)
        self._in_country = cache(self._select_in_country)
        self._dialled = cache(self._select_dialled)
        self.meeting = cache(self._select_meeting)
        """Returns the routes that may match a number of a country."""

    def of_app(self, name: str) -> int:
        """Return the routes that may match a send of an app."""
        return self._bits(lambda match, _: not match.apps or name in match.apps)

    def of_type(self, kind: str) -> int:
        """Return the routes that may match a number of a type."""
        return self._bits(lambda match, _: not match.types or kind in match.types)

    def covering(self, at: int) -> set[int]:
        """Return the places of earlier routes that together match all that this route matches; empty if some is left.

        Of several earlier routes that match the same, the first is named.
        """
        found: set[int] = set()
        for country in self._matches[at].countries or ("",):
            bits = self._own(at) & self._in_country(country)
            if not self._matches[at].prefixes:
                bits &= self._dialled(country)
            if not bits:
                return set()
            found.add((bits & -bits).bit_length() - 1)
        return found

    def _select_own(self, at: int) -> int:
        """Return the earlier routes that leave out no app, purpose, type or prefix of this one."""
        mine, before = self._matches[at], (1 << at) - 1
        return self._known & before & self._bits(lambda match, place: place < at and _holds(match, mine))

    def _select_in_country(self, country: str) -> int:
        """Return the routes for a country; without one, those for all countries."""
        return self._bits(lambda match, _: not match.countries or country in match.countries)

    def _select_dialled(self, country: str) -> int:
        """Return the routes whose prefixes leave out no number of a country."""
        code = calling_code(country) if country else ""
        return self._bits(lambda match, _: not match.prefixes or code.startswith(match.prefixes))

    def _select_meeting(self, country: str) -> int:
        return self._bits(lambda match, _: match.may_meet(country))

    def _bits(self, holds: Callable[[Match, int], bool]) -> int:
        return sum(1 << at for at, match in enumerate(self._matches) if holds(match, at))


def _holds(match: Match, other: Match) -> bool:
    """Tell whether a match leaves out nothing of another but its countries and, without prefixes, their digits."""
    pairs = ((match.types, other.types), (match.apps, other.apps), (match.purposes, other.purposes))
    return all(not mine or (bool(theirs) and set(theirs) <= set(mine)) for mine, theirs in pairs) and (
        not match.prefixes or all(digits.startswith(match.prefixes) for digits in other.prefixes)
    )
