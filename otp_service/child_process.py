"""Processes of our own: one that ends with its parent, and one that does a piece of work within limits.

Knows system calls; what Linux alone has does nothing elsewhere. Must not know what the processes do.
"""

import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress

_PR_SET_PDEATHSIG = 1
_OUT_OF_MEMORY = 3
MOST_SECONDS = 3.0
"""Seconds of CPU that one piece of work may take, with the start of its process."""
MOST_MEMORY = 512
"""MiB of address space that it may have."""
PATIENCE = 30
"""Seconds that a caller waits for its turn and for the work together, however busy the machine is."""


def die_with_parent(parent: int, number: signal.Signals = signal.SIGTERM) -> None:
    """Ask the kernel to send this process a signal when its parent ends, for whatever reason (prctl(2)).

    `parent` is the id of the process that made this one: if it has ended by now, nothing would be sent any more.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


class TooMuchWork(Exception):
    """The work took more CPU or memory than it may; its process has ended."""


class NoTurn(Exception):
    """The work did not end in time, or never began, because others were first or the machine is busy."""


class LimitedWork:
    """Work that anyone may ask for, done by a module of ours in a process with limits, one piece at a time.

    In a thread it would delay all others, because Python runs one thread at a time.
    """

    def __init__(
        self,
        module: str,
        *,
        seconds: float = MOST_SECONDS,
        memory: int = MOST_MEMORY,
        patience: float = PATIENCE,
    ) -> None:
        """Name a module that calls `work` when it is run. Its process may use `seconds` of CPU and `memory` MiB."""
        self._command = [sys.executable, "-m", module, str(seconds), str(memory)]
        self._turn = threading.Lock()
        self._turn_within, self._end_within = patience / 3, patience * 2 / 3

    def do(self, given: bytes) -> bytes:
        """Return what the module makes of the input. Raises TooMuchWork or NoTurn."""
        if not self._turn.acquire(timeout=self._turn_within):
            raise NoTurn
        try:
            ended = subprocess.run(  # noqa: S603 - our own module
                self._command,
                input=given,
                capture_output=True,
                timeout=self._end_within,
                check=False,
                env=without_secrets(os.environ),
            )
        except subprocess.TimeoutExpired:
            raise NoTurn from None
        finally:
            self._turn.release()
        if ended.returncode in {-signal.SIGPROF, -signal.SIGKILL, _OUT_OF_MEMORY}:
            raise TooMuchWork
        ended.check_returncode()
        return ended.stdout


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without this service's settings: such work needs none of them."""
    return {name: value for name, value in environment.items() if not name.startswith("OTP_")}


def work(act: Callable[[bytes], bytes]) -> int:
    """Do the work of this process: read the input, write what `act` makes of it. Returns the exit code."""
    seconds, memory = float(sys.argv[1]), int(sys.argv[2])
    signal.setitimer(signal.ITIMER_PROF, seconds)  # its signal ends a process that does not handle it
    for what, most in ((resource.RLIMIT_AS, memory << 20), (resource.RLIMIT_CORE, 0)):
        with suppress(ValueError, OSError):  # the surroundings allow less already, or have no such limit
            resource.setrlimit(what, (most, most))
    try:
        sys.stdout.buffer.write(act(sys.stdin.buffer.read()))
    except MemoryError:
        return _OUT_OF_MEMORY
    return 0
