"""The operators' HTTP API for the policy: its versions, changes and simulation.

Knows how a version is shown. Must not know how a policy is checked or stored.
"""

from dataclasses import asdict
from typing import Any

from flask import Blueprint, g

from otp_service import errors
from otp_service.http.body import load
from otp_service.http.operation import OPS_KEYS, operation
from otp_service.http.schemas.policy import (
    PolicyAppliedSchema,
    PolicyApplySchema,
    PolicyCheckedSchema,
    PolicyDiffSchema,
    PolicyHistorySchema,
    PolicyRollbackSchema,
    PolicyTextSchema,
    PolicyVersionSchema,
    SimulateSchema,
    SimulationSchema,
)
from otp_service.http.view import core
from otp_service.ops.policy_changes import Applied, version_of
from otp_service.ops.simulation import Question
from otp_service.policy import ROLES, Policy
from otp_service.policy.versions import Version

views = Blueprint("ops_policy", __name__, url_prefix="/ops")


@views.get("/policy")
@operation(
    summary="Show the policy in force",
    answer=PolicyVersionSchema,
    keys=OPS_KEYS,
    role="read",
    problems=(errors.NotFound,),
)
def get_policy() -> dict[str, Any]:
    """Return its text, and who applied it when and why."""
    return _shown(version_of(core().policies))


@views.get("/policy/<number:number>")
@operation(
    summary="Show a version of the policy",
    answer=PolicyVersionSchema,
    keys=OPS_KEYS,
    role="read",
    problems=(errors.NotFound,),
)
def get_policy_version(number: int) -> dict[str, Any]:
    """Show one of the newest 200 versions."""
    return _shown(version_of(core().policies, number))


@views.post("/policy/check")
@operation(
    summary="Check a policy without applying it",
    body=PolicyTextSchema,
    answer=PolicyCheckedSchema,
    keys=OPS_KEYS,
    role="read",
    problems=(errors.PolicyInvalid,),
    large=True,
)
def check_policy() -> dict[str, Any]:
    """Report all errors with line numbers, and warn about likely mistakes."""
    changes = core().policy_changes
    return {"warnings": list(changes.warnings_about(changes.check(load(PolicyTextSchema)["text"])))}


@views.put("/policy")
@operation(
    summary="Apply a policy",
    body=PolicyApplySchema,
    answer=PolicyAppliedSchema,
    keys=OPS_KEYS,
    role="operate",
    problems=(errors.PolicyInvalid, errors.PolicyConflict),
    large=True,
)
def apply_policy() -> dict[str, Any]:
    """Put it into effect everywhere within two seconds. Running challenges keep their plans."""
    wanted = load(PolicyApplySchema)
    return shown_change(
        core().policy_changes.apply(
            wanted["text"],
            by=g.operator,
            reason=wanted["reason"],
            expected=wanted.get("expected"),
            same_access_as=same_access(),
        )
    )


@views.get("/policy/history")
@operation(summary="List versions of the policy", answer=PolicyHistorySchema, keys=OPS_KEYS, role="read")
def list_policy_versions() -> dict[str, Any]:
    """Show who changed it, when and why; newest first."""
    return {"versions": [_brief(one) for one in core().policies.history()]}


@views.post("/policy/rollback")
@operation(
    summary="Apply an earlier version again",
    body=PolicyRollbackSchema,
    answer=PolicyAppliedSchema,
    keys=OPS_KEYS,
    role="operate",
    problems=(errors.NotFound, errors.PolicyInvalid, errors.PolicyConflict),
)
def rollback_policy() -> dict[str, Any]:
    """Apply it as a new version. Without a number, this is the version before the one in force."""
    wanted = load(PolicyRollbackSchema)
    return shown_change(
        core().policy_changes.rollback(
            wanted.get("version"), by=g.operator, reason=wanted["reason"], same_access_as=same_access()
        )
    )


@views.get("/policy/diff/<number:old>/<number:new>")
@operation(
    summary="Compare two versions of the policy",
    answer=PolicyDiffSchema,
    keys=OPS_KEYS,
    role="read",
    problems=(errors.NotFound,),
)
def compare_policy_versions(old: int, new: int) -> dict[str, Any]:
    """Return a unified diff."""
    return {
        "diff": core().differences.between(version_of(core().policies, old), version_of(core().policies, new))
    }


@views.post("/policy/simulate")
@operation(
    summary="Simulate a send",
    body=SimulateSchema,
    answer=SimulationSchema,
    keys=OPS_KEYS,
    role="read",
    problems=(errors.InvalidNumber, errors.PolicyInvalid, errors.NotFound),
    large=True,
)
def simulate_send() -> dict[str, Any]:
    """Show what a number would receive. Nothing is sent or counted."""
    wanted = load(SimulateSchema)
    text = wanted.pop("text", None)
    policy = g.active.policy if text is None else core().policy_changes.check(text)
    return core().simulator.simulate(policy, Question(**wanted))


def same_access() -> Policy | None:
    """Return the policy whose access must not change, or None for an admin, who may change it."""
    active: Policy = g.active.policy
    return None if g.role == ROLES[-1] else active


def shown_change(applied: Applied) -> dict[str, Any]:
    """Show what a change of the policy did."""
    return _brief(applied.version) | {"warnings": list(applied.warnings), "changed": applied.changed}


def _brief(found: Version) -> dict[str, Any]:
    shown = asdict(found)
    del shown["text"]
    return shown | {"version": shown.pop("number")}


def _shown(found: Version) -> dict[str, Any]:
    return _brief(found) | {"text": found.text}
