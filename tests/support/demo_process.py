"""A running demo for tests: the whole product as its own processes, on free ports, in a folder of its own."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests

from tests.support.ports import free_port

START_WITHIN = 40.0
PATIENCE = 30.0
PROCESSES = 3
"""Those that follow the policy: a worker and two of the API."""


class Demo:
    """`otp-service demo` and how to talk to it."""

    def __init__(self, folder: Path, *options: str, environment: Mapping[str, str] | None = None) -> None:
        """Start it in `folder` and wait until it is ready. The `fast` hash profile, unless told otherwise."""
        self.folder = folder
        self.var = folder / "var"
        self.log = folder / "log"
        port, sandbox_port = free_port(), free_port()
        ports = ("--port", str(port), "--sandbox-port", str(sandbox_port))
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "otp_service", "demo", *ports, *options],
                cwd=folder,
                env={**os.environ, "OTP_HASH_PROFILE": "fast", **(environment or {})},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._local = threading.local()
        self.keys = self._wait()

    def _wait(self) -> dict[str, str]:
        until = time.monotonic() + START_WITHIN
        file = self.var / "demo.json"
        while not file.exists():
            if self.process.poll() is not None or time.monotonic() > until:
                self.close()
                raise AssertionError(f"the demo did not start:\n{self.log.read_text()}")
            time.sleep(0.05)
        keys: dict[str, str] = json.loads(file.read_text())
        self.settings: dict[str, str] = json.loads(file.read_text())["settings"]
        return keys

    @property
    def session(self) -> requests.Session:
        """One HTTP client for each thread."""
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._local.session.trust_env = False
        session: requests.Session = self._local.session
        return session

    def call(
        self, method: str, path: str, body: object = None, *, key: str = "publishable_key", **headers: str
    ) -> requests.Response:
        """Call the API with one of the demo's keys."""
        sent = {
            "Authorization": f"Bearer {self.keys[key]}",
            **{n.replace("_", "-"): v for n, v in headers.items()},
        }
        return self.session.request(method, self.keys["api"] + path, json=body, headers=sent, timeout=15)

    def send(self, to: str, **fields: object) -> dict[str, Any]:
        """Start a challenge that must be accepted."""
        answer = self.call("POST", "/otp/send", {"to": to, **fields})
        assert answer.status_code == 202, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    def inbox(self, to: str | None = None, limit: int = 100_000) -> list[dict[str, Any]]:
        """Look at the sandbox's inbox, newest first."""
        query = {"limit": str(limit)} | ({"to": to} if to else {})
        messages: list[dict[str, Any]] = self.session.get(
            self.keys["sandbox"] + "/inbox", params=query, headers={"Accept": "application/json"}, timeout=15
        ).json()
        return messages

    def code(self, to: str, count: int = 1) -> str:
        """Wait until `count` messages to a number have arrived; give the newest code."""
        until = time.monotonic() + PATIENCE
        while True:
            with suppress(requests.ConnectionError):  # a sandbox that was killed takes a moment to come back
                if len(messages := self.inbox(to)) >= count:
                    code: str = messages[0]["code"]
                    return code
            assert time.monotonic() < until, f"no message came:\n{self.log.read_text()[-3000:]}"
            time.sleep(0.01)

    def events(self) -> list[dict[str, Any]]:
        """Read what all processes have logged."""
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def wait_for_policy(self, version: int) -> None:
        """Wait until a worker and both API processes follow a version."""
        until = time.monotonic() + PATIENCE
        wanted = {"event": "policy.followed", "version": version}
        while sum(wanted.items() <= event.items() for event in self.events()) < PROCESSES:
            assert time.monotonic() < until, self.log.read_text()[-3000:]
            time.sleep(0.05)

    def children(self) -> dict[str, int]:
        """Give the process id of each child by its command."""
        pids = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        names = {}
        for pid in pids:
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue  # gone meanwhile
            if b"valkey-server" in words[0]:
                names["valkey"] = int(pid)
            for name in (b"serve", b"worker", b"sandbox"):
                if name in words:
                    names[name.decode()] = int(pid)
        return names

    def kill(self, name: str) -> None:
        """Kill one child as a crash would, once it does its work."""
        until = time.monotonic() + PATIENCE
        while not self._works(name):
            assert time.monotonic() < until, self.log.read_text()[-3000:]
            time.sleep(0.02)
        os.kill(self.children()[name], signal.SIGKILL)

    def _works(self, name: str) -> bool:
        pid = self.children().get(name)
        if name == "worker":
            return f'"process": "worker", "pid": {pid}, "event": "worker.started"' in self.log.read_text()
        if name == "serve":
            with suppress(requests.RequestException):
                return pid is not None and self.session.get(f"{self.keys['api']}/readyz", timeout=2).ok
            return False
        return pid is not None

    def close(self) -> int:
        """End it as Ctrl-C does; gives its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)
