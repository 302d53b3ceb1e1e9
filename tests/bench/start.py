"""How soon commands answer, and how soon the demo is ready when it starts for the second time, as `make run` does."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figures import Figure
from tests.conftest import POLICY
from tests.support.demo_process import Demo
from tests.support.http_api import NOBODY

COMMAND_WITHIN, DEMO_WITHIN = 0.4, 3.0
"""Seconds."""


def starting(rounds: int) -> Iterator[Figure]:
    """Start commands and the demo."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "policy.toml").write_text(POLICY.replace("UPSTREAM/", f"{NOBODY}/"))
        for words in (("--version",), ("policy", "check", "policy.toml")):
            took = statistics.median(_seconds(words, folder) for _ in range(rounds))
            yield Figure(f"otp-service {' '.join(words[:2])}", took, "s", most=COMMAND_WITHIN)
        Demo(folder).close()
        started = time.perf_counter()
        demo = Demo(folder)
        took = time.perf_counter() - started
        demo.close()
        yield Figure(
            "second start of the demo, to ready", took, "s", "as make run starts it", most=DEMO_WITHIN
        )


def _seconds(words: tuple[str, ...], folder: Path) -> float:
    started = time.perf_counter()
    command = [sys.executable, "-m", "otp_service", *words]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return time.perf_counter() - started
