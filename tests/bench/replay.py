"""What acts of the product ask of the store: recorded once, then asked again as fast as a server answers.

A server that is asked this way spends its time on the store's work alone: no hash, no HTTP, no client of the product's.
"""

import re
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from redis.crc import key_slot

from otp_service.figures.counters import Counters
from otp_service.history.writer import HistoryWriter
from otp_service.policy import Guard
from otp_service.store.connection import Client, connect
from otp_service.store.held import Command, packed
from otp_service.store.scripts import Scripts
from otp_service.verification.send import SendRequest
from tests.support.numbers import crowd
from tests.support.patience import PATIENT_LIMITS
from tests.support.ports import HOST
from tests.support.spine import Spine, make_spine, prefix_of
from tests.support.valkey_server import ValkeyServer

PARTITIONS = 64
A_SECOND = 100
"""Acts of one process between two writes of its stories and figures."""
CONNECTIONS = 16
"""Each waits for an answer before it asks again, as a thread of the product does."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What one call of an act asks: the key that names its slot, and the bytes of its commands."""

    key: str
    wire: bytes
    commands: int

    @property
    def slot(self) -> int:
        """The slot of its keys."""
        return int(key_slot(self.key.encode()))

    @property
    def kind(self) -> str:
        """What shares its slot: the guard's counters, a partition's challenges, an account's breakers, or little."""
        tag = self.key.partition("}")[0].rpartition("{")[2].split(":")[1:]
        known = {"guard": "guard", "b": "account"}
        return known.get(tag[0], "partition" if re.fullmatch("[0-9a-f]{2}", tag[0]) else "other")


Act = Sequence[Exchange]


class Recorder(Scripts):
    """The product's scripts on a client with time to spare, which remembers what they ask."""

    def __init__(self, url: str) -> None:
        super().__init__(
            lambda: connect(url, connections=4, name="bench", limits=PATIENT_LIMITS),
            lambda _name, _seconds: None,
            limits=PATIENT_LIMITS,
        )
        self._asked: list[Exchange] = []

    def taken(self) -> Act:
        """Return what was asked since the last time."""
        asked, self._asked = self._asked, []
        return asked

    def _exchange(self, client: Client, key: str, commands: Sequence[Command]) -> list[Any]:
        self._asked.append(Exchange(key, packed(commands), len(commands)))
        return super()._exchange(client, key, commands)


def record(url: str, rules: Guard, count: int) -> list[Act]:
    """Let so many people get a code and type it; return what each of them asked of the store, in order.

    Each has a number and an address of its own. Stories and figures are written as a process does once a second: what
    they ask is a part of every act of which there are so many a second. Acts before them make scripts known everywhere.
    """
    scripts = Recorder(url)
    spine, numbers, acts = make_spine(scripts, partitions=PARTITIONS, guard=rules), crowd(), []
    _listen(spine)
    for place, number in enumerate(islice(numbers, PARTITIONS + count)):
        _verify(spine, number, f"10.{place // 62500}.{place // 250 % 250}.{place % 250}")
        if place % A_SECOND == 0:
            spine.journal.hand_over()
        acts.append(scripts.taken())
    scripts.close()
    return acts[PARTITIONS:]


def _listen(spine: Spine) -> None:
    """Write stories and figures, as the product does unless it is told not to."""
    spine.journal.listen(HistoryWriter(spine.store.stories, spine.seal, dropped=lambda _: None))
    spine.journal.listen(Counters(spine.scripts, prefix=prefix_of(spine.store)).take)


def _verify(spine: Spine, number: str, address: str) -> None:
    """Send a code, deliver it and check it, as an app, a worker and an app do."""
    id_ = spine.send.send(replace(spine.caller, address=address), SendRequest(to=number)).challenge_id
    spine.dispatcher.dispatch(id_, lambda: False)
    assert spine.check.verify(spine.caller, id_, spine.phone.next()[1]).token


@dataclass(frozen=True, slots=True)
class Replayed:
    """How a server answered: acts in so many seconds, and the seconds of a core that it took for them."""

    acts: int
    seconds: float
    cpu: float

    @property
    def full(self) -> float:
        """Acts a second at which one core is full."""
        return self.acts / self.cpu

    @property
    def busy(self) -> float:
        """The share of one core that it took."""
        return self.cpu / self.seconds


def replayed(server: ValkeyServer, acts: Sequence[Act]) -> Replayed:
    """Ask a server what acts asked of it: each act's calls in order, many acts beside one another."""
    before, started = cpu_seconds(server), time.perf_counter()
    _ask_all(server.port, iter(acts))
    took = time.perf_counter() - started
    return Replayed(len(acts), took, cpu_seconds(server) - before)


def cpu_seconds(server: ValkeyServer) -> float:
    """Return the seconds of a core that a server has taken, with its threads, as the kernel counts them."""
    found = server.client().info("cpu")
    return float(found["used_cpu_user"] + found["used_cpu_sys"])


class _Asking:
    """A connection that works off one act after another."""

    def __init__(self, port: int, acts: Iterator[Act]) -> None:
        self.socket = socket.create_connection((HOST, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._acts, self._received, self._expected = acts, b"", 0
        self._act: Iterator[Exchange] = iter(())

    def ask(self) -> bool:
        """Ask the next thing; False if there is none."""
        exchange = next(self._act, None)
        while exchange is None:
            act = next(self._acts, None)
            if act is None:
                return False
            self._act = iter(act)
            exchange = next(self._act, None)
        self._received, self._expected = b"", exchange.commands
        self.socket.sendall(exchange.wire)
        return True

    def receive(self) -> bool:
        """Read what has come; say whether the answer is whole."""
        part = self.socket.recv(1 << 16)
        assert part, "the server closed a connection"
        self._received += part
        at: int | None = 0
        for _ in range(self._expected):
            at = None if at is None else _end(self._received, at)
        return at is not None


def _ask_all(port: int, acts: Iterator[Act]) -> None:
    with selectors.DefaultSelector() as ready, ExitStack() as opened:
        for one in (_Asking(port, acts) for _ in range(CONNECTIONS)):
            opened.callback(one.socket.close)
            if one.ask():
                ready.register(one.socket, selectors.EVENT_READ, one)
        while ready.get_map():
            for key, _ in ready.select():
                if key.data.receive() and not key.data.ask():
                    ready.unregister(key.fileobj)


def _end(received: bytes, at: int) -> int | None:
    """Return where an answer (RESP2) ends, or None while a part is missing. Raises AssertionError if it is an error."""
    line = received.find(b"\r\n", at)
    if line < 0:
        return None
    kind, rest, after = received[at : at + 1], received[at + 1 : line], line + 2
    assert kind != b"-", rest
    if kind in b":+" or rest == b"-1":
        return after
    if kind == b"$":
        end = after + int(rest) + 2
        return end if end <= len(received) else None
    end = after
    for _ in range(int(rest)):
        inner = _end(received, end)
        if inner is None:
            return None
        end = inner
    return end
