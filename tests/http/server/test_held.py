"""Who comes back before the time that it was told waits for its refusal; nobody waits with it."""

import re
import socket
from typing import Any

import pytest

from otp_service.errors import Busy
from otp_service.http.server.answer import Refusal
from otp_service.http.server.bounds import Bounds
from otp_service.http.server.held import HeldRefusals
from tests.support.patience import PATIENCE, until
from tests.support.served import MAX_BODY, Served, answer, rest, serving

BUSY = b"POST /busy HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
OTHER = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
LONG = Bounds(holding=10 * PATIENCE)


def door(environ: Any) -> Refusal | None:  # noqa: ANN401 - WSGI variables
    """Refuse one path, for longer than a test takes."""
    told = int(20 * PATIENCE)
    return Refusal(Busy(retry_after=told), (("X-By", "door"),)) if environ["PATH_INFO"] == "/busy" else None


class Clock:
    """A clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def connection() -> Any:  # noqa: ANN401 - what is needed of a Connection
    """Make what is held: only its identity and the time that it was told count here."""
    return type("Told", (), {"told": 0.0, "state": None})()


def refused(client: socket.socket) -> None:
    """Read a refusal, which leaves the connection open."""
    status, headers, body = answer(client)
    assert (status, headers["connection"], headers["x-by"]) == (503, "keep-alive", "door")
    assert b'"code": "busy"' in body


def returned(served: Served, count: int) -> list[socket.socket]:
    """Have so many clients refused, and let each come back at once."""
    clients = [served.connect(BUSY) for _ in range(count)]
    for client in clients:
        refused(client)
        client.sendall(BUSY)
    return clients


def test_who_comes_in_time_does_not_wait() -> None:
    """Neither a new client, nor one that waited as long as it was told."""
    clock, one = Clock(), connection()
    held = HeldRefusals(Bounds(holding=1), clock)
    assert held.delay(one, 3) == 0
    clock.now += 3
    assert held.delay(one, 3) == 0
    clock.now += 2.5
    assert held.delay(one, 3) == 0.5
    clock.now += 0.5
    assert held.delay(one, 3) == 1


def test_each_waits_for_its_own_time() -> None:
    """And the loop sleeps until the first is due."""
    clock, one, other = Clock(), connection(), connection()
    held = HeldRefusals(Bounds(held=2), clock)
    assert held.until_next(7) == 7
    held.add(one, 2)
    held.add(other, 1)
    assert held.until_next(7) == 1
    assert held.due() == []
    clock.now += 1
    assert held.due() == [other]
    assert held.until_next(7) == 1
    clock.now += 5
    assert held.until_next(7) == 0
    assert held.due() == [one]
    assert len(held) == 0


def test_a_refusal_that_is_held_takes_no_thread_and_delays_nobody() -> None:
    """Many more than threads wait, and a new client is refused at once, another request answered."""
    with serving(door=door, threads=1, bounds=LONG) as served:
        clients = returned(served, 50)
        until(lambda: len(served.front.held) == 50)
        new = served.connect(BUSY)
        refused(new)
        new.sendall(OTHER)  # on the same connection, too
        assert answer(new)[0] == 200
        for client in clients:
            client.settimeout(0)
            with pytest.raises(BlockingIOError):
                client.recv(1)
        for client in [*clients, new]:
            client.close()


def test_what_was_held_leaves_in_the_end() -> None:
    """The connection stays, and what was sent behind it is answered."""
    with serving(door=door, threads=1, bounds=Bounds(holding=0.05)) as served:
        (client,) = returned(served, 1)
        refused(client)
        client.sendall(BUSY + LAST)
        first, second = re.findall(rb"HTTP/1.1 (\d+)", rest(client))
        assert (first, second) == (b"503", b"200")
        client.close()
        until(lambda: not served.front.connections)


def test_no_more_are_held_than_there_are_places() -> None:
    """The next one is refused at once, and its connection ends, or it would come back as fast as it can."""
    with serving(door=door, bounds=Bounds(holding=10 * PATIENCE, held=3)) as served:
        clients = returned(served, 3)
        until(lambda: len(served.front.held) == 3)
        with served.connect(BUSY) as over:
            refused(over)
            over.sendall(BUSY)
            status, headers, _ = answer(over)
            assert (status, headers["connection"]) == (503, "close")
            assert rest(over) == b""
        for client in clients:
            client.close()


def test_those_that_are_held_make_room_first() -> None:
    """A client at work keeps its connection when a process has too many."""
    with serving(door=door, bounds=Bounds(holding=10 * PATIENCE, connections=4)) as served:
        idle = served.connect(OTHER)
        assert answer(idle)[0] == 200
        clients = returned(served, 3)
        until(lambda: len(served.front.held) == 3)
        with served.connect(OTHER) as new:
            assert answer(new)[0] == 200
        with pytest.raises(ConnectionResetError):
            clients[0].recv(1)
        idle.sendall(OTHER)
        assert answer(idle)[0] == 200
        for client in [*clients, idle]:
            client.close()


def test_a_flood_on_one_connection_is_bounded() -> None:
    """Requests that were sent all at once are refused one after the other, each after its wait."""
    flood = BUSY * (MAX_BODY // len(BUSY))
    with serving(door=door, threads=1, bounds=LONG) as served, served.connect(flood) as client:
        refused(client)
        until(lambda: len(served.front.held) == 1)
        with served.connect(OTHER) as other:
            assert answer(other)[0] == 200


def test_a_stop_waits_for_no_more_than_what_is_held() -> None:
    """The refusal leaves, then the connection ends."""
    with serving(door=door, bounds=Bounds(holding=0.05, stopping=0.05)) as served:
        (client,) = returned(served, 1)
        served.stop()
        assert rest(client).startswith(b"HTTP/1.1 503 ")
        client.close()
