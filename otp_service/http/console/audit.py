"""Audit: who changed what, when and why; on the page, as CSV and as JSON lines.

Knows how acts are shown and written to files. Must not know any single act.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from itertools import chain, islice

from flask import Blueprint, Response, g, render_template, request

from otp_service.http.console.frame import for_role, is_limited
from otp_service.http.console.words import machine_time
from otp_service.http.view import core
from otp_service.ops.audit_trail import PAGE, Act

views = Blueprint("audit", __name__)
COLUMNS = ("at", "act", "by", "reason", "about")


@views.get("/audit")
@for_role("read", by_app=True)
def show() -> str:
    """Show acts, newest first."""
    trail, before = core().audit_trail, _before()
    acts = list(islice(trail.read_all(g.scope, before), PAGE)) if is_limited() else trail.read(before)
    more = acts[-1].at if len(acts) == PAGE else None
    return render_template("console/audit.html", acts=acts, more=more)


@views.get("/audit.csv")
@for_role("read", by_app=True)
def export_table() -> Response:
    """Return all acts that are kept, as a table."""
    lines = chain([_line(COLUMNS)], map(_row, core().audit_trail.read_all(g.scope)))
    return _file(lines, "audit.csv", "text/csv; charset=utf-8")


@views.get("/audit.jsonl")
@for_role("read", by_app=True)
def export_lines() -> Response:
    """Return all acts that are kept, as one JSON object a line."""
    lines = (json.dumps(_record(act)) + "\n" for act in core().audit_trail.read_all(g.scope))
    return _file(lines, "audit.jsonl", "application/jsonl")


def _before() -> int | None:
    """Read the moment before which acts are shown; None for the newest."""
    given = request.args.get("before", "")
    return int(given) if given.isascii() and given.isdecimal() and len(given) < 16 else None  # noqa: PLR2004


def _file(lines: Iterator[str], name: str, kind: str) -> Response:
    response = Response(lines, content_type=kind)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _record(act: Act) -> dict[str, object]:
    return {
        "at": machine_time(act.at),
        "act": act.name,
        "by": act.by,
        "reason": act.reason,
        "about": act.about,
    }


def _row(act: Act) -> str:
    record = _record(act)
    return _line([*(record[name] for name in COLUMNS[:-1]), json.dumps(act.about)])


def _line(cells: Iterable[object]) -> str:
    """Write a line of a table. A cell that a spreadsheet would take for a formula gets an apostrophe in front."""
    written = io.StringIO()
    csv.writer(written).writerow([_cell(str(cell)) for cell in cells])
    return written.getvalue()


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
