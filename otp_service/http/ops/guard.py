"""The operators' HTTP API for the guard: blocks and pins.

Must not know rules or counters. Numbers are in bodies only, never in a path.
"""

from typing import Any

from flask import Blueprint, g

from otp_service import errors
from otp_service.http.body import load
from otp_service.http.operation import OPS_KEYS, operation
from otp_service.http.schemas.guard import (
    BlocksSchema,
    DoneSchema,
    ExplainedSchema,
    ExplainSchema,
    LiftSchema,
    PinSchema,
    PinsSchema,
    UnpinSchema,
    WhySchema,
)
from otp_service.http.view import core
from otp_service.ops.audit import AuditNote
from otp_service.ops.pins import Pin

views = Blueprint("ops_guard", __name__, url_prefix="/ops")


@views.get("/blocks")
@operation(summary="List blocks", answer=BlocksSchema, keys=OPS_KEYS, role="read", by_app=True)
def list_blocks() -> dict[str, Any]:
    """Show what the guard refuses now, and blocks that ended within a day."""
    return {"blocks": core().blocks.read_all(g.active.policy, scope=g.scope)}


@views.post("/blocks/explain")
@operation(
    summary="Explain what the guard would do with a send",
    body=ExplainSchema,
    answer=ExplainedSchema,
    keys=OPS_KEYS,
    role="read",
    problems=(errors.InvalidNumber,),
)
def explain_send() -> dict[str, Any]:
    """Show the verdict of each rule. Nothing is counted or sent."""
    return core().blocks.explain(g.active.policy, **load(ExplainSchema))


@views.post("/blocks/lift")
@operation(
    summary="Lift a block",
    body=LiftSchema,
    answer=DoneSchema,
    keys=OPS_KEYS,
    role="operate",
    by_app=True,
    problems=(errors.NotFound,),
)
def lift_block() -> dict[str, Any]:
    """Remove it and reset its counter."""
    wanted = load(LiftSchema)
    core().blocks.lift(wanted["id"], _audit_note(wanted), scope=g.scope)
    return {"done": True}


@views.get("/pins")
@operation(summary="List pins", answer=PinsSchema, keys=OPS_KEYS, role="read")
def list_pins() -> dict[str, Any]:
    """Show what is always allowed or always refused. Numbers are masked."""
    return {"pins": core().pins.read_all()}


@views.post("/pins")
@operation(
    summary="Always allow or refuse a number, a prefix or an address",
    body=PinSchema,
    answer=DoneSchema,
    keys=OPS_KEYS,
    role="operate",
    problems=(errors.InvalidNumber,),
)
def create_pin() -> dict[str, Any]:
    """Pin a subject; the most specific pin decides. Budgets of money, app and service always apply."""
    wanted = load(PinSchema)
    hours = wanted.get("hours")
    until = core().store.facts.time() + hours * 3_600_000 if hours else None
    made = Pin(kind=wanted["kind"], subject=wanted["subject"], what=wanted["what"], until=until)
    core().pins.write(made, _audit_note(wanted))
    return {"done": True}


@views.post("/pins/show")
@operation(summary="List pins with whole numbers", body=WhySchema, answer=PinsSchema, keys=OPS_KEYS)
def show_pins() -> dict[str, Any]:
    """Show whole numbers to an admin. The audit trail says who looked, and why."""
    return {"pins": core().pins.show_numbers(_audit_note(load(WhySchema)))}


@views.post("/pins/lift")
@operation(
    summary="Remove a pin",
    body=UnpinSchema,
    answer=DoneSchema,
    keys=OPS_KEYS,
    role="operate",
    problems=(errors.InvalidNumber, errors.NotFound),
)
def lift_pin() -> dict[str, Any]:
    """Let the rules decide again."""
    wanted = load(UnpinSchema)
    core().pins.remove(wanted["kind"], wanted["subject"], _audit_note(wanted))
    return {"done": True}


def _audit_note(wanted: dict[str, Any]) -> AuditNote:
    return AuditNote(by=g.operator, reason=wanted["reason"])
