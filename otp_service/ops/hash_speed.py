"""How fast this machine hashes: with the Argon2 that is installed, and with one that was built for this machine.

Knows how the library is packaged, and where Linux says what a process may use. Must not know what is hashed, or what
a speed is good for.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from otp_service.crypto.code_hashes import Claim, Hasher
from otp_service.settings import PROFILES

PACKAGE = "argon2-cffi-bindings"
FLAGS = "-O3 -march=native"
"""What the compiler is told: x86-64-v3 is as fast, and runs on any processor since 2015."""
BUILD_WITHIN = 600
"""Seconds that a build may take: a slow machine may also have to build the tools."""
_PORTABLE = re.compile(r"^Tag: .*(manylinux|musllinux|macosx|win)", re.MULTILINE)
_CLAIM = Claim("00" + "a" * 22, "login", "")


class NotBuilt(Exception):
    """The library could not be built or measured here, with the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """The seconds of one hash alone, and the hashes a second of `cores` cores at once, which share the memory."""

    alone: float
    rate: float
    cores: int

    @property
    def core_seconds(self) -> float:
        """The seconds of one core that a hash costs when all cores hash."""
        return self.cores / self.rate


def measure(cores: int, milliseconds: int) -> dict[str, Speed]:
    """Measure each profile that settings allow, each figure for so many milliseconds."""
    return {name: _measure(name, cores, milliseconds / 1000) for name in PROFILES}


def _measure(profile: str, cores: int, seconds: float) -> Speed:
    hasher = Hasher({"p1": bytes(32)}, profile, cores)
    alone = statistics.median(_times(hasher, seconds))
    with ThreadPoolExecutor(cores) as threads:
        together = list(threads.map(lambda _: statistics.mean(_times(hasher, seconds)), range(cores)))
    return Speed(alone=alone, rate=sum(1 / each for each in together), cores=cores)


def _times(hasher: Hasher, seconds: float) -> list[float]:
    """Hash for so many seconds of a core; return how much of it each hash took, whatever else the machine does."""
    times: list[float] = []
    while sum(times) < seconds:
        started = time.thread_time()
        hasher.hash_here("123456", _CLAIM, hasher.scheme)
        times.append(time.thread_time() - started)
    return times


def usable_cores(groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Return how many cores this process may use: those that it may run on, within the quota of its container."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    most, period = _quota(groups)
    return max(1, min(allowed, int(most) // int(period))) if most.isdecimal() else allowed


def _quota(groups: Path) -> tuple[str, str]:
    """Return the time that all cores together may take in a period; `max` or -1, as Linux says, without a quota.

    Control groups of version 2 have both in one file, those of version 1 in two.
    """
    if (unified := groups / "cpu.max").exists():
        most, period = unified.read_text().split()
        return most, period
    older = [groups / "cpu" / f"cpu.cfs_{name}_us" for name in ("quota", "period")]
    if not all(file.exists() for file in older):
        return "max", ""
    most, period = (file.read_text().strip() for file in older)
    return most, period


def installed_version() -> str:
    """Return the version of the library that hashes."""
    return metadata.version(PACKAGE)


def is_portable(wheel: str | None = None) -> bool:
    """Return whether the library is a build for any machine, as package indexes hold it.

    `wheel` is the text of its file WHEEL (PEP 427); that of the installed one if omitted.
    """
    text = metadata.distribution(PACKAGE).read_text("WHEEL") if wheel is None else wheel
    return bool(_PORTABLE.search(text or ""))


def has_avx2(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Return whether the processor has what a build for this machine gains most from."""
    return cpuinfo.exists() and bool(re.search(r"^flags\s*:.*\bavx2\b", cpuinfo.read_text(), re.MULTILINE))


def build(folder: Path, environment: Mapping[str, str]) -> None:
    """Build the library for this machine into a folder; `environment` is that of pip.

    Raises NotBuilt with the last that pip said.
    """
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-cache-dir", "--no-binary", PACKAGE, "--target", str(folder)]
    command += [f"{PACKAGE}=={installed_version()}"]
    ended = _run(command, {**environment, "CFLAGS": FLAGS})
    if ended.returncode:
        said = (ended.stderr or ended.stdout).strip().splitlines()[-1:] or ["pip said nothing"]
        raise NotBuilt(
            f"Argon2 could not be built here. This needs pip, a C compiler and the package index. {said[0]}"
        )


def measure_build(folder: Path, environment: Mapping[str, str], milliseconds: int) -> dict[str, Speed]:
    """Measure the library of a folder, in a process that imports it from there."""
    command = [
        sys.executable,
        "-m",
        "otp_service",
        "bench-hash",
        "--json",
        "--milliseconds",
        str(milliseconds),
    ]
    ended = _run(command, {**environment, "PYTHONPATH": str(folder)})
    if ended.returncode:
        raise NotBuilt(f"What was built does not run: {ended.stderr.strip()[-200:]}")
    return read(ended.stdout)


def write(speeds: Mapping[str, Speed]) -> str:
    """Write speeds as JSON, by profile."""
    return json.dumps({name: asdict(speed) for name, speed in speeds.items()}, indent=2)


def read(text: str) -> dict[str, Speed]:
    """Read what `write` wrote."""
    return {name: Speed(**speed) for name, speed in json.loads(text).items()}


def _run(command: Iterable[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run our own interpreter. Raises NotBuilt if it takes too long."""
    try:
        return subprocess.run(  # noqa: S603 - our own interpreter, no shell
            list(command),
            env=dict(environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=BUILD_WITHIN,
        )
    except subprocess.TimeoutExpired:
        raise NotBuilt(f"Argon2 was not built and measured within {BUILD_WITHIN} s.") from None
