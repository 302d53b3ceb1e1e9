"""The scope of an operator: all apps, or some of them, named in the policy or in the record of the operator's key.

Knows how two limits add up. Must not know any single act: each shows and does only what is within the scope it gets.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from otp_service.policy import Policy


@dataclass(frozen=True, slots=True)
class Scope:
    """What an operator sees and may do something to. `apps` is None for everything, also what belongs to no app."""

    apps: frozenset[str] | None = None

    @property
    def is_limited(self) -> bool:
        """Tell whether it is some apps only."""
        return self.apps is not None

    def has(self, app: str) -> bool:
        """Tell whether an app is within it. What belongs to no app is within the scope of everything alone."""
        return self.apps is None or app in self.apps

    def within(self, apps: Iterable[str]) -> "Scope":
        """Limit it further to some apps; to no more if there are none, as a limit names one at least."""
        named = frozenset(apps)
        if not named:
            return self
        return Scope(named if self.apps is None else self.apps & named)


EVERYTHING = Scope()


def scope_of(policy: Policy, operator: str) -> Scope:
    """Return the scope that the policy gives an operator, whichever key shows who it is."""
    declared = policy.operators.get(operator)
    return EVERYTHING.within(declared.apps if declared else ())
