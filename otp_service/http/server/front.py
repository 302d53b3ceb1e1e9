"""Holds the connections of one process: reads whole requests, hands them to threads, sends the answers.

One thread waits for all connections at once, so that a slow or silent one costs memory but no thread. The application
sees a request when all of it has come. Knows sockets, time and memory. Must not know what the application does.
"""

import socket
import time
from collections.abc import Iterable
from contextlib import suppress

from otp_service.errors import OtpError
from otp_service.http.server import pressure
from otp_service.http.server.answer import Answer, Application, Door, Refusal
from otp_service.http.server.arrivals import Arrivals
from otp_service.http.server.bounds import USUAL, Bounds
from otp_service.http.server.connection import Connection, State
from otp_service.http.server.connections import Connections
from otp_service.http.server.held import HeldRefusals
from otp_service.http.server.reader import Request
from otp_service.http.server.refusals import RequestTimeout
from otp_service.http.server.threads import AnswerThreads
from otp_service.telemetry.logs import log

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
        probes: Iterable[str],
        bounds: Bounds = USUAL,
        door: Door = lambda _: None,
    ) -> None:
        self._application = application
        self._door = door
        self._max_body = max_body
        self._bounds = bounds
        self.connections = Connections()
        """Without those on which an answer is streamed."""
        self._arrivals = Arrivals(listeners, self.connections, max_body=max_body, bounds=bounds)
        self.threads = AnswerThreads(
            application, threads=threads, done=self._done, probes=probes, bounds=bounds
        )
        self.held = HeldRefusals(bounds)
        """The refusals that wait for their time."""
        self._grown = 0  # bytes that have come to be in memory since all were counted
        self._next_sweep = 0.0

    def wake_by(self, file: int) -> None:
        """End a `turn` when this file can be read."""
        self.connections.watch(file)

    def turn(self, seconds: float) -> None:
        """Wait for something to do, at most this long, and do it."""
        for file in self.connections.poll(self.held.until_next(min(seconds, _SWEEP))):
            if file in self._arrivals:
                self._arrivals.accept(file)
            elif connection := self.connections.get(file):
                self._go_on(connection)
        self._send_held(self.held.due(all_of_them=self.threads.last))
        now = time.monotonic()
        if now >= self._next_sweep or self._grown > _GROWTH:
            self._next_sweep = now + _SWEEP
            self._sweep(now)

    def stop(self) -> None:
        """Take the connections that wait, close the listeners, and let each connection end with its next answer."""
        self._arrivals.end()
        self.threads.last = True
        end = time.monotonic() + self._bounds.stopping
        for connection in self.connections.of_the_loop():
            if connection.idle:
                connection.deadline = min(connection.deadline, end)

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
        if refusal := self._door(request.environ | connection.addresses):
            self._turn_away(connection, request, refusal)
            return
        try:
            self.threads.submit(connection, request)
        except OtpError as error:
            self._refuse(connection, error)

    def _refuse(self, connection: Connection, error: OtpError) -> None:
        connection.drop_received(self._max_body)
        self._reply(connection, self._application.refuse(error), unread=True)

    def _send_held(self, connections: Iterable[Connection]) -> None:
        for connection in connections:
            if self.connections.get(connection.file) is connection:
                self._send_reply(connection)

    def _turn_away(self, connection: Connection, request: Request, refusal: Refusal) -> None:
        """Refuse at once, or later and without a thread if the client was told to come later than now."""
        delay = self.held.delay(connection, refusal.error.retry_after or 0)
        if delay and self.held.full:
            self._refuse(connection, refusal.error)
            return
        answer = self._application.turn_away(refusal, last=self.threads.last or not request.keep_alive)
        if delay:
            connection.answer_with(answer.made, last=answer.last, unread=False)
            connection.wait(delay + self._bounds.request)
            self.held.add(connection, delay)
        else:
            self._reply(connection, answer, unread=False)

    def _done(self, connection: Connection, request: Request, answer: Answer) -> None:
        if answer.stream:  # this takes a thread, and a stop does not wait for it
            self.connections.forget(connection)
            connection.stream(answer.made, answer.stream, self._bounds.request, lambda: self.threads.last)
        else:
            self._reply(connection, answer, unread=request.body is None)

    def _reply(self, connection: Connection, answer: Answer, *, unread: bool) -> None:
        connection.answer_with(answer.made, last=answer.last, unread=unread)
        self._send_reply(connection)

    def _send_reply(self, connection: Connection) -> None:
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
