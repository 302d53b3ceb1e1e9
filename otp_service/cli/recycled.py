"""The `recycled` command: operators name numbers that have new owners.

Knows options and files. Must not know what a new owner changes.
"""

import sys
from pathlib import Path

import click

from otp_service.bootstrap.operations import Operations
from otp_service.cli.refusals import read_file
from otp_service.cli.session import author_option, on_store, reason_option
from otp_service.ops.audit import AuditNote
from otp_service.ops.recycled import RECYCLED_FOR


@click.command
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--days",
    type=click.IntRange(1, 365),
    default=RECYCLED_FOR,
    show_default=True,
    help="How long they count as recycled.",
)
@reason_option
@author_option
@on_store
def recycled(base: Operations, *, file: Path, days: int, reason: str, by: str) -> None:
    """Name numbers that have new owners: one in each line of FILE, with its country code."""
    lines = [line for line in read_file(file).splitlines() if line.strip()]
    print(f"{len(lines)} lines", file=sys.stderr)
    taken, wrong = base.recycled_numbers.record(lines, AuditNote(by=by, reason=reason), days=days)
    print(f"{taken} numbers are recycled for {days} days, {wrong} lines were no numbers")
