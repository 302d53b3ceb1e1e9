"""What the guard decided about a send, and why.

Pure. Must not know which rules there are or how anything is counted.
"""

from dataclasses import dataclass
from typing import Literal

from otp_service.errors import Standing
from otp_service.policy.limits import Money


def in_units(rule: str, counted: float) -> float:
    """Convert a counter's value to the unit in which its limits are written."""
    return counted / Money.unit if rule == "money" else counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A line beyond a threshold: `value` of `limit` within `seconds`, for another `pause` milliseconds.

    `on` is False if the rule only watches. `over` is how far the counter is over its threshold, as a share of it: it
    decides how heavy a human check must be.
    """

    rule: str
    level: str
    value: float
    limit: float
    seconds: float
    pause: int
    over: float
    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The guard's decision about a send. The verdict `spent` means that the proof was used before."""

    verdict: Literal["allow", "cheap", "human_check", "spent", "refuse"]
    now: int
    findings: tuple[Finding, ...] = ()
    standing: Standing | None = None

    @property
    def deciding(self) -> Finding:
        """The finding to report: one that waiting cannot resolve, or else the one that lasts longest."""
        asking = [one for one in self.findings if one.on and one.level in _DECIDING.get(self.verdict, ())]
        return min(asking, key=lambda one: (one.pause > 0, -one.pause))

    def tripped(self, rule: str) -> bool:
        """Tell whether a rule that is enforced has a finding."""
        return any(one.on and one.rule == rule for one in self.findings)

    @property
    def over(self) -> float:
        """How far counters that require a human check are over their thresholds, as a share: the largest."""
        return max((one.over for one in self.findings if one.on and one.level == "human_check"), default=0.0)


_DECIDING = {"refuse": ("refuse", "cheap"), "human_check": ("human_check",), "spent": ("human_check",)}
