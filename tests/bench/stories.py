"""How soon an operator finds a story among many that are kept, over HTTP and in the console.

The product's own writer fills the store, so the records are those of real sends. Each search is a request to
`serve`, as a terminal, a script or a browser makes it.
"""

import random
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import requests

from otp_service.bootstrap.activation import configure
from otp_service.bootstrap.core import Core
from otp_service.history.note import Note, What
from otp_service.history.writer import HistoryWriter
from tests.bench.figures import Figure
from tests.conftest import OPS, POLICY
from tests.support.http_api import NOBODY
from tests.support.patience import PATIENT_LIMITS
from tests.support.ports import HOST, free_port
from tests.support.service_process import serving, settings
from tests.support.valkey_server import ValkeyServer, stored_bytes

SEED = 11
WEEK = 7 * 24 * 3_600_000
MEMORY = "4GB"
"""What all stories may take here; the default would drop the oldest of a million."""
WITHIN = 100.0
"""Milliseconds within which 99 of 100 searches must be answered."""
RARE = 5
"""Stories that are unlike all others, however many there are."""
BUSY_NUMBER, BUSY_COUNT = "+12125550199", 1_000
"""A number under attack, and its stories, of which a page is shown."""
AT_ONCE = 120
"""Stories that are written at once."""
COUNTRIES = {"US": "+1212", "IN": "+9198", "GB": "+4479", "DE": "+4915"}
REFUSED, EXPIRED = 0.1, 0.25
"""Shares of the stories."""
_MOMENTS = (0, 0, 250, 4_000, 21_000, 24_000, 24_000, 25_000)
"""Milliseconds after the first note at which the others of a story were taken."""


@dataclass
class Kept:
    """What was written, as far as searches need it."""

    at: int
    numbers: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


def finding(count: int, searches: int) -> Iterator[Figure]:
    """Keep so many stories, and time so many searches of each kind."""
    port = free_port()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = stack.enter_context(closing(ValkeyServer(options={"appendonly": "no"})))
        policy = folder / "policy.toml"
        policy.write_text(POLICY.replace("UPSTREAM/", f"{NOBODY}/"))
        more = {"OTP_LISTEN": f"{HOST}:{port}", "OTP_PROCESSES": "1", "OTP_LOG_LEVEL": "error"}
        values = settings(store, policy, OTP_HISTORY_MEMORY=MEMORY, **more)
        core = Core(configure(values), threads=2, hash_slots=1, role="bench", limits=PATIENT_LIMITS)
        stack.callback(core.close)
        began, before = time.perf_counter(), stored_bytes(store.client())
        kept = Filling(core, count).run()
        took = time.perf_counter() - began
        each = (stored_bytes(store.client()) - before) / count
        yield Figure(f"stories: {count} kept", count / took, "per second", "as the writer writes them")
        yield Figure("  a kept story", each, "bytes", "with its share of the index", most=1000)
        stack.enter_context(serving(values, port))
        desk = Desk(f"http://{HOST}:{port}", kept)
        for name, search in desk.searches():
            yield _timed(name, search, searches)
        yield _whole(desk)


class Filling:
    """Writes stories as processes of the product would have written them in the last seven days."""

    def __init__(self, core: Core, count: int) -> None:
        self._core = core
        self._count = count
        self._dice = random.Random(SEED)
        self._now = core.store.facts.time()
        self._at = 0
        self._writer = HistoryWriter(core.store.stories, core.seal, dropped=lambda _: None)

    def run(self) -> Kept:
        """Write all; keep what a thousand of them are found by."""
        kept = Kept(self._now)
        every = max(1, self._count // 1000)
        rare = set(self._dice.sample(range(self._count // 2), RARE))
        busy = set(self._dice.sample(range(self._count), min(BUSY_COUNT, self._count // 2)))
        batch: list[Note] = []
        for place in range(self._count):
            self._at = self._now - WEEK + 3_600_000 + (WEEK - 3_700_000) * place // self._count
            notes = self._story(place, rare=place in rare, busy=place in busy)
            batch += notes
            if place % every == 0 and notes[0].challenge and place not in busy:
                first = notes[0]
                kept.numbers.append(first.number)
                kept.references.append(first.reference)
                kept.ids.append(first.challenge)
                kept.requests += [first.request_id, notes[-1].request_id or first.request_id]
            if (place + 1) % AT_ONCE == 0:
                self._writer(batch)
                batch = []
        self._writer(batch)
        return kept

    def _story(self, place: int, *, rare: bool, busy: bool) -> list[Note]:
        """Make the notes of one story: most are verified, some expire, some sends are refused."""
        country, begin = self._dice.choice(list(COUNTRIES.items()))
        number = BUSY_NUMBER if busy else f"{begin}{place:07d}"
        asked = Note(
            what=What.ASKED,
            at=self._at,
            request_id=secrets.token_urlsafe(8),
            app="other" if rare else "web",
            country=country,
            number=number,
            purpose="login",
            reference=f"order-{place:07d}",
            origin="https://app.example.com",
            route="0",
            policy=3,
        )
        if not rare and self._dice.random() < REFUSED:
            refused = replace(asked, what=What.REFUSED, reason="too_many_requests", rule="number")
            return [asked, replace(refused, counter=4, threshold=3, window=600)]
        return self._challenge(replace(asked, challenge=self._core.store.challenges.new_id()), rare=rare)

    def _challenge(self, asked: Note, *, rare: bool) -> list[Note]:
        about = replace(asked, channel="voice" if rare else "sms", account="main", place=0, seconds=0.21)
        sent = replace(about, what=What.SENT, result="accepted", word="AWAITING-DLR", price=0.2)
        reported = replace(about, what=What.REPORTED, result="delivered", word="DELIVRD", seconds=None)
        notes = [asked, replace(about, what=What.ADMITTED, result="allow", plan="sms:main whatsapp:main")]
        if self._dice.random() < EXPIRED:
            notes += [sent, reported, replace(asked, what=What.ENDED, result="expired")]
        else:
            guess, right = (secrets.token_urlsafe(8) for _ in range(2))
            typed = replace(about, request_id=right, seconds=20.7)
            notes += [
                *(sent, reported, replace(asked, what=What.GUESSED, result="wrong", request_id=guess)),
                replace(typed, what=What.GUESSED, result="right"),
                replace(typed, what=What.ENDED, result="verified"),
            ]
        return [replace(note, at=note.at + moment) for note, moment in zip(notes, _MOMENTS, strict=False)]


class Desk:
    """An operator who searches, from a terminal and in the console."""

    def __init__(self, url: str, kept: Kept) -> None:
        self._url = url
        self._kept = kept
        self._dice = random.Random(SEED)
        self._terminal, self._browser = requests.Session(), requests.Session()
        for session in (self._terminal, self._browser):
            session.trust_env = False
        self._terminal.headers["Authorization"] = f"Bearer {OPS}"
        self._sign_in()

    def searches(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """Name each kind of search, and give what does one."""
        kept, week = self._kept, {"since": self._kept.at - WEEK}
        for name, values in (
            ("number", kept.numbers),
            ("reference", kept.references),
            ("challenge_id", kept.ids),
            ("request_id", kept.requests),
        ):
            yield f"by {name}", self._by(name, values)
        yield (
            "by a number under attack, 100 of its stories",
            self._one({"number": BUSY_NUMBER, "limit": 100}, 1),
        )
        yield "the newest", self._one({**week, "limit": 100}, 1)
        yield (
            "the newest of a country and a state",
            self._one({**week, "country": "IN", "state": "expired"}, 1),
        )
        yield "an hour of a day", self._hour
        yield "a page where few among all match", self._one(self._rare, 0)
        yield "console: by number, then the story", self._in_console
        yield "console: the page Find", self._see_find

    def search_rare(self) -> int:
        """Read all pages of what few stories among all have; return how many pages there were."""
        pages = [self._post(self._rare)]
        while cursor := pages[-1]["next_cursor"]:
            pages.append(self._post({**self._rare, "cursor": cursor}))
        assert sum(len(page["challenges"]) for page in pages) == RARE
        return len(pages)

    @property
    def _rare(self) -> dict[str, Any]:
        return {"since": self._kept.at - WEEK, "app": "other", "channel": "voice"}

    def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        answer = self._terminal.post(f"{self._url}/ops/challenges/search", json=body)
        assert answer.ok, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def _by(self, name: str, values: Sequence[str]) -> Callable[[], None]:
        def search() -> None:
            found = self._post({name: self._dice.choice(values)})
            assert len(found["challenges"]) == 1, found

        return search

    def _one(self, body: dict[str, Any], least: int) -> Callable[[], None]:
        def search() -> None:
            assert len(self._post(body)["challenges"]) >= least

        return search

    def _hour(self) -> None:
        """Ask for pages until one shows something: those before it passed over what came later."""
        since = self._kept.at - self._dice.randrange(2 * 3_600_000, WEEK - 3_600_000)
        body: dict[str, Any] = {"since": since, "until": since + 3_600_000}
        page = self._post(body)
        while not page["challenges"]:
            page = self._post({**body, "cursor": page["next_cursor"]})

    def _sign_in(self) -> None:
        answer = self._browser.post(
            f"{self._url}/ops/console/sign-in",
            files={"key": (None, OPS)},
            headers={"Sec-Fetch-Site": "same-origin"},
        )
        assert answer.ok, answer.text

    def _in_console(self) -> None:
        page = self._see_find()
        token = page.partition('name="form_token" value="')[2].partition('"')[0]
        asked = {"q": (None, self._dice.choice(self._kept.numbers)), "form_token": (None, token)}
        answer = self._browser.post(
            f"{self._url}/ops/console/find", files=asked, headers={"Sec-Fetch-Site": "same-origin"}
        )
        assert "verified" in answer.text or "expired" in answer.text, answer.text

    def _see_find(self) -> str:
        answer = self._browser.get(f"{self._url}/ops/console/find")
        assert answer.ok, answer.text
        return answer.text


def _timed(name: str, search: Callable[[], object], times: int) -> Figure:
    """Time a search; 99 of 100 must be answered in time."""
    search()
    took = []
    for _ in range(times):
        began = time.perf_counter()
        search()
        took.append((time.perf_counter() - began) * 1000)
    worst = quantiles(took, n=100)[98] if times > 1 else took[0]
    return Figure(f"  {name}: p99", worst, "ms", f"median {median(took):.1f} ms", most=WITHIN)


def _whole(desk: Desk) -> Figure:
    """Time the search for what few stories among all have, page by page."""
    began = time.perf_counter()
    pages = desk.search_rare()
    return Figure(f"  all {RARE} that match", time.perf_counter() - began, "s", f"in {pages} pages")
