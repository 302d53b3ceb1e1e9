"""What the processes of the API and the workers have: memory under load, and processor time while nothing is asked."""

import time
from collections.abc import Iterator
from contextlib import closing

from otp_service.delivery.reads import IDLE_POLL
from tests.bench.figures import Figure
from tests.bench.load import Target, run
from tests.bench.processes import memories, processor_seconds
from tests.bench.services import product
from tests.support.deployments import Cluster

CONNECTIONS = 200
MOST_MIB = {"api": 120, "worker": 150}
"""What one process may have, by its kind."""
LONGEST = 50
"""Seconds of one run of the load generator."""
FLAT = 1.1
IDLE_SHARE = 1.0
"""Per cent of a core that an idle worker may take."""


def staying(profile: str, seconds: float) -> Iterator[Figure]:
    """Put load on the product, look at the memory, do it again for so many seconds, and compare."""
    with product(profile) as target:
        run(target, connections=CONNECTIONS, seconds=min(seconds, 10))
        before = _all(target)
        left = seconds
        while left > 0:
            run(target, connections=CONNECTIONS, seconds=min(left, LONGEST))
            left -= LONGEST
        after = _all(target)
        largest = {name: max(each.peak for each in memories(target.pids[name])) for name in MOST_MIB}
    how = f"resident, at most, at {CONNECTIONS} connections"
    for name, most in MOST_MIB.items():
        yield Figure(f"largest {name} process, {profile}", largest[name], "MiB", how, most=most)
    note = f"{before:.0f} MiB of all processes, {after:.0f} MiB {seconds:.0f} s later"
    yield Figure(f"  memory after the run, {profile}", after / before, "of before", note, most=FLAT)


def idling(seconds: float) -> Iterator[Figure]:
    """Let one worker process wait for work, beside one server and beside a cluster of three."""
    with closing(Cluster()) as cluster:
        for name, settings in (("one server", {}), ("a cluster", {"OTP_REDIS_URL": cluster.url})):
            with product("fast", OTP_WORKER_PROCESSES="1", OTP_PARTITIONS="64", **settings) as target:
                time.sleep(2 * IDLE_POLL)  # until it reads as seldom as it does when idle
                before = processor_seconds(target.pids["worker"])
                time.sleep(seconds)
                used = processor_seconds(target.pids["worker"]) - before
            share = 100 * used / seconds
            yield Figure(f"idle worker, {name}", share, "% of core", "64 partitions", most=IDLE_SHARE)


def _all(target: Target) -> float:
    return sum(each.resident for name in MOST_MIB for each in memories(target.pids[name]))
