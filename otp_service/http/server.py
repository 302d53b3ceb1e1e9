"""Serves a WSGI application with Gunicorn.

Knows sockets, processes and limits. Must not know which application it serves.
"""

import logging
import signal
import socket
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from gunicorn.http.errors import (
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
    UnsupportedTransferCoding,
)
from gunicorn.workers.gthread import ThreadWorker
from prometheus_client import multiprocess

from otp_service import child_process
from otp_service.errors import (
    ConfigurationError,
    HeadersTooLarge,
    InternalError,
    MalformedRequest,
    OtpError,
    UriTooLong,
)
from otp_service.telemetry.logs import LOG, log

GRACE = 10
"""Seconds that a stop waits for running requests; none takes longer."""
SILENCE = 5
"""Seconds without a byte after which a half-sent request or a half-read answer is dropped."""


class _Log(Logger):  # type: ignore[misc]
    """Passes Gunicorn's messages to the log of the process."""

    def setup(self, _cfg: object) -> None:
        self.error_log.propagate = True

    def exception(self, msg: str, *args: object, **kwargs: Any) -> None:  # noqa: ANN401 - as its base
        """Log what was raised; a client that is too slow is no fault of this service."""
        if isinstance(sys.exception(), BlockingIOError):  # the time that `_limit_silence` sets is over
            log("http.slow_client", seconds=SILENCE)
        else:
            super().exception(msg, *args, **kwargs)


MakeApp = Callable[[], Flask]
Prepare = Callable[[], MakeApp]
"""Reads an application's configuration and returns what makes it. Raises ConfigurationError."""
Refuse = Callable[[OtpError], bytes]
"""Writes an error as a complete HTTP response."""


class _Worker(ThreadWorker):  # type: ignore[misc]
    """Refuses invalid requests with the application's errors; Gunicorn's own error page would repeat the input."""

    def handle_error(
        self, _request: object, client: socket.socket, _address: object, fault: Exception
    ) -> None:
        with suppress(OSError):  # the client may be gone
            client.settimeout(SILENCE)
            client.sendall(self.app.refuse(_refusal(fault)))


def _refusal(fault: Exception) -> OtpError:
    if isinstance(fault, LimitRequestLine):
        return UriTooLong()
    if isinstance(fault, LimitRequestHeaders):
        return HeadersTooLarge()
    if isinstance(fault, UnsupportedTransferCoding):
        return MalformedRequest("The only Transfer-Encoding that is supported is chunked.")
    if isinstance(fault, ParseException):
        return MalformedRequest()
    LOG.error("server.failed", exc_info=fault)
    return InternalError()


class _Server(BaseApplication):  # type: ignore[misc]
    def __init__(
        self, make_app: MakeApp, prepare: Prepare, refuse: Refuse, options: Mapping[str, Any]
    ) -> None:
        self.refuse = refuse
        self._prepare = prepare
        self._make_app = make_app
        self._options = options
        super().__init__()

    def reload(self) -> None:
        """Prepare again. If that fails, the application that ran before stays in force."""
        try:
            self._make_app = self._prepare()
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
    on_start: Callable[[], None],
) -> None:
    """Serve until told to stop. SIGTERM finishes running requests; SIGHUP replaces the processes one by one.

    `listen` are addresses as HOST:PORT; SERVER_PORT tells an application which of them a request came to.
    `refuse` answers requests that are malformed or too long.
    `make_app` and `on_start` run in each process. At each SIGHUP `prepare` runs before the forks and gives another
    `make_app`. A process that dies is replaced.
    """
    _Server(
        make_app,
        prepare,
        refuse,
        {
            "bind": list(listen),
            "workers": processes,
            "threads": threads,
            "worker_class": _Worker,
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
            "when_ready": _limit_silence,
            "post_fork": lambda _server, _worker: _start(on_start),
            "child_exit": lambda _server, worker: _forget(worker.pid),
        },
    ).run()


def _limit_silence(arbiter: Any) -> None:  # noqa: ANN401 - Gunicorn carries no types
    """Disconnect clients that stop sending in the middle of a request: each would hold a thread for ever.

    On Linux, connections inherit the listener's timeouts. Gunicorn's own timeout is for waiting between requests.
    """
    for listener in arbiter.LISTENERS:
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            listener.sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", SILENCE, 0))


def _start(on_start: Callable[[], None]) -> None:
    # A process that outlives its killed parent would keep the port from the parent's successor.
    child_process.die_with_parent(signal.SIGKILL)
    on_start()


def _forget(pid: int) -> None:
    """Remove the gauges of a dead process from the sums."""
    try:
        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
    except (TypeError, ValueError, KeyError):
        return  # metrics are not shared
