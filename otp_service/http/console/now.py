"""Now: what is on fire first, each with the page that shows its rows.

Knows where each state is read, and which is worse. Must not know how it came about.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from flask import Blueprint, g, render_template, url_for

from otp_service.http.console.frame import for_role
from otp_service.http.console.upstreams import read_breakers
from otp_service.http.console.words import channel_name, duration
from otp_service.http.view import core

views = Blueprint("now", __name__)
LATE = 5_000
"""Milliseconds after which a delivery that is due is late."""


@dataclass(frozen=True, slots=True)
class Fire:
    """Something that needs a person: how bad ("bad" or "wait"), a short name, a sentence, and where its rows are."""

    tone: str
    name: str
    text: str
    link: str


@views.get("/")
@for_role("read")
def show() -> str:
    """Show what needs a person, worst first."""
    fires = sorted(_fires(), key=lambda fire: fire.tone != "bad")
    return render_template("console/now.html", fires=fires)


def _fires() -> Iterator[Fire]:
    yield from _workers()
    yield from _breakers()
    yield from _late()
    yield from _blocks()


def _workers() -> Iterator[Fire]:
    if not core().store.membership(core().store.due).read()[1]:
        yield Fire(
            "bad", "no worker", "No worker is alive: no code is sent.", url_for("console.upstreams.show")
        )


def _breakers() -> Iterator[Fire]:
    for account, states in read_breakers().items():
        for channel, state in states.items():
            if state != "closed":
                what = "the whole account" if channel == "*" else channel_name(channel)
                text = f"{account}, {what}: {state}. Other accounts and steps are used meanwhile."
                yield Fire("bad", "breaker open", text, url_for("console.upstreams.show"))


def _late() -> Iterator[Fire]:
    due = core().store.due
    overdue = due.overdue(core().store.facts.time())
    if overdue > LATE:
        text = f"The oldest delivery is {duration(overdue / 1000)} late; {due.size()} challenges are open."
        yield Fire("bad", "late", text, url_for("console.upstreams.show"))


def _blocks() -> Iterator[Fire]:
    found: dict[str, tuple[int, int]] = {}
    for block in core().blocks.read_all(g.active.policy):
        if block["active"] and block["on"]:
            count, refused = found.get(block["rule"], (0, 0))
            found[block["rule"]] = count + 1, refused + block["refused"]
    for rule, (count, refused) in sorted(found.items(), key=lambda one: -one[1][1]):
        subjects = "1 subject is" if count == 1 else f"{count} subjects are"
        yield Fire(
            "wait",
            f"refused by {rule}",
            f"{subjects} blocked by this rule; {refused} sends were refused.",
            url_for("console.guard.show"),
        )
