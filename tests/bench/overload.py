"""Five times as many messages as can be sent: what comes through, how late it is, and how soon all is normal again."""

import statistics
import threading
import time
from collections.abc import Iterator

import requests

from tests.bench.figures import Figure
from tests.bench.load import Target, run
from tests.bench.services import product
from tests.support.patience import PATIENCE

TIMES = 5
"""Offered load, in multiples of the most that came through."""
PEAK_AT = 32
PROBE_EVERY = 0.05
"""Seconds between two probes of health."""
AFTER = 5
"""Seconds after the load until all must be normal again."""
GOODPUT, HANDED, HEALTH_MS, NORMAL_MS = 0.9, 5, 200, 150
"""What comes through, of the peak; seconds from 202 to upstream; milliseconds of a probe, and of the same way after."""
QUIET = 0.3
"""Load after the overload, as a share of the most that came through."""


class _Probe(threading.Thread):
    """Asks /healthz again and again, and notes how long each answer took (milliseconds)."""

    def __init__(self, target: Target) -> None:
        super().__init__(daemon=True)
        self._url = f"http://127.0.0.1:{target.port}/healthz"
        self._ended = threading.Event()
        self.took: list[float] = []

    def run(self) -> None:
        """Ask until stopped."""
        with requests.Session() as session:
            while not self._ended.wait(PROBE_EVERY):
                started = time.perf_counter()
                session.get(self._url, timeout=PATIENCE).raise_for_status()
                self.took.append((time.perf_counter() - started) * 1000)

    def stop(self) -> float:
        """Stop; return what 99 of 100 answers did not exceed."""
        self._ended.set()
        self.join()
        return statistics.quantiles(self.took, n=100)[98]


def overloaded(profile: str, seconds: float) -> Iterator[Figure]:
    """Measure the peak, then an open loop of five times as much, then what an ordinary load meets afterwards."""
    with product(profile) as target:
        peak = run(target, connections=PEAK_AT, seconds=min(8, seconds)).per_second
        probe = _Probe(target)
        probe.start()
        seen = run(target, rate=TIMES * peak, seconds=min(58, seconds), warmup=2)
        health = probe.stop()
        after = run(target, rate=QUIET * peak, seconds=min(5, seconds), warmup=0)
    how = f"{profile}, {TIMES} x {peak:.0f}/s"
    refused = sum(count for what, count in seen.errors.items() if what.endswith(" 503"))
    lost = sum(count for what, count in seen.errors.items() if not what.endswith(" 503"))
    yield Figure(
        f"overload, goodput, {profile}",
        seen.per_second / peak,
        "of peak",
        f"{how}, {refused} refused",
        least=GOODPUT,
    )
    yield Figure(
        f"  202 to upstream p95, overload, {profile}",
        seen.ms["handed"]["p95"] / 1000,
        "s",
        f"{seen.ms['handed']}",
        most=HANDED,
    )
    yield Figure(f"  accepted and lost, {profile}", lost, "sends", f"errors {dict(seen.errors)}", most=0)
    yield Figure(f"  /healthz p99, {profile}", health, "ms", f"{len(probe.took)} probes", most=HEALTH_MS)
    yield Figure(
        f"  202 to upstream p95, {AFTER} s after, {profile}",
        after.ms["handed"]["p95"],
        "ms",
        f"at {QUIET:.0%} of peak; errors {dict(after.errors)}",
        most=NORMAL_MS,
    )
