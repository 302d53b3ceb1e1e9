"""History of the policy: who changed it, what changed, and how to bring a version back.

Knows how versions are listed. Must not know how they are stored or applied.
"""

from flask import Blueprint, g, redirect, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

from otp_service import errors
from otp_service.http.console.forms import reason
from otp_service.http.console.frame import for_role
from otp_service.http.ops.policy import same_access
from otp_service.http.view import core
from otp_service.ops.policy_changes import version_of
from otp_service.policy.versions import Version

views = Blueprint("policy_history", __name__)


@views.get("/routes/history")
@for_role("read")
def show() -> str:
    """List versions, the one in force first."""
    return render_template("console/history.html", versions=core().policies.history())


@views.get("/routes/history/<number:number>")
@for_role("read")
def show_version(number: int) -> str:
    """Show what a version changed, its text, and what bringing it back would change."""
    return _page(number)


@views.post("/routes/history/<number:number>")
@for_role("operate")
def roll_back(number: int) -> str | AnyResponse | tuple[str, int]:
    """Put a version in force again, as a new one."""
    try:
        core().policy_changes.rollback(number, by=g.operator, reason=reason(), same_access_as=same_access())
    except (errors.Invalid, errors.RoleNotAllowed, errors.PolicyConflict) as error:
        return _page(number, error), 422
    return redirect(url_for("console.policy.show", done="applied"), 303)


def _page(number: int, refused: errors.OtpError | None = None) -> str:
    found, newest = version_of(core().policies, number), version_of(core().policies)
    before = core().policies.version(number - 1) if number > 1 else None
    return render_template(
        "console/version.html",
        version=found,
        newest=newest,
        made=_diff(before, found) if before else None,
        back=_diff(newest, found) if newest.number != number else None,
        refused=refused,
    )


def _diff(old: Version, new: Version) -> list[str]:
    return core().differences.between(old, new).splitlines()[2:]
