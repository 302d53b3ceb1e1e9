"""Held connections on a real server: what goes out, what comes back, and when a connection is used again."""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import BlockingConnectionPool
from redis.connection import Connection
from redis.exceptions import ConnectionError as Unreachable
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as TimedOut

from otp_service.store.held import IDLE, HeldConnections, packed
from tests.support.patience import PATIENCE, until
from tests.support.spine import together
from tests.support.valkey_server import ValkeyServer


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Give a clock that stands still."""
    return Clock()


@pytest.fixture
def held(valkey: ValkeyServer, clock: Clock) -> Iterator[HeldConnections]:
    """Give two connections at most, for which nothing waits."""
    pool = BlockingConnectionPool.from_url(
        valkey.url, max_connections=2, decode_responses=True, socket_timeout=PATIENCE
    )
    connections = HeldConnections(pool, patience=0, clock=clock)
    yield connections
    connections.close()


def name(held: HeldConnections) -> Any:  # noqa: ANN401 - as the server counts its clients
    """Ask the server which of its clients this is."""
    [found] = held.exchange([("CLIENT", "ID")])
    return found


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.integers(), min_size=1, max_size=5))
def test_commands_are_written_as_redis_py_writes_them(words: list[str | int]) -> None:
    """Any text and any number, also empty ones and those with line breaks."""
    command = ("ECHO", *words)
    redis_py: Any = Connection  # untyped
    written = b"".join(redis_py().pack_command(*command))
    assert packed([command, ("PING",)]) == written + packed([("PING",)])


def test_several_commands_are_answered_in_their_order(held: HeldConnections) -> None:
    """An error is an answer as any other; those after it are not lost."""
    first, unknown, wrong, last = held.exchange(
        [("ECHO", "é\r\n"), ("EVALSHA", "0" * 40, 0), ("GET",), ("ECHO", 7)]
    )
    assert (first, last) == ("é\r\n", "7")
    assert isinstance(unknown, NoScriptError)
    assert isinstance(wrong, ResponseError)


def test_a_connection_is_used_again(held: HeldConnections) -> None:
    """One caller after another needs one connection."""
    assert len({name(held) for _ in range(5)}) == 1


def test_more_callers_than_connections_are_told_so(held: HeldConnections) -> None:
    """They are free again afterwards, also when the caller failed."""
    with held.taken(), held.taken(), pytest.raises(Unreachable):
        name(held)
    with pytest.raises(RuntimeError), held.taken():
        raise RuntimeError
    with held.taken():
        assert name(held)


def test_a_caller_waits_for_a_connection(valkey: ValkeyServer) -> None:
    """Many callers share one connection, and each gets its own answer."""
    pool = BlockingConnectionPool.from_url(valkey.url, max_connections=1, decode_responses=True)
    held = HeldConnections(pool, patience=PATIENCE)
    assert together(20, lambda place: held.exchange([("ECHO", place)])) == [[str(n)] for n in range(20)]
    held.close()


def test_a_server_that_stays_silent_is_told_from_one_that_is_gone(valkey: ValkeyServer) -> None:
    """The limit of a connection holds for an answer that does not come, on a new connection and on a rested one."""
    clock = Clock()
    pool = BlockingConnectionPool.from_url(valkey.url, decode_responses=True, socket_timeout=0.2)
    held = HeldConnections(pool, patience=0, clock=clock)

    def echoes() -> bool:
        try:
            return held.exchange([("ECHO", "own")]) == ["own"]
        except TimedOut:  # a slow machine
            return False

    for _ in range(2):
        with pytest.raises(TimedOut):
            held.exchange([("BLPOP", "nothing", 0)])
        until(echoes)
        clock.now += IDLE
    held.close()


def test_an_answer_that_nobody_read_is_not_the_next_callers(held: HeldConnections) -> None:
    """A connection whose caller gave up is not used again."""
    with suppress(KeyboardInterrupt), held.taken() as connection:
        connection.send_packed_command([packed([("ECHO", "late")])])
        raise KeyboardInterrupt
    assert held.exchange([("ECHO", "own")]) == ["own"]


def test_a_connection_that_broke_while_idle_is_replaced(
    held: HeldConnections, clock: Clock, valkey: ValkeyServer
) -> None:
    """It is looked at after a pause; one that broke a moment ago fails the call, and the next call has a new one."""
    with valkey.client() as client:

        def is_gone(id_: int) -> bool:
            return str(id_) not in {one["id"] for one in client.client_list()}

        first = name(held)
        client.client_kill_filter(_id=str(first))
        until(partial(is_gone, first))
        clock.now += IDLE
        second = name(held)
        assert second != first
        client.client_kill_filter(_id=str(second))
        until(partial(is_gone, second))
        with pytest.raises(Unreachable):
            name(held)
        assert name(held) != second
