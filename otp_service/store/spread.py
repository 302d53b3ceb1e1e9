"""Reads of many keys in different slots, in as few round trips as servers hold them.

Knows that a single server takes all keys in one call, and a cluster those of one slot. Must not know what is stored.
"""

from collections.abc import Sequence
from typing import Any

from redis import RedisCluster

from otp_service.store.connection import Client
from otp_service.store.replication import NOT_REPLICATED
from otp_service.store.scripts import Scripts
from otp_service.store.sources import Call


def by_server(scripts: Scripts, names: Sequence[str], keys: Sequence[str]) -> list[list[str]]:
    """Group names by the server that holds the key of each."""
    groups: dict[str, list[str]] = {}
    for name, key in zip(names, keys, strict=True):
        groups.setdefault(scripts.holder_of(key), []).append(name)
    return list(groups.values())


def call_over(
    scripts: Scripts, name: str, keys: Sequence[str], *arguments: str | float
) -> list[tuple[Sequence[int], Any]]:
    """Run a script that takes any number of keys over keys of one server, in one round trip.

    Return each answer with the places of the keys that it is about: in a cluster each key has an answer of its own.
    Raises StoreUnavailable.
    """

    def run(client: Client) -> list[tuple[Sequence[int], Any]]:
        everything = range(len(keys))
        about: list[Sequence[int]] = [everything]
        if isinstance(client, RedisCluster):
            about = [[place] for place in everything]
        calls = [Call(name, [keys[place] for place in places], arguments) for places in about]
        return list(zip(about, scripts.evaluate(client, keys[0], calls, NOT_REPLICATED), strict=True))

    return scripts.bounded(run, name, keys[0])


def lowest(scripts: Scripts, keys: Sequence[str], low: float | str, high: float | str) -> list[int | None]:
    """Read the lowest score between two bounds of each sorted set, in one round trip; None where there is none.

    Raises StoreUnavailable.
    """

    def read(client: Client) -> list[list[tuple[str, float]]]:
        pipeline = client.pipeline(transaction=False)
        for key in keys:
            pipeline.zrangebyscore(key, low, high, start=0, num=1, withscores=True)
        return pipeline.execute()

    found = scripts.bounded(read, "lowest")
    return [int(one[0][1]) if one else None for one in found]


def counts(scripts: Scripts, ranges: Sequence[tuple[str, float | str, float | str]]) -> list[int]:
    """Count the scores of sorted sets between bounds, each a key with a low and a high one, in one round trip.

    Raises StoreUnavailable.
    """

    def count(client: Client) -> list[int]:
        pipeline = client.pipeline(transaction=False)
        for key, low, high in ranges:
            pipeline.zcount(key, low, high)
        return pipeline.execute()

    return scripts.bounded(count, "counts")
