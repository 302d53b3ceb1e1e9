"""The stories of challenges, as operators find and read them.

Knows by what a story is found, and what an audit line of a search says. Must not know how a story is stored or shown.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from otp_service import phone
from otp_service.challenge.model import Challenge
from otp_service.challenge.sealed import open_data
from otp_service.challenge.store import ChallengeStore
from otp_service.crypto.sealing import Seal, Unsealable
from otp_service.errors import ChallengeNotFound, Invalid, InvalidNumber
from otp_service.history.names import names_like
from otp_service.history.scan import CURSOR_RULE, PENDING, Scan, Wanted
from otp_service.history.store import StoryStore
from otp_service.history.story import Story, read_story
from otp_service.ops.scope import EVERYTHING, Scope
from otp_service.ops.timeline import merged, summary, told
from otp_service.store.partitions import ID_LENGTH
from otp_service.telemetry.logs import Record

LIMIT = 20
"""Stories of a page, if the caller names no other number."""
EXPORTED = 500
"""Stories of a page of an export."""
VERSION = 1
"""The version of the form in which stories are exported: see docs/history.md."""
BATCH = 100
"""Stories that are read at once while those of some apps are looked for."""
_CURSOR = "cursor"
_Seen = tuple[Story, str | None]
"""A story with what its live record adds, and its masked number."""
KINDS = ("number", "reference", "challenge_id", "request_id", "since")
"""The fields of which a search has exactly one; `since` is that of a time range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is searched for: one of KINDS. A time range (milliseconds) may be narrowed by `wanted`."""

    number: str = ""
    country: str | None = None
    reference: str = ""
    challenge_id: str = ""
    request_id: str = ""
    since: int | None = None
    until: int | None = None
    wanted: Wanted = field(default_factory=Wanted)
    cursor: str = ""
    limit: int = LIMIT

    @property
    def kind(self) -> str:
        """The field that is searched by. Raises Invalid unless it is exactly one."""
        given = [kind for kind in KINDS if getattr(self, kind) not in ("", None)]
        if len(given) != 1:
            raise Invalid({"body": [f"must have exactly one of {', '.join(KINDS)}"]})
        ranged = self.until is not None or self.wanted != Wanted()
        if given != ["since"] and ranged:
            raise Invalid({"since": ["is required with until, app, channel, state or reason"]})
        if self.country is not None and given != ["number"]:
            raise Invalid({"country": ["must come with number or since"]})
        return given[0]


class Stories:
    """Finds and tells stories. Its methods raise StoreUnavailable."""

    def __init__(
        self, *, stories: StoryStore, challenges: ChallengeStore, seal: Seal, scan: Scan, record: Record
    ) -> None:
        """`record` writes each search down."""
        self._record = record
        self._stories = stories
        self._challenges = challenges
        self._seal = seal
        self._scan = scan

    def search(self, search: Search, *, by: str, scope: Scope = EVERYTHING) -> dict[str, Any]:
        """Return a page of summaries, newest first, and the cursor of the next page. Raises Invalid, InvalidNumber."""
        kind = search.kind
        found, cursor = self._listed(search, scope) if kind == "since" else self._named(search, kind, scope)
        shown = [summary(story, to) for story, to in found]
        self._record(
            "challenges.searched", by=by, kind="range" if kind == "since" else kind, found=len(shown)
        )
        return {"challenges": shown, "next_cursor": cursor}

    def read_timeline(self, id_: str, *, scope: Scope = EVERYTHING) -> dict[str, Any]:
        """Return the timeline of a challenge, or of a send that opened none. Raises ChallengeNotFound."""
        for story, to in self._read(id_, scope):
            return told(story, to)
        raise _unknown()

    def export(self, since: int, *, by: str) -> Iterator[dict[str, Any]]:
        """Yield all that is known of each story that began since then (milliseconds), the newest first."""
        self._record("challenges.exported", by=by)
        cursor: str | None = ""
        while cursor is not None:
            found, cursor = self._scan.page(since, None, Wanted(), cursor, EXPORTED)
            for story, to in self._with_live(found):
                yield {"version": VERSION} | told(story, to)

    def _listed(self, search: Search, scope: Scope) -> tuple[Sequence[_Seen], str | None]:
        """List the stories of a time range, a page of them. A cursor tells how many there are, of whichever app."""
        wanted = replace(search.wanted, apps=scope.apps)
        cursor = self._opened(search.cursor) if scope.is_limited else search.cursor
        listed, following = self._scan.page(search.since or 0, search.until, wanted, cursor, search.limit)
        if following and scope.is_limited:
            following = self._seal.close(following, _CURSOR)
        found = self._with_live(listed)
        return [seen for seen in found if wanted.state in {"", seen[0].state or PENDING}], following

    def _opened(self, cursor: str) -> str:
        try:
            return self._seal.open(cursor, _CURSOR) if cursor else ""
        except Unsealable:
            raise Invalid({"cursor": [CURSOR_RULE]}) from None

    def _named(self, search: Search, kind: str, scope: Scope) -> tuple[Sequence[_Seen], str | None]:
        """Find the stories with a name, a page of them."""
        if kind == "challenge_id":
            return self._read(search.challenge_id, scope), None
        value = str(getattr(search, kind))
        if kind == "number":
            value = _e164(value, search.country)
        ids = self._stories.search_names(names_like(self._seal, kind, value))
        first = _place(search.cursor)
        last = first + search.limit
        if scope.is_limited:  # a page of what is left: one that lacks some would tell of other apps
            ids = list(islice(self._within(ids, scope), last + 1))
        page = self._stories.read(ids[first:last])
        found = self._with_live([read_story(id_, text) for id_, text in page.items()])
        newest_first = sorted(found, key=lambda seen: -seen[0].notes[0].at)
        return newest_first, str(last) if last < len(ids) else None

    def _within(self, ids: Sequence[str], scope: Scope) -> Iterator[str]:
        """Yield those of stories that are of an app of a scope."""
        for first in range(0, len(ids), BATCH):
            batch = ids[first : first + BATCH]
            texts = self._stories.read(batch)
            yield from (id_ for id_ in batch if id_ in texts and _is_of(read_story(id_, texts[id_]), scope))

    def _read(self, id_: str, scope: Scope) -> Sequence[_Seen]:
        """Read a story with its live record; nothing if neither exists within a scope."""
        if len(id_) != ID_LENGTH:
            return []
        text = self._stories.read([id_]).get(id_)
        story = read_story(id_, text) if text else Story(id_, is_challenge=True, notes=())
        return [seen for seen in self._with_live([story]) if _is_of(seen[0], scope)]

    def _with_live(self, stories: Sequence[Story]) -> Sequence[_Seen]:
        """Add what the live records tell of stories that have not ended, or whose last report is to come."""
        ids = [story.id for story in stories if story.is_challenge]
        live = dict(zip(ids, self._challenges.read_challenges(ids), strict=True))
        found = [(story, *live.get(story.id, (0, None))) for story in stories]
        return [
            (whole, self._to(whole, record))
            for story, now, record in found
            if (whole := merged(story, record, now)).notes
        ]

    def _to(self, story: Story, live: Challenge | None) -> str | None:
        """Return the masked number of a story; None if it has none, or if its key is gone."""
        try:
            if story.sealed:
                return phone.mask(self._seal.open(story.sealed, story.id))
            return phone.mask(open_data(self._seal, live).e164) if live else None
        except Unsealable:
            return None


def _is_of(story: Story, scope: Scope) -> bool:
    return scope.has(str(story.fact("app")))


def _e164(number: str, country: str | None) -> str:
    """Read a number. Raises InvalidNumber, which names the field of a search, or Invalid."""
    try:
        return phone.parse(number, country, possible=True).e164
    except InvalidNumber as error:
        [(_, rule)] = error.rules()
        raise InvalidNumber(rule, "number", detail=error.detail) from None


def _place(cursor: str) -> int:
    if not cursor.isascii() or not (cursor or "0").isdigit() or len(cursor) > len("1000000"):
        raise Invalid({"cursor": ["must be next_cursor of the page before"]})
    return int(cursor or 0)


def _unknown() -> ChallengeNotFound:
    """Return the refusal of an id as an operator reads it, who cannot start a challenge."""
    error = ChallengeNotFound("No challenge and no refused send that is kept has this id.")
    error.broken = ("id", "must be the id of a challenge or refused send that is kept")
    return error
