"""What single acts cost, without load: a hash, a check, a challenge in the store, the way to the upstream."""

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from otp_service.crypto.code_hashes import PROFILES, Claim, Hasher, digest_of
from otp_service.verification.caller import Caller
from otp_service.verification.send import SendRequest
from tests.bench.figures import Figure
from tests.conftest import POLICY, make_core
from tests.support.demo_process import Demo
from tests.support.numbers import crowd
from tests.support.spine import OPEN_GUARD
from tests.support.valkey_server import ValkeyServer, stored_bytes

CLAIM = Claim("00" + "a" * 22, "login", "")
REACH_MS = 50
"""Within which an idle worker hands a message on, besides the hash."""
OPEN = POLICY + OPEN_GUARD
"""A policy whose limits let the crowd pass."""


def median_ms(act: Callable[[], object], rounds: int) -> float:
    """Return the median time of `act` in milliseconds."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        act()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000


def hash_ms(profile: str, rounds: int = 20) -> float:
    """Return the median time of one Argon2 run in milliseconds."""
    hasher = Hasher({"p1": b"p" * 32}, profile, 1)
    return median_ms(lambda: hasher.hash("123456", CLAIM, hasher.scheme), rounds)


def hashing(rounds: int) -> Iterator[Figure]:
    """One Argon2 run of each profile, and how long a thief with the peppers searches all six-digit codes."""
    for name in PROFILES:
        took = hash_ms(name, rounds)
        yield Figure(
            f"one hash, {name}", took, "ms", f"10^6 codes on one core: {took * 1000 / 60:.1f} minutes"
        )


def checking(rounds: int, profile: str) -> Iterator[Figure]:
    """A whole check without HTTP, against its floor of one Argon2 run."""
    server = ValkeyServer(options={"appendfsync": "everysec"})
    try:
        core = make_core(server.url, "http://127.0.0.1:9", text=OPEN, hash_profile=profile)
        caller = Caller(app=core.policy.apps["web"], active=core.active(), request_id="bench")
        numbers = crowd()
        hasher = core.check._hasher  # noqa: SLF001 - the peppers that codes are checked with
        codes: list[tuple[str, str]] = []

        def open_challenge() -> None:
            id_ = core.send.send(caller, SendRequest(to=next(numbers))).challenge_id
            lease = core.store.challenges.claim(id_)
            assert lease is not None
            claim, scheme = Claim(id_, "login", ""), lease.challenge.scheme
            digest = digest_of(hasher.hash("123456", claim, scheme))
            core.store.challenges.arm(lease, "reference", digest, "main")
            codes.append((id_, "123456"))

        sent = median_ms(open_challenge, rounds)
        checked = median_ms(lambda: core.check.verify(caller, *codes.pop()), rounds)
        floor = median_ms(lambda: hasher.hash("123456", CLAIM, hasher.scheme), rounds)
        yield Figure(
            f"a check without HTTP, {profile}", checked, "ms", f"{checked / floor:.2f} times its hash"
        )
        yield Figure(f"send + claim + hash + arm, {profile}", sent, "ms")
        core.scripts.close()
    finally:
        server.close()


def memory(rounds: int) -> Iterator[Figure]:
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
        yield Figure("a pending challenge", (after - before) / rounds, "bytes", "of the store's memory")
        core.scripts.close()
    finally:
        server.close()


def reaching(rounds: int, profile: str) -> Iterator[Figure]:
    """How soon a message reaches the upstream, in an idle demo."""
    with tempfile.TemporaryDirectory() as folder:
        demo = Demo(Path(folder), environment={"OTP_HASH_PROFILE": profile, "OTP_LOG_LEVEL": "warning"})
        try:
            median = statistics.median(_reach(demo, number) for number in itertools.islice(crowd(), rounds))
        finally:
            demo.close()
    besides = median - hash_ms(profile)
    yield Figure("202 -> at the upstream, idle", median, "ms", profile)
    yield Figure("  besides the hash", besides, "ms", most=REACH_MS)


def _reach(demo: Demo, number: str) -> float:
    """Return the milliseconds from the 202 to the upstream's own time stamp."""
    demo.send(number)
    answered = time.time()
    time.sleep(0.15)  # idle: looking at the inbox meanwhile would be load
    demo.code(number)
    return (datetime.fromisoformat(demo.inbox(number)[0]["at"]).timestamp() - answered) * 1000
