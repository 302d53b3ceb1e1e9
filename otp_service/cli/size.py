"""The `size` command: how many cores a rate of messages needs.

Knows how figures look in a terminal. Must not know how they are found.
"""

from collections.abc import Iterator

import click

from otp_service.cli.measured_for import MEASURED_FOR
from otp_service.ops import hash_speed, sizing
from otp_service.ops.sizing import Size


@click.command
@click.option(
    "--sends-per-minute",
    type=click.IntRange(1, 10_000_000),
    required=True,
    metavar="N",
    help="Messages in the busiest minute.",
)
@MEASURED_FOR
def size(*, sends_per_minute: int, milliseconds: int) -> None:
    """Say how many cores a rate of messages needs.

    The time of a hash is measured here, so run it on a machine like those that will serve. It needs no settings.
    """
    speeds = hash_speed.measure(hash_speed.usable_cores(), milliseconds)
    found = sizing.sizes(sends_per_minute, {name: speed.core_seconds for name, speed in speeds.items()})
    print(f"{sends_per_minute} messages a minute, each checked once; every core at {sizing.LOAD:.0%} load")
    print(f"  {'profile':18}{'one hash':>12}{'serve':>14}{'worker':>14}{'store':>14}")
    for one in found:
        print(f"  {one.profile:18}{speeds[one.profile].alone * 1000:>9.2f} ms", *_cores(one), sep="")
    print(_slot(sends_per_minute))


def _cores(size: Size) -> Iterator[str]:
    for cores in (size.api, size.worker, size.store):
        number = sizing.whole(cores)
        yield f"{f'{number} core' + ('s' if number > 1 else ''):>14}"


def _slot(per_minute: int) -> str:
    share = sizing.slot_share(per_minute)
    said = f"The guard's counters have one node, which takes {sizing.SLOT} sends a second: this is {share:.0%} of it."
    if share > 1:
        return f"{said} No cluster can carry this: divide the apps among deployments."
    return f"{said} It needs a node of its own." if share > sizing.LOAD else said
