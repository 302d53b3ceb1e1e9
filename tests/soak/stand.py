"""What is put through the soak: two of `serve`, two of `worker`, a master, a replica and a Sentinel, and the sandbox.

The master's append-only file is on a small disk of its own, which can be filled; without the right to mount one, on
the machine's. The processes' clocks can be moved.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

import requests
from flask import Flask, Response
from redis.exceptions import RedisError

from otp_service.access.api_keys import digest
from otp_service.cli.secrets import new_secret
from otp_service.sandbox import create_sandbox
from tests.conftest import OPS, PUBLISHABLE, SECRET, UPSTREAM_TOKEN
from tests.support.deployments import Sentinel, ask, leads
from tests.support.patience import PATIENCE, until
from tests.support.ports import HOST, free_port
from tests.support.sandbox_server import Serving, usual
from tests.support.service_process import settings
from tests.support.spine import OPEN_GUARD
from tests.support.valkey_server import ValkeyServer

WEBHOOK = "whs_only-for-the-soak-only-for-the-soak"
DISK = "512m"
"""Size of the disk for the store's files: small enough to be filled in a moment."""
KEPT_KEYS = 8
"""Entries of a ring: with so many faults between two rotations, what the oldest one signed or hashed has ended."""
MOVED_CLOCK = Path(__file__).with_name("moved_clock")
WAIT_REPLICAS = {"OTP_REDIS_WAIT_REPLICAS": "1", "OTP_REDIS_WAIT_MS": "200"}
POLICY = f"""guard.countries.allow = ["*"]
challenge.ttl = "4m"
[app.web]
brand = "Acme"
publishable_keys = ["{digest(PUBLISHABLE)}"]
origins = ["https://app.example.com"]
secret_keys = ["{digest(SECRET)}"]
[operator.anna]
keys = ["{digest(OPS)}"]
[upstream.main]
kind = "mobtexting"
base_url = "UPSTREAM/api/v2/"
token_env = "OTP_UPSTREAM_MAIN_TOKEN"
sms = {{ service = "T", sender = "ACMEIN" }}
whatsapp = {{ sender = "919000000001", template = "otp_login" }}
voice = {{ bridge = "918045000000" }}
[upstream.main.receipts]
secrets = ["{digest(WEBHOOK)}"]
[[route]]
steps = [
  {{ channel = "sms", upstream = "main", wait = "6s" }},
  {{ channel = "whatsapp", upstream = "main", wait = "6s" }},
  {{ channel = "voice", upstream = "main", wait = "6s" }},
]
{OPEN_GUARD}
[guard.guessing]
mode = "off"
"""


class SlowSandbox:
    """The sandbox, each of whose answers can be delayed."""

    def __init__(self, app: Flask) -> None:
        self.app, self.seconds = app, 0.0
        app.before_request(self._wait)

    def _wait(self) -> Response | None:
        time.sleep(self.seconds)
        return None


class Stand:
    """Everything that runs, with the names of its parts: `serve-0`, `worker-1` and so on. A context manager."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="otp-soak-")))
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self._ops = {name: f"{HOST}:{free_port()}" for name in self.names() if name.startswith("serve")}
        """Where each of `serve` answers operators: there it says of itself whether it is ready."""
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.disk = self._small_disk()
        on_disk = {"dir": str(self.disk)} if self.disk else {}
        self.store = Sentinel(writes_alone=False, **on_disk, appendfsync="everysec")
        self._stack.callback(self.store.close)
        sandbox = create_sandbox(
            usual(
                tokens=frozenset({UPSTREAM_TOKEN}),
                report_url=f"{self.url}/webhooks/mobtexting/main",
                report_secret=WEBHOOK,
                report_delay=0.3,
                inbox_size=1_000_000,  # the judge reads all of it
            )
        )
        self.upstream = SlowSandbox(sandbox)
        served = Serving(sandbox)
        self._stack.callback(served.close)
        self._stack.callback(sandbox.extensions["sandbox"].close)
        policy = self.folder / "policy.toml"
        policy.write_text(POLICY.replace("UPSTREAM/", f"{served.url}/"))
        self._settings = settings(self.store.master, policy, **WAIT_REPLICAS) | {
            "OTP_REDIS_URL": self.store.url,
            "OTP_LISTEN": f"{HOST}:{self.port}",
            "OTP_PROCESSES": "1",
            "OTP_WORKER_PROCESSES": "1",
            "OTP_HASH_PROFILE": "fast",
            "OTP_LOG_LEVEL": "info",
        }
        self._secrets: dict[str, list[str]] = {}
        for name in ("OTP_PEPPERS", "OTP_SIGNING_KEYS"):
            self._write_secrets(name, [self._settings.pop(name)])
            self._settings[f"{name}_FILE"] = str(self.folder / name)
        (self.folder / "clock").write_text("+0")
        self._kept = threading.local()
        self.troubles: list[str] = []
        """Processes of the product that ended by themselves, or did not end when told to."""
        self.refilled = 0
        """Times that a server of the store came back empty, because a fault had damaged its file."""
        self.promotions: list[float] = []
        """When a replica became the master, whatever led to it (monotonic seconds)."""
        threading.Thread(target=self._watch, daemon=True).start()

    def __enter__(self) -> Self:
        """Start the processes, and wait until they can serve."""
        try:
            for name in self.names():
                self.start(name)
            until(self.is_ready, explain=lambda: "\n".join(log[-500:] for log in self.logs()))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End everything."""
        with self._stack:
            for process in self.processes.values():
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait(PATIENCE)

    @staticmethod
    def names() -> list[str]:
        """List the processes of the product."""
        return ["serve-0", "serve-1", "worker-0", "worker-1"]

    def start(self, name: str) -> None:
        """Start a process. Its log is appended to."""
        kind, _, number = name.partition("-")
        own = {"OTP_WORKER_NAME": f"w{number}"} if kind == "worker" else {"OTP_OPS_LISTEN": self._ops[name]}
        clean = {key: value for key, value in os.environ.items() if not key.startswith("OTP_")}
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "otp_service", kind],
                env=clean | self._settings | own | self._clock(),
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def restart(self, name: str, how: signal.Signals) -> None:
        """End a process and start its successor."""
        process = self.processes[name]
        if process.poll() is not None:
            self.troubles.append(f"{name} ended by itself with {process.returncode}")
        process.send_signal(how)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.troubles.append(f"{name} did not end by {how.name}")
            process.kill()
            process.wait(PATIENCE)
        self.start(name)

    def ended(self) -> list[str]:
        """List the processes that do not run, though they should."""
        return [name for name, process in self.processes.items() if process.poll() is not None]

    def is_ready(self) -> bool:
        """Tell whether each process of the API answers that it can serve, with workers."""
        with suppress(requests.RequestException):
            answers = [
                requests.get(f"http://{place}/readyz", timeout=PATIENCE) for place in self._ops.values()
            ]
            return all(answer.ok and answer.json()["parts"]["workers"] == "ok" for answer in answers)
        return False

    def rescue_logs(self) -> str:
        """Copy the processes' logs to a place that stays; gives where."""
        kept = tempfile.mkdtemp(prefix="otp-soak-logs-")
        for path in self.folder.glob("*.log"):
            shutil.copy(path, kept)
        return kept

    def logs(self) -> Iterable[str]:
        """Give the logs of all processes."""
        return (path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))

    # The store.

    def _watch(self) -> None:
        """Note each promotion. On a busy machine there are some that no fault was meant to cause."""
        with suppress(RedisError, OSError), self.store.promotions() as heard:
            while True:
                if heard.get_message(timeout=1):
                    self.promotions.append(time.monotonic())

    def servers(self) -> list[ValkeyServer]:
        """List both servers, the one that takes writes first."""
        both = [self.store.master, self.store.replica]
        return sorted(both, key=lambda one: not leads(one))

    def promoted(self) -> bool:
        """Tell whether one of the servers leads, with a replica that follows it."""
        leading, other = self.servers()
        if not leads(leading) or leads(other):
            return False
        with suppress(RedisError):
            return bool(ask(other, "INFO", "replication")["master_link_status"] == "up")
        return False

    def mended(self) -> bool:
        """Start what has ended of the store, as whoever runs it would; tell whether it is whole."""
        for server in (self.store.master, self.store.replica):
            if server.has_ended():  # a replica does so a while after its disk was full
                self.bring_back(server)
        return self.promoted()

    def bring_back(self, server: ValkeyServer) -> None:
        """Start a server of the store that has ended."""
        self.refilled += not self.store.bring_back(server)

    def _small_disk(self) -> Path | None:
        """Put the append-only files of the master on a disk that can be filled; None if nothing can be mounted."""
        disk = self.folder / "disk"
        disk.mkdir()
        mounted = subprocess.run(
            ["/bin/mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(disk)], check=False
        )
        if mounted.returncode:
            return None
        self._stack.callback(subprocess.run, ["/bin/umount", "-l", str(disk)], check=False)
        return disk

    # Clocks and secrets.

    def move_clocks(self, seconds: float) -> None:
        """Set the clocks of all processes to so many seconds from the right time."""
        (self.folder / "clock").write_text(f"{seconds:+g}")

    def _clock(self) -> dict[str, str]:
        return {"PYTHONPATH": str(MOVED_CLOCK), "MOVED_CLOCK": str(self.folder / "clock")}

    def rotate(self, name: str) -> None:
        """Bring in a new secret as docs/operate.md says: known to all processes first, then used."""
        old = self._secrets[name]
        made = f"k{time.monotonic_ns():x}:{new_secret()}"
        for entries in ([*old, made], [made, *old][:KEPT_KEYS]):
            self._write_secrets(name, entries)
            self.reload()

    def reload(self) -> None:
        """Let each process read its settings again, and wait until others have taken the place of its children."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                self.restart(name, signal.SIGTERM)
                continue
            before = _children(process.pid)
            process.send_signal(signal.SIGHUP)
            until(
                partial(_are_others, process.pid, before), explain=partial("{} did not reload".format, name)
            )

    def _write_secrets(self, name: str, entries: list[str]) -> None:
        self._secrets[name] = entries
        (self.folder / name).write_text(",".join(entries))

    def call(
        self, method: str, path: str, body: object = None, *, key: str = SECRET, **headers: str
    ) -> requests.Response:
        """Call the API once; each thread keeps its connection."""
        sent = {"Authorization": f"Bearer {key}"} | {n.replace("_", "-"): v for n, v in headers.items()}
        url = f"http://{self._ops['serve-0']}" if path.startswith("/ops") else self.url
        if not hasattr(self._kept, "session"):
            self._kept.session = requests.Session()
        answer: requests.Response = self._kept.session.request(
            method, url + path, json=body, headers=sent, timeout=PATIENCE
        )
        return answer

    def inbox(self, number: str) -> list[dict[str, Any]]:
        """List what arrived for a number, newest first."""
        client = self.upstream.app.test_client()
        rows: list[dict[str, Any]] = client.get("/inbox", query_string={"to": number}).json or []
        return rows


def _children(pid: int) -> set[str]:
    return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def _are_others(pid: int, before: set[str]) -> bool:
    return bool(_children(pid)) and not _children(pid) & before
