"""Accepts connections, and makes room for them when there are too many.

Knows listeners and how many connections a process may have. Must not know what is read from them.
"""

import errno
import logging
import resource
import socket
import time
from collections.abc import Iterable

from otp_service.http.server import pressure
from otp_service.http.server.bounds import Bounds
from otp_service.http.server.connection import Connection
from otp_service.http.server.connections import Connections
from otp_service.telemetry.logs import log

_OTHER_FILES = 200


class Arrivals:
    """The listeners of a process. Each accepted connection goes to `connections`."""

    def __init__(
        self, listeners: Iterable[socket.socket], connections: Connections, *, max_body: int, bounds: Bounds
    ) -> None:
        self._connections = connections
        self._max_body = max_body
        self._bounds = bounds
        self._most = min(bounds.connections, _files(bounds.connections + _OTHER_FILES) - _OTHER_FILES)
        self._listeners = {listener.fileno(): listener for listener in listeners}
        for file in self._listeners:
            connections.watch(file)

    def __contains__(self, file: int) -> bool:
        """Say whether a file is a listener."""
        return file in self._listeners

    def accept(self, file: int) -> bool:
        """Accept a connection; return False if none waits."""
        listener = self._listeners[file]
        if len(self._connections) >= self._most:
            self._make_room()
        try:
            sock, peer = listener.accept()
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.ECONNABORTED:  # the system has no more files
                self._make_room()
            return False
        sock.settimeout(0)
        connection = Connection(sock, peer, listener.getsockname(), self._max_body)
        connection.wait(self._bounds.request)
        self._connections.add(connection)
        return True

    def end(self) -> None:
        """Take the connections that wait, and close the listeners."""
        for file, listener in self._listeners.items():
            while self.accept(file):
                pass
            listener.close()
        self._listeners = {}

    def _make_room(self) -> None:
        """Close a sixteenth of the connections: those that look least like a client at work."""
        ours = self._connections.of_the_loop()
        chosen = pressure.in_the_way(ours, max(1, self._most // 16), time.monotonic())
        for connection in chosen:
            self._connections.close(connection, reset=True)
        log("http.crowded", logging.WARNING, connections=len(ours), closed=len(chosen))


def _files(wanted: int) -> int:
    """Allow this process as many open files as it wants and the system lets it, and return how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    raised = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    return raised
