"""The operators' HTTP API for the guard: blocks, pins, recycled numbers.

Must not know rules or counters. Numbers stand in bodies only, never in a path.
"""

from typing import Any

from flask import Blueprint, g

from otp_service import errors
from otp_service.http.edge import load, operation, parts
from otp_service.http.schemas.guard import (
    BlocksSchema,
    DoneSchema,
    ExplainedSchema,
    ExplainSchema,
    LiftSchema,
    PinSchema,
    PinsSchema,
    UnpinSchema,
)
from otp_service.http.schemas.numbers import RecycledCountSchema, RecycledSchema
from otp_service.ops.blocks import RECYCLED_FOR, Act, Pin

ops_guard = Blueprint("ops_guard", __name__, url_prefix="/ops")
OPS = ("ops",)


@ops_guard.get("/blocks")
@operation(summary="What the guard refuses now", answer=BlocksSchema, keys=OPS, role="read")
def list_blocks() -> dict[str, Any]:
    """Each with its counter's value, since when, until when and how often it refused; for a day after its end."""
    return {"blocks": parts().blocks.blocks()}


@ops_guard.post("/blocks/explain")
@operation(
    summary="What the guard would do with a send, and why",
    body=ExplainSchema,
    answer=ExplainedSchema,
    keys=OPS,
    role="read",
    problems=(errors.InvalidNumber,),
)
def explain() -> dict[str, Any]:
    """Nothing is charged."""
    return parts().blocks.explain(g.active.policy, **load(ExplainSchema))


@ops_guard.post("/blocks/lift")
@operation(
    summary="Lift a block",
    body=LiftSchema,
    answer=DoneSchema,
    keys=OPS,
    role="operate",
    problems=(errors.NotFound,),
)
def lift() -> dict[str, Any]:
    """Forget it and what was counted behind it."""
    wanted = load(LiftSchema)
    parts().blocks.lift(wanted["id"], _act(wanted))
    return {"done": True}


@ops_guard.get("/pins")
@operation(summary="Who is always let in, or never", answer=PinsSchema, keys=OPS, role="read")
def list_pins() -> dict[str, Any]:
    """Numbers are masked."""
    return {"pins": parts().blocks.pins()}


@ops_guard.post("/pins")
@operation(
    summary="Always allow or refuse a number, a prefix or an address",
    body=PinSchema,
    answer=DoneSchema,
    keys=OPS,
    role="operate",
    problems=(errors.InvalidNumber,),
)
def pin() -> dict[str, Any]:
    """Who is named more exactly decides. An allowed one still meets budgets of money, of its app and over all."""
    wanted = load(PinSchema)
    hours = wanted.get("hours")
    until = parts().store.facts.time() + hours * 3_600_000 if hours else None
    made = Pin(kind=wanted["kind"], subject=wanted["subject"], what=wanted["what"], until=until)
    parts().blocks.pin(made, _act(wanted))
    return {"done": True}


@ops_guard.post("/pins/lift")
@operation(
    summary="Take a pin away",
    body=UnpinSchema,
    answer=DoneSchema,
    keys=OPS,
    role="operate",
    problems=(errors.InvalidNumber, errors.NotFound),
)
def unpin() -> dict[str, Any]:
    """Let the rules decide again."""
    wanted = load(UnpinSchema)
    parts().blocks.unpin(wanted["kind"], wanted["subject"], _act(wanted))
    return {"done": True}


@ops_guard.post("/numbers/recycled")
@operation(
    summary="Name numbers that have new owners",
    body=RecycledSchema,
    answer=RecycledCountSchema,
    keys=OPS,
    role="operate",
    large=True,
)
def recycled() -> dict[str, Any]:
    """Devices that verified them are strangers again, and purposes that the policy names are refused for a while."""
    wanted = load(RecycledSchema)
    days = wanted.get("days", RECYCLED_FOR)
    taken, wrong = parts().blocks.recycle(wanted["numbers"], _act(wanted), days=days)
    return {"taken": taken, "no_numbers": wrong}


def _act(wanted: dict[str, Any]) -> Act:
    return Act(by=g.operator, reason=wanted["reason"])
