"""Routes and policy: each route as a picture, buttons that edit the text, the text with its mistakes, and a trial.

Knows the acts of the form. Must not know how a text is edited, checked or applied. Nothing is in force before the
second step, which asks for a reason.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, g, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from otp_service import errors
from otp_service.http.console import drafts
from otp_service.http.console.drafts import Draft
from otp_service.http.console.forms import field, reason
from otp_service.http.console.frame import for_role
from otp_service.http.console.pictures import draw_routes
from otp_service.http.ops.policy import same_access
from otp_service.http.view import core
from otp_service.ops import route_editing
from otp_service.ops.policy_changes import version_of
from otp_service.ops.simulation import Question
from otp_service.policy import CHANNELS

views = Blueprint("policy", __name__)
Answer = str | AnyResponse | tuple[str, int]


@views.get("/routes")
@for_role("read")
def show() -> Answer:
    """Show the policy in force."""
    return _page(drafts.in_force(), applied=request.args.get("done") == "applied")


@views.post("/routes")
@for_role("read")
def edit() -> Answer:
    """Do what the pressed button says with the text of the form, and show the result. Nothing is applied."""
    try:
        return _pressed(*field("act").partition(" ")[::2])
    except errors.Busy as error:  # what was typed stays on the page
        return _page(drafts.unchecked(), refused=error)


def _pressed(name: str, rest: str) -> Answer:
    if name == "simulate":
        return _simulated(drafts.from_form())
    if name == "discard":
        return redirect(url_for(".show"), 303)
    if name in _EDITS:
        return _edited(lambda text: _EDITS[name](text, *_places(rest)))
    if name == "off":
        return _edited(_switch_off)
    draft = drafts.from_form()
    return _review(draft) if name == "review" and draft.policy else _page(draft)


@views.post("/routes/apply")
@for_role("operate")
def apply() -> Answer:
    """Put the reviewed text in force, if the version that it was compared with still is."""
    draft = drafts.from_form()
    try:
        core().policy_changes.apply(
            draft.text,
            by=g.operator,
            reason=reason(),
            expected=draft.expected,
            same_access_as=same_access(),
        )
    except errors.PolicyConflict as error:
        return _review(replace(draft, expected=error.version), error)
    except (errors.Invalid, errors.RoleNotAllowed) as error:
        return _review(draft, error) if draft.policy else _page(draft)
    return redirect(url_for(".show", done="applied"), 303)


@views.post("/routes/problems")
@for_role("read")
def check() -> Response:
    """List what is wrong with a text while it is typed."""
    text = request.get_data(as_text=True)
    draft = drafts.checked(text, 0)
    warnings = draft.policy.warnings if draft.policy else ()
    found = [{"line": one.line, "what": one.what} for one in draft.problems]
    return jsonify({"problems": found, "warnings": list(warnings)})


def _move(by: int) -> Callable[[str, int, int], str]:
    return lambda text, route, step: route_editing.move_step(text, route, step, by)


def _wait(text: str, route: int, step: int) -> str:
    return route_editing.set_wait(text, route, step, field(f"wait {route} {step}"))


def _places(text: str) -> tuple[int, int]:
    """Read the places of a route and a step in it. Raises Invalid."""
    found = re.fullmatch(r"([0-9]{1,4}) ([0-9]{1,4})", text)
    if found is None:
        raise errors.Invalid({"act": ["must name a route and a step"]})
    return int(found[1]), int(found[2])


def _switch_off(text: str) -> str:
    return route_editing.switch_off(text, field("channel"), field("country").upper())


_EDITS: dict[str, Callable[[str, int, int], str]] = {
    "up": _move(-1),
    "down": _move(1),
    "wait": _wait,
}


def _edited(change: Callable[[str], str]) -> Answer:
    try:
        text = change(drafts.text_of_form())
    except errors.Invalid as error:
        return _page(drafts.from_form(), refused=error)
    return _page(drafts.with_text(text))


def _simulated(draft: Draft) -> Answer:
    if draft.policy is None:
        return _page(draft)
    question = Question(
        to=field("to"), app=field("app") or None, purpose=field("purpose") or "login", country=None
    )
    try:
        return _page(draft, simulated=core().simulator.simulate(draft.policy, question))
    except errors.InvalidNumber as error:
        return _page(draft, refused=error)


def _page(draft: Draft, refused: errors.OtpError | None = None, **more: Any) -> str | tuple[str, int]:  # noqa: ANN401 - of the template
    page = render_template(
        "console/policy.html",
        draft=draft,
        pictures=draw_routes(draft.policy) if draft.policy else [],
        channels=CHANNELS,
        refused=refused,
        off_refused=[rule for name, rule in refused.rules() if name == "country"] if refused else [],
        **more,
    )
    return (page, 422) if refused or draft.problems else page


def _review(draft: Draft, refused: errors.OtpError | None = None) -> str | tuple[str, int]:
    """Show what would change, and ask for the reason: the first of the two steps."""
    newest = version_of(core().policies)
    diff = core().differences.between(newest, drafts.as_version(draft))
    page = render_template(
        "console/review.html",
        draft=replace(draft, expected=draft.expected or newest.number),
        lines=diff.splitlines()[2:],
        refused=refused,
    )
    return (page, 409 if isinstance(refused, errors.PolicyConflict) else 422) if refused else page
