"""The server's loop by real connections: who is slow delays nobody, and everything ends in time."""

import json
import logging
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from otp_service.http.server.bounds import Bounds
from tests.support.patience import PATIENCE, until
from tests.support.served import MAX_BODY, PATIENT, Served, answer, echo, rest, serving

HEAD = b"POST /a HTTP/1.1\r\nHost: a\r\n"
GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
SHORT = 0.2
"""Seconds for what a test waits to end."""

NEVER_READY = {
    "silent": b"",
    "with half a head": HEAD + b"X-A: ",
    "with half a body": HEAD + b"Content-Length: 5000\r\n\r\na",
    "with half a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\na",
    "that do not read": b"GET /100000 HTTP/1.1\r\nHost: a\r\n\r\n",
}


def crowd(served: Served, sent: bytes, count: int) -> ExitStack:
    """Open connections that begin so and then do nothing; they stay as long as what is returned."""
    opened = ExitStack()
    for _ in range(count):
        opened.enter_context(served.connect(sent, room=2048))
    return opened


@pytest.mark.parametrize("sent", NEVER_READY.values(), ids=NEVER_READY)
def test_a_crowd_of_slow_clients_keeps_nobody_waiting(sent: bytes) -> None:
    """Many times more than there are threads, and all still there when the others have their answers."""
    with serving() as served, crowd(served, sent, 1000):
        until(lambda: len(served.front.connections) == 1000)
        with served.connect() as kept:
            for _ in range(20):
                kept.sendall(GET)
                assert answer(kept)[0] == 200
                assert served.ask(LAST).endswith(b"GET 0")
        assert len(served.front.connections) >= 1000


def dripping(served: Served, first: bytes, drop: bytes) -> bytes:
    """Send a drop whenever the server has waited a little, until it ends the connection; return what it said."""
    with served.connect_in_time(first) as client:
        client.settimeout(SHORT / 10)
        found = b""
        for _ in range(1000):  # far more than fit into the time
            try:
                part = client.recv(65536)
            except TimeoutError:
                client.sendall(drop)
                continue
            if not part:
                return found
            found += part
    pytest.fail("the server never ended it")


@pytest.mark.parametrize(
    ("first", "drop"),
    [
        (HEAD + b"X: ", b"a"),
        (HEAD, b"X: a\r\n"),
        (HEAD + b"Content-Length: 60000\r\n\r\n", b"a"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
        (GET + HEAD + b"Content-Length: 60000\r\n\r\n", b"a"),
    ],
    ids=["a header", "headers", "a body", "chunks", "a second request"],
)
def test_a_request_that_drips_ends_at_its_deadline(first: bytes, drop: bytes) -> None:
    """The time is for the whole request: bytes that keep coming do not prolong it. The client is told."""
    with serving(bounds=Bounds(request=SHORT, lingering=PATIENCE)) as served:
        said = dripping(served, first, drop)
        status, _, problem = said.rpartition(b"HTTP/1.1 ")[2].partition(b" ")
        assert status == b"408"
        assert json.loads(problem.partition(b"\r\n\r\n")[2])["code"] == "request_timeout"
        until(lambda: len(served.front.connections) == 0)


@pytest.mark.parametrize("size", [100_000, 3_000_000])
def test_an_answer_that_is_not_taken_ends_at_its_deadline(size: int) -> None:
    """Whether the rest waits here or in the kernel."""
    with serving(bounds=Bounds(request=SHORT)) as served:
        asked = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % size
        with served.connect_in_time(asked, room=2048) as client:
            until(lambda: ended(client))
            until(lambda: len(served.front.connections) == 0)
        assert served.ask(LAST).endswith(b"GET 0")


@pytest.mark.parametrize("sent", [b"", GET], ids=["new", "used"])
def test_an_idle_connection_ends_without_a_reset(sent: bytes) -> None:
    """Its client reads an ordinary end."""
    with (
        serving(bounds=Bounds(request=SHORT, idle=SHORT)) as served,
        served.connect_in_time(sent) as client,
    ):
        assert rest(client).endswith(b"GET 0" if sent else b"")


def test_a_slow_client_is_no_error_of_the_service(caplog: pytest.LogCaptureFixture) -> None:
    """The log counts those that were given up, at the level of information."""
    caplog.set_level(logging.INFO)
    bounds = Bounds(request=SHORT, lingering=PATIENCE)
    with serving(bounds=bounds) as served, served.connect_in_time(HEAD) as client:
        while client.recv(65536):
            pass
        until(lambda: "http.slow_client" in caplog.messages)
    assert {one.levelno for one in caplog.records if one.getMessage() == "http.slow_client"} == {logging.INFO}


def test_requests_that_come_together_are_answered_in_their_order() -> None:
    """Pipelined on one connection, also behind a body."""
    with serving() as served:
        said = served.ask(HEAD + b"Content-Length: 3\r\n\r\nabc" + GET + HEAD + b"\r\n" + LAST)
    assert [part.rpartition(b"\r\n")[2] for part in said.split(b"HTTP/1.1 ")[1:]] == [
        *(b"POST 3", b"GET 0", b"POST 0", b"GET 0")
    ]


def test_a_probe_is_answered_while_all_threads_work() -> None:
    """Else a service that has much to do would be taken for a dead one."""
    free = threading.Event()

    def held(environ: dict[str, Any], start_response: Any) -> list[bytes]:  # noqa: ANN401 - PEP 3333
        if environ["PATH_INFO"] != "/alive":
            free.wait(PATIENCE)
        return echo(environ, start_response)

    with serving(held, threads=1, probes=["/alive"]) as served, crowd(served, LAST, 3):
        try:
            assert served.ask(LAST.replace(b"/a ", b"/alive ")).endswith(b"GET 0")
        finally:
            free.set()


def test_a_client_that_closes_its_half_gets_its_answer() -> None:
    """As `nc` does."""
    with serving() as served, served.connect(GET) as client:
        client.shutdown(socket.SHUT_WR)
        assert rest(client).endswith(b"GET 0")


def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    """Expect: 100-continue, once, and only if the body is wanted."""
    with serving() as served, served.connect() as client:
        client.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert answer(client)[0] == 100
        client.sendall(b"ab")
        client.sendall(b"c")
        assert answer(client)[::2] == (200, b"POST 3")
        client.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: 999999999\r\n\r\n")
        assert answer(client)[0] == 200


def refusing(environ: dict[str, Any], start_response: Any) -> list[bytes]:  # noqa: ANN401 - PEP 3333
    """Refuse a long body by its length alone, as Werkzeug does."""
    long = int(environ.get("CONTENT_LENGTH", 0)) > MAX_BODY
    start_response("413 Too Large" if long else "200 OK", [("Content-Length", "2")])
    return [b"no" if long else b"ok"]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_long_body_is_refused_unread_and_its_client_can_read_that(*, chunked: bool) -> None:
    """What is still coming is thrown away, not answered by a reset."""
    body = b"a" * 5_000_000
    framed = (
        b"Transfer-Encoding: chunked\r\n\r\n4c4b40\r\n" if chunked else b"Content-Length: 5000000\r\n\r\n"
    )
    with serving(refusing) as served, served.connect(HEAD + framed) as client:
        client.sendall(body)
        client.sendall(GET)
        said = rest(client)
    assert said.startswith(b"HTTP/1.1 413 ")
    assert said.endswith(b"Connection: close\r\n\r\nno")


def test_an_answer_has_a_body_only_where_http_allows_one() -> None:
    """HEAD keeps the length, 204 has none."""

    def empty(_environ: dict[str, Any], start_response: Any) -> list[bytes]:  # noqa: ANN401 - PEP 3333
        start_response("204 No Content", [])
        return []

    with serving() as served:
        said = served.ask(LAST.replace(b"GET", b"HEAD"))
        assert b"Content-Length: 6\r\n" in said
        assert said.endswith(b"\r\n\r\n")
    with serving(empty) as served:
        assert b"content-length" not in served.ask(LAST).lower()


def broken(environ: dict[str, Any], start_response: Any) -> list[bytes]:  # noqa: ANN401 - PEP 3333
    """Fail in several ways, by path."""
    if environ["PATH_INFO"] == "/raises":
        message = "secret"
        raise RuntimeError(message)
    if environ["PATH_INFO"] == "/splits":
        start_response("200 OK", [("X-A", "b\r\nX-Evil: d"), ("Content-Length", "0")])
        return []
    return echo(environ, start_response)


@pytest.mark.parametrize("path", [b"/raises", b"/splits"])
def test_a_fault_of_the_application_is_a_problem_and_the_thread_lives_on(
    path: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """500 without its text, as often as there are threads; then others are served as before."""
    with serving(broken) as served:
        for _ in range(3):
            said = served.ask(GET.replace(b"/a", path))
            assert said.startswith(b"HTTP/1.1 500 ")
            assert b"secret" not in said
            assert b"X-Evil" not in said
        assert served.ask(LAST).endswith(b"GET 0")
    assert caplog.messages.count("server.failed") == 3


def test_an_ipv6_address_is_listened_on() -> None:
    """In brackets, as in a URL."""
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with serving(host="::1") as served:
        assert served.ask(LAST).endswith(b"GET 0")


def test_new_clients_find_room_in_a_full_house() -> None:
    """Those that never end make room, those that work stay."""
    with serving(bounds=Bounds(connections=32)) as served, served.connect() as kept:
        kept.sendall(GET)
        assert answer(kept)[0] == 200
        with crowd(served, HEAD, 100):
            for _ in range(10):
                assert served.ask(LAST).endswith(b"GET 0")
            assert len(served.front.connections) <= 32


@pytest.mark.parametrize(
    "sent",
    [HEAD + b"Content-Length: 60000\r\n\r\n" + b"a" * 50_000, b"GET /3000000 HTTP/1.1\r\nHost: a\r\n\r\n"],
)
def test_memory_has_a_bound_whoever_sends_or_does_not_read(sent: bytes) -> None:
    """The connections that hold most are closed, until what is left fits."""
    bounds = Bounds(buffered=400_000, request=10 * PATIENCE)
    with serving(bounds=bounds) as served, ExitStack() as opened:
        clients = [opened.enter_context(served.connect(sent, room=2048)) for _ in range(40)]
        until(lambda: any(map(ended, clients)))
        until(lambda: served.front.connections.buffered <= 400_000)
        assert served.ask(LAST).endswith(b"GET 0")


def ended(client: socket.socket) -> bool:
    """Say whether the server has ended a connection."""
    poll = select.poll()
    poll.register(client, select.POLLRDHUP)
    return bool(poll.poll(0))


def test_a_stream_is_sent_part_by_part_and_ends_with_the_server() -> None:
    """Its length is not known, so its end is the connection's; a stop waits for no stream."""
    closed = threading.Event()
    more: list[threading.Event] = [threading.Event() for _ in range(3)]

    def parts() -> Iterator[bytes]:
        try:
            for number, go in enumerate(more):
                yield b"%d\n" % number
                go.wait()
        finally:
            closed.set()

    def streaming(_environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:  # noqa: ANN401 - PEP 3333
        start_response("200 OK", [])
        return parts()

    with serving(streaming) as served, served.connect(GET) as client:
        file = client.makefile("rb")
        while (line := file.readline()) != b"\r\n":
            assert not line.lower().startswith((b"content-length", b"transfer-encoding"))
        assert file.readline() == b"0\n"
        more[0].set()
        assert file.readline() == b"1\n"
        served.stop()
        more[1].set()
        assert file.read() in {b"", b"2\n"}
        assert closed.wait(60)


# Stopping.


def test_a_stop_answers_what_has_come_and_says_that_it_ends() -> None:
    """A running request, a half-sent one, an idle connection that asks once more: none is reset."""
    began, go = threading.Event(), threading.Event()

    def slow(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ["PATH_INFO"] == "/slow":
            began.set()
            go.wait()
        return echo(environ, start_response)

    patient = replace(PATIENT, stopping=PATIENCE)
    with serving(slow, bounds=patient) as served, ExitStack() as opened:
        running, idle, half = (opened.enter_context(served.connect()) for _ in range(3))
        idle.sendall(GET)
        assert answer(idle)[1]["connection"] == "keep-alive"
        half.sendall(GET[:-2])
        running.sendall(GET.replace(b"/a", b"/slow"))
        assert began.wait(60)
        served.stop()
        idle.sendall(GET)
        half.sendall(GET[-2:])
        go.set()
        for client in (idle, half):
            status, headers, _ = answer(client)
            assert (status, headers["connection"]) == (200, "close")
            assert rest(client) == b""
        assert answer(running)[0] == 200
        with pytest.raises(ConnectionRefusedError):
            served.connect()


def test_a_stop_ends_a_connection_that_asks_nothing_more() -> None:
    """After the time in which its client could have asked, and without a reset."""
    with serving(bounds=replace(PATIENT, stopping=SHORT)) as served, served.connect(GET) as quiet:
        assert answer(quiet)[1]["connection"] == "keep-alive"
        served.stop()
        assert rest(quiet) == b""


def test_a_stop_takes_the_connections_that_wait_to_be_accepted() -> None:
    """They have been told that they are connected."""
    with serving() as served:
        served.pause()
        waiting = [served.connect(GET) for _ in range(20)]
        served.stop()
        for client in waiting:
            with client:
                assert answer(client)[0] == 200
