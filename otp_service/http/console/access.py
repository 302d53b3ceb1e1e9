"""Apps and keys: who may call, and with which keys; add and remove apps, issue, rotate and revoke keys.

Knows the forms. Must not know how keys are stored or how a policy is edited. A new key is shown once, on the page that
answers its form.
"""

from collections.abc import Callable, Sequence
from typing import Any

from flask import Blueprint, g, render_template
from werkzeug.wrappers import Response as AnyResponse

from otp_service import errors
from otp_service.access.api_keys import read_lifetime
from otp_service.access.keyring import LABEL, Key
from otp_service.http.console.forms import field, reason
from otp_service.http.console.frame import for_role, is_limited
from otp_service.http.view import core
from otp_service.ops.apps import check_owner, limits_of, owns_key, require_key
from otp_service.policy import ROLES

views = Blueprint("access", __name__)
Answer = str | AnyResponse | tuple[str, int]
Shown = Sequence[tuple[str, Key]]
_HOUR = 3600


@views.get("/keys")
@for_role("read", by_app=True)
def show() -> str:
    """Show apps and keys."""
    return _page()


@views.post("/keys")
@for_role("admin", by_app=True)
def issue() -> Answer:
    """Issue a key."""

    def act() -> str:
        kind, owner, role = field("kind"), field("owner"), field("role")
        if kind not in {"publishable", "secret", "ops"}:
            raise errors.Invalid({"kind": ["must be publishable, secret or ops"]})
        check_owner(
            g.active.policy, kind=kind, owner=owner, role=role if kind == "ops" else "", scope=g.scope
        )
        issued = core().keyring.issue(
            kind,
            owner,
            by=g.operator,
            role=role if kind == "ops" else "",
            limited_to=limits_of(g.active.policy, kind=kind, owner=owner),
            label=_label(),
            lifetime=_lifetime(),
        )
        return _page(new=[issued])

    return _or_refused(act)


@views.post("/keys/rotate")
@for_role("admin", by_app=True)
def rotate() -> Answer:
    """Issue a successor; the old key stays valid for a day."""

    def act() -> str:
        require_key(core().keyring, field("id"), g.scope)
        return _page(new=[core().keyring.rotate(field("id"), by=g.operator, reason=reason())])

    return _or_refused(act)


@views.post("/keys/revoke")
@for_role("admin", by_app=True)
def revoke() -> Answer:
    """End a key."""

    def act() -> str:
        require_key(core().keyring, field("id"), g.scope)
        core().keyring.revoke(field("id"), by=g.operator, reason=reason())
        return _page(done="The key is revoked. It works nowhere within two seconds.")

    return _or_refused(act)


@views.post("/apps")
@for_role("admin")
def create_app() -> Answer:
    """Add an app to the policy, with its first keys."""

    def act() -> str:
        changed = core().apps.create(
            field("name"),
            brand=field("brand"),
            origins=field("origins").split(),
            by=g.operator,
            reason=reason(),
        )
        return _page(new=changed.keys, done="The app is in the policy, and in force within two seconds.")

    return _or_refused(act)


@views.post("/apps/remove")
@for_role("admin")
def remove_app() -> Answer:
    """Remove an app from the policy, and revoke its issued keys."""

    def act() -> str:
        core().apps.remove(field("name"), by=g.operator, reason=reason())
        return _page(done="The app is removed, and its issued keys are revoked.")

    return _or_refused(act)


def _or_refused(act: Callable[[], str]) -> Answer:
    """Act; if that is refused, show the page with the reason."""
    try:
        return act()
    except (errors.Invalid, errors.NotFound, errors.KeyConflict, errors.PolicyConflict) as error:
        return _page(refused=error), 422


def _page(new: Shown = (), **more: Any) -> str:  # noqa: ANN401 - of the template
    now, keys = core().keyring.read_all()
    return render_template(
        "console/access.html",
        apps=[app for app in g.active.policy.apps.values() if g.scope.has(app.name)],
        operators=() if is_limited() else g.active.policy.operators.values(),
        keys=sorted(
            (key for key in keys if owns_key(g.scope, key)),
            key=lambda key: (not key.is_live(now), key.owner, key.created),
        ),
        now=now,
        roles=ROLES,
        new=new,
        **more,
    )


def _label() -> str:
    label = field("label")
    if len(label) > LABEL:
        raise errors.Invalid({"label": [f"must be at most {LABEL} characters"]})
    return label


def _lifetime() -> int | None:
    given = field("expires")
    if not given:
        return None
    try:
        return read_lifetime(given, shortest=_HOUR)
    except ValueError as error:
        raise errors.Invalid({"expires": [str(error)]}) from None
