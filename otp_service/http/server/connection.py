"""One connection: its socket, what has come and what must still leave, and until when.

Knows one socket. Must not know other connections or threads.
"""

import fcntl
import socket
import struct
import termios
import time
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from enum import Enum, auto
from typing import Any

from otp_service.http.server.reader import RequestReader


class State(Enum):
    """Who has a connection, and for what."""

    READING = auto()
    ANSWERING = auto()
    """It belongs to a thread, or waits for one. Otherwise it belongs to the loop."""
    SENDING = auto()
    HELD = auto()
    """What it shall send waits for its time."""
    LINGERING = auto()
    """Nothing is sent any more; what comes is thrown away."""


class Connection:
    """A connection of a client."""

    __slots__ = (
        *("addresses", "deadline", "file", "last", "outgoing", "reader", "since", "sock", "state", "told"),
        *("_taken", "unread", "used"),
    )

    def __init__(self, sock: socket.socket, peer: Any, server: Any, max_body: int) -> None:  # noqa: ANN401 - addresses
        self.sock = sock
        self.file = sock.fileno()
        self.addresses = {
            "REMOTE_ADDR": str(peer[0]),
            "REMOTE_PORT": str(peer[1]),
            "SERVER_NAME": str(server[0]),
            "SERVER_PORT": str(server[1]),
        }
        """WSGI variables. The socket says them, whatever a request says."""
        self.reader = RequestReader(max_body)
        self.outgoing = memoryview(b"")
        self.state = State.READING
        self.last = self.unread = self.used = False
        self._taken = True
        self.since = self.deadline = 0.0
        self.told = 0.0
        """When the client was told to come again, if it was refused."""

    def wait(self, seconds: float) -> None:
        """Set the time for what comes next."""
        self.since = time.monotonic()
        self.deadline = self.since + seconds

    def is_over(self, now: float, limit: float) -> bool:
        """Say whether the time is over, or the limit for the client to take the answer before."""
        if now >= self.deadline:
            return True
        if self._taken or not self.idle or now - self.since < limit:
            return False
        self._taken = not self.untaken
        return not self._taken

    @property
    def untaken(self) -> int:
        """Bytes of the answer that the client has not taken, here or in the kernel."""
        if self.outgoing:
            return len(self.outgoing)
        with suppress(OSError):
            waiting: int = struct.unpack("i", fcntl.ioctl(self.sock, termios.TIOCOUTQ, bytes(4)))[0]
            return waiting
        return 0

    @property
    def idle(self) -> bool:
        """Whether no request is under way."""
        return self.state is State.READING and not self.reader.begun

    @property
    def buffered(self) -> int:
        """Bytes in memory."""
        return self.reader.size + len(self.outgoing)

    def receive(self, most: int) -> bytes | None:
        """Return what has come; nothing if the client has closed; None if there is nothing yet."""
        try:
            return self.sock.recv(most)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def answer_with(self, answer: bytes, *, last: bool, unread: bool) -> None:
        """Set what leaves next; whether nothing follows it; and whether the client may still be sending."""
        self.outgoing = memoryview(answer)
        self.last = last
        self.unread = unread
        self.used = True
        self._taken = False

    def send(self, data: bytes) -> None:
        """Send a few bytes, if the client takes any."""
        with suppress(OSError):
            self.sock.send(data)

    def send_outgoing(self) -> bool:
        """Send what the client takes now; return False if it is gone."""
        try:
            self.outgoing = self.outgoing[self.sock.send(self.outgoing) :]
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True

    def stream(self, head: bytes, parts: Generator[bytes], seconds: float, ended: Callable[[], bool]) -> None:
        """Send parts as they are made, each within so many seconds, until all are sent or `ended`; then close."""
        with suppress(OSError), closing(self.sock), closing(parts):
            self.sock.settimeout(seconds)
            self.sock.sendall(head)
            for part in parts:
                self.sock.sendall(part)
                if ended():
                    break

    def drop_received(self, max_body: int) -> None:
        """Forget an unfinished request."""
        self.reader = RequestReader(max_body)

    def close(self, *, reset: bool) -> None:
        """Close; with `reset`, the kernel drops at once what the client has not taken."""
        with suppress(OSError):
            if reset:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.sock.close()
