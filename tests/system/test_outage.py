"""What clients see while parts die under load: truthful answers, nothing stuck, nothing sent twice without need."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

import pytest
import requests

from otp_service.bootstrap.core import Core
from otp_service.http import app as http_app
from otp_service.store.scripts import PAUSES
from tests.conftest import SECRET, make_core
from tests.support.demo_process import Demo, StartDemo
from tests.support.numbers import crowd
from tests.support.patience import until
from tests.support.ports import free_port
from tests.support.valkey_server import ValkeyServer

pytest_plugins = ("tests.support.demo_fixtures",)
CHANNELS = ("sms", "whatsapp", "voice", "rcs")
SENDERS = 4
PACE = 0.05
"""Seconds that a client rests between two requests."""


@dataclass(frozen=True)
class Answer:
    """What a client was told, and when it asked and heard so (monotonic seconds)."""

    asked: float
    heard: float
    status: int
    body: dict[str, Any]
    headers: requests.structures.CaseInsensitiveDict[str]


class Load:
    """Clients that start challenges, each to another number, until told to stop."""

    def __init__(self, demo: Demo) -> None:
        self.answers: list[Answer] = []
        self.numbers: dict[str, str] = {}
        """The number of each challenge that was answered 202."""
        self._demo = demo
        self._crowd = crowd()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while not self._stop.wait(PACE):
            with self._lock:
                number = next(self._crowd)
            asked = time.monotonic()
            try:
                answer = self._demo.call_once("POST", "/otp/send", {"to": number})
                body = answer.json()
            except (requests.RequestException, ValueError):
                continue  # the API was killed in the middle of it
            self.answers.append(Answer(asked, time.monotonic(), answer.status_code, body, answer.headers))
            if answer.status_code == 202:
                self.numbers[body["challenge_id"]] = number

    def wait_for_more(self, challenges: int) -> None:
        """Wait until so many more challenges were accepted."""
        wanted = len(self.numbers) + challenges
        until(lambda: len(self.numbers) >= wanted, progress=lambda: len(self.answers))

    def __enter__(self) -> Self:
        """Go on until the block ends."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it and wait."""
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("times", [9, pytest.param(50, marks=pytest.mark.slow)])
def test_every_accepted_challenge_survives_kills(start_demo: StartDemo, times: int) -> None:
    """Kill -9 of worker and API at random: each 202 ends delivered or undeliverable, none twice for no reason."""
    demo = start_demo("--latency", "0.05")  # so that kills hit sends in the middle
    dice = random.Random(7)
    kills = dice.sample(["worker", "serve"], times, counts=[2 * times // 3, times - 2 * times // 3])
    with Load(demo) as load:
        for name in kills:
            demo.kill(name)
            load.wait_for_more(dice.randint(5, 20))
    states = _ends(demo, load)
    messages = demo.inbox()
    by_channel = Counter((message["to"], message["channel"]) for message in messages)
    ends = Counter(state["deliveries"][-1]["status"] for state in states.values())
    seconds = len(messages) - len({message["to"] for message in messages})
    print(f"{Counter(kills)}: {len(states)} challenges, {dict(ends)}, {seconds} second messages")  # noqa: T201
    for challenge, number in load.numbers.items():
        # A kill of the API loses receipts, so another channel may follow; the same one only after `unknown`.
        final = demo.call("GET", f"/otp/{challenge}").json()["deliveries"]
        for channel in CHANNELS:
            lost = sum(one["status"] == "unknown" for one in final if one["channel"] == channel)
            assert by_channel[number, channel] <= 1 + lost, (number, channel, final)


def _ends(demo: Demo, load: Load) -> dict[str, dict[str, Any]]:
    """Wait until every challenge has come to its end: a lease, a wait and a second try; gives how each stands."""
    states: dict[str, dict[str, Any]] = {}
    arrived = Counter[str]()

    def is_through(challenge: str) -> bool:
        state = states[challenge] = demo.call("GET", f"/otp/{challenge}").json()
        settled = state["deliveries"][-1]["status"] not in {"queued", "sending"}
        return (arrived[load.numbers[challenge]] > 0 and settled) or state["status"] == "undeliverable"

    waiting = set(load.numbers)

    def all_are_through() -> bool:
        arrived.update(Counter(message["to"] for message in demo.inbox()) - arrived)
        with suppress(requests.RequestException):  # an API that was killed takes a moment to come back
            for challenge in list(waiting):
                if is_through(challenge):
                    waiting.remove(challenge)
        return not waiting

    def stuck() -> str:
        kinds = Counter(
            " ".join(d["status"] for d in states[one]["deliveries"]) for one in waiting if one in states
        )
        return f"{len(waiting)} of {len(load.numbers)} stuck: {dict(kinds)}"

    until(all_are_through, progress=lambda: (len(waiting), arrived.total()), explain=stuck, pause=0.5)
    return states


# The store.


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    """Give a server of the demo's own, which a test may break."""
    made = ValkeyServer(port=free_port())
    yield made
    made.close()


@pytest.fixture
def demo(start_demo: StartDemo, server: ValkeyServer) -> Demo:
    """A demo on that server, which refuses nothing because a slow machine sends slowly."""
    return start_demo(OTP_REDIS_URL=server.url, OTP_SEND_WAIT="10m")


def test_store_outage_is_told_truthfully_and_ends_by_itself(server: ValkeyServer, demo: Demo) -> None:
    """With Redis away, or silent: 503 with Retry-After. Once it is back: 202, by the same processes."""
    before = demo.children()
    with Load(demo) as load:
        load.wait_for_more(SENDERS)
        for harm, mend in ((server.kill, server.start), (server.freeze, server.thaw)):
            harm()
            away = time.monotonic()

            def refused(since: float = away) -> int:
                return sum(answer.asked > since for answer in list(load.answers))

            until(lambda: refused() > SENDERS, progress=refused)
            ready = demo.call_once("GET", "/readyz")
            back = time.monotonic()
            mend()
            load.wait_for_more(SENDERS)
            during = [answer for answer in load.answers if away < answer.asked and answer.heard < back]
            assert len(during) > SENDERS
            for answer in during:
                assert answer.status == 503
                assert answer.body["code"] == "store_unavailable"
                assert int(answer.headers["Retry-After"]) >= 1
            assert ready.status_code == 503
    assert demo.children() == before
    for number in load.numbers.values():
        demo.code(number)


def failed_tries(core: Core) -> float:
    """Count the tries of calls to the store that failed. A refused connection is tried again after each pause."""
    name, labels = "otp_store_call_seconds_count", {"script": "error"}
    return core.metrics.registry.get_sample_value(name, labels) or 0.0


def test_a_request_tries_the_store_once(server: ValkeyServer) -> None:
    """A call that finds it away ends the request: so the time limit of a call is that of the request."""
    core = make_core(server.url, "http://127.0.0.1:9")
    core.live_keys.refresh()
    core.active.refresh()
    client = http_app.web(core).test_client()
    web = {"Authorization": f"Bearer {SECRET}"}
    answer = client.post("/otp/send", json={"to": "+12025550100"}, headers=web)
    challenge = answer.json["challenge_id"] if answer.json else ""
    server.kill()
    for method, path, body in (
        ("POST", "/otp/send", {"to": "+12025550100"}),
        ("POST", f"/otp/{challenge}/resend", {}),
        ("GET", f"/otp/{challenge}", None),
        ("DELETE", f"/otp/{challenge}", None),
        ("POST", "/otp/verify", {"challenge_id": challenge, "code": "000000"}),
    ):
        before = failed_tries(core)
        answer = client.open(path, method=method, json=body, headers=web)
        assert answer.status_code == 503, path
        assert failed_tries(core) - before == 1 + len(PAUSES), path
    core.close()
