"""Clients that ask without a pause, and what they were answered."""

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tests.support.patience import until
from tests.support.served import answer

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
GETS = ((GET, 200),)
_START = 16


class Load:
    """Each client keeps its connection until it is told that it ends; every fourth has a new one for each request."""

    def __init__(
        self,
        connect: Callable[[], socket.socket],
        clients: int,
        *,
        asks: Sequence[tuple[bytes, int]] = GETS,
        until_refused: bool = False,
    ) -> None:
        """`asks` are requests, each with the status that answers it; a client repeats one of them."""
        self.answered = 0
        self.refused = 0
        self.texts: Counter[str] = Counter()
        """How many answers began with each word."""
        self.lost: list[str] = []
        self._connect = connect
        self._until_refused = until_refused
        self._going = True
        self._threads = [
            threading.Thread(target=self._run, args=(*asks[number % len(asks)], number % 4 == 3))
            for number in range(clients)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, request: bytes, status: int, always_new: bool) -> None:  # noqa: FBT001 - a thread's argument
        while self._going:
            try:
                client = self._connect()
            except ConnectionRefusedError:
                self.refused += 1
                if self._until_refused:
                    return
                continue
            except OSError as error:
                self.lost.append(repr(error))
                continue
            with client:
                self._ask(client, request, status, always_new=always_new)

    def _ask(self, client: socket.socket, request: bytes, status: int, *, always_new: bool) -> None:
        try:
            while self._going:
                client.sendall(request)
                found, headers, body = answer(client)
                assert found == status, body
                self.answered += 1
                self.texts[body.decode().partition(" ")[0][:_START]] += 1
                if always_new or headers["connection"] == "close":
                    return
        except (OSError, AssertionError) as error:
            self.lost.append(repr(error))

    def reach(self, answers: int) -> None:
        """Wait until there have been so many more answers."""
        wanted = self.answered + answers
        until(lambda: self.answered >= wanted, progress=lambda: self.answered)

    def end(self) -> None:
        """Let each client have its last answer."""
        self._going = False
        self.join()

    def join(self) -> None:
        """Wait until no client is left."""
        until(lambda: not any(thread.is_alive() for thread in self._threads), progress=lambda: self.answered)


@contextmanager
def loaded(
    connect: Callable[[], socket.socket],
    clients: int,
    *,
    asks: Sequence[tuple[bytes, int]] = GETS,
    until_refused: bool = False,
) -> Iterator[Load]:
    """Ask with so many clients until the block ends."""
    load = Load(connect, clients, asks=asks, until_refused=until_refused)
    try:
        yield load
    finally:
        load.end()
