"""Decodes a body that comes in chunks (RFC 9112, section 7.1).

Pure. Must not know where the bytes come from.
"""

import re

from otp_service.http.server.refusals import MalformedRequest

MAX_CHUNKS = 4096
"""Chunks of one body, so that a body of single bytes costs no more time than it is worth."""
MAX_CHUNK_LINE = 256
"""Bytes of a chunk's size with its extensions, and of a trailer."""
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[\t -~\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*")


class Chunks:
    """A body in the making: `body` is what has come of it, `ended` says whether that is all."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.ended = False
        self._left = 0  # bytes of the current chunk that have not come
        self._lines = 0
        self._step = self._size

    def take(self, received: bytearray) -> None:
        """Take what can be decoded from the front of `received`. Raises MalformedRequest."""
        while not self.ended and self._step(received):
            pass

    def _size(self, received: bytearray) -> bool:
        line = self._line(received)
        if line is None:
            return False
        size = _SIZE.fullmatch(line)
        if size is None:
            raise _malformed()
        self._left = int(size[1], 16)
        self._step = self._data if self._left else self._trailer
        return True

    def _data(self, received: bytearray) -> bool:
        part = received[: self._left]
        del received[: len(part)]
        self.body += part
        self._left -= len(part)
        if self._left:
            return False
        self._step = self._end
        return True

    def _end(self, received: bytearray) -> bool:
        if len(received) < 2:  # noqa: PLR2004 - CRLF
            return False
        if received[:2] != b"\r\n":
            raise _malformed()
        del received[:2]
        self._step = self._size
        return True

    def _trailer(self, received: bytearray) -> bool:
        """Drop trailers: no call of ours has any, and what changes a request must not come after it."""
        line = self._line(received)
        if line is None:
            return False
        if line and not _TRAILER.fullmatch(line):
            raise _malformed()
        self.ended = not line
        return True

    def _line(self, received: bytearray) -> bytes | None:
        end = received.find(b"\r\n", 0, MAX_CHUNK_LINE + 2)
        if end < 0:
            if len(received) > MAX_CHUNK_LINE:
                raise _malformed()
            return None
        self._lines += 1
        if self._lines > MAX_CHUNKS:
            raise MalformedRequest(f"The body has more than {MAX_CHUNKS} chunks.")
        line = bytes(received[:end])
        del received[: end + 2]
        return line


def _malformed() -> MalformedRequest:
    return MalformedRequest("The chunks of the body are malformed (RFC 9112, section 7.1).")
