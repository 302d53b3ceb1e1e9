"""The lines of a send: what one rule says about it, in the form that is judged and charged.

Pure. Knows what a line of each kind needs. Must not know which lines a send has, or where counters are stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from otp_service.policy import Budget
from otp_service.policy.limits import Consecutive, ConversionRule, Cooldown, Listed, Rule

Owner = Literal["caller", "service", "destination", "person"]
STREAK_KEPT = 365 * 86_400_000
"""Milliseconds for which wrong codes in a row are counted after the last one."""
MARKS = {
    "address": "a",
    "session": "s",
    "app": "p",
    "money": "m",
    "everything": "e",
    "guessing": "g",
    "country": "c",
    "unproven": "u",
    "conversion": "v",
    "prefix": "x",
    "failures": "f",
    "consecutive": "k",
    "cooldown": "l",
    "number": "n",
    "standing": "d",
}
"""The first letter of the fields in each rule's counters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What one rule says about one send. `scope` and `subject` name the counter; times in `figures` are milliseconds.

    `of` names the app whose own rule this is, if any: a hold then applies to that app only. If `private` is set, the
    subject is a person's, and the store alone must not reveal it. `place` names the network of the caller, if what
    trickles through beyond a limit is for new networks only.
    """

    rule: str
    owner: Owner
    kind: Literal[
        "fixed", "listed", "count", "proven", "ladder", "streak", "standing", "share", "clear", "met"
    ]
    on: bool = True
    of: str = ""
    scope: str = ""
    subject: tuple[str, ...] = ()
    cost: int = 1
    private: bool = False
    place: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)


def fixed(rule: str, mode: str) -> Line:
    """Make the line of a refusal that nothing else decides."""
    return Line(
        rule=rule, owner="destination", kind="fixed", on=mode == "enforce", figures={"level": "refuse"}
    )


def listed(rule: str, listed_rule: Listed, owner: Owner, e164: str) -> Line:
    """Make the line of a list of numbers."""
    on, figures = listed_rule.mode == "enforce", {"level": listed_rule.then}
    return Line(rule=rule, owner=owner, kind="listed", on=on, scope=rule, subject=(e164,), figures=figures)


def budget(
    rule: str,
    limits: Budget,
    owner: Owner,
    scope: str,
    subject: tuple[str, ...] = (),
    *,
    cost: int = 1,
    private: bool = False,
    place: str = "",
    figures: Mapping[str, Any] | None = None,
) -> Line:
    """Make the line of a budget; `figures` are the budget's own if none are given."""
    return Line(
        rule=rule,
        owner=owner,
        kind="count",
        on=limits.mode == "enforce",
        of=limits.of,
        scope=scope,
        subject=subject,
        cost=cost,
        private=private,
        place=place,
        figures=limits.figures if figures is None else figures,
    )


def proven(line: Line, moments: Sequence[int]) -> Line:
    """Make the line that takes back from a budget the messages of a challenge that was verified."""
    return Line(
        rule=line.rule,
        owner=line.owner,
        kind="proven",
        scope=line.scope,
        subject=line.subject,
        private=line.private,
        figures={**line.figures, "moments": list(moments)},
    )


def of_number(
    rule: str,
    kind: Literal["ladder", "streak", "standing", "clear", "met"],
    counter: tuple[str, str],
    *,
    scope: str = "number",
    limits: Rule | None = None,
    cost: int = 1,
    place: str = "",
    figures: Mapping[str, Any] | None = None,
) -> Line:
    """Make a line of a number, which needs no budget."""
    return Line(
        rule=rule,
        owner="destination",
        kind=kind,
        on=limits is None or limits.mode == "enforce",
        scope=scope,
        subject=counter,
        cost=cost,
        private=True,
        place=place,
        figures=figures or {},
    )


def ladder(rule: Cooldown, counter: tuple[str, str]) -> Line:
    """Make the line of the pauses between messages to a number."""
    figures = {"steps": [1000 * pause for pause in rule.ladder], "forget": rule.forget * 1000}
    return of_number("cooldown", "ladder", counter, limits=rule, figures=figures)


def streak(rule: Consecutive, counter: tuple[str, str], *, cost: int = 0) -> Line:
    """Make the line of wrong codes in a row; a send costs nothing, a wrong code 1."""
    step, longest = rule.step * 1000, rule.longest * 1000
    figures = {"most": rule.most, "step": step, "longest": longest, "kept": STREAK_KEPT}
    return of_number(
        "consecutive", "streak", counter, scope="streak", limits=rule, cost=cost, figures=figures
    )


def share(rule: ConversionRule, scope: str, subject: tuple[str, ...], **more: Any) -> Line:  # noqa: ANN401 - figures
    """Make the line of a place where codes must come back."""
    return Line(
        rule="conversion",
        owner="destination",
        kind="share",
        on=rule.mode == "enforce",
        of=rule.of,
        scope=scope,
        subject=subject,
        private=scope == "prefix",
        figures={
            "share": rule.share,
            "least": rule.sends,
            "probes": rule.probes,
            "within": rule.within * 1000,
            "grace": rule.grace * 1000,
            "hold": rule.hold * 1000,
            "longest": rule.longest * 1000,
            "level": rule.prefix if scope == "prefix" else rule.country,
            **more,
        },
    )
