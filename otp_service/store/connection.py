"""The one factory of Redis clients, and the time limits of one call.

Knows addresses, pools, TLS, Sentinel and Cluster. Must not know scripts or keys.

redis-py's own retries are off: with them, one lost reply would run a script twice. `store/scripts.py` retries.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from redis import BlockingConnectionPool, Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.exceptions import RedisClusterException, RedisError
from redis.retry import Retry
from redis.sentinel import Sentinel

DEFAULT_PORT, SENTINEL_PORT = 6379, 26379
Client = Redis | RedisCluster
AWAY = (RedisError, RedisClusterException)
"""What redis-py raises if no server answers; a cluster's own errors are not subclasses of RedisError."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long one call may take, in seconds. With the defaults, every caller gets an answer within two seconds."""

    connect: float = 0.3
    reply: float = 0.5
    pool: float = 0.25
    """Wait for a free connection."""
    budget: float = 1.4
    """Total with all retries. No try starts that could exceed it."""

    @property
    def one_try(self) -> float:
        """The longest that one try takes."""
        return self.connect + self.reply


USUAL_LIMITS = Limits()


def connect(url: str, *, connections: int, name: str, limits: Limits = USUAL_LIMITS) -> Client:
    """Return a client for any address that the setting accepts; `connections` limits the pool of each server.

    redis://, rediss:// and unix:// are read by redis-py. The other forms are
    redis+sentinel://host:port,host:port/SERVICE[/DB] and redis+cluster://host:port,host:port, with rediss for TLS.
    Only the cluster client connects at once. Raises AWAY if a cluster does not answer, ValueError if the address
    cannot be read.
    """
    options: dict[str, Any] = {
        "socket_connect_timeout": limits.connect,
        "socket_timeout": limits.reply,
        "health_check_interval": 15,
        "retry": Retry(NoBackoff(), 0),
        "client_name": name,
        "decode_responses": True,
        "protocol": 2,
    }
    scheme = urlsplit(url).scheme
    if scheme != "unix":
        options["socket_keepalive"] = True
    if scheme.endswith("+sentinel"):
        return _sentinel(url, options, connections, limits)
    if scheme.endswith("+cluster"):
        return _cluster(url, options, connections, limits)
    pool = BlockingConnectionPool.from_url(url, max_connections=connections, timeout=limits.pool, **options)
    return Redis(connection_pool=pool)


def _nodes(url: str, default_port: int) -> list[tuple[str, int]]:
    hosts = urlsplit(url).netloc.rpartition("@")[2]
    nodes = []
    for item in hosts.split(","):
        host, _, port = item.rpartition(":") if ":" in item else (item, "", "")
        nodes.append((host.strip("[]"), int(port or default_port)))
    return nodes


def _credentials(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    found = {"username": unquote(user) or None, "password": unquote(password) or None}
    if parts.scheme.startswith("rediss"):
        found["ssl"] = True  # type: ignore[assignment]
    options = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return {k: v for k, v in found.items() if v is not None} | options


def _sentinel(url: str, common: dict[str, Any], connections: int, limits: Limits) -> Client:
    service, _, db = urlsplit(url).path.strip("/").partition("/")
    if not service:
        raise ValueError("a Sentinel address must end with the service name: redis+sentinel://HOSTS/NAME")
    options = _credentials(url)
    own = {k.removeprefix("sentinel_"): options.pop(k) for k in list(options) if k.startswith("sentinel_")}
    shared = {k: v for k, v in common.items() if k != "health_check_interval"}
    # redis-py gives a Sentinel's connections nothing of what the master's need.
    tls = {k: v for k, v in options.items() if k == "ssl" or k.startswith("ssl_")}
    nodes = _nodes(url, SENTINEL_PORT)
    sentinels = Sentinel(  # type: ignore[no-untyped-call]
        nodes, sentinel_kwargs={**shared, **_in_turn(nodes, limits), **tls, **own}, **common, **options
    )
    client: Client = sentinels.master_for(  # type: ignore[no-untyped-call]
        service, redis_class=Redis, db=int(db or 0), max_connections=connections, **common, **options
    )
    return client


def _cluster(url: str, common: dict[str, Any], connections: int, limits: Limits) -> Client:
    nodes = _nodes(url, DEFAULT_PORT)
    return RedisCluster(
        startup_nodes=[ClusterNode(*node) for node in nodes],  # type: ignore[no-untyped-call]
        dynamic_startup_nodes=False,
        max_connections=connections,
        **common | _in_turn(nodes, limits),
        **_credentials(url),
    )


def _in_turn(nodes: Sequence[object], limits: Limits) -> dict[str, Any]:
    """Divide the budget by the nodes: to discover the others, redis-py asks one after another within one call."""
    share = limits.budget / (len(nodes) + 1)
    return {
        "socket_connect_timeout": min(limits.connect, share),
        "socket_timeout": min(limits.reply, share),
    }
