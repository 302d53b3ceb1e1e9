"""What the servers of the store say of themselves: whether they evict keys, who follows them, what they write to disk.

Knows INFO, CONFIG and what this product needs of both. Must not know a terminal or HTTP.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from redis import Redis
from redis.exceptions import ResponseError

from otp_service.store.scripts import Scripts

SAFE_EVICTION = "noeviction"
"""The only policy that never deletes a key that has time left: a lost counter would be a lost limit."""
SAFE_FSYNC = ("everysec", "always")


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """One server that takes writes. A setting is None if the server does not let us read it."""

    eviction: str
    replicas: int
    appendonly: bool
    appendfsync: str | None
    min_replicas: int | None


def read_eviction(scripts: Scripts) -> list[str]:
    """Return what each server does when its memory is full, in their own words. Raises StoreUnavailable."""
    return scripts.ask_servers(_eviction, "eviction")


def read_settings(scripts: Scripts) -> list[ServerSettings]:
    """Read the settings of each server. Raises StoreUnavailable."""
    return scripts.ask_servers(_read, "check")


def shortcomings(servers: list[ServerSettings], wanted_replicas: int) -> Iterator[str]:
    """List what may lose something at a promotion or a crash; `wanted_replicas` is what each answer waits for."""
    for server in dict.fromkeys(servers):
        if server.replicas and not wanted_replicas:
            yield (
                "the store has replicas and OTP_REDIS_WAIT_REPLICAS is 0: a promotion can forget guesses, used codes "
                "and spent tokens; set it to 1"
            )
        if server.replicas < wanted_replicas:
            yield (
                f"a server of the store has {server.replicas} replicas and OTP_REDIS_WAIT_REPLICAS is "
                f"{wanted_replicas}: every check is answered 503"
            )
        if server.replicas and server.min_replicas == 0:
            yield "min-replicas-to-write is 0: a server that lost its replicas takes writes that are lost; set it to 1"
        if not server.appendonly:
            yield "appendonly is no: a restart of the store forgets everything; set appendonly yes"
        elif server.appendfsync not in {*SAFE_FSYNC, None}:
            yield f"appendfsync is {server.appendfsync}: a crash can forget half a minute; set appendfsync everysec"


def _read(server: Redis) -> ServerSettings:
    minimum = _setting(server, "min-replicas-to-write")
    return ServerSettings(
        eviction=_eviction(server),
        replicas=int(server.info("replication").get("connected_slaves", 0)),
        appendonly=bool(server.info("persistence").get("aof_enabled")),
        appendfsync=_setting(server, "appendfsync"),
        min_replicas=None if minimum is None else int(minimum),
    )


def _eviction(server: Redis) -> str:
    return str(server.info("memory").get("maxmemory_policy", SAFE_EVICTION))


def _setting(server: Redis, name: str) -> str | None:
    """Read a setting. Rented servers often forbid CONFIG."""
    try:
        found: str | None = server.config_get(name).get(name)
    except ResponseError:
        return None
    return found
