"""A worker in several processes: one that dies is replaced, and no signal loses or repeats a message."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
import requests

from otp_service.bootstrap.activation import configure
from otp_service.bootstrap.core import Core
from otp_service.challenge.model import Status
from otp_service.cli import main as cli
from otp_service.delivery.reads import IDLE_POLL
from otp_service.verification.caller import Caller
from otp_service.verification.send import SendRequest
from tests.conftest import POLICY, UPSTREAM_TOKEN
from tests.support.deployments import Cluster
from tests.support.fault_server import FaultServer, Received, http_json
from tests.support.numbers import crowd
from tests.support.patience import PATIENCE, PATIENT_LIMITS, until
from tests.support.ports import free_port
from tests.support.valkey_server import ValkeyServer, scripts_run

pytestmark = pytest.mark.slow
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("OTP_", "SANDBOX_"))}

WATCHED = "".join(
    f'guard.{rule}.mode = "watch"\n'
    for rule in ("number", "prefix", "country", "app", "money", "everything", "conversion", "unproven")
)
"""Rules that count and refuse nothing."""
NUMBERS = crowd()
IDLE = 10.0
"""Seconds for which an idle worker is watched."""


@pytest.fixture
def upstream() -> Iterator[FaultServer]:
    """Serve an upstream that accepts every message."""
    with FaultServer() as running:
        running.respond(_accept)
        yield running


def _accept(request: Received) -> bytes:
    if request.verb == "GET":
        return http_json({"status": 404}, "404 Not Found")  # it tells no balance
    sent = request.json["nodes"] if request.path.endswith("/json") else [request.fields]
    rows = [{"id": one["custom"], "customid": one["custom"], "status": "AWAITING-DLR"} for one in sent]
    return http_json({"status": 200, "data": rows})


@pytest.fixture
def settings(
    valkey: ValkeyServer, upstream: FaultServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> dict[str, str]:
    """Return the settings of a worker with two processes."""
    assert cli.run(["secrets"]) == 0
    made = dict(line.split("=", maxsplit=1) for line in capsys.readouterr().out.splitlines())
    policy = tmp_path / "policy.toml"
    policy.write_text(WATCHED + POLICY.replace("UPSTREAM/", upstream.url.removesuffix("api/v2/")))
    return made | {
        "OTP_REDIS_URL": valkey.url,
        "OTP_REDIS_PREFIX": f"t{secrets.token_hex(6)}",
        "OTP_POLICY_FILE": str(policy),
        "OTP_ISSUER": "https://otp.example.com",
        "OTP_UPSTREAM_MAIN_TOKEN": UPSTREAM_TOKEN,
        "OTP_WORKER_PROCESSES": "2",
        "OTP_WORKER_NAME": "w",
    }


@pytest.fixture
def core(settings: dict[str, str]) -> Iterator[Core]:
    """Make a process of the same deployment that asks for messages."""
    made = Core(configure(settings), threads=4, hash_slots=1, role="api", limits=PATIENT_LIMITS)
    made.active.refresh()
    yield made
    made.close()


@contextmanager
def working(settings: dict[str, str], core: Core, count: int = 2) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a worker until the block ends; all of its processes are at work, and all end well."""
    with log_of(settings).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "otp_service", "worker"], env=CLEAN | settings, stdout=log
        )
    try:
        until(lambda: alive(core) == count)
        yield process
    finally:
        children = of(process)
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=PATIENCE)
    assert code == 0
    assert not any(Path(f"/proc/{child}").exists() for child in children)


def log_of(settings: dict[str, str]) -> Path:
    """Name the file with the log of a worker."""
    return Path(settings["OTP_POLICY_FILE"]).with_name("log")


def reloads(settings: dict[str, str]) -> int:
    """Count the reloads that a worker says it has done."""
    return log_of(settings).read_text().count('"event": "reload.done", "processes": 2')


def alive(core: Core) -> int:
    """Count the workers that are alive, as the API sees them."""
    return core.store.membership(core.store.due).read()[1]


def of(process: "subprocess.Popen[bytes]") -> set[int]:
    """List the processes of a worker."""
    return {int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()}


def requested(core: Core, count: int) -> list[str]:
    """Ask for messages; return the challenges' ids."""
    caller = Caller(app=core.policy.apps["web"], active=core.active(), request_id="r")
    return [core.send.send(caller, SendRequest(to=next(NUMBERS))).challenge_id for _ in range(count)]


def settled(core: Core, ids: list[str]) -> bool:
    """Tell whether each message was accepted."""
    found = [core.store.challenges.read_challenge(id_)[1] for id_ in ids]
    return all(one and one.last.status is Status.ACCEPTED for one in found)


def copies(upstream: FaultServer) -> Counter[int]:
    """Count numbers by how many messages they got."""
    sent = [
        one["to"]
        for request in upstream.received
        for one in (request.json["nodes"] if request.path.endswith("/json") else [request.fields])
        if "to" in one
    ]
    return Counter(Counter(sent).values())


def test_a_process_that_is_killed_is_replaced_and_loses_nothing(
    settings: dict[str, str], core: Core, upstream: FaultServer
) -> None:
    """While another one works, each message is sent; at most those that the dead one had in hand stay unknown."""
    with working(settings, core) as worker:
        before = of(worker)
        ids = requested(core, 40)
        killed = min(before)
        os.kill(killed, signal.SIGKILL)
        until(lambda: len(of(worker)) == 2 and killed not in of(worker))
        ids += requested(core, 40)
        until(lambda: settled(core, ids))
        assert of(worker) - before
    assert sum(copies(upstream).values()) == len(ids)


def test_a_reload_replaces_the_processes_and_sends_everything_once(
    settings: dict[str, str], core: Core, upstream: FaultServer
) -> None:
    """SIGHUP under load: each process finishes what it has in hand, and another one goes on."""
    with working(settings, core) as worker:
        before = of(worker)
        ids = requested(core, 40)
        worker.send_signal(signal.SIGHUP)
        ids += requested(core, 40)
        until(lambda: len(of(worker)) == 2 and not of(worker) & before)
        ids += requested(core, 10)
        until(lambda: settled(core, ids))
    assert copies(upstream) == {1: len(ids)}


def test_a_reload_with_a_broken_policy_changes_nothing(settings: dict[str, str], core: Core) -> None:
    """The processes go on with what they have, and the next reload is heard."""
    policy = Path(settings["OTP_POLICY_FILE"])
    good = policy.read_text()
    with working(settings, core) as worker:
        before = of(worker)
        policy.write_text("broken")
        worker.send_signal(signal.SIGHUP)
        ids = requested(core, 10)
        until(lambda: settled(core, ids))
        assert of(worker) == before
        assert reloads(settings) == 0
        policy.write_text(good)
        worker.send_signal(signal.SIGHUP)
        until(lambda: len(of(worker)) == 2 and not of(worker) & before)
        until(lambda: reloads(settings) == 1)


def test_a_stop_under_load_loses_nothing(settings: dict[str, str], core: Core, upstream: FaultServer) -> None:
    """SIGTERM ends both processes well; what they hand back is sent once by the next worker."""
    with working(settings, core):
        ids = requested(core, 80)
    with working(settings, core):
        until(lambda: settled(core, ids))
    assert copies(upstream) == {1: len(ids)}


def test_one_port_shows_the_metrics_of_all_processes(settings: dict[str, str], core: Core) -> None:
    """Whichever process sent a message."""
    port = free_port()
    with working(settings | {"OTP_WORKER_METRICS": f"127.0.0.1:{port}"}, core):
        ids = requested(core, 20)
        until(lambda: settled(core, ids))
        page = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE).text
    counted = [
        float(line.split()[-1]) for line in page.splitlines() if line.startswith("otp_deliveries_total{")
    ]
    assert sum(counted) == 20


def others_reach(port: int) -> bool:
    """Tell whether a port is open on another address of this machine."""
    with socket.socket() as knocking:
        return knocking.connect_ex(("127.0.0.2", port)) == 0


def test_metrics_are_shown_on_the_address_that_is_named_and_no_other(
    settings: dict[str, str], core: Core
) -> None:
    """They survive a reload, which may move them."""
    first, second = free_port(), free_port()
    moved = Path(settings["OTP_POLICY_FILE"]).with_name("metrics")
    moved.write_text(f"127.0.0.1:{first}")
    with working(settings | {"OTP_WORKER_METRICS_FILE": str(moved)}, core) as worker:
        until(lambda: shown(first))
        assert not others_reach(first)
        before = of(worker)
        worker.send_signal(signal.SIGHUP)
        until(lambda: len(of(worker)) == 2 and not of(worker) & before)
        until(lambda: shown(first))
        before = of(worker)
        moved.write_text(f"127.0.0.1:{second}")
        worker.send_signal(signal.SIGHUP)
        until(lambda: len(of(worker)) == 2 and not of(worker) & before)
        until(lambda: shown(second))
        assert not shown(first)


def shown(port: int) -> bool:
    """Tell whether metrics are shown on a port of loopback."""
    try:
        page = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE)
    except requests.ConnectionError:
        return False
    return "otp_store_call_seconds" in page.text


def test_a_worker_whose_metrics_address_is_taken_does_not_start(settings: dict[str, str]) -> None:
    """It names the setting and the address; as another worker of the same user would share the port otherwise."""
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-m", "otp_service", "worker"],
            env=CLEAN | settings | {"OTP_WORKER_METRICS": address},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode != 0
    assert f"OTP_WORKER_METRICS: cannot listen on {address}: another program listens there" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_worker_whose_parent_is_killed_ends_with_it(settings: dict[str, str], core: Core) -> None:
    """Its processes would go on under names that the parent's successor takes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "otp_service", "worker"], env=CLEAN | settings, stdout=subprocess.DEVNULL
    )
    until(lambda: alive(core) == 2)
    children = of(process)
    process.kill()
    process.wait(timeout=PATIENCE)
    until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))


@pytest.mark.parametrize(("kind", "most"), [("one server", 8), ("cluster", 64)])
def test_an_idle_worker_hardly_asks_the_store(settings: dict[str, str], kind: str, most: int) -> None:
    """With 64 partitions, at most so many scripts a second: it sleeps until something is announced.

    Now and then it reads all partitions at once, which are as many scripts in a cluster.
    """
    with ExitStack() as stack:
        if kind == "cluster":
            cluster = stack.enter_context(closing(Cluster()))
            servers, settings["OTP_REDIS_URL"] = cluster.nodes, cluster.url
        else:
            servers = [stack.enter_context(closing(ValkeyServer()))]
            settings["OTP_REDIS_URL"] = servers[0].url
        settings |= {"OTP_WORKER_PROCESSES": "1", "OTP_PARTITIONS": "64"}
        core = Core(configure(settings), threads=4, hash_slots=1, role="api", limits=PATIENT_LIMITS)
        stack.callback(core.close)
        stack.enter_context(working(settings, core, count=1))
        time.sleep(2 * IDLE_POLL)  # until it reads as seldom as it does when idle
        begun, before = time.monotonic(), sum(map(scripts_run, servers))
        time.sleep(IDLE)
        run = sum(map(scripts_run, servers)) - before
        assert 0 < run <= most * (time.monotonic() - begun)
