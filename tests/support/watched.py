"""The store as the product makes it, and what a caller notices when the server is away."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from redis import Redis

from otp_service.bootstrap import Stores
from otp_service.errors import StoreUnavailable
from otp_service.store.scripts import Client, Scripts, connect

AT_MOST = 2.0
"""Seconds within which a caller must be answered, whatever the server does (requirement H4)."""


@contextmanager
def store_at(
    url: str, *, connections: int = 4, observe: Callable[[str, float], None] | None = None
) -> Iterator[Stores]:
    """Give a store as the product makes it."""
    scripts = Scripts(
        lambda: connect(url, connections=connections, name="otp-test"), observe or (lambda _n, _s: None)
    )
    yield Stores(scripts, prefix="test", partitions=16)
    scripts.close()


def works(store: Stores) -> bool:
    """Say whether the store serves."""
    try:
        store.facts.ping()
    except StoreUnavailable:
        return False
    return True


def refuses(store: Stores) -> float:
    """See that the store says it is away, with a hint when to ask again; gives the seconds that took."""
    started = time.monotonic()
    with pytest.raises(StoreUnavailable) as caught:
        store.facts.use_once("anything", 60)
    assert caught.value.retry_after
    return time.monotonic() - started


def own_retries(client: Client) -> set[int]:
    """Collect what a client and its pool would retry by themselves."""
    found = set()
    if retry := getattr(client, "retry", None):
        found.add(retry.get_retries())
    if isinstance(client, Redis):
        connection = client.connection_pool.get_connection()
        found |= {connection.retry.get_retries(), client.get_retry().get_retries()}  # type: ignore[union-attr]
        client.connection_pool.release(connection)
    else:
        for node in client.get_nodes():  # type: ignore[no-untyped-call]
            found.add(node.redis_connection.get_retry().get_retries())
    return found
