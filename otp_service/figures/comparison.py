"""Two arms of a split, compared: which order of steps verifies more people, and at what cost.

Pure. Knows when the data can tell. Must not know routes or where counts come from.
"""

from dataclasses import dataclass
from typing import Literal

from otp_service.figures.intervals import newcombe

LEAST = 100
"""People in each arm from which shares are compared."""
Verdict = Literal["better", "worse", "cannot_tell"]


@dataclass(slots=True)
class Arm:
    """The people of one half of a split. `money` is in millionths of its unit."""

    let_in: int = 0
    verified: int = 0
    money: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The other order less the written one: in points of people verified with a 95 % interval, and in money a person.

    `change` is the part by which money changes, None if the written order cost nothing. All are None for too few.
    """

    n: int
    other_n: int
    points: float | None = None
    low: float | None = None
    high: float | None = None
    change: float | None = None

    @property
    def verdict(self) -> Verdict:
        """Say what the data can tell about the other order."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return "cannot_tell"
        return "better" if self.low > 0 else "worse"

    def text(self) -> str:
        """Say what was found."""
        n = f"n = {self.n + self.other_n:,}"
        if self.points is None:
            return f"too few people yet, {n}: each order needs {LEAST}"
        money = "" if self.change is None else f", {self.change:+.0%} money".replace("%", " %")
        found = f"{self.points:+.1f} points verified (95 % interval {self.low:.1f} to {self.high:.1f}){money}, {n}"
        return f"no clear difference yet: {found}" if self.verdict == "cannot_tell" else found


def compare(written: Arm, other: Arm) -> Comparison:
    """Compare the other order with the written one."""
    if min(written.let_in, other.let_in) < LEAST:
        return Comparison(n=written.let_in, other_n=other.let_in)
    # A code that was sent before the first day is verified in it, so a few more can be verified than were let in.
    verified, other_verified = min(written.verified, written.let_in), min(other.verified, other.let_in)
    low, high = newcombe(other_verified, other.let_in, verified, written.let_in)
    cost, other_cost = written.money / written.let_in, other.money / other.let_in
    return Comparison(
        n=written.let_in,
        other_n=other.let_in,
        points=100 * (other_verified / other.let_in - verified / written.let_in),
        low=100 * low,
        high=100 * high,
        change=other_cost / cost - 1 if cost else None,
    )
