"""What clients see while parts die under load: truthful answers, nothing stuck, nothing sent twice without need."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.demo_process import Demo
from tests.support.numbers import crowd
from tests.support.ports import free_port
from tests.support.valkey_server import ValkeyServer

KILLS = 50
CHANNELS = ("sms", "whatsapp", "voice", "rcs")
SENDERS = 4
GOES_ON_FOR = 150.0
"""Seconds until the last challenge must have come to its end: a lease, a wait, and a second try."""


class Load:
    """Clients that start challenges, each to another number, until told to stop."""

    def __init__(self, demo: Demo) -> None:
        self.answers: list[
            tuple[float, float, int, dict[str, Any], requests.structures.CaseInsensitiveDict[str]]
        ] = []
        """When asked, seconds taken, status, body, headers."""
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
        while not self._stop.is_set():
            with self._lock:
                number = next(self._crowd)
            asked = time.monotonic()
            try:
                answer = self._demo.call("POST", "/otp/send", {"to": number})
                body = answer.json()
            except (requests.RequestException, ValueError):
                self._stop.wait(0.05)
                continue  # the API was killed in the middle of it
            self.answers.append((asked, time.monotonic() - asked, answer.status_code, body, answer.headers))
            if answer.status_code == 202:
                self.numbers[body["challenge_id"]] = number
            self._stop.wait(0.08)

    def stop(self) -> None:
        """End it and wait."""
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """A running demo whose upstream takes a moment, so that kills hit sends in the middle."""
    running = Demo(tmp_path, "--latency", "0.05")
    yield running
    running.close()


def test_every_accepted_challenge_survives_fifty_kills(demo: Demo) -> None:
    """Kill -9 of worker and API at random: each 202 ends delivered or undeliverable, none twice for no reason."""
    dice = random.Random(7)
    load = Load(demo)
    kills = Counter[str]()
    while kills.total() < KILLS:
        name = dice.choice(["worker", "worker", "serve"])
        demo.kill(name)
        kills[name] += 1
        time.sleep(dice.uniform(0, 0.5))
    load.stop()
    assert len(load.numbers) > 10 * KILLS, "too little load to tell anything"
    waiting = dict(load.numbers)
    states: dict[str, dict[str, Any]] = {}
    until = time.monotonic() + GOES_ON_FOR
    while waiting:
        arrived = Counter(message["to"] for message in demo.inbox())
        for challenge in list(waiting):
            with suppress(requests.RequestException):
                state = demo.call("GET", f"/otp/{challenge}").json()
                settled = state["deliveries"][-1]["status"] not in {"queued", "sending"}
                if (arrived[waiting[challenge]] and settled) or state["status"] == "undeliverable":
                    states[challenge] = state
                    del waiting[challenge]
        assert time.monotonic() < until, _stuck(demo, waiting, load, kills)
    messages = demo.inbox()
    arrived = Counter(message["to"] for message in messages)
    by_channel = Counter((message["to"], message["channel"]) for message in messages)
    ends = Counter(state["deliveries"][-1]["status"] for state in states.values())
    seconds = arrived.total() - len(arrived)
    print(f"{dict(kills)}: {len(states)} challenges, {dict(ends)}, {seconds} second messages")  # noqa: T201
    for challenge, number in load.numbers.items():
        # A kill of the API loses receipts, so another channel may follow; the same one only after `unknown`.
        final = demo.call("GET", f"/otp/{challenge}").json()["deliveries"]
        for channel in CHANNELS:
            lost = sum(one["status"] == "unknown" for one in final if one["channel"] == channel)
            assert by_channel[number, channel] <= 1 + lost, (number, channel, final)


def test_store_outage_is_told_truthfully_and_ends_by_itself(tmp_path: Path) -> None:
    """With Redis away: 503 with Retry-After within 2 s. Once it is back: 202 within 5 s, same processes."""
    server = ValkeyServer(port=free_port())
    try:
        demo = Demo(tmp_path, environment={"OTP_REDIS_URL": server.url})
        try:
            _outage(server, demo)
        finally:
            demo.close()
    finally:
        server.close()


def _outage(server: ValkeyServer, demo: Demo) -> None:
    before = demo.children()
    load = Load(demo)
    time.sleep(1)
    server.kill()
    away = time.monotonic()
    time.sleep(4)
    ready = demo.call("GET", "/readyz")
    back = time.monotonic()
    server.start()
    until = time.monotonic() + 5
    while not any(asked > back and status == 202 for asked, _, status, _, _ in list(load.answers)):
        assert time.monotonic() < until, "no recovery within 5 s"
        time.sleep(0.05)
    load.stop()
    during = [answer for answer in load.answers if away + 0.1 < answer[0] < back - 2]
    assert len(during) > SENDERS
    for _, taken, status, body, headers in during:
        assert status == 503
        assert body["code"] == "store_unavailable"
        assert int(headers["Retry-After"]) >= 1
        assert taken < 2
    assert ready.status_code == 503
    assert demo.children() == before
    for number in load.numbers.values():
        demo.code(number)


def test_the_store_hanging_is_bounded_too(tmp_path: Path) -> None:
    """A Redis that takes connections and never answers costs a caller less than 2 s."""
    server = ValkeyServer(port=free_port())
    try:
        demo = Demo(tmp_path, environment={"OTP_REDIS_URL": server.url})
        try:
            demo.send(next(crowd()))
            server.freeze()
            asked = time.monotonic()
            answer = demo.call("POST", "/otp/send", {"to": "+12015550199"})
            assert answer.status_code == 503
            assert time.monotonic() - asked < 2
            server.thaw()
            until = time.monotonic() + 5
            while demo.call("POST", "/otp/send", {"to": "+12015550198"}).status_code != 202:
                assert time.monotonic() < until
        finally:
            demo.close()
    finally:
        server.close()


def _stuck(demo: Demo, waiting: dict[str, str], load: Load, kills: Counter[str]) -> str:
    kinds = Counter(
        " ".join(
            delivery["status"] for delivery in demo.call("GET", f"/otp/{challenge}").json()["deliveries"]
        )
        for challenge in waiting
    )
    return f"{len(waiting)} of {len(load.numbers)} stuck after {dict(kills)}: {dict(kinds)}"
