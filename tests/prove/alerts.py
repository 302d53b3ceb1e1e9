"""Alerts: how soon six faults stand at the top of the console's first page, and reach the operators' endpoint."""

import base64
import re
import secrets
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from os import kill
from pathlib import Path

import requests
from redis import Redis

from otp_service.alerts.bulletin import AlertType
from otp_service.alerts.conversion import HOUR, LEAST, SETTLED
from otp_service.figures.counters import Counters
from otp_service.history.note import Note, What
from otp_service.store.scripts import Scripts
from tests.bench.drawing import draw_bars
from tests.bench.figures import Figure
from tests.prove.evidence import Claim
from tests.support.demo_process import Demo
from tests.support.endpoint import Endpoint
from tests.support.numbers import crowd

WITHIN = 15.0
"""Seconds within which a fault must stand at the top of the page."""
PATIENCE = 60.0
"""Seconds after which a fault counts as not seen."""
SENT = Note(what=What.SENT, app="demo", country="IN", channel="sms", account="sandbox", place=0)
CREDITS = 10_000_000
"""Credits of each service of a sandbox that has just started."""
CLAIM = Claim(
    "alerts",
    "Operators see what is wrong",
    "{} injected faults: on top of the console's first page after {} s at most, at the operators' endpoint after {} s",
    ("faults", "on the page, at most", "at the endpoint, at most"),
)


class Watched:
    """A demo whose first page and endpoint are watched."""

    def __init__(self, folder: Path, endpoint: Endpoint, *, pumped: bool) -> None:
        """Start it. Rules are off as in every demo, where one machine acts as many users; `pumped` needs one."""
        secret = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
        environment = {"OTP_PRIVATE_EVENTS": "yes", "OTP_EVENTS_OPERATORS": secret}
        self.demo = Demo(folder, environment=environment)
        self.endpoint = endpoint
        self._people = crowd()
        text = (self.demo.var / "policy.toml").read_text()
        text = text.replace("[upstream.sandbox]", f"[upstream.sandbox]\nlow_balance = {CREDITS - LEAST}", 1)
        text = text.replace("tolerance = 100", "tolerance = 5")
        if pumped:
            text = text.replace('prefix = { mode = "off" }\n', "")
        text += f'[alerts]\nurl = "{endpoint.url}"\nsecret_env = "OTP_EVENTS_OPERATORS"\n'
        applied = self.demo.call("PUT", "/ops/policy", {"text": text, "reason": "alerts"}, key="ops_key")
        assert applied.ok, applied.text
        self.demo.wait_for_policy(applied.json()["version"])
        self._page = requests.Session()
        self._page.trust_env = False
        self._sign_in()

    def _sign_in(self) -> None:
        headers = {"Sec-Fetch-Site": "same-origin"}
        key = {"key": (None, self.demo.keys["ops_key"])}
        answer = self._page.post(self._url("sign-in"), files=key, headers=headers, timeout=PATIENCE)
        assert answer.ok, answer.text

    def _url(self, page: str) -> str:
        return f"{self.demo.keys['api']}/ops/console/{page}"

    def top(self) -> str:
        """Give the name of what stands first on the page, empty if all is well."""
        page = self._page.get(self._url(""), timeout=PATIENCE).text
        assert "<h1>Now</h1>" in page, page[:500]
        found = re.search(r'<tr><td><span class="chip \w+">([^<]+)</span>', page)
        return found[1].replace(" ", "_") if found else ""

    def told(self) -> set[str]:
        """Give the kinds of the alerts that the endpoint got."""
        events = [post.read(self.demo.settings["OTP_EVENTS_OPERATORS"]) for post in self.endpoint.posts]
        return {event["data"]["alert"] for event in events if event["type"] == AlertType.FIRING}

    def reported(self) -> int:
        """Count the messages that the product knows to have arrived."""
        figures = self.demo.call("GET", "/ops/figures", key="ops_key").json()
        return int(figures["total"]["delivered"])

    def people(self, count: int) -> Iterator[str]:
        """Give numbers that were not used yet."""
        return islice(self._people, count)

    def force(self, outcome: str) -> None:
        """Let all messages of the sandbox end so."""
        url = f"{self.demo.keys['sandbox']}/outcomes"
        answer = self.demo.session.put(url, json={"number": "*", "outcome": outcome}, timeout=PATIENCE)
        assert answer.ok, answer.text

    def ask(self, count: int) -> None:
        """Let a server ask for codes for so many people."""
        for number in self.people(count):
            self.demo.call("POST", "/otp/send", {"to": number}, key="secret_key")


def _refuse(watched: Watched) -> None:
    watched.force("unauthenticated")
    watched.ask(5)


def _stop_reports(watched: Watched) -> None:
    watched.force("silent")
    watched.ask(LEAST)


def _lower_balance(watched: Watched) -> None:
    watched.ask(LEAST + 1)


def _stop_workers(watched: Watched) -> None:
    for pid in _processes(watched.demo.children()["worker"]):
        kill(pid, signal.SIGSTOP)


def _processes(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [parent, *(one for child in children for one in _processes(int(child)))]


def _lower_conversion(watched: Watched) -> None:
    """Write figures: a day has passed since most people in India typed their codes."""
    settings = watched.demo.settings
    client = partial(Redis.from_url, settings["OTP_REDIS_URL"], decode_responses=True)
    with closing(Scripts(client, lambda *_: None)) as scripts:
        counters = Counters(scripts, prefix=settings["OTP_REDIS_PREFIX"])
        now = int(time.time() * 1000)
        told = now if now % HOUR >= SETTLED else now - HOUR
        for at, verified in ((told - 24 * HOUR, 80), (told, 30)):
            counters.take([replace(SENT, at=at)] * 100)
            counters.take([replace(SENT, at=at, what=What.ENDED, result="verified")] * verified)


def _pump(watched: Watched) -> None:
    for number in watched.people(100):
        watched.demo.call_once("POST", "/otp/send", {"to": number})


FAULTS: dict[str, tuple[str, Callable[[Watched], None]]] = {
    "an account refuses": ("breaker_open", _refuse),
    "reports stop": ("reports_stopped", _stop_reports),
    "the balance falls": ("balance_low", _lower_balance),
    "workers hang": ("workers_gone", _stop_workers),
    "conversion drops in a country": ("conversion_fell", _lower_conversion),
    "numbers are pumped": ("refused_by", _pump),
}
"""What is injected, and the alert that must come of it."""


@contextmanager
def _watched(*, pumped: bool) -> Iterator[Watched]:
    with tempfile.TemporaryDirectory(prefix="otp-alerts-") as folder, closing(Endpoint()) as endpoint:
        made = Watched(Path(folder), endpoint, pumped=pumped)
        try:
            yield made
        finally:
            for pid in _processes(made.demo.children().get("worker", made.demo.process.pid)):
                kill(pid, signal.SIGCONT)
            made.demo.close()


def _time(kind: str, inject: Callable[[Watched], None]) -> tuple[float, float]:
    """Give the seconds from a fault until it stands first on the page, and until the endpoint was told."""
    with _watched(pumped=inject is _pump) as watched:
        watched.ask(1)  # an account that never reported is not silent
        watched.demo.wait(lambda: watched.reported() > 0)
        before, on_page, at_endpoint = time.monotonic(), 0.0, 0.0
        inject(watched)
        while not (on_page and at_endpoint) and (seconds := time.monotonic() - before) < PATIENCE:
            on_page = on_page or (watched.top().startswith(kind) and seconds) or 0.0
            at_endpoint = at_endpoint or (kind in watched.told() and seconds) or 0.0
            time.sleep(0.1)
    return on_page or PATIENCE, at_endpoint or PATIENCE


def alerting(picture: str, names: int = len(FAULTS)) -> Iterator[Figure]:
    """Inject each fault into a demo of its own."""
    found: dict[str, tuple[float, float]] = {}
    for name, (kind, inject) in islice(FAULTS.items(), names):
        found[name] = _time(kind, inject)
        yield Figure(f"{name}: on the page", found[name][0], "s", kind)
        yield Figure(f"{name}: at the endpoint", found[name][1], "s")
    yield Figure("faults", len(found), "")
    yield Figure("on the page, at most", max(page for page, _ in found.values()), "s", most=WITHIN)
    yield Figure("at the endpoint, at most", max(told for _, told in found.values()), "s", most=2 * WITHIN)
    rows = [(name, [*seconds]) for name, seconds in found.items()]
    draw_bars(picture, title="Seconds until operators see a fault", series=("page", "endpoint"), rows=rows)
