"""The threads that call the application, and the queue of whole requests before them.

Must not know sockets: what becomes of an answer is the loop's business. Each probe has a thread of its own: a service
whose threads are all busy is not dead, and who asks for its health must not take it for that.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterable

from otp_service.errors import Busy, InternalError
from otp_service.http.server.answer import Answer, Application
from otp_service.http.server.bounds import USUAL, Bounds
from otp_service.http.server.connection import Connection
from otp_service.http.server.reader import Request
from otp_service.telemetry.logs import LOG

_BUSY = 1
"""Seconds after which a refused client may try again."""

Done = Callable[[Connection, Request, Answer], None]
_Waiting = queue.SimpleQueue[tuple[Connection, Request, float]]


class AnswerThreads:
    """Answers requests; `done` gets each answer, in the thread that made it."""

    def __init__(
        self,
        application: Application,
        *,
        threads: int,
        done: Done,
        probes: Iterable[str],
        bounds: Bounds = USUAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start so many `threads`, and one more for each path of `probes`."""
        self.last = False
        """Whether each connection ends with the answer that comes next."""
        self._application = application
        self._done = done
        self._bounds = bounds
        self._clock = clock
        self._waiting: _Waiting = queue.SimpleQueue()
        self._probes: dict[str, _Waiting] = {path: queue.SimpleQueue() for path in probes}
        self._bytes = 0
        self._began: dict[int, float] = {}  # by thread, while the application works
        self._lock = threading.Lock()
        for number, waiting in enumerate([*[self._waiting] * threads, *self._probes.values()]):
            threading.Thread(target=self._work, args=[waiting], name=f"answers-{number}", daemon=True).start()

    def submit(self, connection: Connection, request: Request) -> None:
        """Have a request answered. Raises Busy if what waits would take too much memory."""
        size = len(request.body or b"")
        with self._lock:
            if self._bytes + size > self._bounds.queued:
                raise Busy(retry_after=_BUSY)
            self._bytes += size
        waiting = self._probes.get(request.environ["PATH_INFO"], self._waiting)
        waiting.put((connection, request, self._clock()))

    def longest(self) -> float:
        """Return for how many seconds the longest call of the application has lasted; streams do not count."""
        return max((self._clock() - began for began in list(self._began.values())), default=0)

    def _work(self, waiting: _Waiting) -> None:
        while True:
            connection, request, since = waiting.get()
            with self._lock:
                self._bytes -= len(request.body or b"")
            try:
                self._done(connection, request, self._answer(connection, request, since))
            except Exception as fault:  # noqa: BLE001 - such as of an application that streams; the thread lives on
                LOG.error("server.failed", exc_info=fault)

    def _answer(self, connection: Connection, request: Request, since: float) -> Answer:
        method = request.environ["REQUEST_METHOD"]
        if self._clock() - since > self._bounds.waiting:
            return self._application.refuse(Busy(retry_after=_BUSY), method)
        last = self.last or not request.keep_alive
        self._began[threading.get_ident()] = self._clock()
        try:
            return self._application.answer(request, connection.addresses, last=last)
        except Exception as fault:  # noqa: BLE001 - Flask answers errors itself; whatever it is, the thread lives on
            LOG.error("server.failed", exc_info=fault)
            return self._application.refuse(InternalError(), method)
        finally:
            del self._began[threading.get_ident()]
