"""Bodies that are refused, over real connections: what the client learns, and what happens to the connection."""

import http.client
import json
import socket
from contextlib import suppress

import pytest

from tests.support.demo_process import Demo
from tests.support.patience import PATIENCE

pytest_plugins = ("tests.support.demo_fixtures",)

NEXT = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def chunked(body: bytes) -> bytes:
    """Write a body in chunks of 4 KiB (RFC 9112, section 7.1)."""
    parts = [body[at : at + 4096] for at in range(0, len(body), 4096)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def connected(demo: Demo) -> socket.socket:
    """Connect to the demo's API."""
    host, _, port = demo.keys["api"].removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), PATIENCE)


def a_post(demo: Demo, headers: bytes) -> bytes:
    """Write the head of a send."""
    key = demo.keys["secret_key"].encode()
    return (
        b"POST /otp/send HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nAuthorization: Bearer "
        + key
        + b"\r\n"
        + headers
        + b"\r\n\r\n"
    )


def answer_of(connection: socket.socket) -> tuple[int, dict[str, object]] | None:
    """Read one answer; None if the connection was closed instead."""
    answer = http.client.HTTPResponse(connection)
    try:
        answer.begin()
        return answer.status, json.loads(answer.read())
    except (http.client.HTTPException, ConnectionError):
        return None


@pytest.mark.parametrize("size", [16 * 1024 + 1, 256 * 1024])
@pytest.mark.parametrize("in_chunks", [False, True])
def test_a_body_that_is_too_large_is_never_read_as_the_next_request(
    demo: Demo,
    size: int,
    in_chunks: bool,  # noqa: FBT001 - of a table
) -> None:
    """The client learns the limit; then the connection is closed, or the next request is answered."""
    body = (NEXT * (size // len(NEXT) + 1))[:size]
    headers = b"Transfer-Encoding: chunked" if in_chunks else b"Content-Length: %d" % size
    with connected(demo) as connection:
        connection.sendall(a_post(demo, headers))
        with suppress(ConnectionError):  # the service may close before it has read everything
            connection.sendall(chunked(body) if in_chunks else body)
        refused = answer_of(connection)
        assert refused is not None
        status, problem = refused
        assert (status, problem["code"]) == (413, "body_too_large")
        assert problem["detail"] == "The body is larger than 16 KiB."
        with suppress(ConnectionError):
            connection.sendall(NEXT)
        answers = [answer_of(connection), answer_of(connection)]
    assert answers in ([None, None], [(200, {"status": "ok"}), None])


def test_a_client_that_states_too_large_a_body_is_answered_before_it_sends_it(demo: Demo) -> None:
    """It need not send megabytes to learn that they are too many."""
    with connected(demo) as connection:
        connection.sendall(a_post(demo, b"Content-Length: 80000000"))
        refused = answer_of(connection)
    assert refused is not None
    assert refused[0] == 413


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"xyz, chunked"])
def test_a_transfer_coding_that_is_not_spoken_is_named(demo: Demo, coding: bytes) -> None:
    """Otherwise a developer would look for a mistake in the JSON."""
    with connected(demo) as connection:
        connection.sendall(a_post(demo, b"Transfer-Encoding: " + coding) + chunked(b'{"to": "+12025550100"}'))
        refused = answer_of(connection)
    assert refused is not None
    assert refused[0] == 400
    assert "Transfer-Encoding" in str(refused[1]["detail"])
