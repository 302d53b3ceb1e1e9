"""The operators' HTTP API: policy, simulation, upstreams, figures, suppressed numbers.

Knows operators' keys; must not be reachable with an app's key.
"""

from dataclasses import asdict
from typing import Any

from flask import Blueprint, g

from otp_service import errors
from otp_service.errors import ConfigurationError
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
from otp_service.ops.simulation import Question, difference, simulate
from otp_service.policy import ROLES, Policy
from otp_service.policy.versions import Version

views = Blueprint("ops_policy", __name__, url_prefix="/ops")


@views.get("/policy")
@operation(
    summary="The policy in force",
    answer=PolicyVersionSchema,
    keys=OPS_KEYS,
    role="read",
    problems=(errors.NotFound,),
)
def get_policy() -> dict[str, Any]:
    """Its text, and who applied it when and why."""
    newest = core().policies.newest()
    if newest is None:
        raise errors.NotFound
    return _shown(newest)


@views.get("/policy/<int:number>")
@operation(
    summary="An earlier version of the policy",
    answer=PolicyVersionSchema,
    keys=OPS_KEYS,
    role="read",
    problems=(errors.NotFound,),
)
def get_policy_version(number: int) -> dict[str, Any]:
    """As long as it is kept: the newest 200 are."""
    return _shown(_version(number))


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
    """Every mistake is named with its line."""
    return {"warnings": list(_checked(load(PolicyTextSchema)["text"]).warnings)}


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
    """In force everywhere within two seconds; running challenges keep their plans."""
    wanted = load(PolicyApplySchema)
    return _applied(wanted["text"], wanted["reason"], wanted.get("expected"))


@views.get("/policy/history")
@operation(
    summary="Who changed the policy, when and why", answer=PolicyHistorySchema, keys=OPS_KEYS, role="read"
)
def list_policy_versions() -> dict[str, Any]:
    """List the newest first."""
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
    """As a new version; without a number, the one before the one in force."""
    wanted = load(PolicyRollbackSchema)
    earlier = _version(wanted.get("version") or core().policies.head() - 1)
    return _applied(earlier.text, f"rollback to {earlier.number}: {wanted['reason']}", None)


@views.get("/policy/diff/<int:old>/<int:new>")
@operation(
    summary="What changed from one version to another",
    answer=PolicyDiffSchema,
    keys=OPS_KEYS,
    role="read",
    problems=(errors.NotFound,),
)
def compare_policy_versions(old: int, new: int) -> dict[str, Any]:
    """As a unified diff."""
    return {"diff": difference(_version(old), _version(new))}


@views.post("/policy/simulate")
@operation(
    summary="What a number would get, and why",
    body=SimulateSchema,
    answer=SimulationSchema,
    keys=OPS_KEYS,
    role="read",
    problems=(errors.InvalidNumber, errors.PolicyInvalid, errors.NotFound),
    large=True,
)
def simulate_send() -> dict[str, Any]:
    """With the policy in force, or with `text`. Nothing is sent, charged or counted."""
    wanted = load(SimulateSchema)
    text = wanted.pop("text", None)
    policy = _checked(text) if text is not None else g.active.policy
    now = core().store.facts.time()
    return simulate(
        policy,
        Question(**wanted),
        lambda channel, country: core().conversion.learned_wait(now, channel, country),
        core().admission.explain,
    )


def _applied(text: str, reason: str, expected: int | None) -> dict[str, Any]:
    loaded = _checked(text)
    if g.role != ROLES[-1]:
        expected = _with_the_same_access(loaded, expected)
    applied = core().policies.apply(text, author=_author(), reason=reason, expected=expected)
    return _brief(applied) | {"warnings": list(loaded.warnings)}


def _with_the_same_access(loaded: Policy, expected: int | None) -> int:
    """See that who may call and who hears stay the same; gives the version for which that is so.

    Whoever may apply a policy could otherwise make an operator of any role in it, or have all codes sent to himself.
    Raises RoleNotAllowed.
    """
    newest = core().policies.newest()
    before = g.active.policy if newest is None else _checked(newest.text)
    number = newest.number if newest else 0
    if expected not in {None, number}:
        raise errors.PolicyConflict(number)
    if _access(before) != _access(loaded):
        raise errors.RoleNotAllowed(
            ROLES[-1], "A change of who may call, or of where codes, events and human checks go"
        )
    return number


def _access(policy: Policy) -> tuple[object, ...]:
    """Give what says who may call, and where codes, secrets and events go."""
    apps = {
        name: (
            app.origins,
            app.publishable_keys,
            app.secret_keys,
            app.events,
            policy.guard_of(name).human_check,
        )
        for name, app in policy.apps.items()
    }
    upstreams = {
        name: (one.kind, one.base_url, one.token_env, one.auth, one.paths, one.balance_paths, one.receipts)
        for name, one in policy.upstreams.items()
    }
    return policy.operators, apps, upstreams


def _checked(text: str) -> Policy:
    try:
        return core().activation.check(text)
    except ConfigurationError as error:
        raise errors.PolicyInvalid(error.problems) from None


def _version(number: int) -> Version:
    found = core().policies.version(number)
    if found is None:
        raise errors.NotFound("There is no such version of the policy, or no longer.")
    return found


def _author() -> str:
    return str(g.operator)


def _brief(found: Version) -> dict[str, Any]:
    shown = asdict(found)
    del shown["text"]
    return shown | {"version": shown.pop("number")}


def _shown(found: Version) -> dict[str, Any]:
    return _brief(found) | {"text": found.text}
