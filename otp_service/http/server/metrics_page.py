"""Shows the metrics of a worker, which serves nothing else, on an address of its own.

Knows the listener across reloads, and the Prometheus client's page. Must not know which metrics there are.
"""

import socket
import threading

from prometheus_client import CollectorRegistry, make_wsgi_app

from otp_service.errors import Busy, ConfigurationError, OtpError
from otp_service.http.server.answer import Application
from otp_service.http.server.bounds import Bounds
from otp_service.http.server.front import Front
from otp_service.http.server.listeners import open_listeners

THREADS = 2
_BOUNDS = Bounds(connections=64, buffered=1024 * 1024, queued=1024 * 1024)
"""Scrapers are few; whoever else comes must not take the worker's memory."""
_MAX_BODY = 0


class MetricsListener:
    """The socket of a worker's metrics: opened before its processes are, so that they have it one after another."""

    def __init__(self) -> None:
        self._address = ""
        self._socket: socket.socket | None = None

    def listen(self, address: str) -> socket.socket | None:
        """Listen on HOST:PORT, and nowhere else any more; an empty address means nowhere.

        Raises ConfigurationError if the address cannot be had; then all stays as it was. No other worker can have the
        same address meanwhile: a scraper would read now the one, now the other.
        """
        if address != self._address:
            opened = _opened(address) if address else None
            if self._socket:
                self._socket.close()
            self._address, self._socket = address, opened
        return self._socket


def _opened(address: str) -> socket.socket:
    try:
        return open_listeners([address], shared=False)[0]
    except ConfigurationError as error:
        raise ConfigurationError([f"OTP_WORKER_METRICS: {problem}" for problem in error.problems]) from None


def show_metrics(listener: socket.socket, registry: CollectorRegistry) -> None:
    """Serve the page of a registry on a listener in a thread, until the process ends."""
    front = Front(
        [listener],
        Application(make_wsgi_app(registry), _refusal),
        threads=THREADS,
        max_body=_MAX_BODY,
        probes=(),
        bounds=_BOUNDS,
    )

    def turn() -> None:
        while True:
            front.turn(1)

    threading.Thread(target=turn, name="metrics", daemon=True).start()


def _refusal(error: OtpError) -> tuple[str, list[tuple[str, str]], bytes]:
    """Say in plain text why there is no page; a scraper reads no problem details."""
    status = "503 Service Unavailable" if isinstance(error, Busy) else "400 Bad Request"
    body = f"{error.detail}\n".encode()
    return status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))], body
