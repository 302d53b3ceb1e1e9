"""Stands between a client and a server and breaks what passes on command.

Knows sockets and TLS. Must not know what the commands mean: a reply to lose is picked by bytes of its
command.
"""

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.patience import PATIENCE

CHUNK = 65536


class FaultProxy:
    """Listens on a free loopback port and passes everything to a server's unix socket or port; a context manager."""

    def __init__(
        self,
        upstream: Path | int,
        *,
        tls: ssl.SSLContext | None = None,
        loses: Callable[[bytes], bool] = lambda _command: False,
    ) -> None:
        """With `tls` clients must speak TLS; the server is spoken to in clear. `loses` picks whose reply gets lost."""
        self._upstream = upstream
        self._tls = tls
        self._loses = loses
        self._needle: bytes | None = None
        self._lock = threading.Lock()
        self.lost = 0
        """Replies that were lost so far."""
        self.connections = 0
        """How many clients have come so far."""
        self._ended = False
        self._sockets: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = self._start(self._accept)

    @property
    def url(self) -> str:
        """The address as the product's setting takes it."""
        return f"{'rediss' if self._tls else 'redis'}://127.0.0.1:{self.port}"

    def lose_reply(self, needle: bytes = b"EVAL") -> None:
        """Break the connection instead of bringing the reply to the next command with these bytes, once."""
        with self._lock:
            self._needle = needle

    def cut(self) -> None:
        """Break all open connections."""
        with self._lock:
            for sock in self._sockets:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(PATIENCE)  # it starts the others, so these are all known from here on
        with self._lock:
            self._ended = True
        self.cut()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a connection of the proxy did not end"
        self._listener.close()

    def _start(self, target: "object", *args: object) -> threading.Thread:
        assert callable(target)
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.add(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was shut down
            while True:
                accepted = self._listener.accept()[0]
                self.connections += 1
                with self._lock:
                    self._sockets.add(accepted)
                self._start(self._serve, accepted)

    def _serve(self, accepted: socket.socket) -> None:
        client = accepted
        to_port = isinstance(self._upstream, int)
        server = socket.socket(socket.AF_INET if to_port else socket.AF_UNIX)
        with contextlib.suppress(OSError):  # either side left
            if self._tls:
                client = self._tls.wrap_socket(accepted, server_side=True)
            with self._lock:
                if self._ended:
                    raise ConnectionAbortedError
                self._sockets |= {client, server}
            server.connect(("127.0.0.1", self._upstream) if to_port else str(self._upstream))
            self._pass_on(client, server)
        with self._lock:
            self._sockets -= {accepted, client, server}
            for sock in (client, server):
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
                sock.close()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        losing = False
        while True:
            ready, _, _ = select.select([client, server], [], [])
            if client in ready:
                command = _receive(client)
                losing = losing or self._is_picked(command)
                if not command:
                    return
                server.sendall(command)
            if server in ready:
                reply = server.recv(CHUNK)
                if not reply or losing:
                    return
                client.sendall(reply)

    def _is_picked(self, command: bytes) -> bool:
        with self._lock:
            asked = self._needle is not None and self._needle in command
            if asked:
                self._needle = None
            picked = asked or self._loses(command)
            self.lost += picked
            return picked


def _receive(sock: socket.socket) -> bytes:
    """Read what is there, with what TLS has taken in already: `select` does not see that."""
    data = sock.recv(CHUNK)
    while isinstance(sock, ssl.SSLSocket) and sock.pending():
        data += sock.recv(CHUNK)
    return data
