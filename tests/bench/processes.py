"""How much memory and processor time processes have used, read from /proc."""

import os
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


def processor_seconds(pid: int) -> float:
    """Add up the processor time of a process and all its descendants that are alive."""

    def of(each: int) -> int:
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    return sum(map(of, family(pid))) / os.sysconf("SC_CLK_TCK")
