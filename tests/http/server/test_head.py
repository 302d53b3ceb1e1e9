"""The head of a request: what is read, and everything that two readers could read as two requests."""

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import ExpectationFailed, ParseException
from gunicorn.http.message import Request as JudgedRequest
from gunicorn.http.unreader import IterUnreader
from hypothesis import given
from hypothesis import strategies as st

from otp_service.errors import OtpError
from otp_service.http.server.head import MAX_HEAD, MAX_LINE, Head, parse_head
from otp_service.http.server.refusals import HeadersTooLarge, MalformedRequest, UriTooLong


def head(*lines: str, first: str = "POST /otp/send?a=1 HTTP/1.1") -> Head:
    """Parse a head of these lines after a request line and a Host."""
    return parse_head("\r\n".join([first, "Host: otp.example.com", *lines]).encode("latin-1"))


def test_a_head_becomes_wsgi_variables() -> None:
    """As PEP 3333 names them; a path is decoded, a query is not."""
    found = head(
        "Content-Type: application/json", "content-length: 12", "X-A:  b ", first="POST /%6ftp?a=%31 HTTP/1.1"
    )
    assert found.environ == {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/otp",
        "QUERY_STRING": "a=%31",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "otp.example.com",
        "HTTP_X_A": "b",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": "12",
    }
    assert (found.length, found.keep_alive, found.expects_continue) == (12, True, False)


@pytest.mark.parametrize(
    ("first", "path"),
    [
        ("GET http://other.example.com/a?b HTTP/1.1", "/a"),
        ("GET //a/../b HTTP/1.1", "//a/../b"),
        ("GET /a;b=c,d HTTP/1.1", "/a;b=c,d"),
        ("GET /%e2%82%ac HTTP/1.1", "/\xe2\x82\xac"),
        ("OPTIONS /?? HTTP/1.1", "/"),
    ],
)
def test_a_target_is_a_path_with_or_without_a_host(first: str, path: str) -> None:
    """The host of an absolute target decides nothing (RFC 9112, section 3.2.2)."""
    assert head(first=first).environ["PATH_INFO"] == path


SMUGGLED = {
    "two lengths": ["Content-Length: 5", "Content-Length: 6"],
    "the same length twice": ["Content-Length: 5", "Content-Length: 5"],
    "a list of lengths": ["Content-Length: 5, 5"],
    "a signed length": ["Content-Length: +5"],
    "a length in other digits": ["Content-Length: \xb2"],
    "a negative length": ["Content-Length: -1"],
    "a length without end": ["Content-Length: 1" + "0" * 30],
    "an empty length": ["Content-Length:"],
    "a length and chunks": ["Content-Length: 5", "Transfer-Encoding: chunked"],
    "chunks and a length": ["Transfer-Encoding: chunked", "Content-Length: 5"],
    "chunks twice": ["Transfer-Encoding: chunked, chunked"],
    "chunks in two headers": ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
    "chunks inside of another coding": ["Transfer-Encoding: chunked, gzip"],
    "another coding inside of chunks": ["Transfer-Encoding: gzip, chunked"],
    "no coding": ["Transfer-Encoding: identity"],
    "a coding that is almost chunked": ["Transfer-Encoding: xchunked"],
    "a coding with a vertical tab": ["Transfer-Encoding: \x0bchunked"],
    "an empty coding": ["Transfer-Encoding:"],
    "a space before the colon": ["Transfer-Encoding : chunked"],
    "a folded header": ["X-A: b", " Transfer-Encoding: chunked"],
    "a folded header by a tab": ["X-A: b", "\tc"],
    "a second host": ["Host: evil.example.com"],
    "a second type": ["Content-Type: text/plain", "Content-Type: application/json"],
    "a second key": ["Authorization: Bearer a", "Authorization: Bearer b"],
    "a header without a colon": ["X-A"],
    "a header without a name": [": a"],
    "a carriage return alone": ["X-A: b\rTransfer-Encoding: chunked"],
    "a line feed alone": ["X-A: b\nTransfer-Encoding: chunked"],
    "a null": ["X-A: b\0c"],
    "a name that is no token": ["X A: b"],
    "a name beyond ASCII": ["X\xc4: b"],
}


@pytest.mark.parametrize("lines", SMUGGLED.values(), ids=SMUGGLED)
def test_what_two_readers_could_read_differently_is_refused(lines: list[str]) -> None:
    """400, and the connection ends: what follows can be trusted no more."""
    with pytest.raises(MalformedRequest):
        head(*lines)


@pytest.mark.parametrize(
    "first",
    [
        *(
            "GET / HTTP/2.0",
            "GET / HTTP/1.2",
            "GET / http/1.1",
            "GET / HTTP/1.10",
            "GET /",
            "GET  / HTTP/1.1",
        ),
        *("GET / HTTP/1.1 ", " GET / HTTP/1.1", "get / HTTP/1.1", "GET /a b HTTP/1.1", "GET /a#b HTTP/1.1"),
        *("GET /\xe4 HTTP/1.1", "GET /a\tb HTTP/1.1", "CONNECT a:443 HTTP/1.1", "OPTIONS * HTTP/1.1", ""),
        *(
            "GET http://a\nX:y/ HTTP/1.1",
            "GET http://a\rb/ HTTP/1.1",
            "GET http://a\x00/ HTTP/1.1",
            "GET http://\xe4/ HTTP/1.1",
        ),
        *("GET a HTTP/1.1", "GET http://a HTTP/1.1", "GET ftp://a/ HTTP/1.1", "\x16\x03\x01 / HTTP/1.1"),
    ],
)
def test_a_line_that_is_no_request_is_refused(first: str) -> None:
    """One space between three parts, a target in printable ASCII, HTTP/1.0 or HTTP/1.1."""
    with pytest.raises(MalformedRequest):
        head(first=first)


@pytest.mark.parametrize("host", [None, "a b", "a/b", "a?b", "a@b", 'a"', "a\\b"])
def test_a_request_names_one_host(host: str | None) -> None:
    """RFC 9112, section 3.2; an old client need not, and a host may be empty."""
    line = "" if host is None else f"\r\nHost: {host}"
    with pytest.raises(MalformedRequest):
        parse_head(f"GET / HTTP/1.1{line}".encode())
    parse_head(b"GET / HTTP/1.0")
    parse_head(b"GET / HTTP/1.1\r\nHost:")


def test_chunks_are_not_for_old_clients() -> None:
    """A proxy that speaks HTTP/1.0 would not read them (RFC 9112, section 6.1)."""
    with pytest.raises(MalformedRequest):
        head("Transfer-Encoding: chunked", first="POST / HTTP/1.0")
    assert head("Transfer-Encoding: Chunked").length is None


def test_an_underscore_does_not_pass_for_a_hyphen() -> None:
    """A client could otherwise write headers that only proxies may."""
    found = head("X_Forwarded_For: 6.6.6.6", "X-Forwarded-For: 192.0.2.1", "Content_Length: 7")
    assert found.environ["HTTP_X_FORWARDED_FOR"] == "192.0.2.1"
    assert (found.length, "CONTENT_LENGTH" in found.environ) == (0, False)


def test_repeated_headers_are_one_list() -> None:
    """In their order, as RFC 9110, section 5.3, joins them."""
    found = head("X-Forwarded-For: 6.6.6.6", "x-forwarded-for: 192.0.2.1")
    assert found.environ["HTTP_X_FORWARDED_FOR"] == "6.6.6.6,192.0.2.1"


@pytest.mark.parametrize(
    ("version", "connection", "keeps"),
    [
        *(("1.1", "", True), ("1.1", "close", False), ("1.1", "keep-alive, Close", False)),
        *(("1.0", "", False), ("1.0", "Keep-Alive", True), ("1.0", "keep-alive, close", False)),
    ],
)
def test_a_connection_is_kept_as_its_client_asks(version: str, connection: str, *, keeps: bool) -> None:
    """RFC 9112, section 9.3."""
    assert head(f"Connection: {connection}", first=f"GET / HTTP/{version}").keep_alive is keeps


def test_each_length_has_its_limit() -> None:
    """The last byte that fits is read; one more is refused by its own error."""
    fits = "GET /" + "a" * (MAX_LINE - len("GET / HTTP/1.1")) + " HTTP/1.1"
    assert len(head(first=fits).environ["PATH_INFO"]) > 4000
    with pytest.raises(UriTooLong):
        head(first=fits.replace("/a", "/aa", 1))
    head("X: " + "a" * 8187)
    with pytest.raises(HeadersTooLarge):
        head("X: " + "a" * 8188)
    head(*["X: a"] * 63)
    with pytest.raises(HeadersTooLarge):
        head(*["X: a"] * 64)


# Gunicorn's parser, which many have attacked, as the judge.


CONFIG = Config()
CONFIG.set("forwarded_allow_ips", "")
WORDS = st.sampled_from(
    [
        *(
            "Content-Length",
            "Transfer-Encoding",
            "Host",
            "X-A",
            "X_A",
            "Expect",
            "Connection",
            "chunked",
            "5",
            "05",
        ),
        *(
            ":",
            ": ",
            " ",
            "\t",
            ",",
            ";",
            "\r\n",
            "\r",
            "\n",
            "\0",
            "\x0b",
            "\x7f",
            "\xe4",
            "gzip",
            "close",
            "a",
        ),
        *(
            "GET",
            "POST",
            "/",
            "?",
            "#",
            "%",
            "HTTP/1.1",
            "HTTP/1.0",
            "http://a",
            "*",
            "\r\n\r\n",
            "100-continue",
        ),
    ]
)

USUAL = "POST /a?b HTTP/1.1\r\nHost: a\r\n"


@given(
    st.lists(WORDS, max_size=12),
    st.lists(WORDS, max_size=4),
    st.sampled_from(["", USUAL]),
)
def test_what_is_read_another_strict_reader_reads_likewise(
    words: list[str], more: list[str], first: str
) -> None:
    """Whatever passes here passes Gunicorn's parser, with the same headers and the same framing of the body."""
    raw = (first + "".join(words) + "\r\n" + "".join(more)).encode("latin-1").partition(b"\r\n\r\n")[0]
    try:
        ours = parse_head(raw)
    except OtpError:
        return
    try:
        theirs = JudgedRequest(CONFIG, IterUnreader([raw + b"\r\n\r\n"]), ("127.0.0.1", 1))
    except ExpectationFailed:
        return  # a server may refuse an expectation that it does not know, and need not (RFC 9110, 10.1.1)
    except ParseException as error:
        pytest.fail(f"{raw!r}: {error!r}")
    assert (ours.environ["REQUEST_METHOD"], ours.environ["QUERY_STRING"]) == (theirs.method, theirs.query)
    names = {name.replace("-", "_") for name, _ in theirs.headers} - {"TRANSFER_ENCODING"}
    assert {name.removeprefix("HTTP_") for name in ours.environ} >= names
    coded = any(name == "TRANSFER-ENCODING" for name, _ in theirs.headers)
    stated = [value for name, value in theirs.headers if name == "CONTENT-LENGTH"]
    assert ours.length == (None if coded else int(stated[0]) if stated else 0)


def test_the_limits_fit_together() -> None:
    """One header of the longest kind fits into a head."""
    assert MAX_LINE + 8190 < MAX_HEAD
