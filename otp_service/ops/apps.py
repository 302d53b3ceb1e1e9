"""Apps come and go: a table of the policy in force, and the keys that were issued for it.

The document is edited as text, so that comments stay, and what came out is read again: nothing but the one table may
differ. Knows how tables stand in a document. Must not know what else a policy says.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from otp_service.access.keyring import Key, Keyring
from otp_service.errors import Invalid, NotFound
from otp_service.ops.policy_changes import PolicyChanges
from otp_service.policy import ROLES, Policy
from otp_service.policy.versions import Version

APP_KEY_KINDS = ("publishable", "secret")
"""The keys of an app; a new one gets one of each."""
NAME = r"[a-z][a-z0-9_-]{0,31}"
_NAME_RULE = "must be small letters, digits, - and _, 32 at most, a letter first"


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change left behind: the version, its warnings, and new keys in clear with their records."""

    version: Version
    warnings: tuple[str, ...]
    keys: tuple[tuple[str, Key], ...] = ()


class Apps:
    """Adds and removes apps. Every method raises StoreUnavailable, and PolicyConflict for a change in between."""

    def __init__(self, *, changes: PolicyChanges, keyring: Keyring) -> None:
        self._changes = changes
        self._keyring = keyring

    def create(
        self, name: str, *, brand: str, origins: Sequence[str], by: str, reason: str, with_keys: bool = True
    ) -> Changed:
        """Add an app and issue its first keys. Raises Invalid for what it cannot be, PolicyInvalid."""
        self._revoke_all(name, by=by, reason="left over from an app of this name")
        changed = self._changes.edit(lambda text: with_app(text, name, brand, origins), by=by, reason=reason)
        drawn = [self._keyring.issue(kind, name, by=by, label=reason) for kind in APP_KEY_KINDS if with_keys]
        return Changed(changed.version, changed.warnings, tuple(drawn))

    def remove(self, name: str, *, by: str, reason: str) -> Changed:
        """Take an app away, and end its keys, so that another app of this name inherits none."""
        changed = self._changes.edit(lambda text: without_app(text, name), by=by, reason=reason)
        self._revoke_all(name, by=by, reason=f"app removed: {reason}")
        return Changed(changed.version, changed.warnings)

    def _revoke_all(self, name: str, *, by: str, reason: str) -> None:
        now, keys = self._keyring.read_all()
        for key in keys:
            if key.kind in APP_KEY_KINDS and key.owner == name and key.is_live(now):
                self._keyring.revoke(key.id, by=by, reason=reason)


def check_owner(policy: Policy, *, kind: str, owner: str, role: str) -> None:
    """See that a key can be issued so. Raises Invalid."""
    if kind in APP_KEY_KINDS and owner not in policy.apps:
        raise Invalid({"owner": ["must be an app of the policy in force"]})
    if kind in APP_KEY_KINDS and role:
        raise Invalid({"role": ["must be left out, only operators have one"]})
    if kind not in APP_KEY_KINDS and role not in ROLES:
        raise Invalid({"role": [f"must be one of {', '.join(ROLES)} for an operator's key"]})
    if not re.fullmatch(NAME, owner):
        raise Invalid({"owner": [_NAME_RULE]})


# The text.


def with_app(text: str, name: str, brand: str, origins: Sequence[str]) -> str:
    """Put a table at the end of a document. Raises Invalid for a name that cannot be one, or is one already."""
    if not re.fullmatch(NAME, name):
        raise Invalid({"name": [_NAME_RULE]})
    before = tomllib.loads(text)
    apps = before.setdefault("app", {})
    if name in apps:
        raise Invalid({"name": ["must not be an app already"]})
    apps[name] = {"brand": brand} | ({"origins": list(origins)} if origins else {})
    lines = [f"[app.{name}]", f"brand = {_quoted(brand)}"]
    if origins:
        lines.append(f"origins = [{', '.join(map(_quoted, origins))}]")
    return _proven("\n".join([text.rstrip(), "", *lines, ""]), before)


def without_app(text: str, name: str) -> str:
    """Cut an app's tables out of a document, with the comments that stand in them or right above."""
    after = tomllib.loads(text)
    if name not in after.get("app", {}):
        raise NotFound("There is no app of this name.")
    del after["app"][name]
    lines = re.split(r"(?<=\n)", text)
    kept: list[str] = []
    start = 0
    path: tuple[str, ...] = ()
    for following, named in [*_tables(lines), (len(lines), ())]:
        if path[:2] != ("app", name):
            kept += lines[start:following]
        start, path = following, named
    return _proven("".join(kept).rstrip() + "\n", after)


def _tables(lines: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Give where each table begins, with the comments right above its header, and its path.

    A line that begins with a bracket is a header if what stands since the last one is whole, no array or text half-way.
    """
    last = 0
    for at, line in enumerate(lines):
        if line.lstrip().startswith("[") and _is_whole(lines[last:at]):
            start = last = at
            while start and lines[start - 1].lstrip().startswith("#"):
                start -= 1
            # what the document begins with is about the whole of it
            yield start or at, tuple(_path(tomllib.loads(line)))


def _is_whole(lines: Sequence[str]) -> bool:
    try:
        tomllib.loads("".join(lines))
    except tomllib.TOMLDecodeError:
        return False
    return True


def _path(table: Any) -> Iterator[str]:  # noqa: ANN401 - tables within tables
    while isinstance(table, dict) and table:
        [(name, table)] = table.items()
        yield name


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # whose escapes are TOML's, too


def _proven(text: str, wanted: dict[str, Any]) -> str:
    """See that an edited text says what is wanted and nothing else. Raises Invalid."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        found = None
    for document in (found, wanted):
        if document and not document.get("app"):
            document.pop("app", None)
    if found != wanted:
        raise Invalid(
            {"name": ["must be a table of its own in the policy, [app.NAME]; change the document by hand"]}
        )
    return text
