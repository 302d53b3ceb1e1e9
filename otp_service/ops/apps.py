"""Add and remove apps: a table of the policy in force, and the keys that were issued for it.

The policy is edited as text, so that comments stay. The result is parsed and compared: nothing but the one table may
differ. Knows how tables are written in a TOML document. Must not know what else a policy says.
"""

import re
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from otp_service.access.keyring import NO_KEY, Key, Keyring
from otp_service.errors import Invalid, KeyConflict, NotFound, OperatorLimited, PolicyConflict
from otp_service.ops.policy_changes import Applied, PolicyChanges
from otp_service.ops.policy_text import quoted, tables_of
from otp_service.ops.scope import EVERYTHING, Scope, scope_of
from otp_service.policy import ROLES, Policy

APP_KEY_KINDS = ("publishable", "secret")
"""The keys of an app; a new one gets one of each."""
NAME = r"[a-z][a-z0-9_-]{0,31}"
_NAME_RULE = "must be 1 to 32 lowercase letters, digits, - and _, starting with a letter"


@dataclass(frozen=True, slots=True)
class Changed(Applied):
    """The result of a change, with new keys in clear text and their records."""

    keys: tuple[tuple[str, Key], ...] = ()


class Apps:
    """Adds and removes apps. Methods raise StoreUnavailable, and PolicyConflict if another change came in between."""

    def __init__(self, *, changes: PolicyChanges, keyring: Keyring) -> None:
        self._changes = changes
        self._keyring = keyring

    def create(
        self, name: str, *, brand: str, origins: Sequence[str], by: str, reason: str, with_keys: bool = True
    ) -> Changed:
        """Add an app and issue its first keys.

        Raises Invalid, PolicyInvalid, NotFound without a policy in force, or KeyConflict if the ring has no room.

        Keys that an earlier app of this name left are revoked before the new app is in force, but not if the call is
        refused. They are listed before the policy is read: keys of an app that is added meanwhile are not among them.
        """
        left = self._live_keys(name)
        drawn: list[tuple[str, Key]] = []

        def prepare() -> None:
            drawn.extend(self._keyring.issue(kind, name, by=by, label=reason) for kind in kinds)
            self._revoke(left, by=by, reason="left over from an app of this name")

        kinds = APP_KEY_KINDS if with_keys else ()
        try:
            changed = self._changes.edit(
                lambda text: with_app(text, name, brand, origins), by=by, reason=reason, before=prepare
            )
        except (KeyConflict, PolicyConflict):
            self._revoke([key for _, key in drawn], by=by, reason="the app was not added")
            raise
        return Changed(changed.version, changed.warnings, changed.changed, tuple(drawn))

    def remove(self, name: str, *, by: str, reason: str) -> Changed:
        """Remove an app and revoke its keys, so that a later app of this name does not inherit them."""
        changed = self._changes.edit(lambda text: _without_one_of(text, name), by=by, reason=reason)
        self._revoke(self._live_keys(name), by=by, reason=f"app removed: {reason}")
        return Changed(changed.version, changed.warnings, changed.changed)

    def _live_keys(self, name: str) -> list[Key]:
        now, keys = self._keyring.read_all()
        return [key for key in keys if key.kind in APP_KEY_KINDS and key.owner == name and key.is_live(now)]

    def _revoke(self, keys: Sequence[Key], *, by: str, reason: str) -> None:
        for key in keys:
            with suppress(KeyConflict):  # it has ended meanwhile
                self._keyring.revoke(key.id, by=by, reason=reason)


def owns_key(scope: Scope, key: Key) -> bool:
    """Tell whether a key is within a scope. Operators' keys belong to no app."""
    return scope.has(key.owner if key.kind in APP_KEY_KINDS else "")


def require_key(keyring: Keyring, id_: str, scope: Scope) -> None:
    """Check that a key is within a scope: another app's is as unknown as one that never was. Raises NotFound."""
    if scope.is_limited and not owns_key(scope, keyring.read_key(id_)):
        raise NotFound(NO_KEY)


def limits_of(policy: Policy, *, kind: str, owner: str) -> frozenset[str]:
    """Return the apps to which a new key of an operator is limited, also when the policy has forgotten its owner."""
    return (scope_of(policy, owner).apps if kind not in APP_KEY_KINDS else None) or frozenset()


def check_owner(policy: Policy, *, kind: str, owner: str, role: str, scope: Scope = EVERYTHING) -> None:
    """Check that a key of this kind can be issued to this owner, by an operator of a scope.

    Raises Invalid, or OperatorLimited if only some apps are within the scope and the key is an operator's.
    """
    if kind not in APP_KEY_KINDS and scope.is_limited:
        raise OperatorLimited
    if kind in APP_KEY_KINDS and not (owner in policy.apps and scope.has(owner)):
        raise Invalid({"owner": ["must be an app of the policy in force"]})
    if kind in APP_KEY_KINDS and role:
        raise Invalid({"role": ["must be left out: only operators have one"]})
    if kind not in APP_KEY_KINDS and role not in ROLES:
        raise Invalid({"role": [f"must be one of {', '.join(ROLES)} for an operator's key"]})
    if not re.fullmatch(NAME, owner):
        raise Invalid({"owner": [_NAME_RULE]})


# The text.


def with_app(text: str, name: str, brand: str, origins: Sequence[str]) -> str:
    """Add a table at the end of a document. Raises Invalid if the name is not allowed or already taken."""
    if not re.fullmatch(NAME, name):
        raise Invalid({"name": [_NAME_RULE]})
    before = tomllib.loads(text)
    apps = before.setdefault("app", {})
    if name in apps:
        raise Invalid({"name": ["must not be an app already"]})
    apps[name] = {"brand": brand} | ({"origins": list(origins)} if origins else {})
    lines = [f"[app.{name}]", f"brand = {quoted(brand)}"]
    if origins:
        lines.append(f"origins = [{', '.join(map(quoted, origins))}]")
    return verified("\n".join([text.rstrip(), "", *lines, ""]), before)


def _without_one_of(text: str, name: str) -> str:
    """Remove one of several apps. Raises NotFound, or Invalid for the last app."""
    if set(tomllib.loads(text).get("app", {})) == {name}:
        raise Invalid({"app": ["is the last app; a policy needs at least one [app.NAME]"]})
    return without_app(text, name)


def without_app(text: str, name: str) -> str:
    """Remove an app's tables from a document, with the comments in them and directly above. Raises NotFound."""
    after = tomllib.loads(text)
    if name not in after.get("app", {}):
        raise NotFound("There is no app of this name.")
    del after["app"][name]
    return without_tables(text, ("app", name), after)


def without_tables(text: str, below: tuple[str, ...], wanted: dict[str, Any]) -> str:
    """Remove the tables at a path and below it, with the comments in them and directly above. Raises Invalid."""
    lines = re.split(r"(?<=\n)", text)
    kept: list[str] = []
    start = 0
    path: tuple[str, ...] = ()
    for following, named in [*tables_of(text, lines), (len(lines), ())]:
        if path[: len(below)] != below:
            kept += lines[start:following]
        start, path = following, named
    return verified("".join(kept).rstrip() + "\n", wanted)


def verified(text: str, wanted: dict[str, Any]) -> str:
    """Check that an edited text means exactly what is wanted. Raises Invalid."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        found = None
    for document in (found, wanted):
        for app in (document or {}).get("app", {}).values():
            if not app.get("review"):
                app.pop("review", None)
        if document and not document.get("app"):
            document.pop("app", None)
    if found != wanted:
        raise Invalid(
            {"name": ["must be a table of its own in the policy, [app.NAME]; edit the document by hand"]}
        )
    return text
