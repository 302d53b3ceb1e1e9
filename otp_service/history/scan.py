"""Reads the stories of a time range, newest first, page by page, with bounded work for each page.

Knows the lists of hours, and how a line is recognised before it is read. Must not know who asks. The cursor says
how many ids of each list of an hour are left.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from otp_service.errors import Invalid
from otp_service.history.line import needle, time_of
from otp_service.history.store import HOUR, StoryStore, hour_of
from otp_service.history.story import HUMAN_CHECK, REFUSED, UNKNOWN, Story, read_story

PENDING = "pending"
MOST = 2000
"""Stories that are read for one page; with more, the page is shorter than it could be, and has a cursor."""
CHUNK = 100
CURSOR_RULE = "must be next_cursor of the page before"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a story must have; empty means anything. `reason` is that of any trouble, or the guard's rule.

    `apps` are those of which one must be the story's; None means any.
    """

    app: str = ""
    apps: frozenset[str] | None = None
    country: str = ""
    channel: str = ""
    state: str = ""
    reason: str = ""

    @property
    def kinds(self) -> str:
        """The kinds of stories that can have this state: "c" for challenges, "r" for refused sends."""
        if not self.state:
            return "cr"
        return "r" if self.state in {REFUSED, HUMAN_CHECK} else "c"

    def may_fit(self, text: str) -> bool:
        """Return whether the lines of a story contain what is wanted; reading them would take ten times as long."""
        return all(any(one in text for one in either) for either in self.needles())

    def needles(self) -> Iterator[list[str]]:
        """Yield texts of which the lines of a wanted story contain one each time."""
        for name in ("app", "country", "channel"):
            if value := getattr(self, name):
                yield [needle(name, value)]
        if self.apps is not None:
            yield [needle("app", app) for app in self.apps]
        if self.reason:
            yield [needle("reason", self.reason), needle("rule", self.reason)]
        if self.state not in {"", PENDING, UNKNOWN, REFUSED, HUMAN_CHECK}:
            yield [needle("result", self.state)]

    def fits(self, story: Story) -> bool:
        """Return whether a story is wanted. One without an end is, for both states that only its record tells apart."""
        return (
            self.app in {"", story.fact("app")}
            and (self.apps is None or story.fact("app") in self.apps)
            and self.country in {"", story.fact("country")}
            and (not self.channel or self.channel in story.channels)
            and self.state in {"", *([story.state] if story.state else [PENDING, UNKNOWN])}
            and (not self.reason or self.reason in story.reasons)
        )


class _Tail:
    """The list of one hour and kind, read from its end."""

    def __init__(self, stories: StoryStore, hour: str, left: int, needles: Sequence[Sequence[str]]) -> None:
        """`needles` are what a wanted story contains, as `Wanted.needles` yields it."""
        self._stories = stories
        self._hour = hour
        self._needles = needles
        self._ready: deque[tuple[str, str]] = deque()
        self.left = left
        """The ids that were not taken yet."""

    def newest(self) -> tuple[int, str, str] | None:
        """Return the time, the id and the text of the next story, of one that is not wanted only its beginning.

        One that is gone is passed over.
        """
        while self.left:
            if not self._ready:
                self._fill()
            id_, text = self._ready[0]
            if text:
                return _begun(text), id_, text
            self.take()
        return None

    def take(self) -> None:
        """Go on to the next one."""
        self._ready.popleft()
        self.left -= 1

    def _fill(self) -> None:
        first = max(0, self.left - CHUNK)
        ids = self._stories.read_hour(self._hour, first, self.left - 1)
        self.left = first + len(ids)  # the list may have become shorter meanwhile
        texts = self._stories.read(ids, self._needles)
        self._ready.extend((id_, texts.get(id_, "")) for id_ in reversed(ids))


class Scan:
    """Scans time ranges. Raises StoreUnavailable."""

    def __init__(self, stories: StoryStore, *, clock: Callable[[], int], keep: int, most: int = MOST) -> None:
        """`clock` gives the store's time, `keep` is how long stories are kept (ms); a page reads `most` of them."""
        self._stories = stories
        self._clock = clock
        self._keep = keep
        self._most = most

    def page(
        self, since: int, until: int | None, wanted: Wanted, cursor: str, limit: int
    ) -> tuple[list[Story], str | None]:
        """Return up to `limit` stories that began in a range (milliseconds), newest first, and the next page's cursor.

        Raises Invalid for a cursor that no page gave.
        """
        now = self._clock()
        last = now if until is None else min(until, now)
        first = max(since, now - self._keep - 3 * HOUR)
        found, read = dict[str, Story](), 0
        for hour, tails in self._hours(first, last, wanted, cursor):
            while newest := _newest(tails):
                if len(found) == limit or read == self._most:
                    return list(found.values()), _cursor(hour, tails)
                tail, (at, id_, text) = newest
                tail.take()
                read += 1
                if first <= at <= last and wanted.may_fit(text):
                    story = read_story(id_, text)
                    if story.notes and wanted.fits(story):
                        found[id_] = story
        return list(found.values()), None

    def _hours(
        self, first: int, last: int, wanted: Wanted, cursor: str
    ) -> Iterator[tuple[int, dict[str, _Tail]]]:
        """Yield each hour with stories, the newest first, with the tails of its lists."""
        begun, left = _read_cursor(cursor)
        kinds, needles = wanted.kinds, list(wanted.needles())
        newest = last // HOUR if begun is None else min(begun, last // HOUR)
        hours = range(newest, first // HOUR - 1, -1)
        names = [hour_of(kind, hour * HOUR) for hour in hours for kind in kinds]
        counts = iter(self._stories.count_hours(names))
        for hour in hours:
            tails = {}
            for kind in kinds:
                count = next(counts)
                if hour == begun:
                    count = min(count, left.get(kind, count))
                if count:
                    tails[kind] = _Tail(self._stories, hour_of(kind, hour * HOUR), count, needles)
            if tails:
                yield hour, tails


def _newest(tails: dict[str, _Tail]) -> tuple[_Tail, tuple[int, str, str]] | None:
    """Return the tail with the newest story, and that story; None if all are empty."""
    found = [(tail, one) for tail in tails.values() if (one := tail.newest())]
    return max(found, key=lambda pair: pair[1][0], default=None)


def _begun(text: str) -> int:
    """Return the time of a story's first line that has one."""
    return next((at for line in text[1:].split("\n", 3)[:3] if (at := time_of(line))), 0)


def _cursor(hour: int, tails: dict[str, _Tail]) -> str:
    return "-".join([str(hour), *(f"{kind}{tail.left}" for kind, tail in tails.items())])


def _read_cursor(cursor: str) -> tuple[int | None, dict[str, int]]:
    if not cursor:
        return None, {}
    match = re.fullmatch(r"([0-9]{6})((?:-[cr][0-9]{1,9}){0,2})", cursor)
    if not match:
        raise Invalid({"cursor": [CURSOR_RULE]})
    return int(match[1]), {"c": 0, "r": 0} | {part[0]: int(part[1:]) for part in match[2].split("-")[1:]}
