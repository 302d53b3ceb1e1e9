"""The operators' HTTP API for the stories of challenges: search, and the timeline of one.

Knows that a number is in a body only, never in a path. Must not know how a story is found.
"""

from typing import Any

from flask import Blueprint, g

from otp_service import errors
from otp_service.history.scan import Wanted
from otp_service.http.body import load
from otp_service.http.operation import OPS_KEYS, operation
from otp_service.http.schemas.stories import FoundSchema, SearchSchema, TimelineSchema
from otp_service.http.view import core
from otp_service.ops.stories import Search

views = Blueprint("ops_challenges", __name__, url_prefix="/ops/challenges")
_NARROWING = ("app", "channel", "state", "reason")


@views.post("/search")
@operation(
    summary="Find challenges",
    body=SearchSchema,
    answer=FoundSchema,
    keys=OPS_KEYS,
    role="read",
    by_app=True,
    problems=(errors.InvalidNumber,),
)
def search_challenges() -> dict[str, Any]:
    """By a number, a reference, an id, a request's id or a time range; newest first. Refused sends are found, too."""
    given = load(SearchSchema)
    wanted = {name: given.pop(name) for name in _NARROWING if name in given}
    if "since" in given and "country" in given:
        wanted["country"] = given.pop("country")
    return core().stories.search(Search(**given, wanted=Wanted(**wanted)), by=g.operator, scope=g.scope)


@views.get("/<challenge:challenge_id>")
@operation(
    summary="Read a timeline",
    answer=TimelineSchema,
    keys=OPS_KEYS,
    role="read",
    by_app=True,
    problems=(errors.ChallengeNotFound,),
)
def read_timeline(challenge_id: str) -> dict[str, Any]:
    """Tell what happened to a challenge or to a refused send, in order of time."""
    return core().stories.read_timeline(challenge_id, scope=g.scope)
