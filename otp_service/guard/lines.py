"""The lines of a send: what one rule says about it, in the form that is judged and charged.

Pure. Knows what a line of each kind needs. Must not know which lines a send has, or where counters are stored.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from otp_service.policy import Budget
from otp_service.policy.limits import Consecutive, ConversionRule, Cooldown, Figures, Level, Listed, Rule

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
NO_FIGURES = Figures()
_REFUSAL = Figures(level="refuse")


class Line(NamedTuple):
    """What one rule says about one send. `scope` and `subject` name the counter; times in `figures` are milliseconds.

    `figures` are the rule's, the same for every send; `more` are those of this one.

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
    figures: Figures = NO_FIGURES
    more: Mapping[str, Any] = {}


def fixed(rule: str, mode: str) -> Line:
    """Make the line of a refusal that nothing else decides."""
    return Line(rule=rule, owner="destination", kind="fixed", on=mode == "enforce", figures=_REFUSAL)


def decided(level: Level) -> Line:
    """Make the line of what an app's own endpoint decided."""
    return Line(rule="decision", owner="service", kind="fixed", figures=Figures(level=level))


def listed(rule: str, listed_rule: Listed, owner: Owner, e164: str) -> Line:
    """Make the line of a list of numbers."""
    on, figures = listed_rule.mode == "enforce", _of_list(listed_rule)
    return Line(rule=rule, owner=owner, kind="listed", on=on, scope=rule, subject=(e164,), figures=figures)


@lru_cache
def _of_list(rule: Listed) -> Figures:
    return Figures(level=rule.then)


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
    figures: Figures | None = None,
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
        figures=line.figures,
        more={"moments": list(moments)},
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
    figures: Figures = NO_FIGURES,
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
        figures=figures,
    )


def ladder(rule: Cooldown, counter: tuple[str, str]) -> Line:
    """Make the line of the pauses between messages to a number."""
    return of_number("cooldown", "ladder", counter, limits=rule, figures=_of_ladder(rule))


@lru_cache
def _of_ladder(rule: Cooldown) -> Figures:
    return Figures(steps=[1000 * pause for pause in rule.ladder], forget=rule.forget * 1000)


def streak(rule: Consecutive, counter: tuple[str, str], *, cost: int = 0) -> Line:
    """Make the line of wrong codes in a row; a send costs nothing, a wrong code 1."""
    return of_number(
        "consecutive", "streak", counter, scope="streak", limits=rule, cost=cost, figures=_of_streak(rule)
    )


@lru_cache
def _of_streak(rule: Consecutive) -> Figures:
    step, longest = rule.step * 1000, rule.longest * 1000
    return Figures(most=rule.most, step=step, longest=longest, kept=STREAK_KEPT)


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
        figures=_of_share(rule, rule.prefix if scope == "prefix" else rule.country),
        more=more,
    )


@lru_cache
def _of_share(rule: ConversionRule, level: Level) -> Figures:
    return Figures(
        share=rule.share,
        least=rule.sends,
        probes=rule.probes,
        within=rule.within * 1000,
        grace=rule.grace * 1000,
        hold=rule.hold * 1000,
        longest=rule.longest * 1000,
        level=level,
    )
