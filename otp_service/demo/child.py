"""One child process: how it starts, how its output reaches the log, how it ends.

Knows processes. Must not know which programs a demo consists of.
"""

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import IO

from otp_service import child_process
from otp_service.telemetry import logs

STOP_WITHIN = 12.0
"""Seconds that a process gets to end after it was asked to."""
STEADY_AFTER = 10.0
"""Seconds after which a process that ends by itself does not count as one that failed to start."""


@dataclass
class Child:
    """A process of the demo and how to start it."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    speaks_json: bool = True
    process: subprocess.Popen[bytes] | None = None
    crashes: int = 0
    started: float = 0.0
    said: str | None = None
    """The last line of a program that does not log JSON: why it ended, if it did."""

    def start(self) -> None:
        """Start it in its own session: Ctrl-C then reaches only the demo, which stops its processes in order."""
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            self.command,
            env=dict(self.environment),
            start_new_session=True,
            preexec_fn=partial(child_process.die_with_parent, os.getpid()),  # noqa: PLW1509 - one system call, before any thread matters
            stdout=None if self.speaks_json else subprocess.PIPE,
            stderr=None if self.speaks_json else subprocess.STDOUT,
        )
        if self.process.stdout:
            threading.Thread(target=self._relay, args=(self.process.stdout,), daemon=True).start()

    def _relay(self, lines: IO[bytes]) -> None:
        """Put each line of a program that does not log JSON into the log."""
        for line in lines:
            self.said = line.decode(errors="replace").strip()
            logs.log("demo.child_said", child=self.name, line=self.said)

    @property
    def has_ended(self) -> bool:
        """Whether it was started and is no longer running."""
        return self.process is not None and self.process.poll() is not None

    def count_crash(self) -> int:
        """Count an early end and return how many there were in a row. One killed by a signal does not count."""
        steady = time.monotonic() - self.started > STEADY_AFTER
        killed = self.process is not None and (self.process.returncode or 0) < 0
        self.crashes = 0 if steady or killed else self.crashes + 1
        return self.crashes

    def stop(self) -> None:
        """Ask it to end."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def wait(self) -> None:
        """Wait for its end; kill it if it takes too long."""
        if self.process is None:
            return
        try:
            self.process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
