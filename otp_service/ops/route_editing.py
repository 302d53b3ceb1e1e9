"""Edit the routes of a policy as text: move a step, change a wait, switch a channel off for a country.

Pure. Comments stay, and a step keeps those on its line and directly above it. The result is parsed and compared:
nothing but what was asked for may differ. Knows how routes are written. Must not know who edits, or what a route does.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from otp_service.errors import Invalid
from otp_service.ops.policy_text import inline, quoted, tables_of
from otp_service.phone import is_country
from otp_service.policy.places import spans_of

_BY_HAND = "cannot be edited by a button as it is written; edit the text"
_WAIT = re.compile(r"auto|[0-9]{1,6}s|[0-9]{1,4}m")


def move_step(text: str, route: int, step: int, by: int) -> str:
    """Exchange a step with the one before (-1) or after it (1). Raises Invalid."""
    text, wanted = _read(text)
    first = min(step, step + by)
    steps = _steps(wanted, route)
    if first < 0 or first + 1 >= len(steps):
        raise Invalid({"step": ["is at the end already"]})
    steps[first], steps[first + 1] = steps[first + 1], steps[first]
    spans = spans_of(text)
    upper, lower = (_span(spans, f"route[{route}].steps[{first + at}]") for at in (0, 1))
    before, after = _Row.around(text, *upper), _Row.around(text, *lower)
    if before is None or after is None:
        return _verified(_exchanged(text, upper, lower), wanted)
    edited = text[: before.start] + after.in_place_of(before) + text[before.end : after.start]
    return _verified(edited + before.in_place_of(after) + text[after.end :], wanted)


def set_wait(text: str, route: int, step: int, wait: str) -> str:
    """Let a step wait for so long, such as 20s or auto, before the next one follows. Raises Invalid."""
    if not _WAIT.fullmatch(wait):
        raise Invalid({"wait": ["must be a time such as 20s or 2m, or auto"]})
    text, wanted = _read(text)
    steps = _steps(wanted, route)
    if not 0 <= step < len(steps):
        raise Invalid({"step": ["must be a step of this route"]})
    steps[step]["wait"] = wait
    spans, place = spans_of(text), f"route[{route}].steps[{step}]"
    if (old := spans.get(f"{place}.wait")) is not None:
        return _verified(text[: old[0]] + quoted(wait) + text[old[1] :], wanted)
    start, end = _span(spans, place)
    body = text[start : end - 1].rstrip().rstrip(",")
    return _verified(f"{text[:start]}{body}, wait = {quoted(wait)} }}{text[end:]}", wanted)


def switch_off(text: str, channel: str, country: str) -> str:
    """Take a channel out of what numbers of a country get, by routes of their own before those for all. Raises Invalid.

    Each route that has the channel, and that numbers of the country may come to, gets a copy for that country; a route
    for this country alone loses the step.
    """
    if not is_country(country):
        raise Invalid({"country": ["must be the two letters of a country, such as IN"]})
    text, before = _read(text)
    places = [at for at, route in _met(before, country) if _has(route, channel)]
    if not places:
        raise Invalid({"channel": [f"is in no route that numbers of {country} come to"]})
    for place in reversed(places):
        text = _switched_off(text, place, channel, country)
    return text


def _switched_off(text: str, place: int, channel: str, country: str) -> str:
    """Take a channel out of one route for a country. Raises Invalid if no step would be left."""
    wanted = tomllib.loads(text)
    route = _routes(wanted)[place]
    copy = deepcopy(route)
    copy["steps"] = [step for step in copy["steps"] if step.get("channel") != channel]
    if not copy["steps"]:
        raise Invalid({"channel": [f"is the only one of route {place + 1}; {country} would get no code"]})
    if route.get("match", {}).get("country") == [country]:
        for at in reversed(range(len(route["steps"]))):
            if route["steps"][at].get("channel") == channel:
                text = _without_step(text, place, at)
        wanted["route"][place] = copy
        return _verified(text, wanted)
    copy["match"] = {**copy.get("match", {}), "country": [country]}
    wanted["route"].insert(place, copy)
    return _verified(_with_route(text, place, copy, f"{country} without {channel}"), wanted)


def _with_route(text: str, place: int, route: Mapping[str, Any], comment: str) -> str:
    """Write a route before the one at a place, one step on each line."""
    rows = [f"# {comment}.", "[[route]]"]
    rows += [f"{name} = {inline(value)}" for name, value in route.items() if name != "steps"]
    rows += ["steps = [", *(f"  {inline(step)}," for step in route["steps"]), "]", "", ""]
    lines = re.split(r"(?<=\n)", text)
    starts = [start for start, path in tables_of(text, lines) if path == ("route",)]
    if len(starts) <= place:
        raise Invalid({"route": [_BY_HAND]})
    return "".join([*lines[: starts[place]], "\n".join(rows), *lines[starts[place] :]])


def _met(document: Mapping[str, Any], country: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the routes that numbers of a country may come to: none after one that takes all of them."""
    for place, route in enumerate(_routes(document)):
        match = route.get("match", {})
        if not match.get("country") or country in match["country"]:
            yield place, route
            if set(match) <= {"country"}:
                return


def _has(route: Mapping[str, Any], channel: str) -> bool:
    return any(step.get("channel") == channel for step in route["steps"])


def _without_step(text: str, route: int, step: int) -> str:
    """Remove a step, with its comments if it has its lines to itself."""
    start, end = _span(spans_of(text), f"route[{route}].steps[{step}]")
    if row := _Row.around(text, start, end):
        return text[: row.start] + text[row.end + 1 :]
    return text[:start] + text[end:].lstrip(" \t,")


@dataclass(frozen=True, slots=True)
class _Row:
    """A step that has its lines to itself: comments above it, the step, a comma, and a comment behind it."""

    start: int
    end: int
    above: str
    step: str
    comma: str
    behind: str

    @classmethod
    def around(cls, text: str, start: int, end: int) -> "_Row | None":
        """Return the row of a step; None if something else stands on its lines."""
        line, stop = text.rfind("\n", 0, start) + 1, text.find("\n", end)
        rest = re.fullmatch(r"((?:[ \t]*,)?)([ \t]*(?:#.*)?)", text[end : stop if stop >= 0 else len(text)])
        if rest is None or text[line:start].strip():
            return None
        top = line
        while (above := text.rfind("\n", 0, top - 1) + 1) < top and text[above:top].lstrip().startswith("#"):
            top = above
        return cls(top, end + len(rest[0]), text[top:line], text[line:end], rest[1], rest[2])

    def in_place_of(self, other: "_Row") -> str:
        """Write this step where another one is: its comments go with it, the comma stays."""
        return f"{self.above}{self.step}{other.comma}{self.behind}"


def _exchanged(text: str, upper: tuple[int, int], lower: tuple[int, int]) -> str:
    (a, b), (c, d) = upper, lower
    return text[:a] + text[c:d] + text[b:c] + text[a:b] + text[d:]


def _read(text: str) -> tuple[str, dict[str, Any]]:
    """Return a text with LF line ends, and what it says. Raises Invalid."""
    plain = text.replace("\r\n", "\n")
    try:
        document = tomllib.loads(plain)
    except (ValueError, RecursionError):
        raise Invalid({"policy": ["is not valid TOML; correct it first"]}) from None
    if not _are_tables(routes := document.get("route", [])) or not all(map(_has_known_shape, routes)):
        raise Invalid({"route": [_BY_HAND]})
    return plain, document


def _has_known_shape(route: Mapping[str, Any]) -> bool:
    """Tell whether a route has what each has: the text may be half typed, and is checked when it is applied."""
    match = route.get("match", {})
    return (
        _are_tables(route.get("steps"))
        and isinstance(match, dict)
        and isinstance(match.get("country", []), list)
    )


def _are_tables(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _routes(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document.get("route", [])
    return found


def _steps(document: Mapping[str, Any], route: int) -> list[dict[str, Any]]:
    routes = _routes(document)
    if not 0 <= route < len(routes):
        raise Invalid({"route": ["must be a route of the policy"]})
    found: list[dict[str, Any]] = routes[route]["steps"]
    return found


def _span(spans: Mapping[str, tuple[int, int]], place: str) -> tuple[int, int]:
    if place not in spans:
        raise Invalid({"route": [_BY_HAND]})
    return spans[place]


def _verified(text: str, wanted: Mapping[str, Any]) -> str:
    """Check that an edited text means exactly what is wanted. Raises Invalid."""
    try:
        found = tomllib.loads(text)
    except ValueError:
        found = None
    if found != wanted:
        raise Invalid({"route": [_BY_HAND]})
    return text
