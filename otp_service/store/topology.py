"""Which servers hold the store, and what a deployment of them lacks.

Knows how a cluster lists its nodes. Must not know what is stored.
"""

from typing import Any

from redis import Redis, RedisCluster
from redis.exceptions import RedisClusterException

from otp_service.store.connection import Client


def holder_of(client: Client | None, key: str) -> str:
    """Name the server of a cluster that holds a key, as HOST:PORT; empty for a single server or an unknown one."""
    if not key or not isinstance(client, RedisCluster):
        return ""
    try:
        return str(client.get_node_from_key(key).name)  # type: ignore[no-untyped-call]
    except RedisClusterException:  # a slot that no server holds now
        return ""


def primaries_without_replica(client: Client) -> list[str]:
    """List the primaries of a cluster, as HOST:PORT, that have no replica which works; none for a single server.

    Raises AWAY. What such a primary holds is lost with it, and its share of the slots is away until it comes back.
    """
    if isinstance(client, Redis):
        return []
    slots: Any = client.cluster_slots()
    alone = {tuple(share["primary"][:2]) for share in slots.values() if not share["replicas"]}
    return sorted(f"{host}:{port}" for host, port in alone)
