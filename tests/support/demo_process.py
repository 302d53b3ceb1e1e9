"""A running demo for tests: the whole product as its own processes, on free ports, in a folder of its own."""

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests

from tests.support.patience import PATIENCE, until
from tests.support.ports import free_port

API_PROCESSES = 2
"""Processes of the API; how many the worker has depends on the machine."""
BUSY = 503
"""The answer of a correct service on a machine that is too slow; a client tries again."""


class Demo:
    """`otp-service demo` and how to talk to it."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        environment: Mapping[str, str] | None = None,
        verbose: bool = True,
        command: Sequence[str] = (sys.executable, "-m", "otp_service"),
    ) -> None:
        """Start it in `folder` and wait until it is ready. It uses the `fast` hash profile by default."""
        self.folder = folder
        self.var = folder / "var"
        self.log = folder / "log"
        port, sandbox_port = free_port(), free_port()
        ports = ("--port", str(port), "--sandbox-port", str(sandbox_port))
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *command,
                    "demo",
                    *ports,
                    *options,
                    *(("--verbose",) if verbose else ()),
                ],
                cwd=folder,
                env={**os.environ, "OTP_HASH_PROFILE": "fast", **(environment or {})},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._local = threading.local()
        try:
            self.wait((self.var / "demo.json").exists)
        except BaseException:
            self.close()
            raise
        self.keys: dict[str, str] = json.loads((self.var / "demo.json").read_text())
        self.settings: dict[str, str] = json.loads((self.var / "demo.json").read_text())["settings"]

    def wait(self, holds: Callable[[], bool]) -> None:
        """Wait until `holds`, for as long as the demo runs and its log grows."""

        def held() -> bool:
            assert self.process.poll() is None, f"the demo has ended:\n{self.said()}"
            return holds()

        until(
            held,
            progress=lambda: self.log.stat().st_size,
            explain=lambda: f"nothing moves:\n{self.said()}",
            pause=0.05,
        )

    def said(self) -> str:
        """Give the end of the log."""
        return self.log.read_text()[-3000:]

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
        """Call the API with one of the demo's keys, as often as it takes until it is not too busy."""
        answers: list[requests.Response] = []

        def answered() -> bool:
            answers.append(self.call_once(method, path, body, key=key, **headers))
            return answers[-1].status_code != BUSY

        until(answered, explain=lambda: f"{answers[-1].text}\n{self.said()}")
        return answers[-1]

    def call_once(
        self, method: str, path: str, body: object = None, *, key: str = "publishable_key", **headers: str
    ) -> requests.Response:
        """Call the API with one of the demo's keys; gives whatever it answers."""
        sent = {
            "Authorization": f"Bearer {self.keys[key]}",
            **{n.replace("_", "-"): v for n, v in headers.items()},
        }
        return self.session.request(
            method, self.keys["api"] + path, json=body, headers=sent, timeout=PATIENCE
        )

    def send(self, to: str, **fields: object) -> dict[str, Any]:
        """Start one challenge, with as many requests as it takes."""
        key = secrets.token_hex(16)
        answer = self.call("POST", "/otp/send", {"to": to, **fields}, Idempotency_Key=key)
        assert answer.status_code == 202, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    def inbox(self, to: str | None = None, limit: int = 100_000) -> list[dict[str, Any]]:
        """Look at the sandbox's inbox, newest first."""
        query = {"limit": str(limit)} | ({"to": to} if to else {})
        messages: list[dict[str, Any]] = self.session.get(
            self.keys["sandbox"] + "/inbox",
            params=query,
            headers={"Accept": "application/json"},
            timeout=PATIENCE,
        ).json()
        return messages

    def code(self, to: str, count: int = 1) -> str:
        """Wait until `count` messages to a number have arrived; give the newest code."""
        messages: list[dict[str, Any]] = []

        def arrived() -> bool:
            with suppress(requests.ConnectionError):  # a sandbox that was killed takes a moment to come back
                messages[:] = self.inbox(to)
            return len(messages) >= count

        self.wait(arrived)
        code: str = messages[0]["code"]
        return code

    def events(self) -> list[dict[str, Any]]:
        """Read what all processes have logged."""
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def wait_for_policy(self, version: int) -> None:
        """Wait until both processes of the API and all of the worker follow a version."""

        def all_follow() -> bool:
            events = self.events()
            workers = max((one["processes"] for one in events if one["event"] == "worker.started"), default=1)
            followed = [
                one["process"]
                for one in events
                if (one["event"], one.get("version")) == ("policy.followed", version)
            ]
            return followed.count("api") >= API_PROCESSES and followed.count("worker") >= workers

        self.wait(all_follow)

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
        self.wait(lambda: self._works(name))
        os.kill(self.children()[name], signal.SIGKILL)

    def _works(self, name: str) -> bool:
        pid = self.children().get(name)
        if name == "worker":
            return f'"process": "worker", "pid": {pid}, "event": "worker.started"' in self.log.read_text()
        if name == "serve":
            with suppress(requests.RequestException):
                return pid is not None and self.call_once("GET", "/readyz").ok
            return False
        return pid is not None

    def end(self) -> None:
        """Ask it to end as Ctrl-C does, without waiting."""
        self.session.close()  # a server that ends waits a little for connections that are kept alive
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)

    def close(self) -> int:
        """End it as Ctrl-C does; gives its exit code."""
        self.end()
        return self.process.wait(PATIENCE)


StartDemo = Callable[..., Demo]
"""Starts a demo of a test's own: its options as they are typed, its settings by name."""
