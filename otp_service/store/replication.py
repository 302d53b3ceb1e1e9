"""Writes that must outlive a promotion: the connection that wrote asks WAIT how many replicas have what it wrote.

Knows pipelines, the nodes of a cluster and what the replies mean. Must not know scripts.

WAIT counts for its own connection only: on a fresh one it would tell of an older write. So both commands go out
together, also for a repetition, which therefore has to write something anew.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis import Redis, RedisCluster
from redis.client import Pipeline
from redis.exceptions import ConnectionError as Unreachable
from redis.exceptions import MovedError
from redis.exceptions import TimeoutError as TimedOut

from otp_service.errors import StoreUnavailable
from otp_service.store.connection import AWAY, Client

_UNCONFIRMED = (
    "The store made the change, but too few of its replicas confirmed it. A guess is counted, a right code used. "
    "Repeat the request with the same Idempotency-Key after retry_after seconds."
)


def unconfirmed(retry_after: int) -> StoreUnavailable:
    """Return the error for a change that was made, but that a promotion may undo."""
    error = StoreUnavailable(_UNCONFIRMED, retry_after=retry_after)
    error.made = True
    return error


@dataclass(frozen=True, slots=True)
class Durability:
    """How many replicas must have a write, and for how many milliseconds to wait for them. Without replicas: none."""

    replicas: int = 0
    milliseconds: int = 0


NOT_REPLICATED = Durability()


def write_and_wait(
    client: Client, key: str, write: Callable[[Pipeline], object], wanted: Durability
) -> tuple[Any, int]:
    """Send one command to the server that holds a key, and WAIT. Return its answer and how many replicas have it.

    Raises what the command or the connection raises.
    """
    server = client if isinstance(client, Redis) else _holder(client, key)
    try:
        with server.pipeline(transaction=False) as pipe:
            write(pipe)
            pipe.execute_command("WAIT", wanted.replicas, wanted.milliseconds)  # type: ignore[no-untyped-call]
            answer, acknowledged = pipe.execute(raise_on_error=False)
        for reply in (answer, acknowledged):
            if isinstance(reply, Exception):
                raise reply
    except (MovedError, Unreachable, TimedOut):
        if not isinstance(client, Redis):
            with suppress(*AWAY):  # the next try goes to the node that holds the key now
                client.nodes_manager.initialize()
        raise
    return answer, int(acknowledged)


def _holder(cluster: RedisCluster, key: str) -> Redis:
    node = cluster.get_node_from_key(key)  # type: ignore[no-untyped-call]
    return cluster.get_redis_connection(node)
