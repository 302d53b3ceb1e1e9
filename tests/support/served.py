"""A front of the HTTP server in a thread of the test, with a small application behind it, and raw clients of it."""

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from otp_service.http.problems import raw_problem
from otp_service.http.server.answer import Application
from otp_service.http.server.bounds import Bounds
from otp_service.http.server.front import Front
from otp_service.http.server.listeners import open_listeners
from tests.support.patience import PATIENCE, until
from tests.support.ports import HOST, free_port

MAX_BODY = 64 * 1024
PATIENT = Bounds(request=10 * PATIENCE, lingering=PATIENCE, waiting=10 * PATIENCE)
"""For a test that is not about these limits."""
WSGI = Callable[[dict[str, Any], Any], Iterable[bytes]]


def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:  # noqa: ANN401 - PEP 3333
    """Answer with the method, the path and the body's length, or with as many bytes as /N asks for."""
    body = environ["wsgi.input"].read()
    wanted = environ["PATH_INFO"].strip("/")
    text = b"x" * int(wanted) if wanted.isdigit() else f"{environ['REQUEST_METHOD']} {len(body)}".encode()
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return [text]


@dataclass
class Served:
    """A running front."""

    port: int
    front: Front
    host: str = HOST
    going: threading.Event = field(default_factory=threading.Event)
    stopped: threading.Event = field(default_factory=threading.Event)
    _turns: threading.Lock = field(default_factory=threading.Lock)
    _paused: bool = False

    def connect(self, sent: bytes = b"", *, room: int | None = None) -> socket.socket:
        """Connect, say something, and return the socket; `room` bytes are all that the client takes unread."""
        client = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
        if room is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        client.settimeout(PATIENCE)
        try:
            client.connect((self.host, self.port))
            client.sendall(sent)
        except OSError:
            client.close()
            raise
        return client

    def connect_in_time(self, sent: bytes, *, room: int | None = None) -> socket.socket:
        """Connect and say a little while the loop stands still: however short the time for it is, it is there."""
        with self._turns:
            return self.connect(sent, room=room)

    def pause(self) -> None:
        """Keep the loop from turning until it is told to stop."""
        self._turns.acquire()
        self._paused = True

    def stop(self) -> None:
        """Tell the loop to stop, and return when its listener is closed."""
        self.going.clear()
        if self._paused:
            self._paused = False
            self._turns.release()
        assert self.stopped.wait(PATIENCE)

    def turn(self) -> None:
        """Turn the loop until it has stopped and no connection is left."""
        while self.going.is_set():
            self.front.turn(0.02)
            with self._turns:
                pass
        self.front.stop()
        self.stopped.set()
        while self.front.connections:
            self.front.turn(0.02)

    def ask(self, sent: bytes) -> bytes:
        """Send bytes on a new connection and return all that comes until it ends."""
        with self.connect_in_time(sent) as client:
            return rest(client)


def rest(client: socket.socket) -> bytes:
    """Read until the server closes; a reset is an error."""
    found = b""
    while part := client.recv(65536):
        found += part
    return found


def answer(client: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read one answer with a length: status, headers by lower-case name, body."""
    found = b""
    while b"\r\n\r\n" not in found:
        part = client.recv(1)
        assert part, f"the connection ended after {found!r}"
        found += part
    first, *lines = found.decode("latin-1").strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = b""
    while len(body) < int(headers.get("content-length", 0)):
        body += client.recv(65536)
    return int(first.split()[1]), headers, body


@contextmanager
def serving(wsgi: WSGI = echo, *, host: str = HOST, **options: Any) -> Iterator[Served]:  # noqa: ANN401 - those of Front
    """Serve an application in this process until the block ends."""
    port = free_port()
    listeners = open_listeners([f"[{host}]:{port}" if ":" in host else f"{host}:{port}"])
    application = Application(wsgi, raw_problem)
    usual: dict[str, Any] = {"threads": 2, "max_body": MAX_BODY, "probes": (), "bounds": PATIENT}
    front = Front(listeners, application, **usual | options)
    served = Served(port, front, host)
    served.going.set()
    thread = threading.Thread(target=served.turn, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        served.stop()
        until(lambda: not thread.is_alive())
