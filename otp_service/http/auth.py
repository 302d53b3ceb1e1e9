"""Who calls: an app by its publishable or secret key, or an operator by an ops key.

Knows the Authorization and Origin headers. Must not know what is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flask import current_app, g, request

from otp_service import errors
from otp_service.access.api_keys import digest
from otp_service.http import origins
from otp_service.http.client_address import client_address
from otp_service.http.standing import set_standing
from otp_service.http.view import core
from otp_service.ops.scope import EVERYTHING, Scope, scope_of
from otp_service.policy import ROLES, App, Policy
from otp_service.verification.caller import Caller

LEAKS = "otp_leaked_keys"
"""The extension of an application that logs secret keys in pages."""
_KEY_NAMES = {
    "publishable": "a publishable key (pk_...)",
    "secret": "a secret key (sk_...)",
    "ops": "an operator's key (ops_...)",
}


@dataclass(frozen=True, slots=True)
class _Identity:
    """The owner of a key: an app, or an operator with a role."""

    kind: str
    app: App | None = None
    operator: str | None = None
    role: str = ""
    scope: Scope = EVERYTHING


def bearer() -> str:
    """Return the credential of an `Authorization: Bearer` header; empty if there is none."""
    scheme, _, credential = request.headers.get("Authorization", "").partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else ""


def authenticate(kinds: Sequence[str], role: str, *, by_app: bool) -> None:
    """Identify the caller by its key and keep the result for this request.

    Raises MissingKey, UnknownKey, KeyNotAllowed if the key is of none of these kinds, RoleNotAllowed if an operator
    has a lower role than `role`, OperatorLimited unless the call is `by_app`, OriginNotAllowed or SecretKeyInPage.
    """
    key = bearer()
    if not key:
        raise errors.MissingKey
    g.active = core().active()
    found = _identity(g.active.policy, digest(key))
    if found is None:
        raise errors.UnknownKey
    _remember(found)
    if g.key_kind not in kinds:
        raise errors.KeyNotAllowed(f"This call needs {' or '.join(_KEY_NAMES[kind] for kind in kinds)}.")
    if g.key_kind == "ops":
        require_role(role)
        require_scope(by_app=by_app)
    if g.key_kind == "publishable":
        _check_origin(g.app)
    if g.key_kind == "secret":
        _check_no_page(g.app)


def is_operator(hashed: str) -> bool:
    """Tell whether an operator has the key with this hash, and keep who it is for this request."""
    g.active = core().active()
    found = _identity(g.active.policy, hashed)
    if found is None or found.kind != "ops":
        return False
    _remember(found)
    return True


def _remember(found: _Identity) -> None:
    g.key_kind, g.app, g.operator, g.role = found.kind, found.app, found.operator, found.role
    g.scope = found.scope


def _identity(policy: Policy, hashed: str) -> _Identity | None:
    """Find the owner of a key. Keys that the policy declares come first, then issued ones."""
    if declared := policy.key_owner(hashed):
        app, kind = declared
        return _Identity(kind, app=app)
    if operator := policy.operator_of(hashed):
        role = policy.operators[operator].role
        return _Identity("ops", operator=operator, role=role, scope=scope_of(policy, operator))
    issued = core().live_keys.key_of(hashed)
    if issued is None:
        return None
    if issued.kind == "ops":
        scope = scope_of(policy, issued.owner).within(issued.apps)
        return _Identity("ops", operator=issued.owner, role=issued.role, scope=scope)
    known = policy.apps.get(issued.owner)
    return _Identity(issued.kind, app=known) if known else None


def require_role(role: str, what: str = "This call") -> None:
    """Raise RoleNotAllowed unless the operator who calls has this role or a higher one."""
    if ROLES.index(g.role) < ROLES.index(role):
        raise errors.RoleNotAllowed(role, what)


def require_scope(*, by_app: bool) -> None:
    """Raise OperatorLimited if the operator is limited to apps, unless what is asked shows and does only these."""
    if g.scope.is_limited and not by_app:
        raise errors.OperatorLimited


def _check_origin(app: App) -> None:
    origin = request.headers.get("Origin")
    if origin is not None and origin not in app.origins:
        raise errors.OriginNotAllowed


def _check_no_page(app: App) -> None:
    """Raise SecretKeyInPage if a page sent the secret key. The log has one line a minute for each app."""
    origin = request.headers.get("Origin")
    if origins.is_from_another_page(origin, request.headers.get("Sec-Fetch-Site")):
        current_app.extensions[LEAKS].failed(
            "http.secret_key_in_page",
            kind=app.name,
            app=app.name,
            origin=origins.shown(origin or ""),
            request_id=g.request_id,
        )
        raise origins.SecretKeyInPage


def caller() -> Caller:
    """Describe the calling app to the use cases. Call it after `authenticate`."""
    return Caller(
        app=g.app,
        active=g.active,
        request_id=g.request_id,
        origin=request.headers.get("Origin"),
        address=peer_address() if g.key_kind == "publishable" else None,
        record_standing=set_standing,
    )


def peer_address() -> str:
    """Return the address that this request comes from."""
    forwarded = request.headers.get("X-Forwarded-For")
    return client_address(forwarded, request.remote_addr, core().settings.trusted_proxies)
