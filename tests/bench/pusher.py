"""Pushes requests over a few connections that stay open, from a process of its own; knows nothing of what they say."""

import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from http import HTTPStatus
from multiprocessing import get_context
from typing import BinaryIO

ANSWER_WITHIN = 15
"""Seconds for one answer."""
SHOW_EVERY = 1.0


class Progress:
    """Counts what was done, and shows it on standard error while it goes on."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total = what, total
        self._done, self._shown = 0, time.monotonic()
        self._lock = threading.Lock()

    def step(self) -> None:
        """Count one."""
        with self._lock:
            self._done += 1
            if self._done == self._total or time.monotonic() - self._shown > SHOW_EVERY:
                self._shown = time.monotonic()
                print(f"  {self._what}: {self._done} of {self._total}", file=sys.stderr, flush=True)


def push(port: int, requests: Sequence[bytes], connections: int, within: float) -> tuple[Counter[int], float]:
    """Push whole requests to a server on loopback; gives the answers' statuses and the seconds it took.

    What is answered 503 is pushed again, as an upstream does. Raises TimeoutError when it takes more than `within`
    seconds, OSError when a connection breaks.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as client:
        return client.submit(_push, port, requests, connections, within).result()


def _push(
    port: int, requests: Sequence[bytes], connections: int, within: float
) -> tuple[Counter[int], float]:
    progress = Progress("receipts pushed", len(requests))
    shares = [requests[place::connections] for place in range(connections)]
    started = time.perf_counter()
    limit = started + within
    with ThreadPoolExecutor(connections) as threads:
        found = list(threads.map(lambda share: Counter(_statuses(port, share, limit, progress)), shares))
    return sum(found, Counter()), time.perf_counter() - started


def _statuses(port: int, requests: Sequence[bytes], limit: float, progress: Progress) -> Iterator[int]:
    with (
        socket.create_connection(("127.0.0.1", port), ANSWER_WITHIN) as connection,
        connection.makefile("rb") as answers,
    ):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for request in requests:
            status = HTTPStatus.SERVICE_UNAVAILABLE
            while status == HTTPStatus.SERVICE_UNAVAILABLE:
                if time.perf_counter() > limit:
                    raise TimeoutError("the server is too slow for this many receipts")
                connection.sendall(request)
                yield (status := _status(answers))
            progress.step()


def _status(answers: BinaryIO) -> HTTPStatus:
    """Read one answer and give its status; far cheaper than `http.client`, whose time would be the server's loss."""
    first = answers.readline().split()
    if not first:
        raise ConnectionError("the server closed a connection")
    length = 0
    while (line := answers.readline()).strip():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    answers.read(length)
    return HTTPStatus(int(first[1]))
