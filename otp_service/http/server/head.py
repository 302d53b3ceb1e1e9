"""Reads the head of a request: the strict part of HTTP/1.1, in which no two readers can see two requests.

Pure. Must not know where the bytes come from.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from otp_service.http.server.refusals import (
    HeadersTooLarge,
    MalformedRequest,
    UriTooLong,
    unknown_transfer_coding,
)

MAX_LINE = 4094
"""Bytes of a request line."""
MAX_FIELD = 8190
"""Bytes of one header."""
MAX_FIELDS = 64
MAX_HEAD = 16 * 1024
"""Bytes of the request line and all headers."""


@dataclass(frozen=True, slots=True)
class Head:
    """What comes before a body. `length` is None if the body comes in chunks."""

    environ: dict[str, str]
    length: int | None
    keep_alive: bool
    expects_continue: bool


def parse_head(raw: bytes) -> Head:
    """Parse everything before the empty line. Raises UriTooLong, HeadersTooLarge or MalformedRequest.

    Headers with an underscore in their name are left out: WSGI could not tell them from the ones with a hyphen, which
    proxies set (CGI, RFC 3875, section 4.1.18). Repeated headers become one list (RFC 9110, section 5.3), except those
    that can only be there once.
    """
    first, *lines = raw.split(b"\r\n")
    if len(first) > MAX_LINE:
        raise UriTooLong
    line = _REQUEST_LINE.fullmatch(first)
    if line is None:
        raise MalformedRequest
    if len(lines) > MAX_FIELDS or any(len(each) > MAX_FIELD for each in lines):
        raise HeadersTooLarge
    fields, old = _fields(lines), line["minor"] == b"0"
    _check_host(fields.get("HOST"), old=old)
    length = _length(fields, old=old)
    return Head(
        _environ(line, fields),
        length,
        _keeps_alive(fields.get("CONNECTION", ""), old=old),
        not old and fields.get("EXPECT", "").lower() == "100-continue",
    )


_REQUEST_LINE = re.compile(
    rb"(?P<method>[A-Z][A-Z-]{0,19}) "
    rb"(?:https?://[!\"$-.0->@-~]*(?=/))?(?P<path>/[!\"$->@-~]*)(?:\?(?P<query>[!\"$-~]*))? "
    rb"HTTP/1\.(?P<minor>[01])"
)
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t -~\x80-\xff]*)")
_SINGLE = frozenset({"HOST", "CONTENT_LENGTH", "CONTENT_TYPE", "TRANSFER_ENCODING", "AUTHORIZATION"})
_HOST = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*")


def _fields(lines: Iterable[bytes]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise MalformedRequest
        written = field[1].decode("ascii")
        if "_" in written:
            continue
        name, value = written.upper().replace("-", "_"), field[2].decode("latin-1").strip(" \t")
        if name in fields:
            if name in _SINGLE:
                raise MalformedRequest(f"The request has more than one {written.title()} header.")
            value = f"{fields[name]},{value}"
        fields[name] = value
    return fields


def _check_host(host: str | None, *, old: bool) -> None:
    """Refuse a request without Host, or with what is no host (RFC 9112, section 3.2)."""
    if (host is None and not old) or (host and not _HOST.fullmatch(host)):
        raise MalformedRequest("The request needs one Host header with a host.")


def _length(fields: dict[str, str], *, old: bool) -> int | None:
    """Return the length of the body (RFC 9112, section 6.3). Two ways to say it are refused: they may disagree."""
    coding, length = fields.pop("TRANSFER_ENCODING", None), fields.get("CONTENT_LENGTH")
    if coding is None:
        if length is not None and not re.fullmatch("[0-9]{1,18}", length):
            raise MalformedRequest("Content-Length is not a number of bytes.")
        return int(length or 0)
    if coding.lower() != "chunked":
        raise unknown_transfer_coding()
    if old or length is not None:
        raise MalformedRequest("Transfer-Encoding stands alone, in HTTP/1.1.")
    return None


def _keeps_alive(connection: str, *, old: bool) -> bool:
    options = {option.strip(" \t") for option in connection.lower().split(",")}
    return "close" not in options and (not old or "keep-alive" in options)


def _environ(line: re.Match[bytes], fields: dict[str, str]) -> dict[str, str]:
    environ = {f"HTTP_{name}": value for name, value in fields.items()}
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if name in fields:
            environ[name] = environ.pop(f"HTTP_{name}")
    path = line["path"]
    environ["REQUEST_METHOD"] = line["method"].decode("ascii")
    environ["PATH_INFO"] = (unquote_to_bytes(path) if b"%" in path else path).decode("latin-1")
    environ["QUERY_STRING"] = (line["query"] or b"").decode("ascii")
    environ["SERVER_PROTOCOL"] = f"HTTP/1.{line['minor'].decode('ascii')}"
    return environ
