"""Holds the connections of one process: reads whole requests, hands them to threads, sends the answers.

One thread waits for all connections at once, so that a slow or silent one costs memory but no thread. The application
sees a request when all of it has come. Knows sockets, time and memory. Must not know what the application does.
"""

import errno
import logging
import resource
import socket
import time
from collections.abc import Iterable
from contextlib import suppress

from otp_service.errors import OtpError
from otp_service.http.server import pressure
from otp_service.http.server.answer import Answer, Application
from otp_service.http.server.bounds import USUAL, Bounds
from otp_service.http.server.connection import Connection, State
from otp_service.http.server.connections import Connections
from otp_service.http.server.reader import Request
from otp_service.http.server.refusals import RequestTimeout
from otp_service.http.server.threads import AnswerThreads
from otp_service.telemetry.logs import log

_OTHER_FILES = 200
_READ = 64 * 1024
_SWEEP = 0.5
_GROWTH = 1024 * 1024
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Front:
    """The loop of one process, and the threads that answer what it has read."""

    def __init__(
        self,
        listeners: Iterable[socket.socket],
        application: Application,
        *,
        threads: int,
        max_body: int,
        bounds: Bounds = USUAL,
    ) -> None:
        self._application = application
        self._max_body = max_body
        self._bounds = bounds
        self._most = min(bounds.connections, _files(bounds.connections + _OTHER_FILES) - _OTHER_FILES)
        self._listeners = {listener.fileno(): listener for listener in listeners}
        self.connections = Connections()
        """Without those on which an answer is streamed."""
        for file in self._listeners:
            self.connections.watch(file)
        self.threads = AnswerThreads(application, threads=threads, done=self._done, bounds=bounds)
        self._grown = 0  # bytes that have come to be in memory since all were counted
        self._next_sweep = 0.0

    def wake_by(self, file: int) -> None:
        """End a `turn` when this file can be read."""
        self.connections.watch(file)

    def turn(self, seconds: float) -> None:
        """Wait for something to do, at most this long, and do it."""
        for file in self.connections.poll(min(seconds, _SWEEP)):
            if listener := self._listeners.get(file):
                self._accept(listener)
            elif connection := self.connections.get(file):
                self._go_on(connection)
        now = time.monotonic()
        if now >= self._next_sweep or self._grown > _GROWTH:
            self._next_sweep = now + _SWEEP
            self._sweep(now)

    def stop(self) -> None:
        """Take the connections that wait, close the listeners, and let each connection end with its next answer."""
        for listener in self._listeners.values():
            while self._accept(listener):
                pass
            listener.close()
        self._listeners = {}
        self.threads.last = True
        end = time.monotonic() + self._bounds.stopping
        for connection in self.connections.of_the_loop():
            if connection.idle:
                connection.deadline = min(connection.deadline, end)

    def _accept(self, listener: socket.socket) -> bool:
        if len(self.connections) >= self._most:
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
        self.connections.add(connection)
        return True

    def _make_room(self) -> None:
        """Close a sixteenth of the connections: those that look least like a client at work."""
        ours = self.connections.of_the_loop()
        chosen = pressure.in_the_way(ours, max(1, self._most // 16), time.monotonic())
        for connection in chosen:
            self.connections.close(connection, reset=True)
        log("http.crowded", logging.WARNING, connections=len(ours), closed=len(chosen))

    # Reading and sending. Only the owner of a connection calls these.

    def _go_on(self, connection: Connection) -> None:
        if connection.state is State.READING:
            self._read(connection)
        elif connection.state is State.SENDING:
            self._send(connection)
        elif connection.state is State.LINGERING:
            self._throw_away(connection)

    def _read(self, connection: Connection) -> None:
        data = connection.receive(_READ)
        if data is None:
            self.connections.arm(connection, State.READING)
        elif not data:
            self.connections.close(connection)
        else:
            if connection.used and not connection.reader.begun:
                connection.wait(self._bounds.request)
            self._grown += len(data)
            connection.reader.feed(data)
            self._advance(connection)

    def _advance(self, connection: Connection) -> None:
        """Hand on the next request, or wait for more of it."""
        try:
            request = connection.reader.next_request()
        except OtpError as error:
            self._refuse(connection, error)
            return
        if request is None:
            if connection.reader.take_continue():
                connection.send(_CONTINUE)
            self.connections.arm(connection, State.READING)
            return
        connection.state = State.ANSWERING
        try:
            self.threads.submit(connection, request)
        except OtpError as error:
            self._refuse(connection, error)

    def _refuse(self, connection: Connection, error: OtpError) -> None:
        connection.drop_received(self._max_body)
        self._reply(connection, self._application.refuse(error), unread=True)

    def _done(self, connection: Connection, request: Request, answer: Answer) -> None:
        if answer.stream:  # this takes a thread, and a stop does not wait for it
            self.connections.forget(connection)
            connection.stream(answer.made, answer.stream, self._bounds.request, lambda: self.threads.last)
        else:
            self._reply(connection, answer, unread=request.body is None)

    def _reply(self, connection: Connection, answer: Answer, *, unread: bool) -> None:
        connection.answer_with(answer.made, last=answer.last, unread=unread)
        connection.wait(self._bounds.request)
        self._send(connection)

    def _send(self, connection: Connection) -> None:
        if not connection.send_outgoing():
            self.connections.close(connection)
        elif connection.outgoing:
            self._grown += len(connection.outgoing)
            self.connections.arm(connection, State.SENDING)
        elif not connection.last:
            self._next(connection)
        elif connection.unread or connection.reader.begun:
            self._half_close(connection)
        else:
            self.connections.close(connection)

    def _next(self, connection: Connection) -> None:
        if connection.reader.begun:  # sent before the answer came
            connection.wait(self._bounds.request)
            self._advance(connection)
        else:
            connection.wait(self._bounds.stopping if self.threads.last else self._bounds.idle)
            self.connections.arm(connection, State.READING)

    def _half_close(self, connection: Connection) -> None:
        """Say that nothing more comes, and wait for the client to close: closing first could reset what it reads."""
        with suppress(OSError):
            connection.sock.shutdown(socket.SHUT_WR)
        connection.wait(self._bounds.lingering)
        self.connections.arm(connection, State.LINGERING)

    def _throw_away(self, connection: Connection) -> None:
        data = connection.receive(_READ)
        if data is None or data:
            self.connections.arm(connection, State.LINGERING)
        else:
            self.connections.close(connection)

    # Deadlines and memory.

    def _sweep(self, now: float) -> None:
        slow = sum(
            self._end(connection)
            for connection in self.connections.of_the_loop()
            if connection.is_over(now, self._bounds.request)
        )
        if slow:
            log("http.slow_client", seconds=self._bounds.request, connections=slow)
        self._grown = 0
        for connection in pressure.too_large(self.connections.of_the_loop(), self._bounds.buffered):
            self.connections.close(connection, reset=True)

    def _end(self, connection: Connection) -> bool:
        """End a connection whose time is over; return whether a request or an answer was under way."""
        if connection.state is State.LINGERING or connection.untaken:
            self.connections.close(connection, reset=True)
            return connection.state is not State.LINGERING
        if connection.idle:  # all that was sent has been read, so that closing resets nothing
            self.connections.close(connection)
            return False
        self._refuse(connection, RequestTimeout())
        return True


def _files(wanted: int) -> int:
    """Allow this process as many open files as it wants and the system lets it, and return how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    raised = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    return raised
