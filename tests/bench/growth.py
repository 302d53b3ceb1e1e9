"""What many pending challenges cost: throughput beside them, memory of each, and what is left when all have ended.

The store is filled with copies of what sends of the product leave there, far faster than the product could send.
"""

import itertools
import re
import socket
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from redis import Redis

from otp_service.store.due import BAND
from tests.bench.drawing import Curve, draw
from tests.bench.figures import Figure
from tests.bench.load import Target, run
from tests.bench.services import product
from tests.support.patience import until

CONNECTIONS = 32
COUNTS = (1_000, 100_000, 1_000_000)
SOON, LATE = 30, 1800
"""Seconds until copies end: so that the run sees it, or so that it does not."""
KEPT = 10
"""Seconds that ended copies are kept."""
MARK = b"@MARKS@"
"""Stands in a template for the end of a name; as long as what replaces it."""
COUNTED = b".%06d"
"""Replaces it: a point is in no name of the product's, so that copies are known from all else."""
CHUNK = 200
"""Rounds of copies that are sent in one write."""
_COPIED = re.compile(rb"\{[^}]+:(..)\}:c:(.*)|\{[^}]+\}:number:.*|[^:]+:u:.*")
"""The keys of one challenge: its record, its number's counters, and the upstream's name of its message."""


def growing(
    profile: str, seconds: float, path: str, counts: Sequence[int] = COUNTS, soon: int = SOON
) -> Iterator[Figure]:
    """Measure pairs a second beside more and more pending challenges. All but the last crowd end `soon`."""
    points: list[tuple[float, float]] = []
    with product(profile) as target:
        crowd = Crowd(target)

        def measure(count: int, lives: int) -> float:
            each = crowd.grow(count, lives)
            points.append((count, run(target, connections=CONNECTIONS, seconds=seconds).per_second))
            return each

        for count in counts[:-1]:
            measure(count, soon)
        left = crowd.wait_for_end()
        each = measure(counts[-1], LATE)
    draw(
        path,
        title=f"throughput beside pending challenges, profile {profile}",
        across="pending challenges",
        up="pairs a second",
        curves=[Curve(f"{CONNECTIONS} connections", points)],
    )
    how = ", ".join(f"{rate:.0f}/s beside {count}" for count, rate in points)
    name = f"growth to {counts[-1]} pending, {profile}"
    yield Figure(name, points[-1][1] / points[0][1], "of few", f"{how}; drawn in {path}", least=0.95)
    yield Figure(
        "  a pending challenge of these", each, "bytes", "record and place in the schedule", most=700
    )
    yield Figure("  left when all have ended", left, "keys", f"of {sum(counts[:-1])} challenges", most=0)


class Crowd:
    """Copies of pending challenges in a target's store."""

    def __init__(self, target: Target) -> None:
        """Let the product send a few messages that nobody answers, and learn what they leave."""
        assert target.store
        self._socket = target.store
        self._client = Redis(unix_socket_path=str(target.store))
        sends = replace(target, verify=None)
        run(sends, connections=8, seconds=1, warmup=1)
        before = self._keys()  # with what all numbers share
        run(sends, connections=8, seconds=1, warmup=0)
        found = [name for name in self._keys() - before if _COPIED.fullmatch(name)]
        # One that was on its way when the upstream ended has not been accepted.
        self._records = [name for name in found if b'"status":"accepted"' in self._record(name)]
        self._names = [*self._records, *(name for name in found if b":c:" not in name)]
        assert self._records
        self._numbers = iter(range(10**6))

    def grow(self, count: int, lives: int) -> float:
        """Store so many copies that live so many seconds; return the bytes that record and schedule take of each."""
        ends = (int(self._client.time()[0]) + lives) * 1000
        before = self._scheduled_bytes()
        template = self._template(ends, (lives + KEPT) * 1000)
        rounds = -(-count // len(self._records))
        numbers = itertools.islice(self._numbers, rounds)
        copies = (template.replace(MARK, COUNTED % number) for number in numbers)
        _send(self._socket, (b"".join(chunk) for chunk in _chunks(copies)))
        until(lambda: not self._client.info("persistence")["aof_rewrite_in_progress"], progress=object)
        place = (self._scheduled_bytes() - before) / (rounds * len(self._records))
        one = _marked(self._records[0]).replace(MARK, COUNTED % (next(self._numbers) - 1))
        return place + float(self._client.memory_usage(one, samples=0) or 0)

    def wait_for_end(self) -> int:
        """Wait until copies are left in stories only, or nothing changes; return how many keys and entries are left."""
        try:
            until(lambda: not self._left(), progress=self._left, pause=1)
        except AssertionError:
            return self._left()
        return 0

    def _keys(self) -> set[bytes]:
        return set(self._client.scan_iter(count=10_000))

    def _record(self, name: bytes) -> bytes:
        value: Any = self._client.get(name) if b":c:" in name else None
        return bytes(value or b"")

    def _schedules(self) -> list[bytes]:
        return list(self._client.scan_iter(match="{*}:due", count=10_000))

    def _scheduled_bytes(self) -> int:
        return sum(self._client.memory_usage(name, samples=0) or 0 for name in self._schedules())

    def _left(self) -> int:
        names = self._client.scan_iter(match="*." + "[0-9]" * 6, count=10_000)
        keys = sum(b":h:" not in name for name in names)  # a story is kept for as long as operators want it
        entries = sum(
            1
            for name in self._schedules()
            for id_, _ in self._client.zscan_iter(name, count=10_000)
            if b"." in id_
        )
        return keys + entries

    def _template(self, ends: int, ttl: int) -> bytes:
        """Return the commands that store one copy of everything; `ends` is when, `ttl` how long its keys stay."""
        parts = []
        for name in self._names:
            if name in self._records:
                partition, id_ = _COPIED.fullmatch(name).groups()  # type: ignore[union-attr]
                value = re.sub(rb'("expires":)\d+', rb"\g<1>%d" % ends, self._record(name))
                schedule = name.replace(b":c:" + id_, b":due")
                parts.append(_command(b"SET", _marked(name), value, b"PX", b"%d" % ttl))
                parts.append(_command(b"ZADD", schedule, b"%d" % (ends + BAND), _marked(partition + id_)))
                parts.append(_command(b"PEXPIRE", schedule, b"%d" % (2 * ttl)))
            else:
                whole: Any = self._client.dump(name)
                parts.append(_command(b"RESTORE", _marked(name), b"%d" % ttl, whole))
        return b"".join(parts)


def _marked(name: bytes) -> bytes:
    return name[: -len(MARK)] + MARK


def _command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def _chunks(copies: Iterable[bytes]) -> Iterator[list[bytes]]:
    rest = iter(copies)
    while chunk := list(itertools.islice(rest, CHUNK)):
        yield chunk


def _send(path: Path, writes: Iterable[bytes]) -> None:
    """Send commands without waiting for each answer. Raises AssertionError if one was refused."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))

        def send() -> None:
            for write in writes:
                connection.sendall(write)
            connection.sendall(_command(b"PING"))

        sender = threading.Thread(target=send)
        sender.start()
        heard = b""
        while not heard.endswith(b"+PONG\r\n"):
            heard = heard[-16:] + connection.recv(1 << 20)
            assert b"\r\n-" not in heard, heard[:200]
        sender.join()
