"""Processes of our own: one that ends with its parent, and one that does a piece of work within limits.

Knows system calls; what Linux alone has does nothing elsewhere. Must not know what the processes do.
"""

import ctypes
import gc
import math
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress

_PR_SET_PDEATHSIG = 1
_OUT_OF_MEMORY = 3
MOST_SECONDS = 3.0
"""Seconds of CPU that one piece of work may take, with the start of its process."""
MOST_MEMORY = 512
"""MiB of address space that it may have."""
SOON = 10.0
"""Seconds within which a second piece of work makes a third one likely, as while someone types."""
SPARE = 60.0
"""Seconds for which a process that was started ahead waits for its work."""
GARBAGE = 20_000
"""Objects that may be made, beyond those that have gone, before cycles among the newest are searched for."""
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


def freeze_start() -> None:
    """Take what a start has made out of the search for garbage, and search less often: these objects stay.

    By default the whole of them is walked through again and again, for cycles of which a request leaves few: up to
    GARBAGE objects wait, a few MiB.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE)


class TooMuchWork(Exception):
    """The work took more CPU or memory than it may; its process has ended."""


class NoTurn(Exception):
    """The work did not end in time, or never began, because others were first or the machine is busy."""


class LimitedWork:
    """Work that anyone may ask for, done by a module of ours in a process with limits, one piece at a time.

    In a thread it would delay all others, because Python runs one thread at a time. Most of the time goes into the
    start of the process, so while work comes often, the next process is started ahead.
    """

    def __init__(
        self,
        module: str,
        *,
        seconds: float = MOST_SECONDS,
        memory: int = MOST_MEMORY,
        patience: float = PATIENCE,
        soon: float = SOON,
        spare: float = SPARE,
    ) -> None:
        """Name a module that calls `work` when it is run. Its process may use `seconds` of CPU and `memory` MiB.

        One is started ahead if two pieces of work end within `soon` seconds; it waits for `spare` seconds.
        """
        self._command = [sys.executable, "-m", module, str(seconds), str(memory)]
        self._turn = threading.Lock()
        self._turn_within, self._end_within = patience / 3, patience * 2 / 3
        self._ahead: list[subprocess.Popen[bytes]] = []
        """The process that was started ahead, if there is one."""
        self._timer = threading.Timer(0, lambda: None)
        self._soon, self._spare = soon, spare
        self._did = -math.inf
        weakref.finalize(self, _end_all, self._ahead)

    def do(self, given: bytes) -> bytes:
        """Return what the module makes of the input. Raises TooMuchWork or NoTurn."""
        if not self._turn.acquire(timeout=self._turn_within):
            raise NoTurn
        try:
            process = self._begun()
            try:
                answer, _ = process.communicate(given, self._end_within)
            except subprocess.TimeoutExpired:
                _end_all([process])
                raise NoTurn from None
            self._begin_ahead()
        finally:
            self._turn.release()
        if process.returncode in {-signal.SIGPROF, -signal.SIGKILL, _OUT_OF_MEMORY}:
            raise TooMuchWork
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, self._command)
        return answer

    def _begun(self) -> subprocess.Popen[bytes]:
        """Return a process that reads its input: the one that was started ahead, if it still lives."""
        self._timer.cancel()
        if self._ahead and self._ahead[0].poll() is None:
            return self._ahead.pop()
        _end_all(self._ahead)
        pipe = subprocess.PIPE
        return subprocess.Popen(  # noqa: S603 - our own module
            self._command, stdin=pipe, stdout=pipe, stderr=pipe, env=without_secrets(os.environ)
        )

    def _begin_ahead(self) -> None:
        """Start the next process if work comes often. It ends if none comes for a while."""
        now, before = time.monotonic(), self._did
        self._did = now
        if now - before < self._soon:
            self._ahead.append(self._begun())
            self._timer = threading.Timer(self._spare, _end_idle, (weakref.ref(self), self._ahead[0]))
            self._timer.daemon = True
            self._timer.start()

    def end_idle(self, process: subprocess.Popen[bytes]) -> None:
        """End a process that was started ahead, if it still waits."""
        with self._turn:
            if process in self._ahead:
                _end_all(self._ahead)


def _end_idle(work_of: "weakref.ref[LimitedWork]", process: subprocess.Popen[bytes]) -> None:
    if (found := work_of()) is not None:
        found.end_idle(process)


def _end_all(processes: list[subprocess.Popen[bytes]]) -> None:
    while processes:
        process = processes.pop()
        process.kill()
        with suppress(BrokenPipeError), process:  # which closes its pipes, and waits
            pass


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
