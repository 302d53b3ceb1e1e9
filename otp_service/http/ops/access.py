"""The operators' HTTP API for access: issued keys, and apps.

Knows how a key's record is shown. Must not know how keys are stored or how a policy is edited.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from flask import Blueprint, g

from otp_service import errors
from otp_service.access.keyring import OVERLAP, Key
from otp_service.http.body import load
from otp_service.http.operation import OPS_KEYS, operation
from otp_service.http.ops.policy import shown_change
from otp_service.http.schemas.access import (
    AppChangedSchema,
    AppCreateSchema,
    AppRemoveSchema,
    AppSchema,
    AppsSchema,
    IssuedKeySchema,
    IssuedKeysSchema,
    KeyCreateSchema,
    KeyRevokeSchema,
    KeyRotateSchema,
    NewKeySchema,
)
from otp_service.http.view import core
from otp_service.ops.apps import APP_KEY_KINDS, Changed, check_owner, limits_of, owns_key, require_key
from otp_service.policy import App

views = Blueprint("ops_access", __name__, url_prefix="/ops")


# Keys.


@views.get("/keys")
@operation(summary="List issued keys", answer=IssuedKeysSchema, keys=OPS_KEYS, role="read", by_app=True)
def list_keys() -> dict[str, Any]:
    """Show when each was last used, and keys that ended within 90 days; none that the policy declares."""
    now, keys = core().keyring.read_all()
    return {"keys": [_shown(key, now) for key in keys if owns_key(g.scope, key)]}


@views.post("/keys")
@operation(
    summary="Issue a key",
    body=KeyCreateSchema,
    answer=NewKeySchema,
    status=201,
    keys=OPS_KEYS,
    role="admin",
    by_app=True,
    problems=(errors.KeyConflict, errors.OperatorLimited),
)
def create_key() -> tuple[dict[str, Any], int]:
    """Return the key, which is shown only this once. It works everywhere within two seconds."""
    wanted = load(KeyCreateSchema)
    kind, owner, role = wanted["kind"], wanted["owner"], wanted.get("role", "")
    check_owner(g.active.policy, kind=kind, owner=owner, role=role, scope=g.scope)
    return _issued(
        *core().keyring.issue(
            kind,
            owner,
            by=g.operator,
            role=role,
            limited_to=limits_of(g.active.policy, kind=kind, owner=owner),
            label=wanted.get("label", ""),
            lifetime=wanted.get("expires"),
        )
    ), 201


@views.post("/keys/<key_id>/rotate")
@operation(
    summary="Rotate a key",
    body=KeyRotateSchema,
    answer=NewKeySchema,
    status=201,
    keys=OPS_KEYS,
    role="admin",
    by_app=True,
    problems=(errors.NotFound, errors.KeyConflict),
)
def rotate_key(key_id: str) -> tuple[dict[str, Any], int]:
    """Issue a new key for the same owner. The old one stays valid for a while."""
    wanted = load(KeyRotateSchema)
    require_key(core().keyring, key_id, g.scope)
    return _issued(
        *core().keyring.rotate(
            key_id,
            by=g.operator,
            reason=wanted["reason"],
            overlap=wanted.get("overlap", OVERLAP),
            lifetime=wanted.get("expires"),
        )
    ), 201


@views.post("/keys/<key_id>/revoke")
@operation(
    summary="Revoke a key",
    body=KeyRevokeSchema,
    answer=IssuedKeySchema,
    keys=OPS_KEYS,
    role="admin",
    by_app=True,
    problems=(errors.NotFound, errors.KeyConflict),
)
def revoke_key(key_id: str) -> dict[str, Any]:
    """Make it invalid everywhere within two seconds."""
    reason = load(KeyRevokeSchema)["reason"]
    require_key(core().keyring, key_id, g.scope)
    revoked = core().keyring.revoke(key_id, by=g.operator, reason=reason)
    return _shown(revoked, revoked.expires or revoked.created)


def _shown(key: Key, now: int) -> dict[str, Any]:
    """Return what may be shown of a key: never its whole hash."""
    record = asdict(key) | {"limited_to": key.apps}
    return record | {"fingerprint": record.pop("digest")[:8], "live": key.is_live(now)}


def _issued(key: str, record: Key) -> dict[str, Any]:
    return _shown(record, record.created) | {"key": key}


# Apps.


@views.get("/apps")
@operation(summary="List apps", answer=AppsSchema, keys=OPS_KEYS, role="read", by_app=True)
def list_apps() -> dict[str, Any]:
    """Show the apps of the policy in force and their keys."""
    now, keys = core().keyring.read_all()
    return {"apps": [_app(one, now, keys) for one in g.active.policy.apps.values() if g.scope.has(one.name)]}


@views.get("/apps/<app>")
@operation(
    summary="Show an app",
    answer=AppSchema,
    keys=OPS_KEYS,
    role="read",
    by_app=True,
    problems=(errors.NotFound,),
)
def get_app(app: str) -> dict[str, Any]:
    """Show one app of the policy in force and its keys."""
    known = g.active.policy.apps.get(app)
    if known is None or not g.scope.has(app):
        raise errors.NotFound("There is no app with this name.")
    return _app(known, *core().keyring.read_all())


@views.post("/apps")
@operation(
    summary="Add an app",
    body=AppCreateSchema,
    answer=AppChangedSchema,
    status=201,
    keys=OPS_KEYS,
    role="admin",
    problems=(errors.NotFound, errors.PolicyInvalid, errors.PolicyConflict, errors.KeyConflict),
)
def create_app() -> tuple[dict[str, Any], int]:
    """Add it to the policy in force, and issue its first keys, which are shown only once."""
    wanted = load(AppCreateSchema)
    return _changed(
        core().apps.create(
            wanted["name"],
            brand=wanted["brand"],
            origins=wanted["origins"],
            by=g.operator,
            reason=wanted["reason"],
            with_keys=wanted["keys"],
        )
    ), 201


@views.post("/apps/<app>/remove")
@operation(
    summary="Remove an app",
    body=AppRemoveSchema,
    answer=AppChangedSchema,
    keys=OPS_KEYS,
    role="admin",
    problems=(errors.NotFound, errors.PolicyInvalid, errors.PolicyConflict),
)
def remove_app(app: str) -> dict[str, Any]:
    """Remove it from the policy in force, as a new version, and revoke its issued keys."""
    reason = load(AppRemoveSchema)["reason"]
    return _changed(core().apps.remove(app, by=g.operator, reason=reason))


def _app(app: App, now: int, keys: Sequence[Key]) -> dict[str, Any]:
    return {
        "name": app.name,
        "brand": app.brand,
        "origins": app.origins,
        "declared_keys": {"publishable": len(app.publishable_keys), "secret": len(app.secret_keys)},
        "issued_keys": [
            _shown(key, now)
            for key in keys
            if key.owner == app.name and key.kind in APP_KEY_KINDS and key.is_live(now)
        ],
    }


def _changed(change: Changed) -> dict[str, Any]:
    return shown_change(change) | {"keys": [_issued(key, record) for key, record in change.keys]}
