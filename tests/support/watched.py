"""The store as the product makes it, and what a caller notices when the server is away."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from redis import Redis

from otp_service.bootstrap.stores import Stores
from otp_service.errors import StoreUnavailable
from otp_service.store.connection import USUAL_LIMITS, Client, Limits, connect
from otp_service.store.scripts import Scripts
from tests.support.patience import PATIENT_LIMITS

Observe = Callable[[str, float], None]


def scripts_at(
    url: str,
    *,
    connections: int = 16,
    limits: Limits = PATIENT_LIMITS,
    observe: Observe = lambda _name, _seconds: None,
    clock: Callable[[], float] = time.monotonic,
) -> Scripts:
    """Give the product's own client of an address: with time to spare, unless a test is about its limits."""
    return Scripts(
        lambda: connect(url, connections=connections, name="otp-test", limits=limits),
        observe,
        limits=limits,
        clock=clock,
    )


@contextmanager
def store_at(
    url: str,
    *,
    connections: int = 4,
    limits: Limits = PATIENT_LIMITS,
    observe: Observe = lambda _name, _seconds: None,
) -> Iterator[Stores]:
    """Give a store as the product makes it."""
    scripts = scripts_at(url, connections=connections, limits=limits, observe=observe)
    yield Stores(scripts, prefix="test", partitions=16)
    scripts.close()


@contextmanager
def hasty_store_at(url: str, *, connections: int = 4) -> Iterator[Stores]:
    """Give a store with the time limits of production."""
    with store_at(url, connections=connections, limits=USUAL_LIMITS) as store:
        yield store


def works(store: Stores) -> bool:
    """Say whether the store serves."""
    try:
        store.facts.ping()
    except StoreUnavailable:
        return False
    return True


def refuses(store: Stores) -> bool:
    """See that the store says it is away, with a hint when to ask again."""
    with pytest.raises(StoreUnavailable) as caught:
        store.facts.use_once("anything", 60)
    assert caught.value.retry_after
    return True


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
