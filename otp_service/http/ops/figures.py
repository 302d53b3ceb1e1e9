"""The operators' HTTP API for figures and advice.

Knows forms of answers. Must not know how anything is counted.
"""

from typing import Any

from flask import Blueprint, Response, g

from otp_service import errors
from otp_service.figures.summary import as_table
from otp_service.http.operation import OPS_KEYS, operation
from otp_service.http.query import accepts_csv, csv_answer, load_query
from otp_service.http.schemas.figures import AdviceSchema, FiguresQuerySchema, FiguresSchema
from otp_service.http.view import core

views = Blueprint("ops_figures", __name__, url_prefix="/ops")


@views.get("/figures")
@operation(
    summary="Show figures",
    query=FiguresQuerySchema,
    answer=FiguresSchema,
    keys=OPS_KEYS,
    role="read",
    by_app=True,
    problems=(errors.Invalid,),
    csv=True,
)
def list_figures() -> dict[str, Any] | Response:
    """Count what was asked for, let in, sent, delivered and verified: of 48 h by hour, of 35 d by day."""
    asked = load_query(FiguresQuerySchema)
    found = core().figures.read(
        from_=asked.get("from", ""),
        to=asked.get("to", ""),
        by=asked.get("by", ""),
        filter_=asked.get("filter", ""),
        scope=g.scope,
    )
    if accepts_csv(asked.get("format")):
        return csv_answer(as_table(found["rows"], found["by"]))
    return found


@views.get("/advice")
@operation(summary="Show what figures advise", answer=AdviceSchema, keys=OPS_KEYS, role="read")
def list_advice() -> dict[str, Any]:
    """Compare the orders of steps where a route has a split. Nothing changes by itself."""
    return core().figures.advise(g.active.policy)
