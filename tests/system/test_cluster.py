"""The whole product on a cluster of three real nodes, and a cluster that is away."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from itertools import count as count_from

import pytest

from otp_service.bootstrap.stores import Stores
from otp_service.challenge.model import State, Status
from otp_service.crypto.code_hashes import TICKETS_PER_SLOT
from otp_service.errors import Busy, StoreUnavailable
from otp_service.store.connection import USUAL_LIMITS, connect
from otp_service.store.replication import Durability
from otp_service.store.scripts import Scripts
from otp_service.store.topology import holder_of, primaries_without_replica
from tests.support.deployments import Cluster, ask
from tests.support.patience import PATIENT_LIMITS, until
from tests.support.ports import HOST, free_port
from tests.support.spine import NUMBERS, Spine, make_spine, opened, prefix_of, seen, together, working
from tests.support.valkey_server import ValkeyServer
from tests.support.watched import hasty_store_at, own_retries, refuses, scripts_at, store_at, works


def test_a_cluster_that_is_away_at_the_start_is_tried_again() -> None:
    """Nothing is connected before the first call; a cluster that refuses is away, and used once there."""
    ports = [free_port() for _ in range(3)]
    url = "redis+cluster://" + ",".join(f"{HOST}:{port}" for port in ports)
    with store_at(url) as store:
        refuses(store)
        server = ValkeyServer(
            port=ports[0], options={"cluster-enabled": "yes", "cluster-port": str(free_port())}
        )
        try:
            ask(server, "CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            until(lambda: works(store))
        finally:
            server.close()


def test_a_cluster_that_falls_silent_costs_a_bounded_time(cluster: Cluster) -> None:
    """Nodes that worked until now and stop: callers are told while they are silent; it recovers by itself."""
    with hasty_store_at(cluster.url) as store:
        until(lambda: works(store))
        for node in cluster.nodes:
            node.freeze()
        told = [together(1, lambda _: refuses(store)) for _ in range(3)]
        for node in cluster.nodes:
            node.thaw()
        assert told == [[True]] * 3
        until(lambda: works(store))


def test_keys_that_lie_apart_are_a_fault_not_an_outage(cluster: Cluster) -> None:
    """A script called with keys of two slots is a fault of ours, raised as it is."""
    scripts = scripts_at(cluster.url, connections=2)
    with pytest.raises(Exception, match="same slot") as caught:
        scripts.call("finish", ["{a}", "{b}"], 0, "web", "id", "operation", "verified", "")
    assert not isinstance(caught.value, StoreUnavailable)
    scripts.close()


def test_a_cluster_serves(cluster: Cluster) -> None:
    """The same setting takes a cluster; its client does not retry by itself."""
    with store_at(cluster.url) as store:
        for _ in range(20):
            challenge = opened(store)
            assert seen(store, challenge.id) == challenge
    scripts = scripts_at(cluster.url, connections=1)
    assert scripts.bounded(own_retries, "test") == {0}
    scripts.close()


def test_codes_go_out_and_come_back_on_a_cluster(cluster: Cluster) -> None:
    """Send, wake-up, worker, resend, verify and cancel work, with challenges on every node."""
    scripts = scripts_at(cluster.url, connections=64)
    spine = make_spine(scripts, partitions=64)
    phone = spine.phone
    with working(spine.worker("one"), spine.worker("two")):
        ids = {number: spine.opened(number, f"key {number}") for number in NUMBERS[:40]}
        assert {number: spine.opened(number, f"key {number}") for number in ids} == ids
        codes = dict(phone.next() for _ in ids)
        assert codes.keys() == ids.keys()
        for number, id_ in ids.items():
            proof = spine.check.verify(spine.caller, id_, codes[number])
            assert proof.view.status is State.VERIFIED
            assert spine.redeem.redeem(spine.caller, proof.token)["phone_number"] == number

        again, lost = spine.opened(NUMBERS[50]), spine.opened(NUMBERS[51])
        first = dict(phone.next() for _ in range(2))
        until(lambda: all(seen(spine.store, id_).last.status is Status.ACCEPTED for id_ in (again, lost)))
        spine.store.scripts.offset += 60_000
        spine.resend.resend(spine.caller, again)
        number, code = phone.next()
        assert number == NUMBERS[50]
        assert spine.check.verify(spine.caller, again, code).view.channel == "voice"
        assert spine.manage.cancel(spine.caller, lost).status is State.CANCELLED
        assert NUMBERS[51] in first
    used = [ask(node, "DBSIZE") for node in cluster.nodes]
    assert min(used) > 0
    assert phone.inbox.empty()
    scripts.close()


def test_many_callers_at_once_share_the_pools_of_a_cluster(cluster: Cluster) -> None:
    """More callers than connections: each is served or told that the store is busy, in a bounded time."""
    scripts = scripts_at(cluster.url, connections=32)
    store = Stores(scripts, prefix="crowd", partitions=16)
    made = together(32, lambda _: opened(store))
    assert not [one for one in made if isinstance(one, Exception)]
    assert prefix_of(store) == "crowd"
    scripts.close()


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """Give a cluster of the test's own."""
    made = Cluster()
    yield made
    made.close()


@pytest.mark.parametrize("replicas", [0, 1])
def test_a_slot_that_moves_is_followed(own_cluster: Cluster, replicas: int) -> None:
    """While its keys move and when they have moved, each call goes to the node that has them."""
    scripts = Scripts(
        lambda: connect(own_cluster.url, connections=2, name="test", limits=PATIENT_LIMITS),
        lambda _name, _seconds: None,
        limits=PATIENT_LIMITS,
        durability=Durability(replicas, 50),
    )
    with closing(scripts):
        store = Stores(scripts, prefix="test", partitions=16)
        challenge = opened(store)
        with own_cluster.moving(store.partitions.key_of(challenge.id, "c")):
            assert seen(store, challenge.id) == challenge
        with pytest.raises(StoreUnavailable) if replicas else nullcontext():  # no node has a replica
            assert store.challenges.take_attempt(challenge.id, "web", 6)[0] == "counted"
        assert seen(store, challenge.id).attempts == 1


def test_a_primary_without_a_replica_is_found(own_cluster: Cluster) -> None:
    """Its share of the codes would be lost with it. A replica that has died counts for nothing."""
    first, *others = own_cluster.nodes

    def alone() -> list[str]:
        scripts = scripts_at(own_cluster.url, connections=1)
        try:
            return scripts.bounded(primaries_without_replica, "check")
        finally:
            scripts.close()

    def named(*nodes: ValkeyServer) -> list[str]:
        return sorted(f"{HOST}:{node.port}" for node in nodes)

    assert alone() == named(first, *others)
    replica = own_cluster.add_replica(first)
    until(lambda: alone() == named(*others))
    replica.kill()
    until(lambda: alone() == named(first, *others))


def test_a_cluster_whose_primary_dies_serves_again(own_cluster: Cluster) -> None:
    """Until its replica is promoted callers are told that the store is away. Then all that it had is there again."""
    replicas = [own_cluster.add_replica(node) for node in own_cluster.nodes]
    with hasty_store_at(own_cluster.url) as store:
        ids = [opened(store).id for _ in range(40)]
        for node, replica in zip(own_cluster.nodes, replicas, strict=True):
            written = ask(node, "INFO", "replication")["master_repl_offset"]
            until(lambda written=written, replica=replica: offset_of(replica) >= written)  # type: ignore[misc]
        own_cluster.nodes[0].kill()

        def serves() -> bool:
            try:
                return [seen(store, id_).id for id_ in ids] == ids
            except StoreUnavailable:
                return False

        until(serves)
        until(lambda: works(store))


CODE, WRONG = "123456", "654321"
CLIENTS = TICKETS_PER_SLOT + 8
LEAST = 5


@pytest.mark.parametrize("place", range(3))
def test_checks_of_healthy_shards_succeed_while_one_shard_is_dead(own_cluster: Cluster, place: int) -> None:
    """More clients than there are cores and tickets repeat checks of a dead primary, which may also hold the guard.

    Checks of the other primaries find a ticket each: none is told that the service is busy. Once the dead one is known
    to be silent, one caller at a time waits for it, and the rest are told at once.
    """
    for node in own_cluster.nodes:
        ask(node, "CONFIG", "SET", "cluster-require-full-coverage", "no")
    dead, tries, told = own_cluster.nodes[place], [0], [0]

    def count(name: str, _: float) -> None:
        tries[0] += name == "error"

    with closing(
        scripts_at(own_cluster.url, connections=2 * CLIENTS, limits=USUAL_LIMITS, observe=count)
    ) as scripts:
        spine = make_spine(scripts, partitions=64, hash_slots=1)
        ids = with_codes(spine, 36)
        kept, *lost = [id_ for id_ in ids if holder_of_challenge(spine, id_) == f"{HOST}:{dead.port}"]
        healthy = [id_ for id_ in ids if id_ not in {kept, *lost}]
        assert lost
        assert healthy
        with frozen(dead), ThreadPoolExecutor(CLIENTS) as clients:
            over = threading.Event()

            def check(client: int) -> None:
                with pytest.raises((StoreUnavailable, Busy)):
                    spine.check.verify(spine.caller, lost[client % len(lost)], WRONG)

            def repeat(client: int) -> None:
                for times in count_from(1):
                    check(client)
                    told[0] += 1
                    if times >= LEAST and over.is_set():
                        break
                    time.sleep(0.01)

            list(clients.map(check, range(CLIENTS)))  # now it is known to be silent
            tries[0] = 0
            repeated = [clients.submit(repeat, client) for client in range(CLIENTS)]
            try:
                for id_ in healthy:
                    until(lambda id_=id_: verifies(spine, id_))  # type: ignore[misc]
            finally:
                over.set()
            for one in repeated:
                one.result()
            assert tries[0] < told[0] / 2, "too many waited for the dead primary"
        until(lambda: verifies(spine, kept))


def with_codes(spine: Spine, count: int) -> list[str]:
    """Open challenges whose code is CODE."""
    ids = [spine.opened(number) for number in NUMBERS[:count]]
    for id_ in ids:
        spine.code_for(id_, CODE)
    return ids


def holder_of_challenge(spine: Spine, id_: str) -> str:
    """Name the server that holds a challenge."""
    key = spine.store.partitions.key_of(id_, "c")
    return spine.scripts.bounded(lambda client: holder_of(client, key), "test")


def verifies(spine: Spine, id_: str) -> bool:
    """Say whether the right code of a challenge is taken. A slow machine may take longer than the store's limits."""
    try:
        proof = spine.check.verify(spine.caller, id_, CODE, idempotency_key=id_)
    except StoreUnavailable:
        return False
    except Busy as error:
        if "The same guess is being checked" not in error.detail:  # as after an answer that came too late
            raise
        return False
    return proof.view.status is State.VERIFIED


@contextmanager
def frozen(node: ValkeyServer) -> Iterator[None]:
    """Freeze a server for the time of the block."""
    node.freeze()
    try:
        yield
    finally:
        node.thaw()


def offset_of(replica: ValkeyServer) -> int:
    """Tell how much of its primary's writes a replica has."""
    return int(ask(replica, "INFO", "replication")["slave_repl_offset"])
