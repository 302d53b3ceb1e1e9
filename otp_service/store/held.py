"""Connections that are held between calls: commands go out in one write, and their answers are read in order.

Knows connections of redis-py and how a command is written (RESP2). Must not know scripts or keys.

redis-py's pool and its layers around a command take half of the time of a call. A held connection skips them. It is
checked for what came unasked only after a pause; one that broke a moment ago fails its call, which is repeated.

The kernel limits how long a read or a write may take (SO_RCVTIMEO, SO_SNDTIMEO). With a time limit of its own, Python
polls before each of them, and gives up the interpreter's lock twice as often: with several threads at work, a send then
took half as much CPU again.
"""

import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakKeyDictionary

from redis import Redis, RedisCluster
from redis.connection import ConnectionPool
from redis.exceptions import AskError, ClusterDownError, ResponseError, TryAgainError
from redis.exceptions import ConnectionError as Unreachable
from redis.exceptions import TimeoutError as TimedOut

from otp_service.store.connection import AWAY, Client

Command = Sequence[str | float]
IDLE = 1.0
"""Seconds without a call after which a connection is checked before it is used."""


class HeldConnections:
    """The connections to one server. Each call takes the one that was used last."""

    def __init__(
        self,
        pool: ConnectionPool,
        *,
        patience: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make connections as `pool` would, and as many. A caller waits for a free one for `patience` seconds."""
        self._pool = pool
        self._free: deque[tuple[Any, float]] = deque()
        self._places = threading.BoundedSemaphore(pool.max_connections)
        self._patience = patience
        self._clock = clock

    def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands and return their answers. An error that the server answered is returned in its place.

        Raises what the connection raises: then any of the commands may have run.
        """
        try:
            with self.taken() as connection:
                connection.send_packed_command((packed(commands),))
                return [_answer(connection) for _ in commands]
        except Unreachable as error:
            if isinstance(error.__context__, BlockingIOError):  # the kernel's word for a limit that is over
                raise TimedOut("no answer in time") from error
            raise

    @contextmanager
    def taken(self) -> Iterator[Any]:
        """Take a connection for one exchange. Raises Unreachable if none becomes free."""
        if not self._places.acquire(timeout=self._patience):
            raise Unreachable("all connections are in use")
        connection = None
        try:
            connection = self._connected()
            yield connection
            self._free.append((connection, self._clock()))
        except BaseException:  # its answer may still be on its way, which is not the next call's
            if connection is not None:
                connection.disconnect()
            raise
        finally:
            self._places.release()

    def close(self) -> None:
        """Close the connections that are free."""
        while self._free:
            self._free.pop()[0].disconnect()

    def _connected(self) -> Any:  # noqa: ANN401 - of one of redis-py's classes
        while self._free:
            with suppress(IndexError):  # another thread took the last one
                connection, since = self._free.pop()
                if self._is_good(connection, since):
                    return connection
                connection.disconnect()
        connection = self._pool.connection_class(**self._pool.connection_kwargs)
        connection.connect()
        _limit_in_kernel(connection)
        return connection

    def _is_good(self, connection: Any, since: float) -> bool:  # noqa: ANN401 - as above
        """Say whether a connection can be used. A Sentinel's pool does not own those to the master of before."""
        if not self._pool.owns_connection(connection):
            return False
        if self._clock() - since < IDLE:
            return True
        return not _has_something(connection)


class Exchanges:
    """The held connections of a client, to each of its servers."""

    def __init__(self, *, patience: float) -> None:
        """`patience` is how long a call waits for a free connection, in seconds."""
        self._patience = patience
        self._held: WeakKeyDictionary[ConnectionPool, HeldConnections] = WeakKeyDictionary()

    def exchange(self, client: Client, key: str, commands: Sequence[Command]) -> list[Any]:
        """Send commands to the server that holds a key; an error that the server answered is returned in its place."""
        if isinstance(client, Redis):
            return self._of(client).exchange(commands)
        return self._exchange_in_cluster(client, key, commands)

    def close(self) -> None:
        """Close the connections that are free."""
        for held in list(self._held.values()):
            held.close()

    def _of(self, server: Redis) -> HeldConnections:
        pool = server.connection_pool
        held = self._held.get(pool)
        if held is None:
            held = self._held.setdefault(pool, HeldConnections(pool, patience=self._patience))
        return held

    def _exchange_in_cluster(self, cluster: RedisCluster, key: str, commands: Sequence[Command]) -> list[Any]:
        node = cluster.get_node_from_key(key)  # type: ignore[no-untyped-call]
        try:
            answers = self._of(cluster.get_redis_connection(node)).exchange(commands)
        except (Unreachable, TimedOut):
            with suppress(*AWAY):  # the next try goes to the node that holds the key now
                cluster.nodes_manager.initialize(last_failed_node_name=node.name)
            raise
        if not any(isinstance(answer, _ELSEWHERE) for answer in answers):
            return answers
        if any(
            command[0] == _WAIT for command in commands
        ):  # it has to follow its command on the same connection
            with suppress(*AWAY):
                cluster.nodes_manager.initialize()
            return answers
        follow: Any = cluster.execute_command  # redis-py's own, which follows a slot that moves
        return [follow(*command) for command in commands]


_WAIT = "WAIT"
_FOLLOWS = "WAIT cannot be used with replica"
"""How a server answers WAIT that was the master and is a replica now."""
_ELSEWHERE = (AskError, TryAgainError, ClusterDownError)
"""Answers of a node that does not hold the key, or not yet, or not any more. MOVED is an AskError, too."""


def wait(replicas: int, milliseconds: int) -> Command:
    """Return the command that waits until so many replicas have what its connection wrote, and answers how many do."""
    return _WAIT, replicas, milliseconds


def packed(commands: Sequence[Command]) -> bytes:
    """Write commands as they go over the wire."""
    parts = []
    for command in commands:
        parts.append(b"*%d\r\n" % len(command))
        for argument in command:
            text = str(argument).encode()
            parts.append(b"$%d\r\n%b\r\n" % (len(text), text))
    return b"".join(parts)


def _answer(connection: Any) -> Any:  # noqa: ANN401 - whatever the server answers
    try:
        return connection.read_response()
    except ResponseError as error:
        if str(error).startswith(_FOLLOWS):
            raise Unreachable("the master of before is a replica now") from error
        return error


def _limit_in_kernel(connection: Any) -> None:  # noqa: ANN401 - as in HeldConnections
    """Let the kernel keep the time limit of a connection. TLS has its own reads, which would wait without end."""
    sock = connection._sock  # noqa: SLF001 - redis-py has no other name for it
    if isinstance(sock, ssl.SSLSocket):
        return
    seconds = connection.socket_timeout or 0  # no limit
    limit = struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
    sock.settimeout(None)


def _has_something(connection: Any) -> bool:  # noqa: ANN401 - as in HeldConnections
    """Tell whether the server has closed a connection, or sent what nothing asked for."""
    try:
        found = bool(connection.can_read())  # which sets a time limit of Python's
    except (*AWAY, OSError):
        return True
    if not found:
        _limit_in_kernel(connection)
    return found
