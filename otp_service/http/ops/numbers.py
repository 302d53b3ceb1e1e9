"""The operators' HTTP API for numbers: suppressed, forgotten and recycled ones.

Knows that numbers are in bodies only, never in a path. Must not know how they are stored.
"""

from dataclasses import asdict
from typing import Any

from flask import Blueprint, g

from otp_service import errors
from otp_service.http.body import load
from otp_service.http.operation import OPS_KEYS, operation
from otp_service.http.schemas.challenge import NumberSchema
from otp_service.http.schemas.numbers import (
    ForgetSchema,
    ForgottenSchema,
    LiftedSchema,
    RecycledCountSchema,
    RecycledSchema,
    SuppressionSchema,
)
from otp_service.http.view import core
from otp_service.ops.audit import AuditNote
from otp_service.ops.recycled import RECYCLED_FOR

FORGET_WITHIN = 4.0
"""Seconds within which a request must have found a number's challenges; the rest takes several times as long."""
views = Blueprint("ops_numbers", __name__, url_prefix="/ops")


@views.post("/suppressions/look")
@operation(
    summary="Read a suppression",
    body=NumberSchema,
    answer=SuppressionSchema,
    keys=OPS_KEYS,
    role="read",
    problems=(errors.InvalidNumber,),
)
def get_suppression() -> dict[str, Any]:
    """Look up a number. The call is a POST because a number must not be in a URL."""
    found = core().replies.read_suppression(**load(NumberSchema))
    return {"suppressed": found is not None, **(found or {})}


@views.post("/suppressions/lift")
@operation(
    summary="Lift a suppression",
    body=NumberSchema,
    answer=LiftedSchema,
    keys=OPS_KEYS,
    role="operate",
    problems=(errors.InvalidNumber,),
)
def lift_suppression() -> dict[str, Any]:
    """Lift it only if the person asked for it in another way than by sending START."""
    lifted = core().replies.lift_suppression(**load(NumberSchema), by=g.operator)
    return {"lifted": lifted}


@views.post("/numbers/forget")
@operation(
    summary="Forget a number",
    body=ForgetSchema,
    answer=ForgottenSchema,
    keys=OPS_KEYS,
    role="admin",
    problems=(errors.InvalidNumber,),
)
def forget_number() -> dict[str, Any]:
    """Erase all of it and end its challenges. A large store needs the command."""
    return asdict(core().erasure.forget(**load(ForgetSchema), by=g.operator, seconds=FORGET_WITHIN))


@views.post("/numbers/recycled")
@operation(
    summary="Report recycled numbers",
    body=RecycledSchema,
    answer=RecycledCountSchema,
    keys=OPS_KEYS,
    role="operate",
    large=True,
)
def recycle_numbers() -> dict[str, Any]:
    """Forget the devices that verified them. For a while, refuse the purposes that the policy names."""
    wanted = load(RecycledSchema)
    days = wanted.get("days", RECYCLED_FOR)
    taken, wrong = core().recycled_numbers.record(
        wanted["numbers"], AuditNote(by=g.operator, reason=wanted["reason"]), days=days
    )
    return {"taken": taken, "no_numbers": len(wrong)}
