"""One call of the store: addresses, dropped scripts, unavailable servers."""

import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis
from redis.exceptions import ConnectionError as Unreachable
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as TimedOut
from redis.sentinel import MasterNotFoundError

from otp_service.bootstrap.stores import Stores
from otp_service.errors import StoreUnavailable
from otp_service.store.connection import USUAL_LIMITS, connect
from otp_service.store.scripts import Scripts
from tests.support.certificates import certify, serving
from tests.support.deployments import Sentinel, ask
from tests.support.fault_proxy import FaultProxy
from tests.support.patience import PATIENT_LIMITS, until
from tests.support.ports import HOST, free_port
from tests.support.spine import opened, seen, together
from tests.support.valkey_server import ValkeyServer
from tests.support.watched import hasty_store_at, own_retries, refuses, scripts_at, store_at, works

AT_MOST = 2.0
"""Seconds within which a caller must be answered, whatever the server does."""
ONE_TRY = USUAL_LIMITS.pool + USUAL_LIMITS.connect + USUAL_LIMITS.reply


@dataclass
class Clock:
    """A clock that advances only when a test advances it."""

    seconds: float = 0.0

    def pass_by(self, seconds: float) -> None:
        """Advance the clock."""
        self.seconds += seconds


@pytest.fixture
def own() -> Iterator[ValkeyServer]:
    """Give a server that a test may break."""
    server = ValkeyServer(port=free_port(), options={"enable-protected-configs": "yes"})
    yield server
    server.close()


# Addresses.


@pytest.mark.parametrize("kind", ["redis", "unix", "rediss", "redis+sentinel"])
def test_every_kind_of_address_serves(own: ValkeyServer, tmp_path: Path, kind: str) -> None:
    """The same setting accepts a server, a socket, TLS or a Sentinel; none retries by itself."""
    with ExitStack() as stack:
        match kind:
            case "redis":
                url = own.url
            case "unix":
                url = f"unix://{own.socket}"
            case "rediss":
                known = certify(tmp_path)
                proxy = stack.enter_context(FaultProxy(own.socket, tls=serving(known)))
                url = f"{proxy.url}?ssl_ca_certs={known}"
            case _:
                sentinel = Sentinel()
                stack.callback(sentinel.close)
                url = sentinel.url
        store = stack.enter_context(store_at(url))
        for _ in range(20):
            challenge = opened(store)
            assert seen(store, challenge.id) == challenge
        retries = scripts_at(url, connections=1)
        stack.callback(retries.close)
        assert retries.bounded(own_retries, "test") == {0}


def test_a_tls_server_that_cannot_prove_itself_is_not_used(own: ValkeyServer, tmp_path: Path) -> None:
    """A certificate from an unknown authority is refused: the store is unavailable."""
    with FaultProxy(own.socket, tls=serving(certify(tmp_path))) as proxy, store_at(proxy.url) as store:
        refuses(store)


def test_a_sentinel_is_asked_over_the_same_tls_as_its_master(tmp_path: Path) -> None:
    """`rediss` means both: the Sentinel says where the master is, so that in the clear anyone could say it."""
    known = certify(tmp_path)
    with ExitStack() as stack:
        sentinel = Sentinel()
        stack.callback(sentinel.close)
        proxy = stack.enter_context(FaultProxy(sentinel.socket, tls=serving(known)))
        for options, answer in ((f"?ssl_ca_certs={known}", (HOST, sentinel.master.port)), ("", None)):
            url = f"rediss+sentinel://{HOST}:{proxy.port}/otp{options}"
            client = connect(url, connections=1, name="test", limits=PATIENT_LIMITS)
            stack.callback(client.close)
            assert isinstance(client, Redis)
            manager = client.connection_pool.sentinel_manager  # type: ignore[attr-defined]
            found = None
            with suppress(MasterNotFoundError):
                found = manager.discover_master("otp")
            assert found == answer


def test_a_password_in_the_address_is_used(own: ValkeyServer) -> None:
    """Name and password in the address open a server that requires them; percent encoding is decoded."""
    ask(own, "ACL", "SETUSER", "otp", "on", ">p@ss word", "~*", "&*", "+@all")
    ask(own, "ACL", "SETUSER", "default", "off")
    with store_at(f"redis://otp:p%40ss%20word@{HOST}:{own.port}/0") as store:
        store.facts.ping()
    with store_at(own.url) as store:
        refuses(store)


def test_a_sentinel_address_without_a_service_is_refused() -> None:
    """An address that makes no sense is an error at once, not an unavailable server."""
    with pytest.raises(ValueError, match="end with the service name"):
        connect(f"redis+sentinel://{HOST}:26379", connections=1, name="test")


@pytest.mark.parametrize(
    ("url", "nodes"),
    [
        ("redis+sentinel://a:1,b,[::1]:3/otp", [("a", 1), ("b", 26379), ("::1", 3)]),
        ("rediss+sentinel://u:p%40@a/otp/2?sentinel_password=s", [("a", 26379)]),
    ],
)
def test_a_sentinel_address_names_hosts_service_and_credentials(
    url: str, nodes: list[tuple[str, int]]
) -> None:
    """Hosts have a port or the default one; user, password and options reach the right server."""
    client = connect(url, connections=7, name="test")
    assert isinstance(client, Redis)
    pool = client.connection_pool
    found = [one.get_connection_kwargs() for one in pool.sentinel_manager.sentinels]  # type: ignore[attr-defined]
    assert [(one["host"], one["port"]) for one in found] == nodes
    assert pool.service_name == "otp"  # type: ignore[attr-defined]
    assert pool.max_connections == 7
    if "@" in url:
        assert found[0]["password"] == "s"
        kwargs = pool.connection_kwargs
        assert (kwargs["username"], kwargs["password"], kwargs["db"]) == ("u", "p@", 2)
        assert "SSL" in pool.connection_class.__name__
    client.close()


# Scripts.


def test_a_server_that_forgot_the_scripts_is_taught_again(own: ValkeyServer) -> None:
    """SCRIPT FLUSH, as any restart does, is invisible."""
    with store_at(own.url) as store:
        challenge = opened(store)
        for number in range(1, 4):
            ask(own, "SCRIPT", "FLUSH")
            counted = store.challenges.take_attempt(challenge.id, "web", 6)[2]
            assert counted is not None
            assert counted.attempts == number


def test_scripts_are_sent_once(own: ValkeyServer) -> None:
    """After the first call only its hash goes over the wire."""
    with store_at(own.url) as store:
        for _ in range(10):
            store.facts.time()
        calls = ask(own, "INFO", "commandstats")
        assert calls["cmdstat_eval"]["calls"] == 1
        assert calls["cmdstat_evalsha"]["calls"] == 9


def test_a_fault_in_a_script_is_not_mistaken_for_an_outage(valkey: ValkeyServer) -> None:
    """An error of a script is a bug of ours: it is raised unchanged, at once, without a retry."""
    seen_calls: list[str] = []
    with store_at(valkey.url, observe=lambda name, _: seen_calls.append(name)) as store:
        with pytest.raises(ResponseError):
            store.scripts.call("take_recent", ["counter"])  # without its arguments
        assert seen_calls == []


def test_each_call_is_observed_by_its_name(own: ValkeyServer) -> None:
    """The figures tell scripts apart and count each failed try as an error."""
    calls: list[str] = []
    with store_at(own.url, observe=lambda name, _: calls.append(name)) as store:
        store.facts.time()
        store.facts.use_once("x", 1)
        own.kill()
        refuses(store)
    assert calls == ["read_with_time", "use_once", "error", "error", "error"]


# Away.


def test_a_server_that_is_gone_is_named_so_at_once(own: ValkeyServer) -> None:
    """A refused connection is tried three times, no more; also for a client that was connected before."""
    calls: list[str] = []
    with store_at(own.url) as store, store_at(own.url, observe=lambda name, _: calls.append(name)) as fresh:
        store.facts.ping()
        own.kill()
        refuses(store)
        refuses(fresh)
    assert calls == ["error"] * 3


@given(st.lists(st.floats(0, ONE_TRY), min_size=3, max_size=3))
def test_a_call_of_a_server_that_is_away_takes_two_seconds_at_most(tries: list[float]) -> None:
    """However long each try takes, the caller gets an answer within two seconds, after three tries."""
    clock = Clock()
    scripts = Scripts(Redis, lambda _n, _s: None, clock=lambda: clock.seconds, sleep=clock.pass_by)
    left = list(tries)

    def fail(_: object) -> None:
        clock.pass_by(left.pop())
        raise TimedOut

    with pytest.raises(StoreUnavailable):
        scripts.bounded(fail, "test")
    assert clock.seconds <= AT_MOST


def test_a_server_that_never_answers_costs_a_bounded_time() -> None:
    """A server accepts the connection and stays silent: the caller gets an error while it is still silent."""
    with socket.create_server((HOST, 0)) as listener:
        url = f"redis://{HOST}:{listener.getsockname()[1]}"
        with hasty_store_at(url) as store:
            assert together(1, lambda _: refuses(store)) == [True]


def test_a_server_that_falls_silent_costs_a_bounded_time(own: ValkeyServer) -> None:
    """The same holds for a server that worked before, and for many callers at once; it recovers by itself."""
    with hasty_store_at(own.url, connections=4) as store:
        until(lambda: works(store))
        own.freeze()
        told = together(8, lambda _: refuses(store))
        own.thaw()
        assert told == [True] * 8
        until(lambda: works(store))


def test_a_server_is_used_again_when_it_is_back(own: ValkeyServer) -> None:
    """Killed and started again, it serves the same client with what it had."""
    with store_at(own.url) as store:
        challenge = opened(store)
        own.kill()
        refuses(store)
        own.start()
        assert seen(store, challenge.id) == challenge


def test_a_short_outage_is_not_seen_at_all(own: ValkeyServer) -> None:
    """Connections that broke while idle are replaced within one call."""
    with FaultProxy(own.socket) as proxy, store_at(proxy.url) as store:
        store.facts.ping()
        proxy.cut()
        store.facts.ping()
        assert proxy.connections == 2


def _fill(server: ValkeyServer) -> None:
    ask(server, "CONFIG", "SET", "maxmemory", 1)
    ask(server, "CONFIG", "SET", "maxmemory-policy", "noeviction")


def _demote(server: ValkeyServer) -> None:
    ask(server, "REPLICAOF", HOST, free_port())


def _break_disk(server: ValkeyServer) -> None:
    ask(server, "CONFIG", "SET", "appendonly", "no")
    ask(server, "CONFIG", "SET", "save", "3600 1")
    ask(server, "CONFIG", "SET", "dbfilename", "x" * 300)  # no file can have such a name
    ask(server, "BGSAVE")
    until(lambda: ask(server, "INFO", "persistence")["rdb_last_bgsave_status"] == "err")


def _want_replicas(server: ValkeyServer) -> None:
    ask(server, "CONFIG", "SET", "min-replicas-to-write", 1)


@pytest.mark.parametrize(
    ("harm", "answer"),
    [
        (_fill, "OOM"),
        (_demote, "READONLY"),
        (_break_disk, "MISCONF"),
        (_want_replicas, "NOREPLICAS"),
    ],
)
def test_a_server_that_takes_no_writes_is_away(
    own: ValkeyServer, harm: Callable[[ValkeyServer], None], answer: str
) -> None:
    """Full, demoted, without a disk or without replicas: a call raises StoreUnavailable."""
    with store_at(own.url) as store:
        store.facts.ping()
        harm(own)
        with own.client() as client, pytest.raises(Exception, match=_words(answer)):
            client.set("x", "1")
        refuses(store)


def _words(answer: str) -> str:
    """Give what redis-py leaves of an answer: it cuts the word off where it has a class for it."""
    return {"OOM": "command not allowed", "READONLY": "read only replica"}.get(answer, answer)


def test_a_server_that_is_loading_its_data_is_away() -> None:
    """A server just started answers LOADING until its data are in memory; then it serves.

    It would load for minutes, looking at its clients after each key, and is let go once this has been seen.
    """
    slow = {
        "key-load-delay": "100000",
        "loading-process-events-interval-bytes": "1024",
    }  # microseconds for each key
    server = ValkeyServer(port=free_port(), options={"appendonly": "no", **slow})
    try:
        with server.client() as client, client.pipeline() as pipeline:
            for n in range(2000):
                pipeline.set(f"key:{n}", secrets.token_hex(512), px=3_600_000)
            pipeline.execute()
            client.save()
        server.kill()
        server.launch()
        with store_at(server.url) as store:
            until(lambda: _is_loading(server))
            refuses(store)
            ask(server, "CONFIG", "SET", "key-load-delay", "0")
            until(server.answers)
            store.facts.ping()
    finally:
        server.close()


def _is_loading(server: ValkeyServer) -> bool:
    try:
        return bool(ask(server, "INFO", "persistence")["loading"])
    except Unreachable:  # not yet
        return False


def test_the_store_follows_a_sentinels_failover() -> None:
    """The master ends: the store is unavailable, then it works with the new master, without a restart."""
    sentinel = Sentinel()
    try:
        with store_at(sentinel.url) as store:
            challenge = opened(store)
            until(lambda: ask(sentinel.replica, "DBSIZE") >= 2)
            sentinel.master.kill()
            refuses(store)
            until(lambda: works(store))
            assert seen(store, challenge.id) == challenge
            assert ask(sentinel.replica, "ROLE")[0] == "master"
    finally:
        sentinel.close()


@pytest.mark.parametrize("nodes", [1, 6])
@pytest.mark.parametrize("url", ["redis+cluster://HOSTS", "redis+sentinel://HOSTS/otp"])
def test_nodes_that_never_answer_cost_a_bounded_time(url: str, nodes: int) -> None:
    """Silent nodes cost a caller at most two seconds: each gets its share of the time."""
    share = USUAL_LIMITS.budget / (nodes + 1)
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server((HOST, 0), backlog=128)) for _ in range(nodes)]
        url = url.replace("HOSTS", ",".join(f"{HOST}:{one.getsockname()[1]}" for one in listeners))
        store = stack.enter_context(hasty_store_at(url))
        assert together(1, lambda _: refuses(store)) == [True]
        assert sum(map(visitors, listeners)) * min(USUAL_LIMITS.reply, share) <= AT_MOST
        assert together(6, lambda _: refuses(store)) == [True] * 6


def visitors(listener: socket.socket) -> int:
    """Count the connections that a listener was asked for so far."""
    listener.settimeout(0)
    found = 0
    with suppress(BlockingIOError):
        while True:
            listener.accept()[0].close()
            found += 1
    return found


def test_a_client_is_made_once(valkey: ValkeyServer) -> None:
    """However many threads come first, there is one client with one pool."""
    made = []

    def make() -> Redis:
        made.append(client := connect(valkey.url, connections=32, name="test"))
        assert isinstance(client, Redis)
        return client

    scripts = Scripts(make, lambda _n, _s: None)
    together(32, lambda _: Stores(scripts, prefix="test", partitions=1).facts.time())
    assert len(made) == 1
    scripts.close()


def test_closing_what_was_never_used_is_fine() -> None:
    """A process may end before its first call."""
    with store_at(f"redis://{HOST}:1"):
        pass
