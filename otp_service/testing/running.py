"""The whole product as a child process, and what its sandbox has received.

Knows the `demo` command, its folder and the sandbox's controls. Must not know pytest.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from otp_service import child_process
from otp_service.testing.ports import free_port

START_WITHIN = 300.0
"""Seconds that a start may take on a busy machine. A process that ends is noticed at once."""
ARRIVE_WITHIN = 60.0
"""Seconds within which a message arrives on a busy machine, if no other time is given."""
STOP_WITHIN = 60.0


@dataclass(frozen=True, slots=True)
class Message:
    """A message that a phone got. `code` is the code in its text, if there is one."""

    to: str
    channel: str
    text: str
    code: str | None


class RunningService:
    """A service with an app, a policy that limits nothing, and a sandbox instead of an upstream; a context manager."""

    def __init__(self, folder: Path, origins: Iterable[str] = ()) -> None:
        """Start it in a folder of its own; pages of `origins` may use its publishable key.

        Raises RuntimeError with the end of the log if it does not start.
        """
        self._log = folder / "log"
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Accept"] = "application/json"
        command = [sys.executable, "-m", "otp_service", "demo", "--var", str(folder / "var")]
        command += ["--port", str(free_port()), "--sandbox-port", str(free_port())]
        command += [word for origin in origins for word in ("--origin", origin)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                command,
                env={"OTP_HASH_PROFILE": "fast", **os.environ},
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=partial(child_process.die_with_parent, os.getpid()),  # noqa: PLW1509 - one system call
            )
        try:
            said = self._wait_until_ready(folder / "var" / "demo.json")
        except BaseException:
            self.close()
            raise
        self.url: str = said["api"]
        """The service's address."""
        self.publishable_key: str = said["publishable_key"]
        self.secret_key: str = said["secret_key"]
        self.ops_key: str = said["ops_key"]
        """The key of an operator."""
        self.sandbox_url: str = said["sandbox"]
        """The address of the sandbox, whose page shows the inbox."""

    def messages(self, to: str | None = None) -> list[Message]:
        """List the messages that arrived, newest first: all, or those to a number (E.164)."""
        query = {"limit": "10000"} | ({"to": to} if to else {})
        rows = self._ask("GET", "/inbox", params=query).json()
        return [Message(row["to"], row["channel"], row["text"], row["code"]) for row in rows]

    def wait_for_message(self, to: str, count: int = 1, *, timeout: float = ARRIVE_WITHIN) -> Message:
        """Wait until `count` messages to a number (E.164) have arrived; return the newest.

        Raises TimeoutError after `timeout` seconds.
        """
        end = time.monotonic() + timeout
        while len(arrived := self.messages(to)) < count:
            if time.monotonic() > end:
                raise TimeoutError(f"{len(arrived)} of {count} messages to {to} arrived within {timeout} s")
            time.sleep(0.02)
        return arrived[0]

    def wait_for_code(self, to: str, count: int = 1, *, timeout: float = ARRIVE_WITHIN) -> str:
        """Wait as `wait_for_message` and return the code in the newest message."""
        return self.wait_for_message(to, count, timeout=timeout).code or ""

    def force(self, outcome: str, *, number: str = "*", channel: str = "*") -> None:
        """Let sends end in an outcome of the sandbox, such as `undelivered`, `silent` or `refused`, until `reset`.

        Raises ValueError if the channel has no such outcome.
        """
        body = {"number": number, "channel": channel, "outcome": outcome}
        answer = self._ask("PUT", "/outcomes", json=body)
        if not answer.ok:
            raise ValueError(answer.text)

    def reset(self) -> None:
        """Empty the inbox and forget forced outcomes."""
        self._ask("DELETE", "/outcomes").raise_for_status()
        self._ask("DELETE", "/inbox").raise_for_status()

    def close(self) -> None:
        """End all of its processes."""
        self._session.close()
        self._process.terminate()
        try:
            self._process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait_until_ready(self, file: Path) -> dict[str, Any]:
        """Wait for the file that the demo writes when all of it answers, and return what it says."""
        end = time.monotonic() + START_WITHIN
        while not file.exists():
            if self._process.poll() is not None or time.monotonic() > end:
                log = self._log.read_text(encoding="utf-8", errors="replace")
                raise RuntimeError(f"the service did not start:\n{log[-2000:]}")
            time.sleep(0.05)
        said: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return said

    def _ask(self, method: str, path: str, **options: Any) -> requests.Response:  # noqa: ANN401 - those of requests
        return self._session.request(method, self.sandbox_url + path, timeout=ARRIVE_WITHIN, **options)
