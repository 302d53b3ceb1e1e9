"""Checks of splits: the other order must be one of the route's own steps, and its waits must fit.

Pure. Must not know the other rules about steps.
"""

from collections.abc import Sequence

from otp_service.policy.draft import Draft, Findings
from otp_service.policy.model import Route, StepRule


def report_contradictions(draft: Draft, findings: Findings) -> None:
    """Add what contradicts itself in the splits of routes."""
    for at, route in enumerate(draft.routes):
        place = f"route[{at}]"
        if (
            route.split
            and not findings.is_broken(f"{place}.split")
            and not findings.is_broken(f"{place}.steps")
        ):
            _check_order(draft, place, route, route.split.order, findings)


def _check_order(draft: Draft, place: str, route: Route, order: Sequence[str], findings: Findings) -> None:
    channels = list(dict.fromkeys(step.channel for step in route.steps))
    here = f"{place}.split.order"
    if sorted(order) != sorted(channels):
        findings.add(here, f"must name each channel of the steps once: {', '.join(sorted(channels))}")
        return
    assert route.split is not None  # noqa: S101 - for the type checker
    steps = route.split.reordered(route.steps)
    if steps == list(route.steps):
        findings.add(here, "is the order of the steps, so nothing would be compared")
    elif _outlasts(draft, steps) and not findings.is_broken("challenge"):
        findings.add(here, f"the waits before its last step take {draft.challenge.ttl} seconds or more")


def _outlasts(draft: Draft, steps: Sequence[StepRule]) -> bool:
    """Tell whether the waits leave no time for the last step. The last step's wait delays nothing."""
    rules = draft.challenge
    waits = [rules.auto_wait[1] if step.wait is None else step.wait for step in steps]
    return sum(waits[:-1]) >= rules.ttl
