"""Serves a WSGI application with Gunicorn. Must not know which application."""

import signal
from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from prometheus_client import multiprocess

from otp_service import lifeline

# A stop waits this long for requests that are being answered; none takes longer.
GRACE = 10


class _Log(Logger):  # type: ignore[misc]
    """Hands what Gunicorn says to the process's own log."""

    def setup(self, _cfg: object) -> None:
        self.error_log.propagate = True


class _Server(BaseApplication):  # type: ignore[misc]
    def __init__(self, make_app: Callable[[], Flask], options: Mapping[str, Any]) -> None:
        self._make_app = make_app
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return self._make_app()


def serve(
    make_app: Callable[[], Flask],
    *,
    listen: str,
    processes: int,
    threads: int,
    on_start: Callable[[], None],
) -> None:
    """Serve until told to stop. SIGTERM finishes what is being answered, SIGHUP replaces processes in turn.

    `make_app` and `on_start` run in each process after the fork. A process that dies is replaced.
    """
    _Server(
        make_app,
        {
            "bind": listen,
            "workers": processes,
            "threads": threads,
            "worker_class": "gthread",
            "graceful_timeout": GRACE,
            "timeout": 30,
            "keepalive": 30,
            "max_requests": 0,
            "limit_request_line": 4094,
            "limit_request_fields": 64,
            "forwarded_allow_ips": "",  # the application trusts a stated number of proxies itself
            "control_socket_disable": True,
            "accesslog": None,
            "logger_class": _Log,
            "post_fork": lambda _server, _worker: _start(on_start),
            "child_exit": lambda _server, worker: _forget(worker.pid),
        },
    ).run()


def _start(on_start: Callable[[], None]) -> None:
    # A process that outlived its killed parent would hold the port against the parent's successor.
    lifeline.die_with_parent(signal.SIGKILL)
    on_start()


def _forget(pid: int) -> None:
    """Take a dead process's gauges out of the sums."""
    try:
        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
    except (TypeError, ValueError, KeyError):
        return  # metrics are not shared
