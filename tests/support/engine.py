"""Containers without an engine: processes with a root, mounts, user and rights of their own, as an engine starts them.

Knows the kernel's namespaces. Must not know what is in a container. It needs root.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

_CHILD = Path(__file__).with_name("engine_child.py")
Process = subprocess.Popen[bytes]
Mount = tuple[str, str, str]
"""What is mounted, where in the container, and whether it is `ro` or `rw`."""


@dataclass(frozen=True, kw_only=True)
class Container:
    """A process to start: `command` in `root`, as `user` and `group`, with these capabilities and no others."""

    root: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: str = "/"
    user: int
    group: int
    capabilities: Sequence[str] = ()
    mounts: Sequence[Mount] = ()
    tmpfs: Sequence[str] = ()
    read_only: bool = True
    no_new_privileges: bool = True

    def start(self, log: Path) -> Process:
        """Start it. What it says goes to the end of the log."""
        self._make_places()
        alone = ["/usr/bin/unshare", "--mount", "--pid", "--fork", "--kill-child"]
        with log.open("ab") as output:
            return subprocess.Popen(
                [*alone, sys.executable, "-I", str(_CHILD), json.dumps(asdict(self))],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _make_places(self) -> None:
        """Make the places of mounts that the image does not have, as engines do."""
        for place in ("/dev", "/proc", *self.tmpfs):
            Path(self.root + place).mkdir(parents=True, exist_ok=True)
        for source, place, _ in self.mounts:
            target = Path(self.root + place)
            if Path(source).is_dir():
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.touch()


def end(process: Process, by: signal.Signals = signal.SIGTERM) -> int:
    """End a container, as an engine does; gives the exit code. It is alone in its namespace, so all of it ends."""
    if process.poll() is None:
        for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(pid), by)
    return process.wait()
