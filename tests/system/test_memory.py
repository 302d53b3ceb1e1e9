"""The service does its work within the least memory that docs/performance.md names for a container.

A container's limit counts what processes share once, as the sum of their shares (PSS) does. Beside that, each process
runs under a real limit of the kernel on its own data, beyond which it would get no more memory.
"""

import re
from pathlib import Path

import pytest

from tests.bench.load import run
from tests.bench.processes import family, memories
from tests.bench.resident import CONNECTIONS, MOST_MIB
from tests.bench.services import product
from tests.support.patience import until

pytestmark = [pytest.mark.slow, pytest.mark.needs_node]

MIB = 1024 * 1024
DATA, STACK = 160 * MIB, 1 * MIB
"""Limits of each process, as docs/performance.md names them: its data with the stacks of its threads, and one stack."""
SAID = " ".join(Path("docs/performance.md").read_text().split())
NAMED = re.search(r"needs (\d+) MiB for `serve` and (\d+) MiB for a worker", SAID)


def test_serve_and_worker_work_within_the_least_memory_that_the_documentation_names() -> None:
    """With the profile that takes most, and 200 connections at once."""
    assert NAMED is not None
    least = {"api": int(NAMED[1]), "worker": int(NAMED[2])}
    assert f"`ulimit -s {STACK // 1024}` and `ulimit -d {DATA // 1024}`" in SAID
    limited = ("prlimit", f"--data={DATA}", f"--stack={STACK}")
    with product("owasp", within=limited, OTP_WORKER_PROCESSES="2") as target:
        until(lambda: len(list(family(target.pids["worker"]))) == 3)  # it may begin after the API
        before = {name: list(family(target.pids[name])) for name in least}
        seen = run(target, connections=CONNECTIONS, seconds=20)
        assert {name: list(family(target.pids[name])) for name in least} == before
        after = {name: memories(target.pids[name]) for name in least}
    assert seen.journeys
    assert [what for what in seen.errors if what.endswith(" 500")] == []
    for name, most in least.items():
        assert max(each.peak for each in after[name]) <= MOST_MIB[name]
        assert sum(each.share for each in after[name]) <= most
