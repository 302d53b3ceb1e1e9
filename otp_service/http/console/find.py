"""Find: one box for a number, a reference or an id, and the story of a challenge as a line of time.

Knows what a text in the box may be. Must not know how a story is found. A number is in a form only,
never in an address.
"""

import re
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, g, redirect, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

from otp_service import errors, phone
from otp_service.http.console.forms import field
from otp_service.http.console.frame import for_role
from otp_service.http.console.story_words import told_steps
from otp_service.http.view import core
from otp_service.ops.stories import Search
from otp_service.store.partitions import ID_LENGTH

views = Blueprint("find", __name__)
Answer = str | AnyResponse | tuple[str, int]
HOUR = 3_600_000
NOTHING: Mapping[str, Any] = {"challenges": (), "next_cursor": None}
"""The page of a search that finds nothing."""
_NUMBER = re.compile(r"[1-9][0-9 ().-]{6,24}")
_ID = re.compile(rf"[A-Za-z0-9_-]{{{ID_LENGTH}}}")


@views.get("/find")
@for_role("read", by_app=True)
def show() -> str:
    """Show the newest challenges and refused sends of the last hour."""
    since = core().store.facts.time() - HOUR
    return _page(core().stories.search(Search(since=since), by=g.operator, scope=g.scope), newest=True)


@views.post("/find")
@for_role("read", by_app=True)
def search() -> Answer:
    """Find by what is in the box; one story is shown at once."""
    asked = field("q")
    try:
        found = _found(asked)
    except errors.Invalid as error:
        return _page(NOTHING, refused=error), 422
    if len(found["challenges"]) == 1:
        return redirect(url_for(".show_story", challenge_id=found["challenges"][0]["id"]), 303)
    return _page(found)


@views.get("/challenges/<challenge_id>")
@for_role("read", by_app=True)
def show_story(challenge_id: str) -> str:
    """Tell what happened to a challenge, or to a refused send."""
    story = core().stories.read_timeline(challenge_id, scope=g.scope)
    return render_template(
        "console/story.html", story=story, steps=told_steps(story["timeline"], story["country"])
    )


def _found(asked: str) -> Mapping[str, Any]:
    """Search for a page of stories by what the text may be, one kind after another. Raises Invalid."""
    if not asked:
        raise errors.Invalid({"q": ["must be a number, a reference, or the id of a challenge or a request"]})
    for search in _searches(asked):
        found = core().stories.search(search, by=g.operator, scope=g.scope)
        if found["challenges"]:
            return found
    return NOTHING


def _searches(asked: str) -> list[Search]:
    number = phone.as_read(asked)
    if number.startswith("+"):
        return [Search(number=asked)]
    kinds = [Search(challenge_id=asked)] if _ID.fullmatch(asked) else []
    named = [*kinds, Search(reference=asked), Search(request_id=asked)]
    return [*named, Search(number=f"+{number}")] if _NUMBER.fullmatch(number) else named


def _page(found: Mapping[str, Any], *, newest: bool = False, refused: errors.OtpError | None = None) -> str:
    return render_template(
        "console/find.html",
        found=found["challenges"],
        more=found["next_cursor"],
        newest=newest,
        refused=refused,
    )
