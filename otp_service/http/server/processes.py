"""Serves a WSGI application by several processes, under Gunicorn's arbiter.

The arbiter starts the processes, replaces those that die, and reacts to signals. Must not know which application is
served, nor what a process does with a connection.
"""

import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker
from prometheus_client import multiprocess

from otp_service import child_process
from otp_service.errors import ConfigurationError
from otp_service.http.server.answer import Application, Door, Refuse
from otp_service.http.server.bounds import USUAL, Bounds
from otp_service.http.server.front import Front
from otp_service.http.server.listeners import drop_new_handshakes, open_listeners
from otp_service.telemetry.logs import log

GRACE = 9
"""Seconds that a stop waits for requests under way: less than the 10 after which Docker kills."""
HANDSHAKE_TIME = 0.25
"""Seconds in which handshakes end that had begun when a stop came."""
MakeApp = Callable[[], Flask]
Prepare = Callable[[], MakeApp]
"""Reads an application's configuration and returns what makes it. Raises ConfigurationError."""


class _Log(Logger):  # type: ignore[misc]
    """Passes Gunicorn's messages to the log of the process."""

    def setup(self, _cfg: object) -> None:
        self.error_log.propagate = True


class _Worker(Worker):  # type: ignore[misc]
    """One process: turns its front until it is told to stop, then until the last connection has ended."""

    def run(self) -> None:
        served: _Server = self.app
        front = Front(
            self.sockets,
            Application(self.wsgi, served.refuse),
            threads=self.cfg.threads,
            max_body=served.max_body,
            probes=served.probes,
            bounds=served.bounds,
            door=served.make_door(self.wsgi),
        )
        front.wake_by(self.PIPE[0])
        child_process.freeze_start()
        while self.alive and self.ppid == os.getppid():
            self.notify()
            front.turn(1)
            if front.threads.longest() > served.bounds.answering:
                log("server.stuck", logging.ERROR, seconds=served.bounds.answering)
                break  # the arbiter starts another process, with all its threads
        front.stop()
        end = time.monotonic() + self.cfg.graceful_timeout
        while front.connections and time.monotonic() < end:
            self.notify()
            front.turn(0.1)
        served.on_end(self.wsgi)


class _Arbiter(Arbiter):  # type: ignore[misc]
    """Listens before it starts the processes, and stops listening without losing a connection."""

    def __init__(self, app: "_Server", listeners: Sequence[socket.socket]) -> None:
        super().__init__(app)
        self.LISTENERS = list(listeners)

    def reload(self) -> None:
        """Replace the processes one by one, and say so if they have the new configuration."""
        super().reload()
        if self.app.reloaded:
            log("reload.done", processes=self.num_workers)

    def stop(self, graceful: bool = True) -> None:  # noqa: FBT001, FBT002 - Gunicorn's
        if graceful and self.LISTENERS:
            drop_new_handshakes(self.LISTENERS)
            time.sleep(HANDSHAKE_TIME)
        super().stop(graceful)


class _Server(BaseApplication):  # type: ignore[misc]
    def __init__(
        self,
        make_app: MakeApp,
        prepare: Prepare,
        options: Mapping[str, Any],
        *,
        refuse: Refuse,
        max_body: int,
        probes: Sequence[str],
        bounds: Bounds,
        make_door: Callable[[Flask], Door],
        on_end: Callable[[Flask], None],
    ) -> None:
        self.refuse = refuse
        self.max_body = max_body
        self.probes = probes
        self.bounds = bounds
        self.make_door = make_door
        self.on_end = on_end
        self._prepare = prepare
        self._make_app = make_app
        self._options = options
        self.reloaded = False
        """Whether the last reload has the new configuration."""
        super().__init__()

    def reload(self) -> None:
        """Prepare again. If that fails, the application that ran before stays in force."""
        self.reloaded = False
        try:
            self._make_app = self._prepare()
            self.reloaded = True
        except ConfigurationError as error:
            for problem in error.problems:
                log("reload.refused", logging.ERROR, problem=problem)
        super().reload()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return self._make_app()


def serve(
    make_app: MakeApp,
    *,
    prepare: Prepare,
    refuse: Refuse,
    listen: Sequence[str],
    processes: int,
    threads: int,
    max_body: int,
    probes: Sequence[str],
    on_start: Callable[[], None],
    make_door: Callable[[Flask], Door] = lambda _app: lambda _environ: None,
    on_end: Callable[[Flask], None] = lambda _app: None,
    bounds: Bounds = USUAL,
) -> None:
    """Serve until told to stop. SIGTERM finishes running requests; SIGHUP replaces the processes one by one.

    `listen` are addresses as HOST:PORT; SERVER_PORT tells an application which of them a request came to.
    `refuse` answers requests that are malformed, too long or too slow. The application gets bodies of `max_body` bytes
    at most; of a longer one it gets the length alone, and must refuse it. Each path of `probes` has its own thread.
    Each process makes its own application and door, and is replaced if it dies. At each SIGHUP `prepare` runs before
    the forks. Raises ConfigurationError.
    """
    listeners = open_listeners(listen)
    server = _Server(
        make_app,
        prepare,
        {"bind": list(listen), "workers": processes, "threads": threads, **_OPTIONS}
        | {"post_fork": lambda server, _worker: _start(server.pid, on_start)},
        refuse=refuse,
        max_body=max_body,
        probes=probes,
        bounds=bounds,
        make_door=make_door,
        on_end=on_end,
    )
    _Arbiter(server, listeners).run()


_OPTIONS = {
    "worker_class": _Worker,
    "graceful_timeout": GRACE,
    "timeout": 30,
    "control_socket_disable": True,
    "accesslog": None,
    "logger_class": _Log,
    "child_exit": lambda _server, worker: _forget(worker.pid),
}
"""Those of Gunicorn that are always the same."""


def _start(parent: int, on_start: Callable[[], None]) -> None:
    # A process that outlives its killed parent would keep the port from the parent's successor.
    child_process.die_with_parent(parent, signal.SIGKILL)
    on_start()


def _forget(pid: int) -> None:
    """Remove the gauges of a dead process from the sums."""
    try:
        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
    except (TypeError, ValueError, KeyError):
        return  # metrics are not shared
