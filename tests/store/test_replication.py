"""What replicas must confirm: WAIT goes out with the write, on its connection, and too few confirmations are told."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from otp_service.bootstrap.stores import Stores
from otp_service.challenge.guess import Guess, TokenId
from otp_service.challenge.model import State
from otp_service.errors import StoreUnavailable
from otp_service.store.connection import connect
from otp_service.store.replication import Durability
from otp_service.store.scripts import Scripts
from tests.support.deployments import Cluster, ask
from tests.support.patience import PATIENCE, PATIENT_LIMITS, until
from tests.support.ports import HOST, free_port
from tests.support.spine import FAR, brought, opened, seen
from tests.support.valkey_server import ValkeyServer

IN_VAIN, FOLLOWED = 200, int(PATIENCE * 1000 / 2)
"""Milliseconds to wait for a confirmation: where none can come, and where one comes as soon as the machine allows."""


@contextmanager
def durable_store(
    url: str, calls: list[str] | None = None, *, within: int = IN_VAIN, prefix: str = ""
) -> Iterator[Stores]:
    """Open stores that wait for one replica `within` milliseconds; `calls` gets the name of each call."""
    scripts = Scripts(
        lambda: connect(url, connections=4, name="test", limits=PATIENT_LIMITS),
        lambda name, _: (calls if calls is not None else []).append(name),
        limits=PATIENT_LIMITS,
        durability=Durability(replicas=1, milliseconds=within),
    )
    yield Stores(scripts, prefix=prefix or f"t{secrets.token_hex(6)}", partitions=4)
    scripts.close()


@pytest.fixture
def primary() -> Iterator[ValkeyServer]:
    """Give a server that replicas may follow at once."""
    server = ValkeyServer(port=free_port(), options={"repl-diskless-sync-delay": "0"})
    yield server
    server.close()


@contextmanager
def replica_of(primary: ValkeyServer) -> Iterator[ValkeyServer]:
    """Start a replica that has caught up."""
    server = ValkeyServer(port=free_port())
    ask(server, "REPLICAOF", HOST, primary.port)
    until(lambda: ask(server, "INFO", "replication")["master_link_status"] == "up")
    until(lambda: ask(primary, "WAIT", 1, 100) == 1)
    yield server
    server.close()


def test_a_confirmed_write_is_on_the_replica(primary: ValkeyServer) -> None:
    """A guess, the end of a challenge and a spent token are there when the call returns."""
    with replica_of(primary) as replica, durable_store(primary.url, within=FOLLOWED) as store:
        id_ = opened(store).id
        key = f"{{{store.prefix}:{id_[:2]}}}:c:{id_[2:]}"
        assert store.challenges.take_attempt(id_, "web", 6)[0] == "counted"
        assert '"attempts":' in ask(replica, "GET", key)
        assert store.challenges.finish(id_, "web", State.VERIFIED, 0)[1] is not None
        assert '"verified"' in ask(replica, "GET", key)
        assert store.facts.use_before("token", FAR, "name")
        assert ask(replica, "GET", f"{store.prefix}:s:token") == "name"


def test_without_confirmation_the_change_stays_and_is_told(primary: ValkeyServer) -> None:
    """No replica follows: each of the three is made, refused and counted; others are not held up."""
    calls: list[str] = []
    with durable_store(primary.url, calls) as store:
        id_ = opened(store).id
        with pytest.raises(StoreUnavailable) as caught:
            store.challenges.take_attempt(id_, "web", 6)
        assert caught.value.retry_after
        assert caught.value.made
        assert seen(store, id_).attempts == 1
        with pytest.raises(StoreUnavailable):
            store.challenges.finish(id_, "web", State.VERIFIED, 0)
        assert seen(store, id_).state is State.VERIFIED
        with pytest.raises(StoreUnavailable):
            store.facts.use_before("token", FAR, "name")
        assert not store.facts.use_once("token", 60)
        assert calls.count("unacknowledged") == 3
        cancelled = opened(store).id
        assert store.challenges.finish(cancelled, "web", State.CANCELLED)[1] is not None


def test_a_repetition_asks_for_its_own_write(primary: ValkeyServer) -> None:
    """On another connection, WAIT would tell of nothing: a repetition writes anew, so it is refused as well."""
    with durable_store(primary.url) as store:
        id_ = opened(store).id
        brought(store, id_)
        guess = Guess(names=("name",))
        with pytest.raises(StoreUnavailable):
            store.challenges.take_attempt(id_, "web", 6, guess)
        token = TokenId(jti="j", kid="s1", life=60_000, name="name")
        with pytest.raises(StoreUnavailable):
            store.challenges.finish(id_, "web", State.VERIFIED, 0, token)
        for _ in range(3):
            again = Guess(names=("name",))
            with pytest.raises(StoreUnavailable):
                store.challenges.take_attempt(id_, "web", 6, again)
            store.challenges.record_answer(id_, again, "unchecked")
            with pytest.raises(StoreUnavailable):
                store.facts.use_before("token", FAR, "name")
        followed = durable_store(primary.url, within=FOLLOWED, prefix=store.prefix)
        with replica_of(primary), followed as same:
            assert same.challenges.take_attempt(id_, "web", 6, Guess(names=("name",)))[0] == "won"
            assert same.facts.use_before("token", FAR, "name")


def test_a_master_that_has_become_a_replica_is_away_and_no_bug(primary: ValkeyServer) -> None:
    """A guess that writes nothing is not refused there, but WAIT is: that was a 500 within a soak's promotions."""
    with durable_store(primary.url) as store:
        ask(primary, "REPLICAOF", HOST, free_port())
        with pytest.raises(StoreUnavailable):
            store.challenges.take_attempt("00" + "A" * 22, "web", 6)


def test_a_dropped_script_is_loaded_again(primary: ValkeyServer) -> None:
    """As for every other call."""
    with replica_of(primary), durable_store(primary.url, within=FOLLOWED) as store:
        for _ in range(2):
            ask(primary, "SCRIPT", "FLUSH")
            assert store.facts.use_before(secrets.token_hex(4), FAR, "name")


def test_a_cluster_asks_the_node_that_holds_the_key(cluster: Cluster) -> None:
    """None of its nodes has a replica here, so each write is made and refused, in every slot."""
    with durable_store(cluster.url) as store:
        for place in range(9):
            with pytest.raises(StoreUnavailable):
                store.facts.use_before(f"token {place}", FAR, "name")
            assert not store.facts.use_once(f"token {place}", 60)
