"""Advice about the order of steps, from counters and the routes of a policy.

Pure. Compares two orders only where people were assigned at random: a second step sees only people whose first message
did not do, so the shares of its messages say nothing about it as the first one. Must not change a policy.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from otp_service.figures.cells import OTHERS, Cell
from otp_service.figures.comparison import Arm, compare
from otp_service.figures.counting import FIRST, LATER
from otp_service.figures.intervals import wilson
from otp_service.figures.summary import Counted
from otp_service.policy import Route
from otp_service.policy.split import OTHER, WRITTEN, Split

MOST_STEPS = 500
"""Rows of steps that are shown, those with most messages first."""
_ARM_COUNTS = frozenset({"let_in", "verified", "money"})
_NOT_RANDOM = (
    "the figures cannot compare orders, because second steps reach only people whose first message failed. "
    "Add a split to compare two orders."
)
_TOO_MANY = (
    "there are more names than can be counted separately, so some people are missing from the comparison."
)
Arms = dict[tuple[str, str], Arm]
"""By name of the arm and country; an empty country means all of them together."""


def advise(routes: tuple[Route, ...], counted: Counted) -> dict[str, Any]:
    """Say what is known of each route's order, and of each step by itself."""
    arms: Arms = defaultdict(Arm)
    steps: Counter[tuple[str, str, str, str, str]] = Counter()
    complete = True
    for _, cell, count in counted:
        _add_to_arms(arms, cell, count)
        if cell.what in {"sent", "verified"}:
            steps[cell.route, cell.country, cell.channel, cell.detail, cell.what] += count
        complete = complete and cell.route != OTHERS
    orders = [
        one for place, route in enumerate(routes) for one in _of_route(place, route, arms, complete=complete)
    ]
    return {"orders": orders, "steps": list(_steps(steps))}


def _add_to_arms(arms: Arms, cell: Cell, count: int) -> None:
    if cell.arm and cell.what in _ARM_COUNTS:
        for country in ("", cell.country) if cell.country else ("",):
            arm = arms[cell.arm, country]
            setattr(arm, cell.what, getattr(arm, cell.what) + count)


def _of_route(place: int, route: Route, arms: Arms, *, complete: bool) -> Iterator[dict[str, Any]]:
    if len({step.channel for step in route.steps}) == 1:
        return
    name = route.name or str(place)
    if route.split is None:
        yield _nothing(name, _NOT_RANDOM)
    elif not complete:
        yield _nothing(name, _TOO_MANY)
    else:
        yield from _compared(name, route, route.split, arms)


def _compared(name: str, route: Route, split: Split, arms: Arms) -> Iterator[dict[str, Any]]:
    written, other = (split.arm(route.steps, half) for half in (WRITTEN, OTHER))
    countries = {country for arm, country in arms if arm in {written, other}}
    for country in sorted(countries | {""}):
        found = compare(arms.get((written, country), Arm()), arms.get((other, country), Arm()))
        where = f"in {country}" if country else "in all countries"
        yield {
            "route": name,
            "country": country,
            "order": list(split.order),
            **asdict(found),
            "verdict": found.verdict,
            "text": f"{_first(route, split)} {where} (route {name}): {found.text()}",
        }


def _first(route: Route, split: Split) -> str:
    """Name the other order by what differs."""
    first = split.order[0]
    return f"{first} first" if first != route.steps[0].channel else f"{', then '.join(split.order)},"


def _nothing(name: str, why: str) -> dict[str, Any]:
    return {
        "route": name,
        "country": "",
        "order": [],
        "verdict": "cannot_tell",
        "text": f"Route {name}: {why}",
    }


def _steps(counts: Counter[tuple[str, str, str, str, str]]) -> Iterator[dict[str, Any]]:
    """Yield the share of each step's messages whose codes were typed, which is exact: each message has its own code."""
    keys: Iterable[tuple[str, ...]] = {key[:-1] for key in counts if key[0] != OTHERS}
    sized = sorted(((*key, "sent") for key in keys), key=lambda key: (-counts[key], key))  # type: ignore[index]
    for route, country, channel, place, _ in sized[:MOST_STEPS]:
        sent = counts[route, country, channel, place, "sent"]
        verified = min(sent, counts[route, country, channel, place, "verified"])
        if sent and place in {FIRST, LATER}:
            low, high = wilson(verified, sent)
            yield {
                "route": route,
                "country": country,
                "channel": channel,
                "message": place,
                "n": sent,
                "verified": verified,
                "share": round(verified / sent, 4),
                "low": round(low, 4),
                "high": round(high, 4),
            }
