"""Calls the WSGI application with a request and writes its answer as bytes (PEP 3333).

Knows WSGI. Must not know sockets.
"""

import io
import re
import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any
from wsgiref.types import WSGIApplication

from otp_service.errors import OtpError
from otp_service.http.server.reader import Request

Refuse = Callable[[OtpError], tuple[str, list[tuple[str, str]], bytes]]
"""Gives status, headers and body of an error."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What keeps a request from the application, and headers of the answer besides those of the error."""

    error: OtpError
    headers: Sequence[tuple[str, str]] = ()


Door = Callable[[Mapping[str, str]], Refusal | None]
"""Says at once, and without waiting for anything, whether a request is refused before the application is called.

It gets the WSGI variables of the request and its connection, and refuses no HEAD.
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """The bytes of an answer. `last` says that the connection ends with it.

    `stream` are bytes that the application has yet to make, for as long as it likes.
    """

    made: bytes
    last: bool
    stream: Generator[bytes] | None = None


class Application:
    """The application that is served, and how its server refuses what does not reach it."""

    def __init__(self, wsgi: WSGIApplication, refuse: Refuse) -> None:
        self._wsgi = wsgi
        self._refuse = refuse

    def refuse(self, error: OtpError, method: str = "") -> Answer:
        """Answer in place of the application, and end the connection. `method` is the request's, if it is known."""
        status, headers, body = self._refuse(error)
        return Answer(_head(status, headers, last=True) + (b"" if method == "HEAD" else body), last=True)

    def turn_away(self, refusal: Refusal, *, last: bool) -> Answer:
        """Answer a request, which is no HEAD, with what the door said."""
        status, headers, body = self._refuse(refusal.error)
        return Answer(_head(status, [*headers, *refusal.headers], last=last) + body, last=last)

    def answer(self, request: Request, addresses: dict[str, str], *, last: bool) -> Answer:
        """Call the application. `addresses` are the REMOTE_ and SERVER_ variables of the connection.

        An answer without a length is streamed, and ends with its connection.
        """
        environ: dict[str, Any] = request.environ | addresses | _SAME_FOR_ALL
        environ["wsgi.input"] = io.BytesIO(request.body or b"")
        environ["wsgi.errors"] = sys.stderr
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Any:  # noqa: ANN401 - PEP 3333
            started[:] = status, headers

        parts = _closing(self._wsgi(environ, start_response))
        status, headers = started
        if request.environ["REQUEST_METHOD"] == "HEAD" or status.startswith(_WITHOUT_BODY):
            parts.close()
            return Answer(_head(status, headers, last=last), last)
        if any(name.lower() == "content-length" for name, _ in headers):
            return Answer(_head(status, headers, last=last) + b"".join(parts), last)
        return Answer(_head(status, headers, last=True), last=True, stream=parts)


def _closing(parts: Iterable[bytes]) -> Generator[bytes]:
    try:
        yield from parts
    finally:
        if close := getattr(parts, "close", None):
            close()


_SAME_FOR_ALL: dict[str, Any] = {
    "SCRIPT_NAME": "",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.input_terminated": True,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}


_WITHOUT_BODY = ("204", "304")
_LINE = re.compile(r"[\t -~\x80-\xff]*")


def _head(status: str, headers: Iterable[tuple[str, str]], *, last: bool) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
    if not all(map(_LINE.fullmatch, lines)):
        message = "a header of the answer has a line break or is not Latin-1"
        raise ValueError(message)
    date = formatdate(int(time.time()), usegmt=True)
    lines += [f"Date: {date}", f"Connection: {'close' if last else 'keep-alive'}", "\r\n"]
    return "\r\n".join(lines).encode("latin-1")
