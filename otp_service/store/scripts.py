"""The one Redis client factory and the one way to call a script.

Knows addresses, pools, time limits and retries. Must not know keys or what the scripts mean.

redis-py's own retries are off: with them one lost reply runs a script twice. They live in `Scripts.call` alone
and are safe because every script takes an operation id, or changes nothing when it is run again.
"""

import hashlib
import logging
import random
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from redis import BlockingConnectionPool, Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.client import PubSub
from redis.cluster import ClusterNode
from redis.exceptions import ConnectionError as Unreachable
from redis.exceptions import NoScriptError, RedisClusterException, RedisError, ResponseError
from redis.retry import Retry
from redis.sentinel import Sentinel

from otp_service.errors import StoreUnavailable
from otp_service.telemetry.logs import log

PAUSES = (0.05, 0.1)
"""Seconds before the second and the third try, each with up to as much again of jitter."""
RETRY_AFTER = 2
AT_ONCE = 500
"""Keys that a server looks at in one go while all are gone through: short enough not to be felt."""
DEFAULT_PORT, SENTINEL_PORT = 6379, 26379

PACKAGE = Path(__file__).parents[1]
_INCLUDE = "-- include: now\n"
"""Stands in a script that wants the store's time as `now`; Scripts passes its offset before all other arguments."""

T = TypeVar("T")
Client = Redis | RedisCluster
AWAY = (RedisError, RedisClusterException)
"""What redis-py raises when no server serves it; a cluster's own errors are no RedisError."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long one call may take (seconds). With the defaults every caller is answered within two seconds."""

    connect: float = 0.3
    reply: float = 0.5
    pool: float = 0.25
    """For a connection to become free."""
    budget: float = 1.4
    """In all, with every retry: no try is begun that could take longer."""


USUAL_LIMITS = Limits()

# A script's own error is a fault of ours; these answers say that the server cannot work now.
_PASSING_ANSWERS = (
    "LOADING",
    "BUSY",
    "READONLY",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "NOREPLICAS",
    "MISCONF",
    "OOM",
)


def connect(url: str, *, connections: int, name: str, limits: Limits = USUAL_LIMITS) -> Client:
    """Build a client from any address that the setting accepts; `connections` bounds each server's pool.

    redis://, rediss:// and unix:// as redis-py reads them; redis+sentinel://host:port,host:port/SERVICE[/DB];
    redis+cluster://host:port,host:port; either of the last two with rediss for TLS. Only the cluster client
    connects at once. Raises AWAY when a cluster does not answer, ValueError for an address it cannot read.
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
        raise ValueError("a Sentinel address ends with the name of the service: redis+sentinel://HOSTS/NAME")
    options = _credentials(url)
    own = {k.removeprefix("sentinel_"): options.pop(k) for k in list(options) if k.startswith("sentinel_")}
    shared = {k: v for k, v in common.items() if k != "health_check_interval"}
    nodes = _nodes(url, SENTINEL_PORT)
    sentinels = Sentinel(  # type: ignore[no-untyped-call]
        nodes, sentinel_kwargs={**shared, **_in_turn(nodes, limits), **own}, **common, **options
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
    """Share the budget out: redis-py asks one node after another for the others, all within one call."""
    share = limits.budget / (len(nodes) + 1)
    return {
        "socket_connect_timeout": min(limits.connect, share),
        "socket_timeout": min(limits.reply, share),
    }


class Scripts:
    """Calls the Lua scripts of this package with bounded time."""

    def __init__(
        self,
        make_client: Callable[[], Client],
        observe: Callable[[str, float], None],
        *,
        offset: int = 0,
        limits: Limits = USUAL_LIMITS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`limits` are those that the client was made with; `clock` and `sleep` count in seconds.

        `offset` is added to the server's clock in every script (milliseconds): zero except in tests.
        """
        self._make_client = make_client
        self.offset = offset
        self._observe = observe
        """Told the name and seconds of each call that was answered, or `error` as the name."""
        self._limits = limits
        self._clock = clock
        self._sleep = sleep
        self._client: Client | None = None
        self._making = threading.Lock()
        self._sources, self._timed = _sources(PACKAGE)
        self._hashes: dict[str, str] = {}

    def call(self, name: str, keys: Sequence[str], *arguments: str | float) -> Any:  # noqa: ANN401 - the script's
        """Run a script; the same operation may reach the server twice.

        Raises StoreUnavailable when the server does not serve it in time.
        """
        if name in self._timed:
            arguments = (self.offset, *arguments)
        return self.bounded(lambda client: self._evaluate(client, name, keys, arguments), name)

    def first(self, keys: Iterable[str]) -> str | None:
        """Read the first value found under any of these keys, which may be in different slots."""
        return next((value for key in keys if (value := self._get(key))), None)

    def delete(self, keys: Iterable[str]) -> int:
        """Delete keys, which may be in different slots; gives how many there were."""
        return sum(self.call("forget", [key]) for key in keys)

    def _get(self, key: str) -> str | None:
        """Read a value without the time, and so without a script, which costs half as much again."""
        found = self.bounded(lambda client: client.get(key), "get")
        return None if found is None else str(found)

    def bounded(self, act: Callable[[Client], T], name: str) -> T:
        """Do something that is safe to repeat, within the budget of time. Raises StoreUnavailable."""
        started = self._clock()
        for pause in (*PAUSES, None):
            try:
                result = act(self._connected())
            except AWAY as error:
                if not _is_passing(error):
                    raise
                spent = self._clock() - started
                self._observe("error", spent)
                if pause is None or spent + self._one_try > self._limits.budget:
                    log("store.away", logging.WARNING, cause=type(error).__name__, script=name)
                    raise StoreUnavailable(retry_after=RETRY_AFTER) from error
                self._sleep(pause + random.uniform(0, pause))  # noqa: S311 - jitter
            else:
                self._observe(name, self._clock() - started)
                return result
        raise AssertionError  # the last pause is None

    def walk(self, pattern: str, name: str) -> Iterator[list[tuple[str, str]]]:
        """Read every text whose key matches, with its key, in batches, on every server that holds a share.

        What is written meanwhile may be missed, what is moved may come twice. Raises StoreUnavailable.
        """
        for server in self.bounded(_servers, name):
            cursor = 0
            while True:
                cursor, found = self.bounded(partial(_page, server, cursor, pattern), name)
                yield found
                if not cursor:
                    break

    def listen(self, channel: str) -> PubSub:
        """Subscribe to a channel on a connection of its own. Raises AWAY."""
        client = self._connected()
        subscription: PubSub = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        subscription.subscribe(channel)
        return subscription

    def close(self) -> None:
        """Give all connections back."""
        if self._client is not None:
            self._client.close()

    @property
    def _one_try(self) -> float:
        return self._limits.connect + self._limits.reply

    def _connected(self) -> Client:
        if self._client is not None:
            return self._client
        if not self._making.acquire(timeout=self._one_try):
            raise Unreachable("another thread is still trying to connect")
        try:
            if self._client is None:
                self._client = self._make_client()
            return self._client
        finally:
            self._making.release()

    def _evaluate(
        self, client: Client, name: str, keys: Sequence[str], arguments: Sequence[str | float]
    ) -> Any:  # noqa: ANN401
        if sha := self._hashes.get(name):
            try:
                return client.evalsha(sha, len(keys), *keys, *arguments)
            except NoScriptError:
                pass  # the server forgot its scripts, as it may at any time; EVAL teaches it again
        answer = client.eval(self._sources[name], len(keys), *keys, *arguments)
        self._hashes[name] = _sha1(self._sources[name])
        return answer


def _sources(package: Path) -> tuple[dict[str, str], set[str]]:
    """Give every script by its name, and the names of those that are told the time."""
    prologue = (package / "store" / "lua" / "includes" / "now.lua").read_text(encoding="utf-8")
    written = {file.stem: file.read_text(encoding="utf-8") for file in package.glob("*/lua/*.lua")}
    timed = {name for name, source in written.items() if _INCLUDE in source}
    return {name: source.replace(_INCLUDE, prologue) for name, source in written.items()}, timed


def _servers(client: Client) -> list[Redis]:
    """Give a client of each server that holds a share of the keys."""
    if isinstance(client, Redis):
        return [client]
    return [client.get_redis_connection(node) for node in client.get_primaries()]  # type: ignore[no-untyped-call]


def _page(server: Redis, cursor: int, pattern: str, _: Client) -> tuple[int, list[tuple[str, str]]]:
    following, keys = server.scan(cursor, match=pattern, count=AT_ONCE)
    pipeline = server.pipeline(transaction=False)  # MGET takes the keys of one slot only
    for key in keys:
        pipeline.get(key)
    texts = pipeline.execute()
    return following, [(str(key), text) for key, text in zip(keys, texts, strict=True) if text is not None]


def _is_passing(error: Exception) -> bool:
    if type(error) is RedisClusterException:
        return "same key slot" not in str(error)  # keys of ours that lie apart
    # Redis 6.2 wraps the word: "ERR Error running script (...): @user_script:25: -READONLY You can't write..."
    text = re.sub(r"^(?:ERR )?Error running script.*? -(?=[A-Z]+ )", "", str(error))
    return type(error) is not ResponseError or text.startswith(_PASSING_ANSWERS)


def _sha1(source: str) -> str:
    return hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
