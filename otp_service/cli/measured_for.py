"""The option of the commands that measure: for how long.

Knows its words and limits. Must not know what is measured.
"""

import click

MEASURED_FOR = click.option(
    "--milliseconds",
    type=click.IntRange(10, 60_000),
    default=400,
    show_default=True,
    metavar="N",
    help="Measure each figure for so long; longer is steadier.",
)
