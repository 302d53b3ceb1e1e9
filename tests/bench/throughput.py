"""Pairs of a send and a check a second, under load over HTTP, beside what hashing alone allows and beside a peer."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from otp_service.crypto.code_hashes import Claim, Hasher
from tests.bench.costs import hash_ms
from tests.bench.drawing import Curve, draw
from tests.bench.figures import Figure
from tests.bench.load import Seen, run
from tests.bench.services import bare_view, peer, product

CONNECTIONS = (8, 32, 200)
PEAK_AT = 32
SHARE = 0.7
"""Load of the open loop, as a share of the most that came through."""
FAST_CPU = 5
"""Milliseconds that a pair may cost in all with the profile `fast`."""
OF_THE_BOUND, OF_THE_PEER, OF_QUICK = 0.95, 1.2, 0.95
"""Shares of what hashing allows (`owasp`), of a peer's own routes (`fast`), of an upstream that answers at once."""
SEND_MS, CHECK_HASHES, HANDED_MS = 15, 2.5, 150
"""Bounds of the open loop; that of a check is in hashes."""
CURVE = (0.3, 0.5, 0.7, 0.9)
_CLAIM = Claim("00" + "a" * 22, "login", "")


def hash_bound(profile: str, seconds: float) -> Figure:
    """Measure how many pairs a second this machine could hash, two Argon2 runs each, if nothing else cost anything."""
    cores = os.cpu_count() or 1
    hasher = Hasher({"p1": b"p" * 32}, profile, cores)
    ends = time.perf_counter() + seconds

    def hash_until() -> int:
        count = 0
        while time.perf_counter() < ends:
            hasher.hash("123456", _CLAIM, hasher.scheme)
            count += 1
        return count

    with ThreadPoolExecutor(cores) as threads:
        started = time.perf_counter()
        hashed = sum(one.result() for one in [threads.submit(hash_until) for _ in range(cores)])
        took = time.perf_counter() - started
    return Figure(
        f"bound by hashing, {profile}", hashed / took / 2, "pairs/s", f"{cores} cores, nothing else"
    )


def pairs(profile: str, seconds: float, loads: Sequence[int] = CONNECTIONS) -> Iterator[Figure]:
    """Measure the product: closed loops, then an open loop at 70 % of the peak."""
    bound = hash_bound(profile, min(3, seconds))
    yield bound
    with product(profile) as target:
        peak = 0.0
        for connections in loads:
            seen = run(target, connections=connections, seconds=seconds, warmup=min(4, seconds))
            peak = max(peak, seen.per_second)
            name = f"{profile}, {connections} connections"
            yield from _closed(name, seen, most_cpu=FAST_CPU if profile == "fast" else None)
            least = OF_THE_BOUND if profile == "owasp" else None
            yield Figure(
                f"  share of the bound, {name}", seen.per_second / bound.value, "of bound", least=least
            )
        yield from _opened(profile, run(target, rate=peak * SHARE, seconds=seconds), peak)


def frame(seconds: float, loads: Sequence[int] = CONNECTIONS[:2]) -> Iterator[Figure]:
    """Measure a bare Flask view: two of it are the floor of a pair, besides hashing, store and upstream."""
    with bare_view() as target:
        for connections in loads:
            seen = run(target, connections=connections, seconds=seconds)
            name = f"bare Flask view, {connections} connections"
            yield Figure(name, seen.per_second, "requests/s", f"p99 {seen.ms['send']['p99']:.1f} ms")
            yield Figure(f"  CPU of a request, {name}", seen.cpu, "ms", "server and view alone")


def peers(seconds: float) -> Iterator[Figure]:
    """Measure better-auth, whose codes are stored in clear text."""
    for name, bare in (("better-auth, own routes", False), ("better-auth, bare calls", True)):
        with peer(bare=bare) as target:
            for connections in CONNECTIONS[:2]:
                seen = run(target, connections=connections, seconds=seconds)
                yield from _closed(f"{name}, {connections} connections", seen)


def against_peers(found: Mapping[str, float]) -> Iterator[Figure]:
    """Compare what the product and the peer did in the same run, where both are known."""
    for connections in CONNECTIONS[:2]:
        ours = found.get(f"fast, {connections} connections")
        for name, least in (("own routes", OF_THE_PEER), ("bare calls", None)):
            theirs = found.get(f"better-auth, {name}, {connections} connections")
            if ours and theirs:
                title = f"fast beside better-auth's {name}, {connections} connections"
                yield Figure(title, ours / theirs, "of theirs", "the same run", least=least)


def curve(profile: str, seconds: float, path: str, shares: Sequence[float] = CURVE) -> Iterator[Figure]:
    """Draw how long a send and a check take against the load."""
    with product(profile) as target:
        peak = run(target, connections=PEAK_AT, seconds=seconds).per_second
        points = [(peak * share, run(target, rate=peak * share, seconds=seconds)) for share in shares]
    draw(
        path,
        title=f"p99 against load, profile {profile}",
        across="pairs a second",
        up="milliseconds",
        curves=[
            Curve(name, [(rate, seen.ms[part]["p99"]) for rate, seen in points])
            for name, part in (("send", "send"), ("202 to upstream", "handed"), ("check", "verify"))
        ],
    )
    yield Figure(f"peak of the curve, {profile}", peak, "pairs/s", f"drawn in {path}")


def slow_upstream(profile: str, seconds: float, connections: int) -> Iterator[Figure]:
    """Measure what an upstream that takes half a second costs."""
    with product(profile) as target:
        quick, slow = (
            run(one, connections=connections, seconds=seconds).per_second
            for one in (target, target.slower(500))
        )
    how = f"{connections} connections"
    yield Figure(f"upstream of 500 ms, {profile}", slow / quick, "of quick", how, least=OF_QUICK)


def _closed(name: str, seen: Seen, *, most_cpu: float | None = None) -> Iterator[Figure]:
    cpu = ", ".join(f"{part} {value:.1f}" for part, value in seen.cpu_ms.items())
    memory = ", ".join(f"{part} {value:.0f}" for part, value in seen.resident_mib.items())
    errors = f"; errors {dict(seen.errors)}" if seen.errors else ""
    yield Figure(
        name, seen.per_second, "pairs/s", f"p99 of a pair {seen.ms['journey']['p99']:.0f} ms{errors}"
    )
    yield Figure(
        f"  CPU of a pair, {name}",
        seen.cpu,
        "ms",
        f"{cpu}; others used {seen.others_cores:.2f} cores",
        most=most_cpu,
    )
    yield Figure(f"  memory, {name}", sum(seen.resident_mib.values()), "MiB", memory)


def _opened(profile: str, seen: Seen, peak: float) -> Iterator[Figure]:
    how = f"open loop at {SHARE:.0%} of {peak:.0f}/s"
    hashed = hash_ms(profile, 5)
    for name, part, quantile, most in (
        ("send p99", "send", "p99", SEND_MS),
        ("check p99", "verify", "p99", CHECK_HASHES * hashed),
        ("202 to upstream p95", "handed", "p95", HANDED_MS),
    ):
        yield Figure(f"{name}, {profile}", seen.ms[part][quantile], "ms", how, most=round(most, 1))
