"""Pictures as figures: where bars begin and how long they are, in percent of the whole.

Pure. Knows waits and counts. Must not know SVG: templates draw, and write each figure beside its bar as text.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from otp_service.policy import Policy, Route, StepRule


@dataclass(frozen=True, slots=True)
class StepBar:
    """A step of a route: when it begins at the latest (seconds), how long until the next one, and where its bar is."""

    rule: StepRule
    begins: int
    wait: int
    learned: bool
    left: float
    width: float


@dataclass(frozen=True, slots=True)
class RoutePicture:
    """A route, the numbers that take it in words, and its steps on one line of time."""

    route: Route
    match: str
    bars: tuple[StepBar, ...]


_WORDS = {"countries": "to", "prefixes": "numbers from", "types": "type", "apps": "app", "purposes": "for"}


def draw_routes(policy: Policy) -> list[RoutePicture]:
    """Draw each route of a policy. A wait that is learned is drawn with its upper bound."""
    return [
        RoutePicture(route, _match(route, first=place == 0), tuple(_bars(policy, route)))
        for place, route in enumerate(policy.routes)
    ]


def _bars(policy: Policy, route: Route) -> Iterator[StepBar]:
    waits = [policy.challenge.auto_wait[1] if rule.wait is None else rule.wait for rule in route.steps]
    whole = max(1, sum(waits))
    begins = 0
    for rule, wait in zip(route.steps, waits, strict=True):
        yield StepBar(
            rule=rule,
            begins=begins,
            wait=wait,
            learned=rule.wait is None,
            left=round(100 * begins / whole, 2),
            width=round(max(1.0, 100 * wait / whole), 2),
        )
        begins += wait


def _match(route: Route, *, first: bool) -> str:
    parts = [
        f"{word} {', '.join(wanted)}"
        for name, word in _WORDS.items()
        if (wanted := getattr(route.match, name))
    ]
    return "; ".join(parts) or ("all numbers" if first else "all other numbers")


@dataclass(frozen=True, slots=True)
class FunnelBar:
    """One stage of the way of codes: its name, its count, and its part of all that was asked for."""

    name: str
    count: int
    part: float


_STAGES = (
    ("asked", "Asked"),
    ("let_in", "Let in"),
    ("first_sent", "Sent"),
    ("reached", "Delivered"),
    ("verified", "Verified"),
)


def draw_funnel(total: Mapping[str, Any]) -> list[FunnelBar]:
    """Draw the way from asked to verified, counted in challenges: fallbacks are not sent twice here.

    What was delivered is what reports say; a code may be verified before, or without one.
    """
    whole = max(1, *(total[name] for name, _ in _STAGES))
    return [FunnelBar(words, total[name], total[name] / whole) for name, words in _STAGES]


def draw_spark(counts: Sequence[int]) -> str:
    """Return the points of a line for counts, in a box of 100 by 20."""
    most, last = max(1, *counts), max(1, len(counts) - 1)
    return " ".join(f"{100 * at / last:.1f},{19 - 18 * count / most:.1f}" for at, count in enumerate(counts))
