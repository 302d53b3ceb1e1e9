"""How many receipts are taken in a second, over HTTP and without; every challenge is looked at afterwards."""

import io
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import requests
from werkzeug.test import EnvironBuilder

from otp_service.access.api_keys import digest
from otp_service.bootstrap.activation import configure
from otp_service.bootstrap.core import Core
from otp_service.bootstrap.stores import Stores
from otp_service.challenge.model import Plan, State, Status, Step
from otp_service.challenge.transitions import Hold
from otp_service.cli.secrets import new_secret
from otp_service.crypto.sealing import Seal
from otp_service.http import app as http_app
from otp_service.settings import Settings
from tests.bench.figures import Figure
from tests.bench.pusher import Progress, push
from tests.support.journeys import account, four_channels
from tests.support.patience import PATIENCE, until
from tests.support.ports import free_port
from tests.support.spine import PatientScripts, Spine, make_spine, new_challenge
from tests.support.valkey_server import ValkeyServer
from tests.system.test_receipts_load import COURSES, PATH, REPEATED, SECRET, pushes

PROCESSES, CONNECTIONS = 2, 8
THREADS = 8
SLOWEST = 50
"""Receipts a second below which a run gives up."""
PLAN = Plan((Step("whatsapp", ("main",), 30),), 6, 3600, 5, 4, (30,))
DIGEST = "c" * 22
"""As long as a real one."""


def receiving(count: int) -> Iterator[Figure]:
    """Push about `count` receipts, shuffled and a fifth of them twice. Raises AssertionError for a wrong state."""
    server = ValkeyServer(options={"appendfsync": "everysec"})
    try:
        with _serving(server) as (core, spine, port):
            yield _over_http(core, spine, port, count)
            yield _without_http(core, spine, max(100, count // 10))
    finally:
        server.close()


@contextmanager
def _serving(server: ValkeyServer) -> Iterator[tuple[Core, Spine, int]]:
    """Run `otp-service serve` as it is run for real; gives a core with the same settings, a spine, and the port.

    The spine works on the same challenges and waits for the store where the product would not.
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        environment = _environment(server.url, port, Path(folder))
        core = Core(configure(environment), threads=THREADS, hash_slots=1, role="bench")
        scripts = PatientScripts(server)
        store = Stores(scripts, prefix=core.settings.redis_prefix, partitions=core.settings.partitions)
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "otp_service", "serve"],
                env={**os.environ, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            until(lambda: _is_ready(process, port, log))
            core.active.refresh()
            yield core, make_spine(scripts, store=store), port
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
            scripts.close()
            core.close()


def _environment(redis_url: str, port: int, folder: Path) -> dict[str, str]:
    receipts = f'pull = false\nreceipts = {{ secrets = ["{digest(SECRET)}"] }}'
    policy = folder / "policy.toml"
    policy.write_text(four_channels(account("main", "http://127.0.0.1:9", receipts)))
    return {
        "OTP_REDIS_URL": redis_url,
        "OTP_POLICY_FILE": str(policy),
        "OTP_ISSUER": "https://otp.example.com",
        "OTP_PEPPERS": f"p1:{new_secret()}",
        "OTP_NUMBER_KEYS": f"n1:{new_secret()}",
        "OTP_LOOKUP_KEYS": f"l1:{new_secret()}",
        "OTP_SUBJECT_KEY": new_secret(),
        "OTP_SIGNING_KEYS": f"s1:{new_secret()}",
        "OTP_DEVICE_KEYS": f"d1:{new_secret()}",
        "OTP_UPSTREAM_MAIN_TOKEN": "0123456789abcdef0123456789abcdef",
        "OTP_LISTEN": f"127.0.0.1:{port}",
        "OTP_PROCESSES": str(PROCESSES),
    }


def _is_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        return requests.get(f"http://127.0.0.1:{port}/readyz", timeout=PATIENCE).ok
    except requests.RequestException:
        return False


def _over_http(core: Core, spine: Spine, port: int, count: int) -> Figure:
    reports, stands = _reports(core.settings, spine.store, count)
    pushed = [_request(report) for report in reports]
    answers, took = push(port, pushed, CONNECTIONS, 30 + count / SLOWEST)
    assert answers[200] == len(reports), f"answers by status: {dict(answers)}"
    _check(spine, stands)
    how = f"{PROCESSES} processes of otp-service serve, {CONNECTIONS} connections of one more process"
    if again := answers.total() - len(reports):
        how += f", {again} answered 503 and pushed again"
    return _figure("receipts over HTTP", len(reports) / took, how, len(stands))


def _without_http(core: Core, spine: Spine, count: int) -> Figure:
    reports, stands = _reports(core.settings, spine.store, count)
    web = http_app.web(core)
    bodies = [json.dumps(report).encode() for report in reports]
    likeness = EnvironBuilder(path=PATH, method="POST", content_type="application/json").get_environ()

    def take(body: bytes) -> str:
        answered: list[str] = []
        surroundings = {**likeness, "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
        b"".join(web(surroundings, lambda status, _headers, _error=None: answered.append(status)))  # type: ignore[arg-type]
        return answered[0]

    started = time.perf_counter()
    answers = Counter(map(take, bodies))
    took = time.perf_counter() - started
    assert answers == {"200 OK": len(reports)}, f"answers by status: {dict(answers)}"
    _check(spine, stands)
    how = "one thread of one process that logs nothing"
    return _figure("receipts, no server", len(reports) / took, how, len(stands))


def _figure(name: str, rate: float, how: str, right: int) -> Figure:
    return Figure(name, rate, "/s", f"{how}; all {right} challenges as they must be")


def _reports(settings: Settings, store: Stores, count: int) -> tuple[list[dict[str, str]], dict[str, Status]]:
    """Have messages accepted; gives at least `count` reports of them and where each challenge must stand."""
    each = (1 + REPEATED) * sum(map(len, COURSES)) / len(COURSES)
    messages = math.ceil(count / each)
    progress = Progress("messages accepted", messages)
    seal = Seal(settings.number_keys, settings.lookup_keys, settings.subject_key)
    with ThreadPoolExecutor(THREADS) as threads:
        ids = dict(threads.map(lambda _: _accepted(store, seal, progress), range(messages)))
    return pushes(ids, random.Random(1))


def _accepted(store: Stores, seal: Seal, progress: Progress) -> tuple[str, str]:
    """Write a challenge whose message was accepted, as a worker does; gives its id and the upstream's."""
    challenge = store.challenges.open(new_challenge(store, PLAN)).challenge
    assert challenge is not None
    lease, reference, upstream_id = (
        store.challenges.claim(challenge.id),
        seal.reference(challenge.id),
        f"{uuid.uuid4()}:1",
    )
    assert lease is not None
    assert store.challenges.arm(lease, reference, DIGEST, "main")
    store.challenges.index_message(seal.index("message", "main", upstream_id), challenge.id, PLAN.ttl * 1000)
    settled = store.challenges.settle(
        lease, Hold(), reference=reference, status=Status.ACCEPTED, upstream_id=upstream_id, account="main"
    )
    assert settled is not None
    progress.step()
    return challenge.id, upstream_id


def _request(report: Mapping[str, str]) -> bytes:
    body = json.dumps(report)
    return (
        f"POST {PATH} HTTP/1.1\r\nHost: otp.example.com\r\nUser-Agent: bench\r\nAccept: */*\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def _check(spine: Spine, stands: Mapping[str, Status]) -> None:
    """Let a worker do what is due, then look at every challenge: one message each, and where it must stand."""
    for partition in spine.store.partitions.names():
        while ids := spine.store.due.due([partition], 100)[partition].ids:
            for id_ in ids:
                spine.dispatcher.dispatch(id_, lambda: False)
    assert spine.phone.inbox.empty(), "a second message left"
    progress = Progress("challenges checked", len(stands))
    with ThreadPoolExecutor(THREADS) as threads:
        found = threads.map(lambda one: _wrong(spine.store, one[0], one[1], progress), stands.items())
        wrong = list(filter(None, found))
    assert not wrong, f"{len(wrong)} of {len(stands)} challenges are wrong: {'; '.join(wrong[:3])}"


def _wrong(store: Stores, id_: str, status: Status, progress: Progress) -> str:
    """Say what is wrong with a challenge: a failure ends it as undeliverable, nothing else ends it."""
    progress.step()
    challenge = store.challenges.read_challenge(id_)[1]
    state = State.UNDELIVERABLE if status is Status.FAILED else State.PENDING
    found = challenge and (challenge.state, [delivery.status for delivery in challenge.deliveries])
    return "" if found == (state, [status]) else f"{found} and not {(state, [status])}"
