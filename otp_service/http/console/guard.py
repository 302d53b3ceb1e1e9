"""Blocks and pins: what the guard refuses and why, in words; lift a block, set and remove pins, ask about a number.

Knows how rules are put into words. Must not know counters. A number is in a form only, never in an address.
"""

import re
from collections.abc import Callable
from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from otp_service import errors
from otp_service.http.console.forms import audit_note, field
from otp_service.http.console.frame import for_role, is_limited
from otp_service.http.view import core
from otp_service.ops.finding_words import without_counter
from otp_service.ops.pins import Pin

views = Blueprint("guard", __name__)
Answer = str | AnyResponse | tuple[str, int]
DONE = {"lifted": "The block is lifted.", "pinned": "The pin is set.", "removed": "The pin is removed."}
MOST_HOURS = 24 * 365


@views.get("/blocks")
@for_role("read", by_app=True)
def show() -> str:
    """Show blocks and pins."""
    return _page(done=DONE.get(request.args.get("done", ""), ""))


@views.post("/blocks/explain")
@for_role("read")
def explain() -> Answer:
    """Show what the guard would do with a send; nothing is counted."""

    def ask() -> str:
        found = core().blocks.explain(
            g.active.policy,
            field("to"),
            app=field("app") or None,
            purpose=field("purpose") or "login",
            address=field("address") or None,
        )
        return _page(explained=found)

    return _or_refused(ask)


@views.post("/blocks/lift")
@for_role("operate", by_app=True)
def lift() -> Answer:
    """Lift a block."""

    def act() -> AnyResponse:
        core().blocks.lift(field("id"), audit_note(g.operator), scope=g.scope)
        return redirect(url_for(".show", done="lifted"), 303)

    return _or_refused(act)


@views.post("/pins")
@for_role("operate")
def pin() -> Answer:
    """Let a subject always pass, or never."""

    def act() -> AnyResponse:
        core().pins.write(_pin(), audit_note(g.operator))
        return redirect(url_for(".show", done="pinned"), 303)

    return _or_refused(act)


@views.post("/pins/lift")
@for_role("operate")
def unpin() -> Answer:
    """Let the rules decide again."""

    def act() -> AnyResponse:
        core().pins.remove(_kind(), field("subject"), audit_note(g.operator))
        return redirect(url_for(".show", done="removed"), 303)

    return _or_refused(act)


def _or_refused(act: Callable[[], Answer]) -> Answer:
    """Act; if that is refused, show the page with the reason."""
    try:
        return act()
    except (errors.Invalid, errors.NotFound) as error:
        return _page(refused=error), 422


def _page(**more: Any) -> str:  # noqa: ANN401 - of the template
    return render_template(
        "console/guard.html",
        blocks=core().blocks.read_all(g.active.policy, scope=g.scope),
        pins=[] if is_limited() else core().pins.read_all(),
        apps=[app for app in g.active.policy.apps if g.scope.has(app)],
        now=core().store.facts.time(),
        policy=g.active.policy,
        without_counter=without_counter,
        **more,
    )


def _pin() -> Pin:
    what, hours = field("what"), field("hours")
    if what not in {"allow", "refuse"}:
        raise errors.Invalid({"what": ["must be allow or refuse"]})
    if hours and not (re.fullmatch(r"[0-9]{1,4}", hours) and 0 < int(hours) <= MOST_HOURS):
        raise errors.Invalid({"hours": [f"must be a whole number from 1 to {MOST_HOURS}, or left out"]})
    until = core().store.facts.time() + int(hours) * 3_600_000 if hours else None
    return Pin(kind=_kind(), subject=field("subject"), what=what, until=until)  # type: ignore[arg-type]


def _kind() -> Any:  # noqa: ANN401 - one of three literals
    kind = field("kind")
    if kind not in {"number", "prefix", "address"}:
        raise errors.Invalid({"kind": ["must be number, prefix or address"]})
    return kind
