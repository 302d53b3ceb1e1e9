"""Print what the product costs on this machine. `--smoke` runs each part briefly, for CI.

make bench
make bench ARGS="--profile fast"
make bench ARGS="--receipts 100000"
"""

import argparse
import itertools
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from http import HTTPStatus
from pathlib import Path

from otp_service.crypto.code_hashes import PROFILES, Claim, Hasher
from otp_service.verification.caller import Caller
from otp_service.verification.send import SendRequest
from tests.bench.fallback import falling_back
from tests.bench.guard import guarding
from tests.bench.receipts import receiving
from tests.conftest import POLICY, make_core
from tests.support.demo_process import Demo
from tests.support.numbers import crowd
from tests.support.spine import OPEN_GUARD
from tests.support.valkey_server import ValkeyServer, stored_bytes

CLAIM = Claim("00" + "a" * 22, "login", "")
CLIENTS = 8

Row = tuple[str, str]


OPEN = POLICY + OPEN_GUARD
"""A policy whose limits let the crowd pass."""


def median_ms(act: Callable[[], object], rounds: int) -> float:
    """Give the median time of `act` in milliseconds."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        act()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000


def hashing(rounds: int) -> Iterator[Row]:
    """One Argon2 run of each profile, and how long a thief with the peppers searches all six-digit codes."""
    for name in PROFILES:
        hasher = Hasher({"p1": b"p" * 32}, name, 1)
        took = median_ms(lambda hasher=hasher: hasher.hash("123456", CLAIM, hasher.scheme), rounds)  # type: ignore[misc]
        yield f"one hash, {name}", f"{took:8.2f} ms   10^6 codes on one core: {took * 1000 / 60:.1f} min"


def checking(rounds: int, profile: str) -> Iterator[Row]:
    """A whole check without HTTP, against its floor of one Argon2 run."""
    server = ValkeyServer(options={"appendfsync": "everysec"})
    try:
        core = make_core(server.url, "http://127.0.0.1:9", text=OPEN, hash_profile=profile)
        caller = Caller(app=core.policy.apps["web"], active=core.active(), request_id="bench")
        numbers = crowd()
        codes: list[tuple[str, str]] = []

        def open_challenge() -> None:
            id_ = core.send.send(caller, SendRequest(to=next(numbers))).challenge_id
            lease = core.store.challenges.claim(id_)
            assert lease is not None
            claim, scheme = Claim(id_, "login", ""), lease.challenge.scheme
            core.store.challenges.arm(lease, "reference", HASHER.hash("123456", claim, scheme), "main")
            codes.append((id_, "123456"))

        HASHER = core.check._hasher  # noqa: N806, SLF001 - the peppers that codes are checked with
        sent = median_ms(open_challenge, rounds)
        checked = median_ms(lambda: core.check.verify(caller, *codes.pop()), rounds)
        floor = median_ms(lambda: HASHER.hash("123456", CLAIM, HASHER.scheme), rounds)
        yield f"one hash, {profile}", f"{floor:8.2f} ms"
        yield "a check around it", f"{checked:8.2f} ms   {checked / floor:.2f} times its hash"
        yield "send + claim + hash + arm", f"{sent:8.2f} ms"
        core.scripts.close()
    finally:
        server.close()


def memory(rounds: int) -> Iterator[Row]:
    """What a pending challenge costs in the store, with all around it."""
    server = ValkeyServer(options={"appendfsync": "everysec"})
    try:
        core = make_core(server.url, "http://127.0.0.1:9", text=OPEN, partitions=64)
        caller = Caller(app=core.policy.apps["web"], active=core.active(), request_id="0123456789a")
        numbers = crowd()
        core.dispatcher.dispatch(
            core.send.send(caller, SendRequest(to=next(numbers))).challenge_id, lambda: False
        )
        with server.client() as client:
            before = stored_bytes(client)
            for number in itertools.islice(numbers, rounds):
                id_ = core.send.send(caller, SendRequest(to=number), f"key-{number}").challenge_id
                core.dispatcher.dispatch(id_, lambda: False)
            after = stored_bytes(client)
        yield "a pending challenge", f"{(after - before) / rounds:8.0f} bytes of the store's memory"
        core.scripts.close()
    finally:
        server.close()


def product(rounds: int, profile: str) -> Iterator[Row]:
    """The whole product over HTTP: how soon a message reaches the upstream, and how many pairs a second."""
    with tempfile.TemporaryDirectory() as folder:
        demo = Demo(Path(folder), environment={"OTP_HASH_PROFILE": profile, "OTP_LOG_LEVEL": "warning"})
        try:
            numbers = crowd()
            waits = [_reach(demo, next(numbers)) for _ in range(rounds)]
            hash_ms = _hash_ms(profile)
            median = statistics.median(waits)
            yield (
                "answered 202 -> at the upstream",
                f"{median:8.1f} ms   {median - hash_ms:.1f} besides the hash (idle)",
            )
            yield from _load(demo, list(itertools.islice(numbers, rounds * CLIENTS)))
        finally:
            demo.close()


def _hash_ms(profile: str) -> float:
    hasher = Hasher({"p1": b"p" * 32}, profile, 1)
    return median_ms(lambda: hasher.hash("123456", CLAIM, hasher.scheme), 20)


def _reach(demo: Demo, number: str) -> float:
    """Give the milliseconds from the 202 to the upstream's own time stamp."""
    demo.send(number)
    answered = time.time()
    time.sleep(0.15)  # idle: looking at the inbox meanwhile would be load
    demo.code(number)
    return (datetime.fromisoformat(demo.inbox(number)[0]["at"]).timestamp() - answered) * 1000


def _load(demo: Demo, numbers: list[str]) -> Iterator[Row]:
    """Send to all numbers, wait until all messages are there, check all codes; CLIENTS at once."""
    with ThreadPoolExecutor(CLIENTS) as clients:
        started = time.perf_counter()
        ids = dict(
            zip(numbers, (shown["challenge_id"] for shown in clients.map(demo.send, numbers)), strict=True)
        )
        answered = time.perf_counter()
        while (
            not ids.keys() <= (codes := {message["to"]: message["code"] for message in demo.inbox()}).keys()
        ):
            time.sleep(0.05)
        arrived = time.perf_counter()
        bodies = [{"challenge_id": ids[number], "code": codes[number]} for number in numbers]
        answers = list(clients.map(lambda body: _check(demo, body), bodies))
        checked = time.perf_counter()
    assert set(answers) == {200}, set(answers)
    count = len(numbers)
    yield f"{count} sends answered, {CLIENTS} clients", f"{count / (answered - started):8.1f} /s"
    yield "the same delivered", f"{count / (arrived - started):8.1f} /s"
    yield f"{count} checks, {CLIENTS} clients", f"{count / (checked - arrived):8.1f} /s"


def _check(demo: Demo, body: dict[str, str]) -> int:
    """Check a code, again where it was shed for load, as a client would."""
    while (status := demo.call("POST", "/otp/verify", body).status_code) == HTTPStatus.SERVICE_UNAVAILABLE:
        time.sleep(0.1)
    return status


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="briefly, to see that it runs")
    parser.add_argument(
        "--profile", default="owasp", choices=[name for name in PROFILES if name != "testing"]
    )
    parser.add_argument("--receipts", type=int, default=0, metavar="COUNT", help="receipts to push")
    chosen = parser.parse_args()
    logging.disable()  # of what is measured in this process
    scale = 1 if chosen.smoke else 20
    parts = (
        hashing(scale),
        checking(scale * 5, chosen.profile),
        memory(scale * 50),
        guarding(scale * 50),
        falling_back(scale, chosen.profile),
        receiving(chosen.receipts or scale * 250),
        product(scale * 2, chosen.profile),
    )
    for name, figure in itertools.chain(*parts):
        print(f"{name:34}{figure}", flush=True)


if __name__ == "__main__":
    main()
