"""The connections of a process, and which of them have something to read or room to write.

Knows epoll. Must not know what is read or written.
"""

import select
import threading

from otp_service.http.server.connection import Connection, State


class Connections:
    """All connections. Each belongs to the loop, or to the thread that answers it.

    epoll reports a connection once; whoever ends with it arms it again. Without the lock, the loop could close a
    connection while a thread arms it, and the file descriptor might by then be that of another.
    """

    def __init__(self) -> None:
        self._by_file: dict[int, Connection] = {}
        self._lock = threading.Lock()
        self._epoll = select.epoll()

    def __len__(self) -> int:
        """Return how many connections there are."""
        return len(self._by_file)

    def get(self, file: int) -> Connection | None:
        """Return the connection with this file descriptor."""
        return self._by_file.get(file)

    def watch(self, file: int) -> None:
        """Let `poll` report a file that is no connection, as long as it can be read."""
        self._epoll.register(file, select.EPOLLIN)

    def poll(self, seconds: float) -> list[int]:
        """Wait, at most this long, and return the file descriptors that are ready."""
        return [file for file, _ in self._epoll.poll(seconds)]

    def add(self, connection: Connection) -> None:
        """Begin to watch a connection."""
        self._by_file[connection.file] = connection
        self._epoll.register(connection.file, select.EPOLLIN | select.EPOLLONESHOT)

    def arm(self, connection: Connection, state: State) -> None:
        """Give a connection back to the loop, until there is something to read, or to write if it is SENDING."""
        wanted = select.EPOLLOUT if state is State.SENDING else select.EPOLLIN
        with self._lock:
            connection.state = state
            self._epoll.modify(connection.file, wanted | select.EPOLLONESHOT)

    def of_the_loop(self) -> list[Connection]:
        """List the connections that belong to the loop, which alone may call this."""
        with self._lock:
            return [each for each in self._by_file.values() if each.state is not State.ANSWERING]

    @property
    def buffered(self) -> int:
        """Bytes of unfinished requests and unread answers."""
        return sum(connection.buffered for connection in self.of_the_loop())

    def forget(self, connection: Connection) -> None:
        """Leave a connection to the caller."""
        with self._lock:
            self._by_file.pop(connection.file, None)

    def close(self, connection: Connection, *, reset: bool = False) -> None:
        """Close a connection; with `reset`, the kernel drops at once what the client has not taken."""
        self.forget(connection)
        connection.close(reset=reset)
