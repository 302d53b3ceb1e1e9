"""The `recycled` command: operators name numbers that have new owners.

Knows options and files. Must not know what a new owner changes.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from otp_service.bootstrap.operations import Operations
from otp_service.cli.options import author_option, reason_option
from otp_service.cli.refusals import read_file
from otp_service.cli.session import on_store
from otp_service.ops.audit import AuditNote
from otp_service.ops.recycled import RECYCLED_FOR

MOST_NAMED = 20
"""Skipped lines that are named."""


@click.command
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--days",
    type=click.IntRange(1, 365),
    default=RECYCLED_FOR,
    show_default=True,
    help="How many days they count as recycled.",
)
@reason_option
@author_option
@on_store
def recycled(base: Operations, *, file: Path, days: int, reason: str, by: str) -> None:
    """Record numbers that have new owners.

    FILE has one number per line, with its country code.
    """
    lines = {at: line for at, line in enumerate(read_file(file).splitlines(), start=1) if line.strip()}
    print(_counted(len(lines), "line"), file=sys.stderr)
    taken, wrong = base.recycled_numbers.record(lines.values(), AuditNote(by=by, reason=reason), days=days)
    print(f"{_counted(taken, 'number')} recorded for {_counted(days, 'day')}{_skipped(list(lines), wrong)}")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _skipped(lines: Sequence[int], wrong: Sequence[int]) -> str:
    """Name the lines that were skipped, the first of them if there are many."""
    if not wrong:
        return ""
    if len(wrong) == 1:
        return f"; line {lines[wrong[0]]} is not a phone number"
    named = [str(lines[place]) for place in wrong[:MOST_NAMED]]
    last = f"{more} more" if (more := len(wrong) - MOST_NAMED) > 0 else named.pop()
    return f"; lines {', '.join(named)} and {last} are not phone numbers"
