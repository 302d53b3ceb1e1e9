"""A draft of the policy: each table is read on its own, so that a mistake in one table hides none in another.

Pure. Collects all problems with their places and lines. Must not know the rules between tables.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from marshmallow import ValidationError

from otp_service.policy.endpoint_forms import AlertsForm
from otp_service.policy.fields import Form
from otp_service.policy.forms import (
    AppForm,
    ChallengeForm,
    DocumentForm,
    MatchForm,
    OperatorForm,
    RouteForm,
    StepForm,
    TemplatesForm,
    UpstreamForm,
)
from otp_service.policy.guard_forms import FORMS, GUARD, changed
from otp_service.policy.limits import Guard
from otp_service.policy.model import App, ChallengeRules, Endpoint, Match, Operator, Route, Upstream
from otp_service.policy.places import join, line_of
from otp_service.policy.review import Review
from otp_service.policy.review_form import ReviewForm

MOST_FINDINGS = 50
"""Problems that are reported at once, and likewise warnings."""


class EnoughFound(Exception):
    """So many findings that no more are looked for."""


class Findings:
    """Problems or warnings, by place. `lines` maps each place of the document to its line."""

    def __init__(self, lines: Mapping[str, int]) -> None:
        self._lines = lines
        self._found: list[tuple[str, str]] = []
        self._more = False
        self._broken: set[str] = set()
        self._around: set[str] = set()
        """The tables around broken places."""

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self._found)

    def add(self, place: str, rule: str) -> None:
        """Add the rule that a place breaks. Raises EnoughFound."""
        if len(self._found) == MOST_FINDINGS:
            self._more = True
            raise EnoughFound
        self._found.append((place, rule))

    def add_broken(self, place: str, messages: Any) -> None:  # noqa: ANN401 - marshmallow nests freely
        """Add marshmallow's messages about a table, and mark the places as broken. Raises EnoughFound."""
        if isinstance(messages, Mapping):
            for key, inner in messages.items():
                if isinstance(key, int):
                    self.add_broken(f"{place}[{key}]", inner)
                else:
                    self.add_broken(place if key == "_schema" else join(place, key), inner)
            return
        self._broken.add(place)
        self._around.update(_tables_around(place))
        for rule in messages if isinstance(messages, list) else [messages]:
            self.add(place, f"{rule[0].lower()}{rule[1:].rstrip('.')}")

    def is_broken(self, place: str) -> bool:
        """Tell whether the value of a place is unknown: the place, a part of it or a table around it is broken."""
        return (
            place in self._broken
            or place in self._around
            or any(table in self._broken for table in _tables_around(place))
        )

    def is_unread(self, place: str) -> bool:
        """Tell whether the place itself could not be read."""
        return place in self._broken

    def report(self) -> list[str]:
        """Return one sentence for each, in the order of the document."""
        found = [(line_of(place, self._lines), place, rule) for place, rule in self._found]
        told = [
            f"{place}: {rule} (line {line})" for line, place, rule in sorted(found, key=lambda each: each[0])
        ]
        return (
            [*told, f"more than {MOST_FINDINGS} were found, and the others are left out"]
            if self._more
            else told
        )


def _tables_around(place: str) -> Iterator[str]:
    """Yield the tables and lists that hold a place, without the document."""
    end = len(place)
    while (end := max(place.rfind(".", 0, end), place.rfind("[", 0, end))) > 0:
        yield place[:end]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """All tables of the document. A broken field has its default, or is blank."""

    apps: Mapping[str, App]
    upstreams: Mapping[str, Upstream]
    operators: Mapping[str, Operator]
    routes: tuple[Route, ...]
    challenge: ChallengeRules
    guard: Guard
    alerts: Endpoint | None
    templates: Mapping[str, Mapping[str, str]]
    hosts: tuple[str, ...]
    """Hosts to which texts and brands may lead, beside those of apps."""

    def routes_of(self, app: str) -> list[tuple[int, Route]]:
        """Return the routes that a send of an app can come to, by place: none after one that takes all of them."""
        found = []
        for at, route in enumerate(self.routes):
            if not route.match.apps or app in route.match.apps:
                found.append((at, route))
                if replace(route.match, apps=()) == Match():
                    break
        return found


def read(document: Mapping[str, Any], findings: Findings) -> Draft:
    """Read all tables, and add the problems of each to `findings`."""
    tables = _table(DocumentForm(), document, "", findings)
    named = {
        kind: {
            name: _table(form, raw, join(kind, name), findings, name=name)
            for name, raw in tables.get(kind, {}).items()
        }
        for kind, form in (("upstream", UpstreamForm()), ("operator", OperatorForm()))
    }
    templates = _table(TemplatesForm(), tables.get("template", {}), "template", findings)
    hosts = templates.pop("hosts", ())
    guard = _guard(tables.get("guard", {}), "guard", findings, Guard())
    return Draft(
        apps={name: _app(raw, name, findings, guard) for name, raw in tables.get("app", {}).items()},
        upstreams=named["upstream"],
        operators=named["operator"],
        routes=tuple(
            _route(raw, f"route[{place}]", findings) for place, raw in enumerate(tables.get("route", ()))
        ),
        challenge=_table(ChallengeForm(), tables.get("challenge", {}), "challenge", findings),
        guard=guard,
        alerts=_table(AlertsForm(), tables["alerts"], "alerts", findings) if "alerts" in tables else None,
        templates=templates,
        hosts=hosts,
    )


def _app(raw: Any, name: str, findings: Findings, guard: Guard) -> App:  # noqa: ANN401 - any value of the document
    place = join("app", name)
    rules = raw.get("guard") if isinstance(raw, dict) else None
    own = None if rules is None else _guard(rules, f"{place}.guard", findings, guard, name)
    rest = {key: value for key, value in raw.items() if key not in _APART} if isinstance(raw, dict) else raw
    review = _review(raw.get("review", {}) if isinstance(raw, dict) else {}, f"{place}.review", findings)
    app: App = _table(AppForm(), rest, place, findings, name=name, guard=own, review=review)
    return app


_APART = frozenset({"guard", "review"})
"""Tables of an app that have forms of their own."""


def _review(raw: Any, place: str, findings: Findings) -> dict[str, Review]:  # noqa: ANN401 - as above
    if not isinstance(raw, dict):
        findings.add(place, "must be a table for each number")
        return {}
    return {number: _table(ReviewForm(), one, join(place, number), findings) for number, one in raw.items()}


def _guard(raw: Any, place: str, findings: Findings, base: Guard, app: str = "") -> Guard:  # noqa: ANN401 - as above
    """Read a table of rules as changes to `base`."""
    tables = _table(GUARD, raw, place, findings)
    changes = {
        rule: _table(FORMS[rule], tables.pop(rule), f"{place}.{rule}", findings)
        for rule in FORMS
        if rule in tables
    }
    return changed(base, changes | tables, app)


def _route(raw: Any, place: str, findings: Findings) -> Route:  # noqa: ANN401 - any value of the document
    table = _table(RouteForm(), raw, place, findings)
    steps = table.pop("steps", ())
    return Route(
        match=_table(MatchForm(), table.pop("match", {}), f"{place}.match", findings),
        steps=tuple(
            _table(StepForm(), step, f"{place}.steps[{at}]", findings) for at, step in enumerate(steps)
        ),
        **table,
    )


def _table(form: Form, raw: Any, place: str, findings: Findings, **more: Any) -> Any:  # noqa: ANN401 - as Form.build
    """Read one table. Broken fields are added to `findings` and left out."""
    try:
        values = form.load(raw)
    except ValidationError as error:
        broken = error.normalized_messages()  # type: ignore[no-untyped-call]
        findings.add_broken(place, broken)
        names = {field.data_key or name: name for name, field in form.fields.items()}
        lost = {names.get(key, key) for key in broken}
        good = error.valid_data if isinstance(error.valid_data, dict) else {}
        values = {**form.blank, **{name: value for name, value in good.items() if name not in lost}}
    return form.build(values, **more)
