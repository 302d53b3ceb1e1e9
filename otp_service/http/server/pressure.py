"""Which connections a process gives up when it has too many, or when they hold too much.

Pure. Must not know how a connection is closed.
"""

from collections.abc import Iterable, Sequence

from otp_service.http.server.connection import Connection, State

_PATIENCE = 1
"""Seconds after which an unfinished request looks like one that shall never end."""


def in_the_way(connections: Iterable[Connection], count: int, now: float) -> Sequence[Connection]:
    """Choose connections to close for new ones: those that never end first, clients at work last."""
    return sorted(connections, key=lambda each: _worth(each, now))[:count]


def _worth(connection: Connection, now: float) -> tuple[int, float]:
    if connection.state in {State.LINGERING, State.HELD}:
        return 0, connection.since
    if connection.idle and connection.used:
        return 2, connection.since
    return (1 if now - connection.since > _PATIENCE else 3), connection.since


def too_large(connections: Iterable[Connection], most: int) -> Sequence[Connection]:
    """Choose the connections that hold most, until the rest holds no more than `most` bytes."""
    by_size = sorted(((each.buffered, each) for each in connections), key=lambda pair: -pair[0])
    over, chosen = sum(size for size, _ in by_size) - most, []
    for size, connection in by_size:
        if over <= 0:
            break
        over -= size
        chosen.append(connection)
    return chosen
