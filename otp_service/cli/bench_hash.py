"""The `bench-hash` command: how fast this machine hashes, and what a build of Argon2 for it would gain.

Knows how figures look in a terminal. Must not know how they are measured.
"""

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from otp_service.cli.exit_codes import FAILED
from otp_service.cli.measured_for import MEASURED_FOR
from otp_service.ops import hash_speed, sizing
from otp_service.ops.hash_speed import NotBuilt, Speed

MEASURED_GAIN = "2.2 times as fast where it was measured (docs/performance.md)"


@click.command
@click.option(
    "--build", is_flag=True, help="Build Argon2 for this machine in a temporary folder; measure it."
)
@click.option(
    "--sends-per-minute", type=click.IntRange(1, 10_000_000), metavar="N", help="Say which profile fits."
)
@MEASURED_FOR
@click.option("--json", "as_json", is_flag=True, help="Print the figures of the installed Argon2 as JSON.")
def bench_hash(*, build: bool, sends_per_minute: int | None, milliseconds: int, as_json: bool) -> int:
    """Measure this machine's hashes, and which profile fits a rate.

    It needs no settings. --build needs pip, a C compiler and the package index, and installs
    nothing.
    """
    cores = hash_speed.usable_cores()
    speeds = hash_speed.measure(cores, milliseconds)
    if as_json:
        print(hash_speed.write(speeds))
        return 0
    print(f"Argon2 as installed ({hash_speed.PACKAGE} {hash_speed.installed_version()})")
    print(*_table(speeds, cores), sep="\n")
    try:
        built = _built(milliseconds) if build else {}
    except NotBuilt as error:
        print(error, file=sys.stderr)
        return FAILED
    if built:
        print(f"Argon2 built for this machine ({hash_speed.FLAGS})")
        print(*_table(built, cores), sep="\n")
    print(*_gain(speeds, built), sep="\n")
    if sends_per_minute:
        print(*_fit(sends_per_minute, speeds, cores), sep="\n")
        if built:
            print("with the build for this machine:", *_fit(sends_per_minute, built, cores), sep="\n")
    return 0


def _built(milliseconds: int) -> dict[str, Speed]:
    with tempfile.TemporaryDirectory(prefix="otp-argon2-") as folder:
        hash_speed.build(Path(folder), os.environ)
        return hash_speed.measure_build(Path(folder), os.environ, milliseconds)


def _table(speeds: Mapping[str, Speed], cores: int) -> Iterator[str]:
    every = f"hashes/s, {cores} cores"
    yield f"  {'profile':18}{'one hash':>12}{every:>22}"
    for name, speed in speeds.items():
        yield f"  {name:18}{speed.alone * 1000:>9.2f} ms{speed.rate:>22.0f}"


def _gain(speeds: Mapping[str, Speed], built: Mapping[str, Speed]) -> Iterator[str]:
    if built:
        gains = (f"{name} {speeds[name].alone / built[name].alone:.2f}" for name in speeds)
        yield f"A build for this machine is faster by these factors: {', '.join(gains)}"
    elif not hash_speed.is_portable():
        yield "The installed Argon2 was compiled on a machine of yours; a wheel would not be faster."
    elif hash_speed.has_avx2():
        yield f"It is a build for any machine. This processor has AVX2: a build for it was {MEASURED_GAIN}."
        yield "To measure it here: otp-service bench-hash --build"
    else:
        yield "It is a build for any machine. Whether a build for this processor gains: bench-hash --build"


def _fit(per_minute: int, speeds: Mapping[str, Speed], cores: int) -> Iterator[str]:
    found = sizing.sizes(per_minute, {name: speed.core_seconds for name, speed in speeds.items()})
    fits = sizing.strongest(found, cores)
    yield f"{per_minute} sends a minute, each checked once, at {sizing.LOAD:.0%} load:"
    for size in found:
        yield f"  {size.profile:18}{size.processes:>8.1f} of {cores} cores, besides the store's {size.store:.1f}"
    yield (
        f"{fits.profile} fits this machine." if fits else "No profile fits this machine alone: add machines."
    )
