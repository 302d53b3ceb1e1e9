"""How fast a machine hashes, and what it is told about the library that hashes."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from otp_service.ops import hash_speed
from otp_service.ops.hash_speed import Speed, has_avx2, is_portable, measure, usable_cores
from otp_service.settings import PROFILES


def test_each_profile_that_settings_allow_is_measured() -> None:
    """A profile with more memory and passes costs more."""
    speeds = measure(2, milliseconds=20)
    assert tuple(speeds) == PROFILES
    assert speeds["fast"].alone < speeds["owasp"].alone
    assert speeds["fast"].rate > speeds["owasp"].rate > 0


def test_a_hash_costs_the_cores_that_hash_meanwhile() -> None:
    """Two cores that make a hundred a second spend 20 ms on each."""
    assert Speed(alone=0.01, rate=100, cores=2).core_seconds == 0.02


def test_figures_can_be_written_and_read() -> None:
    """As they go from one process to another."""
    speeds = {"owasp": Speed(alone=0.02, rate=90.5, cores=2)}
    assert hash_speed.read(hash_speed.write(speeds)) == speeds


@pytest.mark.parametrize(
    ("tag", "portable"),
    [
        ("cp310-abi3-manylinux_2_28_x86_64", True),
        ("cp310-abi3-musllinux_1_2_aarch64", True),
        ("cp310-abi3-linux_x86_64", False),
        ("cp310-abi3-macosx_11_0_arm64", True),
    ],
)
def test_a_wheel_of_an_index_is_told_from_one_that_was_compiled_here(tag: str, *, portable: bool) -> None:
    """By the platform in its tag: an index takes only builds for any machine (PEP 600)."""
    assert is_portable(f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n") is portable


@pytest.mark.parametrize(
    ("flags", "has"), [("fpu sse2 avx avx2 bmi2", True), ("fpu sse2 avx", False), ("avx2x", False)]
)
def test_a_processor_says_what_it_has(tmp_path: Path, flags: str, *, has: bool) -> None:
    """In the words of Linux; without them nothing is claimed."""
    cpuinfo = tmp_path / "cpuinfo"
    assert not has_avx2(cpuinfo)
    cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t: avx2\n")
    assert has_avx2(cpuinfo) is has


UNIFIED, OLDER = ("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")
"""Where Linux says a quota and its period: with control groups of version 2, and of version 1."""


@pytest.mark.parametrize("files", [UNIFIED, OLDER], ids=["version 2", "version 1"])
@pytest.mark.parametrize(
    ("quota", "cores"), [("50000", 1), ("100000", 1), ("250000", 2), ("max", 4096), ("900000000", 4096)]
)
def test_a_containers_quota_bounds_its_cores(
    tmp_path: Path, files: Sequence[str], quota: str, cores: int
) -> None:
    """A machine may have many more than a container may use; Linux says in two ways how many these are."""
    (tmp_path / "cpu").mkdir()
    none = {"cpu/cpu.cfs_quota_us": "-1"}
    said = [none.get(files[0], "max") if quota == "max" else quota, "100000"]
    for file, text in zip(files, said if len(files) > 1 else [" ".join(said)], strict=True):
        (tmp_path / file).write_text(f"{text}\n")
    assert usable_cores(tmp_path) == min(cores, usable_cores(tmp_path / "absent"))
