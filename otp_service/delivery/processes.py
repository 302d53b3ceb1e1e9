"""Keeps several processes that do the same work: replaces those that end, and reloads and stops them by signals.

Knows forks and signals. Must not know what the processes do. This process has no thread of its own, so that each fork
begins with none.
"""

import os
import signal
import time
from collections.abc import Callable

from otp_service import child_process
from otp_service.telemetry.logs import log

PAUSE = 1.0
"""Seconds until a process that ended by itself is replaced, so that one that cannot start does not use up a core."""
GRACE = 9.0
"""Seconds that a stop waits for processes to finish: less than the 10 after which Docker kills."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)

Work = Callable[[int], int]
"""Does the work of the process at a place (from 0) until SIGTERM, which it unblocks; returns its exit status."""


class Processes:
    """Processes by their places."""

    def __init__(
        self, work: Work, count: int, *, prepare: Callable[[], Work | None], forget: Callable[[int], None]
    ) -> None:
        """`prepare` returns what works after a reload, None to go on as before. `forget` gets the id of each end."""
        self._work = work
        self._count = count
        self._prepare = prepare
        self._forget = forget
        self._places: dict[int, int] = {}
        """The place of each process, by its id."""
        self._due: dict[int, float] = {}
        """When to start a process at each empty place (monotonic seconds)."""
        self._failed = False

    def run(self) -> bool:
        """Work until SIGTERM or SIGINT; return whether every process ended well then.

        SIGHUP prepares anew and replaces the processes one by one.
        """
        # Signals are blocked but in `sigtimedwait`, so that none comes between two steps.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self._due = dict.fromkeys(range(self._count), 0.0)
        while True:
            self._start_due()
            number = self._wait(min(self._due.values(), default=time.monotonic() + 60) - time.monotonic())
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stop_all()
                return not self._failed
            if number == signal.SIGHUP:
                self._reload()

    def _start_due(self) -> None:
        now = time.monotonic()
        for place in [place for place, at in self._due.items() if at <= now]:
            del self._due[place]
            self._places[self._start(place)] = place

    def _start(self, place: int) -> int:
        parent = os.getpid()
        if child := os.fork():
            return child
        status = 1
        try:
            # One that outlives its killed parent would go on under a name that the parent's successor takes.
            child_process.die_with_parent(parent, signal.SIGKILL)
            # A terminal's Ctrl+C and its end reach every process; the parent decides what they mean.
            for number in (signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {*_SIGNALS} - {signal.SIGTERM})
            status = self._work(place)
        finally:
            os._exit(status)

    def _wait(self, seconds: float) -> int:
        """Wait for a signal, at most so many seconds, and collect the processes that ended."""
        found = signal.sigtimedwait(_SIGNALS, max(0.0, seconds))
        self._collect()
        return found.si_signo if found else 0

    def _collect(self) -> None:
        while self._places:
            child, status = os.waitpid(-1, os.WNOHANG)
            if not child:
                return
            self._forget(child)
            place = self._places.pop(child, None)
            code = os.waitstatus_to_exitcode(status)
            self._failed = self._failed or bool(code)
            if place is not None:
                log("worker.process_ended", place=place, status=code)
                self._due[place] = time.monotonic() + PAUSE

    def _reload(self) -> None:
        """Replace the processes one by one. If the preparation fails, they stay as they are."""
        work = self._prepare()
        if work is None:
            return
        self._work = work
        for child in list(self._places):
            self._end(child, time.monotonic() + GRACE)
            self._due = dict.fromkeys(self._due, 0.0)
            self._start_due()
        log("reload.done", processes=self._count)

    def _stop_all(self) -> None:
        self._due.clear()
        self._failed = False
        end = time.monotonic() + GRACE
        for child in self._places:
            os.kill(child, signal.SIGTERM)
        for child in list(self._places):
            self._end(child, end)

    def _end(self, child: int, end: float) -> None:
        """Stop a process and wait for its end; kill it when the time is over."""
        if child in self._places:
            os.kill(child, signal.SIGTERM)
        while child in self._places and time.monotonic() < end:
            signal.sigtimedwait([signal.SIGCHLD], 0.1)
            self._collect()
        if child in self._places:
            os.kill(child, signal.SIGKILL)
            while child in self._places:
                signal.sigtimedwait([signal.SIGCHLD], 0.1)
                self._collect()
