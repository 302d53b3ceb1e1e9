"""Bytes become requests: in any pieces the same ones, with bounds for each part."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.errors import OtpError
from otp_service.http.server.chunks import MAX_CHUNK_LINE, MAX_CHUNKS
from otp_service.http.server.head import MAX_HEAD, MAX_LINE
from otp_service.http.server.reader import Request, RequestReader
from otp_service.http.server.refusals import HeadersTooLarge, MalformedRequest, UriTooLong

MOST = 1000
HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def read(*pieces: bytes) -> list[Request]:
    """Read all requests of a connection that sends these pieces."""
    reader, found = RequestReader(MOST), []
    for piece in pieces:
        reader.feed(piece)
        while request := reader.next_request():
            found.append(request)
    return found


def sized(body: bytes) -> bytes:
    """Write a request with a body of a stated length."""
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(body: bytes, size: int) -> bytes:
    """Write a request with a body in chunks of a size."""
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return (
        CHUNKED + b"".join(b"%x;n=1\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\nX: y\r\n\r\n"
    )


@given(st.lists(st.tuples(st.binary(max_size=60), st.integers(0, 7)), max_size=4), st.randoms())
def test_requests_are_the_same_in_whatever_pieces_they_come(
    bodies: list[tuple[bytes, int]], chance: random.Random
) -> None:
    """Several requests on one connection, whole, byte by byte, or cut anywhere."""
    raw = b"".join(chunked(body, size) if size else sized(body) for body, size in bodies)
    cuts = sorted(chance.choices(range(len(raw) + 1), k=5))
    cut = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    for pieces in ([raw], [raw[place : place + 1] for place in range(len(raw))], cut):
        found = read(*pieces)
        assert [request.body for request in found] == [body for body, _ in bodies]
        assert all(
            request.environ.get("CONTENT_LENGTH", "0") == str(len(request.body or b"")) for request in found
        )
        assert not any("HTTP_TRANSFER_ENCODING" in request.environ for request in found)


def test_an_empty_line_before_a_request_is_passed_over() -> None:
    """Some clients end a body with a line break that nobody counted; two are no request."""
    assert len(read(sized(b"a") + b"\r\n" + sized(b"b"))) == 2
    with pytest.raises(MalformedRequest):
        read(b"\r\n\r\n" + sized(b"a") + b"\r\n")


@pytest.mark.parametrize("size", [MOST, MOST + 1])
def test_a_body_has_a_limit_whatever_it_says_of_its_length(size: int) -> None:
    """A longer one is not collected, but the application learns that it was too long, and no request follows."""
    for raw in (sized(b"a" * size), chunked(b"a" * size, 400)):
        (request, *_) = read(raw)
        assert (request.body is None) == (size > MOST)
        assert int(request.environ["CONTENT_LENGTH"]) > MOST or request.body == b"a" * size
        assert request.keep_alive == (size <= MOST)


def test_a_length_is_believed_before_the_body_comes() -> None:
    """Nothing waits for bytes that would not be read."""
    (request,) = read(HEAD + b"Content-Length: 999999999999\r\n\r\n")
    assert (request.body, request.keep_alive) == (None, False)


ENDLESS = {
    "a line": (b"GET /" + b"a" * MAX_LINE, UriTooLong),
    "headers": (HEAD + b"X: a\r\n" * (MAX_HEAD // 6), HeadersTooLarge),
    "one header": (HEAD + b"X: " + b"a" * MAX_HEAD, HeadersTooLarge),
    "lines that end as on Unix": (b"GET / HTTP/1.1\nHost: a\n\n", MalformedRequest),
    "a line feed in a header": (HEAD + b"X: a\nY: b", MalformedRequest),
    "the size of a chunk": (CHUNKED + b"0" * (MAX_CHUNK_LINE + 1), MalformedRequest),
    "an extension of a chunk": (CHUNKED + b"1;" + b"a" * MAX_CHUNK_LINE, MalformedRequest),
    "a trailer": (CHUNKED + b"0\r\nX: " + b"a" * MAX_CHUNK_LINE, MalformedRequest),
    "trailers": (CHUNKED + b"0\r\n" + b"X: a\r\n" * MAX_CHUNKS, MalformedRequest),
    "chunks of nothing": (CHUNKED + b"1\r\na\r\n" * (MAX_CHUNKS + 1), MalformedRequest),
}


@pytest.mark.parametrize(("raw", "error"), ENDLESS.values(), ids=ENDLESS)
def test_what_has_no_end_is_refused_before_it_ends(raw: bytes, error: type[OtpError]) -> None:
    """In one piece or in many; what is held never grows beyond its bound."""
    with pytest.raises(error):
        feed(raw, len(raw))
    with pytest.raises(error):
        feed(raw, 7)


def feed(raw: bytes, size: int) -> None:
    """Feed a reader with pieces of a size."""
    reader = RequestReader(100_000)
    for start in range(0, len(raw), size):
        reader.feed(raw[start : start + size])
        while reader.next_request():
            pass
        assert reader.size <= MAX_HEAD + size + MAX_CHUNK_LINE


BAD_CHUNKS = {
    "a size in other digits": b"x\r\n",
    "a signed size": b"+1\r\na\r\n0\r\n\r\n",
    "a size with a prefix": b"0x1\r\na\r\n0\r\n\r\n",
    "a size with an underscore": b"1_0\r\n",
    "no size": b"\r\n",
    "a size that is too long": b"000000001\r\na\r\n",
    "more than its size": b"1\r\nab\r\n0\r\n\r\n",
    "less than its size": b"3\r\na\r\n0\r\n\r\n",
    "a line feed alone after the size": b"1\na\r\n0\r\n\r\n" + b" " * MAX_CHUNK_LINE,
    "a line feed alone after the chunk": b"1\r\na\n0\r\n\r\n",
    "a carriage return in an extension": b"1;a\rb\r\na\r\n0\r\n\r\n",
    "a trailer that is no header": b"0\r\nnone\r\n\r\n",
    "a folded trailer": b"0\r\nX: a\r\n b\r\n\r\n",
}


@pytest.mark.parametrize("chunks", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
def test_chunks_have_one_form(chunks: bytes) -> None:
    """RFC 9112, section 7.1: what another reader might cut elsewhere is refused."""
    with pytest.raises(MalformedRequest):
        read(CHUNKED + chunks)
