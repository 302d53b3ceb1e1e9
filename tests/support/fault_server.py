"""An HTTP server for tests that misbehaves on command.

Knows raw sockets and the faults that a network or a server can show. Must not know what is tested with it. A
server is handed the actions to take for each request that it has read; the last ones are repeated.
"""

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from tests.support.patience import PATIENCE

_FIN_WAIT2 = 5  # tcpi_state of <linux/tcp.h>: the peer's kernel has our FIN


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came in."""

    verb: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def path(self) -> str:
        """The target without its query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query's fields."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def fields(self) -> dict[str, str]:
        """The body's fields, if it is a form."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def json(self) -> Any:  # noqa: ANN401 - it is whatever JSON held
        """The body's content, if it is JSON."""
        return json.loads(self.body)


@dataclass(slots=True, eq=False)
class Peer:
    """One open connection, as an action sees it."""

    sock: socket.socket
    stopped: threading.Event
    unread: bytes = b""

    def read_request(self) -> Received | None:
        """Read the next request; None if the client left."""
        if not self._fill(lambda: b"\r\n\r\n" in self.unread):
            return None
        head, _, self.unread = self.unread.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        if not self._fill(lambda: len(self.unread) >= length):
            return None
        body, self.unread = self.unread[:length], self.unread[length:]
        verb, target, _ = first.split(" ")
        return Received(verb, target, headers, body)

    def _fill(self, enough: Callable[[], bool]) -> bool:
        while not enough():
            more = self.sock.recv(65536)
            if not more:
                return False
            self.unread += more
        return True


Action = Callable[[Peer], None]


def say(raw: bytes) -> Action:
    """Send these bytes as they are."""
    return lambda peer: peer.sock.sendall(raw)


def drip(raw: bytes, gap: float = 0.02) -> Action:
    """Send these bytes one by one, `gap` seconds apart."""

    def act(peer: Peer) -> None:
        for byte in raw:
            if peer.stopped.wait(gap):
                return
            peer.sock.sendall(bytes([byte]))

    return act


def hang(peer: Peer) -> None:
    """Say nothing until the client leaves."""
    while peer.sock.recv(65536):
        pass


def read_once(peer: Peer) -> None:
    """Read what the client says first, and drop it."""
    peer.sock.recv(65536)


def close(peer: Peer) -> None:
    """End the connection in good order."""
    peer.sock.shutdown(socket.SHUT_RDWR)


def close_and_settle(peer: Peer) -> None:
    """End the connection, and wait until the client's side of it knows."""
    peer.sock.shutdown(socket.SHUT_WR)
    while peer.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] < _FIN_WAIT2:
        if peer.stopped.wait(0.001):
            return
    peer.sock.shutdown(socket.SHUT_RD)


def reset(peer: Peer) -> None:
    """Break the connection off with a RST."""
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.sock.close()


def pause(seconds: float) -> Action:
    """Be slow."""

    def act(peer: Peer) -> None:
        peer.stopped.wait(seconds)

    return act


def wait_for(event: threading.Event) -> Action:
    """Pause until the test sets the event."""

    def act(_: Peer) -> None:
        assert event.wait(PATIENCE), "the test never set the event"

    return act


def meet(others: threading.Barrier) -> Action:
    """Pause until as many connections have come this far as the barrier wants."""

    def act(_: Peer) -> None:
        others.wait(PATIENCE)

    return act


def http(
    body: bytes = b"", status: str = "200 OK", headers: Sequence[str] = (), length: int | None = None
) -> bytes:
    """Write an answer; `length` is the Content-Length, where it shall not be true."""
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Length: {len(body) if length is None else length}",
        *headers,
        "",
        "",
    ]
    return "\r\n".join(lines).encode("latin-1") + body


def http_json(content: object, status: str = "200 OK", headers: Sequence[str] = ()) -> bytes:
    """Write a JSON answer."""
    return http(json.dumps(content).encode(), status, ("Content-Type: application/json", *headers))


def _constant(play: Sequence[Action]) -> Callable[[Received], Sequence[Action]]:
    return lambda _: play


class FaultServer:
    """Listens on a free loopback port; a context manager.

    `received` are the requests, in order; `connections` counts what was accepted, `threads`
    are its own. `on_connect` acts before a
    request is read, and before TLS.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.received: list[Received] = []
        self.connections = 0
        self.on_connect: Sequence[Action] = ()
        self._tls = tls
        self._plays: deque[Callable[[Received], Sequence[Action]]] = deque()
        self._stopped = threading.Event()
        self._lock = threading.Condition()
        self._peers: set[Peer] = set()
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self.threads = {self._acceptor}
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        """Where it listens, in the shape of the upstream's base URL."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/api/v2/"

    def wait_until_deserted(self) -> None:
        """Wait until every connection has ended; an error if one stays open."""
        with self._lock:
            assert self._lock.wait_for(lambda: not self._peers, PATIENCE), (
                f"{len(self._peers)} connections are open"
            )

    def play(self, *actions: Action) -> None:
        """Take these actions for every request from now on."""
        self.play_each(actions)

    def play_each(self, *plays: Sequence[Action]) -> None:
        """Take the first for the next request, the second for the one after; the last is repeated."""
        with self._lock:
            self._plays = deque(_constant(play) for play in plays)

    def respond(self, answer: Callable[[Received], bytes]) -> None:
        """Answer every request with what the function makes of it."""
        self.react(lambda request: [say(answer(request))])

    def react(self, choose: Callable[[Received], Sequence[Action]]) -> None:
        """Take for every request the actions that the function chooses."""
        with self._lock:
            self._plays = deque([choose])

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(PATIENCE)  # it starts the others, so these are all known from here on
        with self._lock:
            for peer in self._peers:
                with contextlib.suppress(OSError):
                    peer.sock.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a thread of the fault server did not end"
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was shut down
            while True:
                peer = Peer(self._listener.accept()[0], self._stopped)
                with self._lock:
                    self.connections += 1
                    self._peers.add(peer)
                thread = threading.Thread(target=self._serve, args=[peer], daemon=True)
                self.threads.add(thread)
                thread.start()

    def _serve(self, peer: Peer) -> None:
        try:
            with contextlib.suppress(OSError):  # the client left, or an action ended the connection
                self._converse(peer)
        finally:
            with self._lock:
                peer.sock.close()
                self._peers.discard(peer)
                self._lock.notify_all()

    def _converse(self, peer: Peer) -> None:
        for act in self.on_connect:
            act(peer)
        if self._tls:
            peer.sock = self._tls.wrap_socket(peer.sock, server_side=True)
        while request := peer.read_request():
            for act in self._next_play(request):
                act(peer)

    def _next_play(self, request: Received) -> Sequence[Action]:
        with self._lock:
            self.received.append(request)
            play = self._plays[0]
            if len(self._plays) > 1:
                self._plays.popleft()
        return play(request)
