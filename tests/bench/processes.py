"""How much memory processes have, read from /proc."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of one process in MiB: resident now, resident at most, and its share of what it has with others (PSS)."""

    resident: float
    peak: float
    share: float


def family(pid: int) -> Iterator[int]:
    """Yield a process and all its descendants."""
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from family(int(child))


def memory(pid: int) -> Memory:
    """Read the memory of one process."""
    status, rollup = (Path(f"/proc/{pid}/{name}").read_text() for name in ("status", "smaps_rollup"))

    def mib(name: str, text: str) -> float:
        found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
        assert found, f"{name} is not known of process {pid}"
        return int(found[1]) / 1024

    return Memory(mib("VmRSS", status), mib("VmHWM", status), mib("Pss", rollup))


def memories(pid: int) -> list[Memory]:
    """Read the memory of each process of a family, the parent first."""
    return [memory(each) for each in family(pid)]
