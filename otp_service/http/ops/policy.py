"""The operators' HTTP API: policy, simulation, upstreams, figures, suppressed numbers.

Knows operators' keys; must not be reachable with an app's key.
"""

from dataclasses import asdict
from typing import Any

from flask import Blueprint, g

from otp_service import errors
from otp_service.errors import ConfigurationError
from otp_service.http.edge import load, operation, parts
from otp_service.http.schemas.challenge import NumberSchema
from otp_service.http.schemas.numbers import ForgetSchema, ForgottenSchema, LiftedSchema, SuppressionSchema
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
from otp_service.http.schemas.upstreams import FiguresSchema, UpstreamsSchema
from otp_service.ops.simulation import Question, difference, simulate
from otp_service.policy import ROLES, Policy
from otp_service.policy.versions import Version
from otp_service.upstream.port import UpstreamError

ops = Blueprint("ops", __name__, url_prefix="/ops")
OPS = ("ops",)


# The policy.


@ops.get("/policy")
@operation(
    summary="The policy in force",
    answer=PolicyVersionSchema,
    keys=OPS,
    role="read",
    problems=(errors.NotFound,),
)
def show() -> dict[str, Any]:
    """Its text, and who applied it when and why."""
    newest = parts().policies.newest()
    if newest is None:
        raise errors.NotFound
    return _shown(newest)


@ops.get("/policy/<int:number>")
@operation(
    summary="An earlier version of the policy",
    answer=PolicyVersionSchema,
    keys=OPS,
    role="read",
    problems=(errors.NotFound,),
)
def version(number: int) -> dict[str, Any]:
    """As long as it is kept: the newest 200 are."""
    return _shown(_version(number))


@ops.post("/policy/check")
@operation(
    summary="Check a policy without applying it",
    body=PolicyTextSchema,
    answer=PolicyCheckedSchema,
    keys=OPS,
    role="read",
    problems=(errors.PolicyInvalid,),
    large=True,
)
def check() -> dict[str, Any]:
    """Every mistake is named with its line."""
    return {"warnings": list(_checked(load(PolicyTextSchema)["text"]).warnings)}


@ops.put("/policy")
@operation(
    summary="Apply a policy",
    body=PolicyApplySchema,
    answer=PolicyAppliedSchema,
    keys=OPS,
    role="operate",
    problems=(errors.PolicyInvalid, errors.PolicyConflict),
    large=True,
)
def apply() -> dict[str, Any]:
    """In force everywhere within two seconds; running challenges keep their plans."""
    wanted = load(PolicyApplySchema)
    return _applied(wanted["text"], wanted["reason"], wanted.get("expected"))


@ops.get("/policy/history")
@operation(summary="Who changed the policy, when and why", answer=PolicyHistorySchema, keys=OPS, role="read")
def history() -> dict[str, Any]:
    """List the newest first."""
    return {"versions": [_brief(one) for one in parts().policies.history()]}


@ops.post("/policy/rollback")
@operation(
    summary="Apply an earlier version again",
    body=PolicyRollbackSchema,
    answer=PolicyAppliedSchema,
    keys=OPS,
    role="operate",
    problems=(errors.NotFound, errors.PolicyInvalid, errors.PolicyConflict),
)
def rollback() -> dict[str, Any]:
    """As a new version; without a number, the one before the one in force."""
    wanted = load(PolicyRollbackSchema)
    earlier = _version(wanted.get("version") or parts().policies.head() - 1)
    return _applied(earlier.text, f"rollback to {earlier.number}: {wanted['reason']}", None)


@ops.get("/policy/diff/<int:old>/<int:new>")
@operation(
    summary="What changed from one version to another",
    answer=PolicyDiffSchema,
    keys=OPS,
    role="read",
    problems=(errors.NotFound,),
)
def diff(old: int, new: int) -> dict[str, Any]:
    """As a unified diff."""
    return {"diff": difference(_version(old), _version(new))}


@ops.post("/policy/simulate")
@operation(
    summary="What a number would get, and why",
    body=SimulateSchema,
    answer=SimulationSchema,
    keys=OPS,
    role="read",
    problems=(errors.InvalidNumber, errors.PolicyInvalid, errors.NotFound),
    large=True,
)
def simulated() -> dict[str, Any]:
    """With the policy in force, or with `text`. Nothing is sent, charged or counted."""
    wanted = load(SimulateSchema)
    text = wanted.pop("text", None)
    policy = _checked(text) if text is not None else g.active.policy
    now = parts().store.facts.time()
    return simulate(
        policy,
        Question(**wanted),
        lambda channel, country: parts().conversion.learned_wait(now, channel, country),
        parts().admission.explain,
    )


def _applied(text: str, reason: str, expected: int | None) -> dict[str, Any]:
    loaded = _checked(text)
    if g.role != ROLES[-1]:
        expected = _with_the_same_access(loaded, expected)
    applied = parts().policies.apply(text, author=_author(), reason=reason, expected=expected)
    return _brief(applied) | {"warnings": list(loaded.warnings)}


def _with_the_same_access(loaded: Policy, expected: int | None) -> int:
    """See that who may call and who hears stay the same; gives the version for which that is so.

    Whoever may apply a policy could otherwise make an operator of any role in it, or have all codes sent to himself.
    Raises RoleNotAllowed.
    """
    newest = parts().policies.newest()
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
        return parts().check_policy(text)
    except ConfigurationError as error:
        raise errors.PolicyInvalid(error.problems) from None


def _version(number: int) -> Version:
    found = parts().policies.version(number)
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


# Upstreams and figures.


@ops.get("/upstreams")
@operation(summary="How the upstream accounts do", answer=UpstreamsSchema, keys=OPS, role="read")
def upstreams() -> dict[str, Any]:
    """Call every account for its balance, and show its breakers."""
    channels: dict[str, list[str]] = {name: [] for name in g.active.accounts}
    for channel, name in g.active.senders:
        channels[name].append(channel)
    states = parts().breakers.states(channels)
    return {"upstreams": [_look(name) | {"breakers": states[name]} for name in g.active.accounts]}


def _look(name: str) -> dict[str, Any]:
    limit = g.active.policy.upstreams[name].gets_per_minute
    if not parts().store.get_budget.take(name, limit):
        return {"name": name, "status": "not asked: its limit of GET requests is used up", "balance": []}
    try:
        rows = g.active.accounts[name].balance()
    except UpstreamError as error:
        return {"name": name, "status": str(error), "balance": []}
    shown = [
        {"service": r.service, "name": r.name, "credits": r.credits, "postpaid": r.postpaid} for r in rows
    ]
    return {"name": name, "status": "ok", "balance": shown}


@ops.get("/figures")
@operation(summary="Conversion by channel, country and upstream", answer=FiguresSchema, keys=OPS, role="read")
def figures() -> dict[str, Any]:
    """Codes that went out and came back in the last seven days, and how soon."""
    rows = parts().conversion.read_rows(parts().store.facts.time())
    return {
        "figures": [
            {
                "channel": row.channel,
                "country": row.country,
                "upstream": row.upstream,
                "sent": row.sent,
                "verified": row.verified,
                "conversion": round(row.verified / row.sent, 4) if row.sent else None,
                "median_seconds": _rounded(row.seconds(0.5)),
                "p90_seconds": _rounded(row.seconds(0.9)),
            }
            for row in rows
        ]
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


# Suppressed numbers.


@ops.post("/suppressions/look")
@operation(
    summary="Whether a number wants no messages, and why",
    body=NumberSchema,
    answer=SuppressionSchema,
    keys=OPS,
    role="read",
    problems=(errors.InvalidNumber,),
)
def look_at_suppression() -> dict[str, Any]:
    """Take a POST, as a number must not stand in a URL."""
    found = parts().replies.read_suppression(**load(NumberSchema))
    return {"suppressed": found is not None, **(found or {})}


@ops.post("/suppressions/lift")
@operation(
    summary="Let a number get messages again",
    body=NumberSchema,
    answer=LiftedSchema,
    keys=OPS,
    role="operate",
    problems=(errors.InvalidNumber,),
)
def lift_suppression() -> dict[str, Any]:
    """Only if the person asked for it in another way than START."""
    lifted = parts().replies.lift_suppression(**load(NumberSchema), by=_author())
    return {"lifted": lifted}


# Erasure.


@ops.post("/numbers/forget")
@operation(
    summary="Erase all that is known of a number",
    body=ForgetSchema,
    answer=ForgottenSchema,
    keys=OPS,
    role="admin",
    problems=(errors.InvalidNumber,),
)
def forget_number() -> dict[str, Any]:
    """End its challenges at once. It goes through the whole store, so the answer may take seconds."""
    return asdict(parts().erasure.forget(**load(ForgetSchema), by=_author()))
