"""People who sign in all the time and keep a history: what they asked, and what they were told.

A call whose answer was lost, or is a 503, is repeated with the same Idempotency-Key, as our clients do.
"""

import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import requests

from tests.soak.stand import Stand
from tests.support.patience import until

PEOPLE = 50
REPEATS = 240
"""Times that a call is repeated, two a second, before its fate counts as unknown: one fault may follow another."""
LOST = 0
"""Stands for the status of an answer that never came."""
MOST_LOOKS = 240
"""Times that a person looks for a code, four a second."""


@dataclass
class Journey:
    """One sign-in. Times are monotonic seconds."""

    number: str
    began: float
    ended: float = 0.0
    challenge_id: str = ""
    code: str = ""
    sent: str = ""
    """What became of the send: "accepted", a problem's code, or "unknown"."""
    checks: Counter[str] = field(default_factory=Counter)
    """What checks were told, by "right" or "wrong" code: "right verified", "wrong wrong_code" and so on."""
    tokens: set[str] = field(default_factory=set)
    redeemed: int = 0
    """Redemptions that succeeded, each with another key."""
    last: dict[str, Any] = field(default_factory=dict)
    """What the challenge was at the end, as the API says."""


class People:
    """Fifty people who sign in one after the other until told to stop."""

    def __init__(self, stand: Stand, seed: int, numbers: Iterator[str]) -> None:
        self._stand = stand
        self._numbers = numbers
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.journeys: list[Journey] = []
        self.statuses: Counter[int] = Counter()
        """All answers, by status; LOST for those that did not come."""
        self.unavailable: Counter[str] = Counter()
        """Why answers were 503: the problems' codes."""
        self.longest = 0.0
        """Seconds that an answer took at most."""
        self._looks = 0
        self._threads = [
            threading.Thread(target=self._live, args=(random.Random(f"{seed} {place}"),), daemon=True)
            for place in range(PEOPLE)
        ]

    def __enter__(self) -> Self:
        """Begin."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """Let each finish the journey that was begun, unless the soak itself failed: some could wait for ever then.

        Whoever does not get on is left: the judge sees a journey without an end.
        """
        self._stop.set()
        if error is None:
            with suppress(AssertionError):
                until(self._all_home, progress=lambda: (self.statuses.total(), self._looks), pause=0.1)

    def _all_home(self) -> bool:
        return not any(thread.is_alive() for thread in self._threads)

    def progress(self) -> str:
        """Say in a line how far they are."""
        away = sum(self.unavailable.values())
        said = f"{len(self.journeys)} journeys, {self.statuses.total()} answers, {away} of them 503"
        return f"{said}, {self.statuses[LOST]} lost"

    def _live(self, dice: random.Random) -> None:
        while not self._stop.wait(dice.uniform(0.1, 1.5)):
            with self._lock:
                journey = Journey(next(self._numbers), time.monotonic())
                self.journeys.append(journey)
            self._sign_in(journey, dice)
            journey.ended = time.monotonic()

    def _sign_in(self, journey: Journey, dice: random.Random) -> None:
        what, answer = self._ask("POST", "/otp/send", {"to": journey.number})
        journey.sent = "accepted" if what == "ok" else what
        if what != "ok":
            return
        journey.challenge_id = answer["challenge_id"]
        journey.code = self._await_code(journey)
        for _ in range(dice.choice((0, 0, 1, 4, 7)) if journey.code else 0):
            wrong = f"{(int(journey.code) + dice.randrange(1, 10**6)) % 10**6:06d}"
            self._check(journey, wrong, "wrong")
        for _ in range(dice.choice((1, 2)) if journey.code else 0):
            self._check(journey, journey.code, "right")
        for token in list(journey.tokens):
            for _ in range(2):
                what, _ = self._ask("POST", "/otp/token/redeem", {"token": token})
                journey.redeemed += what == "ok"
        _, journey.last = self._ask("GET", f"/otp/{journey.challenge_id}", None)

    def _await_code(self, journey: Journey) -> str:
        """Wait for a code, as long as a person would; "" if none came."""
        for _ in range(MOST_LOOKS):
            self._looks += 1
            rows = self._stand.inbox(journey.number)
            if rows and rows[0].get("code"):
                return str(rows[0]["code"])
            time.sleep(0.25)
        return ""

    def _check(self, journey: Journey, code: str, kind: str) -> None:
        what, answer = self._ask("POST", "/otp/verify", {"challenge_id": journey.challenge_id, "code": code})
        journey.checks[f"{kind} {'verified' if what == 'ok' else what}"] += 1
        if what == "ok":
            journey.tokens.add(answer["token"])

    def _ask(self, method: str, path: str, body: object) -> tuple[str, dict[str, Any]]:
        """Call until there is a definite answer; gives "ok", a problem's code or "unknown", and the answer's body."""
        key, answer = secrets.token_hex(16), dict[str, Any]()
        for _ in range(REPEATS):
            status, answer = self._ask_once(method, path, body, key)
            if status and status != requests.codes.unavailable:
                return ("ok" if status < requests.codes.bad_request else str(answer.get("code"))), answer
            time.sleep(0.5)
        return "unknown", answer

    def _ask_once(self, method: str, path: str, body: object, key: str) -> tuple[int, dict[str, Any]]:
        began, status, content = time.monotonic(), LOST, dict[str, Any]()
        try:
            answer = self._stand.call(method, path, body, Idempotency_Key=key)
            status, content = answer.status_code, answer.json()
        except (requests.RequestException, ValueError):
            status = LOST
        with self._lock:
            self.statuses[status] += 1
            self.unavailable[str(content.get("code"))] += status == requests.codes.unavailable
            self.longest = max(self.longest, time.monotonic() - began)
        return status, content
