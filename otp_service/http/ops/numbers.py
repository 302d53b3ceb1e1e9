"""The operators' HTTP API for numbers: suppressed, forgotten and recycled ones.

Numbers are in bodies only, never in a path.
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

views = Blueprint("ops_numbers", __name__, url_prefix="/ops")


@views.post("/suppressions/look")
@operation(
    summary="Whether a number wants no messages, and why",
    body=NumberSchema,
    answer=SuppressionSchema,
    keys=OPS_KEYS,
    role="read",
    problems=(errors.InvalidNumber,),
)
def get_suppression() -> dict[str, Any]:
    """Take a POST, as a number must not stand in a URL."""
    found = core().replies.read_suppression(**load(NumberSchema))
    return {"suppressed": found is not None, **(found or {})}


@views.post("/suppressions/lift")
@operation(
    summary="Let a number get messages again",
    body=NumberSchema,
    answer=LiftedSchema,
    keys=OPS_KEYS,
    role="operate",
    problems=(errors.InvalidNumber,),
)
def lift_suppression() -> dict[str, Any]:
    """Only if the person asked for it in another way than START."""
    lifted = core().replies.lift_suppression(**load(NumberSchema), by=g.operator)
    return {"lifted": lifted}


@views.post("/numbers/forget")
@operation(
    summary="Erase all that is known of a number",
    body=ForgetSchema,
    answer=ForgottenSchema,
    keys=OPS_KEYS,
    role="admin",
    problems=(errors.InvalidNumber,),
)
def forget_number() -> dict[str, Any]:
    """End its challenges at once. It goes through the whole store, so the answer may take seconds."""
    return asdict(core().erasure.forget(**load(ForgetSchema), by=g.operator))


@views.post("/numbers/recycled")
@operation(
    summary="Name numbers that have new owners",
    body=RecycledSchema,
    answer=RecycledCountSchema,
    keys=OPS_KEYS,
    role="operate",
    large=True,
)
def recycle_numbers() -> dict[str, Any]:
    """Devices that verified them are strangers again, and purposes that the policy names are refused for a while."""
    wanted = load(RecycledSchema)
    days = wanted.get("days", RECYCLED_FOR)
    taken, wrong = core().recycled_numbers.record(
        wanted["numbers"], AuditNote(by=g.operator, reason=wanted["reason"]), days=days
    )
    return {"taken": taken, "no_numbers": wrong}
