"""What the store's servers say of themselves, and what could be lost with it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from otp_service.errors import StoreUnavailable
from otp_service.store.eviction import EvictionWatch
from otp_service.store.server_settings import ServerSettings, read_eviction, read_settings, shortcomings
from tests.support.deployments import Cluster, ask
from tests.support.patience import until
from tests.support.ports import HOST, free_port
from tests.support.valkey_server import ValkeyServer
from tests.support.watched import scripts_at

GOOD = ServerSettings("noeviction", replicas=1, appendonly=True, appendfsync="everysec", min_replicas=1)


@pytest.fixture
def own() -> Iterator[ValkeyServer]:
    """Give a server whose settings a test may change."""
    server = ValkeyServer(
        port=free_port(), options={"appendfsync": "everysec", "repl-diskless-sync-delay": "0"}
    )
    yield server
    server.close()


def complaints(server: ServerSettings, wanted: int = 1) -> list[str]:
    """List the settings that are named as short of what is asked for."""
    return list(shortcomings([server], wanted))


def test_a_server_says_what_it_does(own: ValkeyServer) -> None:
    """Settings are read from the running server, replicas as they are connected."""
    scripts = scripts_at(own.url, connections=2)
    assert read_settings(scripts) == [replace(GOOD, replicas=0, min_replicas=0)]
    follower = ValkeyServer(port=free_port())
    try:
        ask(follower, "REPLICAOF", HOST, own.port)
        until(lambda: read_settings(scripts)[0].replicas == 1)
    finally:
        follower.close()
    ask(own, "CONFIG", "SET", "min-replicas-to-write", 0)
    for name, value in (("appendonly", "no"), ("appendfsync", "no"), ("maxmemory-policy", "allkeys-lru")):
        ask(own, "CONFIG", "SET", name, value)
    [found] = read_settings(scripts)
    assert (found.eviction, found.appendonly, found.appendfsync) == ("allkeys-lru", False, "no")
    scripts.close()


def test_a_server_that_hides_its_settings_is_not_blamed(own: ValkeyServer) -> None:
    """Rented servers forbid CONFIG."""
    ask(own, "ACL", "SETUSER", "default", "-config")
    scripts = scripts_at(own.url, connections=2)
    [found] = read_settings(scripts)
    assert (found.appendfsync, found.min_replicas) == (None, None)
    assert complaints(replace(found, replicas=1)) == []
    scripts.close()


def test_every_node_of_a_cluster_is_asked(cluster: Cluster) -> None:
    """One that evicts is enough for an alarm."""
    scripts = scripts_at(cluster.url, connections=2)
    assert len(read_settings(scripts)) == len(cluster.nodes)
    try:
        ask(cluster.nodes[1], "CONFIG", "SET", "maxmemory-policy", "volatile-ttl")
        assert sorted(read_eviction(scripts)) == ["noeviction", "noeviction", "volatile-ttl"]
    finally:
        ask(cluster.nodes[1], "CONFIG", "SET", "maxmemory-policy", "noeviction")
    scripts.close()


@pytest.mark.parametrize(
    ("change", "wanted", "named"),
    [
        ({}, 1, ""),
        ({"replicas": 0, "min_replicas": 0}, 0, ""),
        ({}, 0, "OTP_REDIS_WAIT_REPLICAS is 0"),
        ({"replicas": 1}, 2, "OTP_REDIS_WAIT_REPLICAS is 2"),
        ({"min_replicas": 0}, 1, "min-replicas-to-write is 0"),
        ({"appendonly": False, "appendfsync": "no"}, 1, "appendonly is no"),
        ({"appendfsync": "no"}, 1, "appendfsync is no"),
        ({"appendfsync": "always"}, 1, ""),
    ],
)
def test_what_can_lose_something_is_named(change: dict[str, object], wanted: int, named: str) -> None:
    """Each shortcoming once, and nothing that is as the documents ask for it."""
    found = complaints(replace(GOOD, **change), wanted)  # type: ignore[arg-type]
    assert len(found) == bool(named)
    assert all(named in complaint for complaint in found)


def test_eviction_is_watched_and_an_alarm_raised_once(
    own: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Log, metric and state change with the server's setting."""
    scripts, reports = scripts_at(own.url, connections=2), list[bool]()
    watch = EvictionWatch(scripts, reports.append)
    watch.refresh()
    assert watch.state == "ok"
    ask(own, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    for _ in range(3):
        watch.refresh()
    assert watch.state == "allkeys-lru"
    assert [one.getMessage() for one in caplog.records].count("store.evicts") == 1
    ask(own, "CONFIG", "SET", "maxmemory-policy", "noeviction")
    watch.refresh()
    assert (watch.state, reports) == ("ok", [False, True, True, True, False])
    scripts.close()


def test_a_store_that_is_away_changes_no_state(tmp_path: Path) -> None:
    """What was read last stays; the next look comes in a minute."""
    scripts, reports = scripts_at(f"unix://{tmp_path}/nothing", connections=1), list[bool]()
    watch = EvictionWatch(scripts, reports.append)
    with pytest.raises(StoreUnavailable):
        watch.refresh()
    assert (watch.state, reports) == ("ok", [])
    scripts.close()
