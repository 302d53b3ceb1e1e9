"""How much memory the processes of the API and the workers have under load, and whether it grows."""

from collections.abc import Iterator

from tests.bench.figures import Figure
from tests.bench.load import Target, run
from tests.bench.processes import memories
from tests.bench.services import product

CONNECTIONS = 200
MOST_MIB = {"api": 120, "worker": 150}
"""What one process may have, by its kind."""
LONGEST = 50
"""Seconds of one run of the load generator."""
FLAT = 1.1


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


def _all(target: Target) -> float:
    return sum(each.resident for name in MOST_MIB for each in memories(target.pids[name]))
