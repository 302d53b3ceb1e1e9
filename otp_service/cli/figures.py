"""The `figures` command: what was asked for, sent and verified.

Knows how figures look in a terminal. Must not know how they are counted.
"""

import csv
import json
import sys
from typing import Any

import click

from otp_service.bootstrap.operations import Operations
from otp_service.cli.options import format_time
from otp_service.cli.session import on_store
from otp_service.figures.summary import as_table
from otp_service.ops.figures import USUAL_FROM

_SHOWN = (
    "asked",
    "let_in",
    "refused",
    "sent",
    "delivered",
    "reached",
    "fell_back",
    "failed",
    "verified",
    "money",
    "p90_seconds",
)


@click.command
@click.option(
    "--from", "from_", default=USUAL_FROM, show_default=True, metavar="TIME", help="24h, 7d, a day or a time."
)
@click.option("--to", default="", metavar="TIME", help="Until when; now if omitted.")
@click.option("--by", default="", metavar="NAMES", help="Such as time,country,channel,account,route,app.")
@click.option("--filter", "filter_", default="", metavar="PAIRS", help="Such as country:IN,channel:sms.")
@click.option("--json", "form", flag_value="json", help="Print everything as JSON.")
@click.option("--csv", "form", flag_value="csv", help="Print all columns as CSV.")
@on_store
def figures(base: Operations, *, from_: str, to: str, by: str, filter_: str, form: str | None) -> None:
    """Show what was asked for, let in, sent, delivered and verified.

    By hour within 48 hours, by day within 35 days (UTC).
    """
    found = base.figures.read(from_=from_, to=to, by=by, filter_=filter_)
    if form == "json":
        print(json.dumps(found, indent=2))
    elif form == "csv":
        csv.writer(sys.stdout, lineterminator="\n").writerows(as_table(found["rows"], found["by"]))
    else:
        print(_table(found))


def _table(found: dict[str, Any]) -> str:
    columns = [*found["by"], *_SHOWN]
    rows = [[_text(name, row[name]) for name in columns] for row in found["rows"] if found["by"]]
    total = ["total", *("" for _ in found["by"][1:])] if found["by"] else []
    rows.append([*total, *(_text(name, found["total"][name]) for name in _SHOWN)])
    widths = [max(len(line[place]) for line in [columns, *rows]) for place in range(len(columns))]
    texts = len(found["by"])
    lines = (
        "  ".join(
            cell.ljust(width) if place < texts else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in [columns, *rows]
    )
    return f"{format_time(found['from'])} to {format_time(found['to'])}\n" + "\n".join(lines)


def _text(name: str, value: Any) -> str:  # noqa: ANN401 - text, number or nothing
    if name == "time":
        return format_time(value)
    if value is None or value == "":
        return "-"
    return f"{value:,.2f}" if name == "money" else str(value)
