"""The queue before the threads: what waited too long, or would take too much memory, is refused."""

import queue
import threading
from typing import Any

import pytest

from otp_service.errors import Busy
from otp_service.http.problems import raw_problem
from otp_service.http.server.answer import Application
from otp_service.http.server.bounds import Bounds
from otp_service.http.server.reader import Request
from otp_service.http.server.threads import AnswerThreads
from tests.support.patience import PATIENCE
from tests.support.served import echo

CONNECTION: Any = type("Addressed", (), {"addresses": {}})()


def request(path: str, body: bytes = b"", method: str = "POST") -> Request:
    """Make a request."""
    return Request({"REQUEST_METHOD": method, "PATH_INFO": path}, body, keep_alive=True)


class Blocking:
    """An application whose requests for one path wait for `go`."""

    def __init__(self, path: str = "/slow") -> None:
        self._path = path
        self.began, self.go = threading.Event(), threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:  # noqa: ANN401 - PEP 3333
        """Answer one request."""
        if environ["PATH_INFO"] == self._path:
            self.began.set()
            self.go.wait()
        return echo(environ, start_response)


def test_a_request_that_waited_too_long_is_refused_unanswered() -> None:
    """Its client has given up: the time of a thread is for those that have not."""
    now, blocking = [0.0], Blocking()
    answers: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
    threads = AnswerThreads(
        Application(blocking, raw_problem),
        threads=1,
        done=lambda _, asked, answer: answers.put((asked.environ["PATH_INFO"], answer.made)),
        probes=(),
        clock=lambda: now[0],
    )
    threads.submit(CONNECTION, request("/slow"))
    assert blocking.began.wait(PATIENCE)
    threads.submit(CONNECTION, request("/late"))
    threads.submit(CONNECTION, request("/head", method="HEAD"))
    now[0] = 5.1
    threads.submit(CONNECTION, request("/new"))
    blocking.go.set()
    found = dict(answers.get(timeout=PATIENCE) for _ in range(4))
    assert found["/slow"].startswith(b"HTTP/1.1 200 ")
    assert found["/new"].startswith(b"HTTP/1.1 200 ")
    assert found["/late"].startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 1\r\n" in found["/late"]
    assert b"\r\nDate: " in found["/late"], "RFC 9110, section 6.6.1"
    assert found["/late"].endswith(b"}\n")
    assert found["/head"].endswith(b"\r\n\r\n"), "RFC 9110, section 9.3.2"


@pytest.mark.parametrize("slow", ["/slow", "/ordinary"])
def test_a_probe_waits_for_no_other_request(slow: str) -> None:
    """Nor for another probe: that may ask a store which is away."""
    blocking = Blocking(slow)
    answers: queue.SimpleQueue[str] = queue.SimpleQueue()
    threads = AnswerThreads(
        Application(blocking, raw_problem),
        threads=1,
        done=lambda _, asked, _answer: answers.put(asked.environ["PATH_INFO"]),
        probes=["/slow", "/alive"],
    )
    for path in (slow, "/alive"):
        threads.submit(CONNECTION, request(path))
    assert answers.get(timeout=PATIENCE) == "/alive"
    blocking.go.set()
    assert answers.get(timeout=PATIENCE) == slow


def test_bodies_that_wait_have_a_bound() -> None:
    """What would exceed it is refused at once; when a thread has taken one, the next has room."""
    blocking = Blocking()
    answers: queue.SimpleQueue[object] = queue.SimpleQueue()
    threads = AnswerThreads(
        Application(blocking, raw_problem),
        threads=1,
        done=lambda connection, _asked, _answer: answers.put(connection),
        probes=(),
        bounds=Bounds(queued=100),
    )
    threads.submit(CONNECTION, request("/slow", b"a" * 60))
    assert blocking.began.wait(PATIENCE)
    threads.submit(CONNECTION, request("/", b"a" * 60))
    with pytest.raises(Busy):
        threads.submit(CONNECTION, request("/", b"a" * 60))
    threads.submit(CONNECTION, request("/"))
    blocking.go.set()
    for _ in range(3):
        answers.get(timeout=PATIENCE)
    threads.submit(CONNECTION, request("/", b"a" * 60))
    answers.get(timeout=PATIENCE)
