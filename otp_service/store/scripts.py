"""The one way to call a Lua script, with bounded time and retries.

Knows the operations that are safe to repeat, and which failures pass. Must not know keys or what a script means.

Retries happen in `Scripts.bounded` alone. They are safe because every script takes an operation id, or changes nothing
when it runs again.
"""

import random
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from itertools import groupby
from typing import Any, TypeVar

from redis import Redis, RedisCluster
from redis.client import PubSub
from redis.crc import key_slot
from redis.exceptions import ClusterCrossSlotError, NoScriptError, ResponseError
from redis.exceptions import ConnectionError as Unreachable
from redis.exceptions import TimeoutError as TimedOut

from otp_service.errors import StoreUnavailable
from otp_service.store.connection import AWAY, USUAL_LIMITS, Client, Limits
from otp_service.store.held import Command, Exchanges, wait
from otp_service.store.replication import NOT_REPLICATED, Durability, unconfirmed
from otp_service.store.silence import Silences
from otp_service.store.sources import Call, Sources
from otp_service.store.topology import holder_of
from otp_service.telemetry.failures import Failures

PAUSES = (0.05, 0.1)
"""Seconds before the second and the third try, plus random jitter of up to the same length."""
RETRY_AFTER = 2
SCAN_COUNT = 500
"""Keys that a server scans in one step of a walk: few enough not to delay other callers."""

T = TypeVar("T")

# Errors that mean: the server cannot work now. Any other error of a script is a bug of ours.
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


class Scripts:
    """Calls the Lua scripts of this package, each within a time limit."""

    def __init__(
        self,
        make_client: Callable[[], Client],
        observe: Callable[[str, float], None],
        *,
        offset: int = 0,
        limits: Limits = USUAL_LIMITS,
        durability: Durability = NOT_REPLICATED,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        sources: Sources | None = None,
    ) -> None:
        """`limits` are the ones that the client was made with; `clock` and `sleep` use seconds.

        `durability` is what `call_durably` waits for.
        `offset` (milliseconds) is added to the server's clock in every script. Only tests set it, or other `sources`.
        """
        self._make_client, self._sources = make_client, sources or Sources()
        self.offset = offset
        self.admit: Callable[[], None] = lambda: None
        """Raises StoreUnavailable as long as this process must not use the store."""
        self._observe = observe
        """Gets the name and the seconds of each call; the name is `error` if it failed."""
        self._limits = limits
        self._clock, self._sleep = clock, sleep
        self._durability = durability
        self._failures, self._unacknowledged = Failures(clock), Failures(clock)
        self._silences = Silences(RETRY_AFTER)
        self._exchanges = Exchanges(patience=limits.pool)
        self._client: Client | None = None
        self._making = threading.Lock()

    def call(self, name: str, keys: Sequence[str], *arguments: str | float) -> Any:  # noqa: ANN401 - the script's
        """Run a script; the same operation may reach the server twice.

        Raises StoreUnavailable if the server does not answer in time.
        """
        return self._run(Call(name, keys, arguments))[0]

    def call_durably(self, name: str, keys: Sequence[str], *arguments: str | float) -> Any:  # noqa: ANN401 - as `call`
        """Run a script that must write, and wait until enough replicas have what it wrote.

        Raises StoreUnavailable, which says if the script ran and a promotion may undo it.
        """
        return self._run(Call(name, keys, arguments), durability=self._durability)[0]

    def call_in_turn(
        self, calls: Sequence[Call], beside: Sequence[Call] = (), *, durably: bool = False
    ) -> list[Any]:
        """Run scripts one after another, whatever they answer: in one round trip if they can be.

        In a cluster nothing is said if those `beside` do not run. Raises StoreUnavailable; any of them may have run.
        """
        durability = self._durability if durably else NOT_REPLICATED
        if not isinstance(self._client, RedisCluster):
            return self._run(*calls, *beside, durability=durability)[: len(calls)]
        answers = [a for _, near in groupby(calls, _slot) for a in self._run(*near, durability=durability)]
        self.call_each(beside)
        return answers

    def call_each(self, calls: Sequence[Call]) -> None:
        """Run scripts, in one round trip if they can be. Nothing is said of those that do not run."""
        apart = isinstance(self._client, RedisCluster)
        for _, together in groupby(calls, lambda call: apart and _slot(call)):
            with suppress(StoreUnavailable):
                self._run(*together)

    def _run(self, *calls: Call, durability: Durability = NOT_REPLICATED) -> list[Any]:
        """Run scripts in one round trip, and return what each of them answers."""
        if not calls:
            return []
        name, key = "+".join(dict.fromkeys(call.name for call in calls)), calls[0].keys[0]
        answers = self.bounded(lambda client: self.evaluate(client, key, calls, durability), name, key)
        if durability.replicas:
            self._check_replicas(name, int(answers.pop()), durability)
        return answers

    def _check_replicas(self, name: str, acknowledged: int, wanted: Durability) -> None:
        """Raise StoreUnavailable if too few replicas have what was written."""
        if acknowledged < wanted.replicas:
            self._observe("unacknowledged", wanted.milliseconds / 1000)
            self._unacknowledged.failed("store.unacknowledged", script=name, replicas=acknowledged)
            raise unconfirmed(RETRY_AFTER)
        self._unacknowledged.succeeded("store.acknowledged")

    def first(self, keys: Iterable[str]) -> str | None:
        """Read the first value found under any of these keys, which may be in different slots."""
        return next((value for key in keys if (value := self._get(key))), None)

    def delete(self, keys: Iterable[str]) -> int:
        """Delete keys, which may be in different slots; return how many existed."""
        return sum(self.call("delete", [key]) for key in keys)

    def _get(self, key: str) -> str | None:
        """Read a value with GET. A script would cost half as much again."""
        [found] = self.bounded(lambda client: self._exchange(client, key, [("GET", key)]), "get", key)
        return None if found is None else str(found)

    def bounded(self, act: Callable[[Client], T], name: str, key: str = "") -> T:
        """Run an operation that is safe to repeat, within the time budget; `key` is one that it needs, if any.

        Raises StoreUnavailable; at once if the server of a cluster that holds the key is silent and is being tried.
        """
        self.admit()
        server = holder_of(self._client, key)
        with self._silences.caller(server) if server else nullcontext():
            return self.tried(act, name, server)

    def tried(self, act: Callable[[Client], T], name: str, server: str = "") -> T:
        """Do what `bounded` does, but also if this process must not use the store."""
        started = self._clock()
        for pause in (*PAUSES, None):
            try:
                result = act(self._connected())
            except AWAY as error:
                if not _is_passing(error):
                    raise
                if isinstance(error, TimedOut):
                    self._silences.record_silence(server)
                spent = self._clock() - started
                self._observe("error", spent)
                if pause is None or spent + self._limits.one_try > self._limits.budget:
                    cause = type(error).__name__
                    self._failures.failed("store.away", kind=cause, cause=cause, script=name)
                    raise StoreUnavailable(retry_after=RETRY_AFTER) from error
                self._sleep(pause + random.uniform(0, pause))  # noqa: S311 - jitter
            else:
                self._silences.record_answer(server)
                self._observe(name, self._clock() - started)
                self._failures.succeeded("store.back")
                return result
        raise AssertionError  # the last pause is None

    def ask_servers(self, ask: Callable[[Redis], T], name: str) -> list[T]:
        """Ask each server that takes writes for part of the keys. Raises StoreUnavailable."""
        return self.bounded(lambda client: [ask(server) for server in _servers(client)], name)

    def walk(self, pattern: str, name: str) -> Iterator[list[tuple[str, str]]]:
        """Yield all keys that match, with their values, in batches, from every server of a cluster.

        A key that is written meanwhile may be missed; one that is moved may come twice. Raises StoreUnavailable.
        """
        for server in self.bounded(_servers, name):
            cursor = 0
            while True:
                cursor, found = self.bounded(partial(_page, server, cursor, pattern), name)
                yield found
                if not cursor:
                    break

    def listen(self, channel: str) -> PubSub:
        """Subscribe to a channel on its own connection. Raises AWAY."""
        subscription: PubSub = self._connected().pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        subscription.subscribe(channel)
        return subscription

    def close(self) -> None:
        """Close all connections."""
        self._exchanges.close()
        if self._client is not None:
            self._client.close()

    def _connected(self) -> Client:
        if self._client is not None:
            return self._client
        if not self._making.acquire(timeout=self._limits.one_try):
            raise Unreachable("another thread is still trying to connect")
        try:
            if self._client is None:
                self._client = self._make_client()
            return self._client
        finally:
            self._making.release()

    def holder_of(self, key: str) -> str:
        """Name the server of a cluster that holds a key; empty for a single server or an unknown one."""
        return holder_of(self._client, key)

    def evaluate(self, client: Client, key: str, calls: Sequence[Call], durability: Durability) -> list[Any]:
        """Run scripts at the server that holds a key, once; within `bounded`. Raises AWAY."""
        waits = [wait(durability.replicas, durability.milliseconds)] if durability.replicas else []
        if self._sources.are_sent(calls):
            with suppress(
                NoScriptError
            ):  # a server may drop its scripts at any time; then these are sent again
                return self._exchange(client, key, self._sources.by_hash(calls, self.offset) + waits)
        answers = self._exchange(client, key, self._sources.whole(calls, self.offset) + waits)
        self._sources.record_sent(calls)
        return answers

    def _exchange(self, client: Client, key: str, commands: Sequence[Command]) -> list[Any]:
        """Send commands to the server that holds a key. Raises the first error that it answers."""
        answers = self._exchanges.exchange(client, key, commands)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers


def _slot(call: Call) -> int:
    """Return the slot of a call's keys."""
    return int(key_slot(call.keys[0].encode()))


def _servers(client: Client) -> list[Redis]:
    """Return a client for each server that holds part of the keys."""
    if isinstance(client, Redis):
        return [client]
    return [client.get_redis_connection(node) for node in client.get_primaries()]  # type: ignore[no-untyped-call]


def _page(server: Redis, cursor: int, pattern: str, _: Client) -> tuple[int, list[tuple[str, str]]]:
    following, keys = server.scan(cursor, match=pattern, count=SCAN_COUNT)
    pipeline = server.pipeline(transaction=False)  # MGET takes the keys of one slot only
    for key in keys:
        pipeline.get(key)
    texts = pipeline.execute()
    return following, [(str(key), text) for key, text in zip(keys, texts, strict=True) if text is not None]


def _is_passing(error: Exception) -> bool:
    # Redis 6.2 wraps the word: "ERR Error running script (...): @user_script:25: -READONLY You can't write..."
    text = re.sub(r"^(?:ERR )?Error running script.*? -(?=[A-Z]+ )", "", str(error))
    return type(error) not in _FAULTS or text.startswith(_PASSING_ANSWERS)


_FAULTS = frozenset({ResponseError, ClusterCrossSlotError})
"""Errors of a script, unless they start with a word that passes; and keys of one call in different slots."""
