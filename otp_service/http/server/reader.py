"""Cuts the bytes of one connection into requests.

Pure: knows neither sockets nor time. Must not know what is done with a request.
"""

from dataclasses import dataclass

from otp_service.http.server.chunks import Chunks
from otp_service.http.server.head import MAX_HEAD, MAX_LINE, Head, parse_head
from otp_service.http.server.refusals import HeadersTooLarge, MalformedRequest, UriTooLong


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request. `body` is None if it is longer than allowed, and was therefore not read."""

    environ: dict[str, str]
    body: bytes | None
    keep_alive: bool


class RequestReader:
    """What has been received on a connection and is not yet a request."""

    __slots__ = ("_chunks", "_continue", "_head", "_max_body", "_received", "_seen")

    def __init__(self, max_body: int) -> None:
        self._max_body = max_body
        self._received = bytearray()
        self._seen = 0  # bytes in which the end of the head has been looked for
        self._head: Head | None = None
        self._chunks: Chunks | None = None
        self._continue = False

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return len(self._received) + (len(self._chunks.body) if self._chunks else 0)

    @property
    def begun(self) -> bool:
        """Whether a part of a request has come."""
        return bool(self._received) or self._head is not None

    def take_continue(self) -> bool:
        """Say, once, that the client waits for "100 Continue" to send its body (RFC 9110, section 10.1.1)."""
        waits = self._continue and not self.size
        self._continue = False
        return waits

    def feed(self, data: bytes) -> None:
        """Add received bytes."""
        self._received += data

    def next_request(self) -> Request | None:
        """Return the next request if all of it has come. Raises UriTooLong, HeadersTooLarge or MalformedRequest."""
        if self._head is None:
            self._head = self._read_head()
            if self._head is None:
                return None
            self._continue = self._head.expects_continue
            self._chunks = Chunks() if self._head.length is None else None
        return self._sized(self._head) if self._chunks is None else self._chunked(self._head, self._chunks)

    def _read_head(self) -> Head | None:
        received = self._received
        if received.startswith(b"\r\n"):  # after a body, from old clients (RFC 9112, section 2.2)
            del received[:2]
        end = received.find(b"\r\n\r\n", max(0, self._seen - 3), MAX_HEAD + 4)
        if end < 0:
            self._check_unfinished(received)
            self._seen = len(received)
            return None
        head = parse_head(bytes(received[:end]))
        del received[: end + 4]
        self._seen = 0
        return head

    def _check_unfinished(self, received: bytearray) -> None:
        """Refuse early what can no longer become a head."""
        line = received.find(b"\r\n", 0, MAX_LINE + 2)
        if line < 0 and len(received) > MAX_LINE + 1:
            raise UriTooLong
        if len(received) > MAX_HEAD:
            raise HeadersTooLarge
        if received.count(b"\n", self._seen) != received.count(b"\r\n", max(0, self._seen - 1)):
            raise MalformedRequest("Lines end with CR LF, not with LF alone.")

    def _sized(self, head: Head) -> Request | None:
        length = head.length or 0
        if length > self._max_body:
            return self._unread(head)
        if len(self._received) < length:
            return None
        body = bytes(self._received[:length])
        del self._received[:length]
        return self._whole(head, body)

    def _chunked(self, head: Head, chunks: Chunks) -> Request | None:
        chunks.take(self._received)
        if len(chunks.body) > self._max_body:
            head.environ["CONTENT_LENGTH"] = str(len(chunks.body))
            return self._unread(head)
        if not chunks.ended:
            return None
        head.environ["CONTENT_LENGTH"] = str(len(chunks.body))  # as RFC 9112, section 7.1.3, decodes it
        return self._whole(head, bytes(chunks.body))

    def _unread(self, head: Head) -> Request:
        """Let the application say that the body is too long; what follows is not a request."""
        self._head = self._chunks = None
        return Request(head.environ, None, keep_alive=False)

    def _whole(self, head: Head, body: bytes) -> Request:
        self._head = self._chunks = None
        return Request(head.environ, body, head.keep_alive)
