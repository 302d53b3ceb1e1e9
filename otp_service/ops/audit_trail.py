"""The audit trail: who changed what, when and why. Each act is written to the log, and kept in the store to be read.

Knows the key, how long acts are kept, and that nothing secret may be in one. Must not know any single act: whoever acts
calls `record` as it would call `log`.
"""

import json
import logging
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from otp_service.errors import StoreUnavailable
from otp_service.ops.scope import EVERYTHING, Scope
from otp_service.store.scripts import Scripts
from otp_service.telemetry.logs import log, shown_fields

KEEP = 400 * 24 * 3_600_000
"""Milliseconds for which an act is kept."""
MOST_ACTS = 100_000
"""Acts that are kept at most, of 200 to 400 bytes each: a script that acts without end must not fill the store."""
PAGE = 50
_OF_APPS = ("publishable", "secret")
"""Kinds of keys whose owner is an app."""
_WHO, _WHY = ("by", "author"), ("reason", "why")


@dataclass(frozen=True, slots=True)
class Act:
    """One act: its name as in the log, its moment (milliseconds of the store's clock), who did it, why, and to what."""

    at: int
    name: str
    by: str
    reason: str
    about: Mapping[str, object]

    @property
    def app(self) -> str:
        """The app to which it was done: the owner of a key, or the one that is named; empty if it concerns all."""
        named = self.about.get("owner") if self.about.get("kind") in _OF_APPS else self.about.get("app")
        return str(named or "")


class AuditTrail:
    """All acts that are kept."""

    def __init__(self, scripts: Scripts, *, prefix: str) -> None:
        self._scripts = scripts
        self._key = f"{prefix}:audit"

    def record(self, name: str, **fields: object) -> None:
        """Write an act down after it was done.

        The log has it first. If the store fails now, only the log has it: the act was done, and is not undone.
        """
        log(name, logging.INFO, **fields)
        try:
            self._write(name, shown_fields(fields))
        except StoreUnavailable:
            log("audit.not_stored", logging.WARNING, act=name)

    def read(self, before: int | None = None, limit: int = PAGE) -> list[Act]:
        """List acts, newest first, of those before a moment. Raises StoreUnavailable."""
        bound = "+inf" if before is None else f"({before}"
        found = self._scripts.call("audit_read", [self._key], bound, limit)
        return [_act(stored, int(at)) for stored, at in zip(found[::2], found[1::2], strict=True)]

    def read_all(self, scope: Scope = EVERYTHING, before: int | None = None) -> Iterator[Act]:
        """Yield acts, newest first, of those before a moment, without holding them all. Raises StoreUnavailable.

        Acts that belong to no single app are within the scope of everything alone.
        """
        while page := self.read(before, limit=1000):
            yield from (act for act in page if scope.has(act.app))
            before = page[-1].at

    def _write(self, name: str, fields: dict[str, object]) -> None:
        act = {
            "id": secrets.token_urlsafe(6),
            "name": name,
            "by": _taken(fields, _WHO),
            "reason": _taken(fields, _WHY),
            "about": fields,
        }
        self._scripts.call("audit_write", [self._key], json.dumps(act), KEEP, MOST_ACTS)


def _taken(fields: dict[str, object], names: tuple[str, ...]) -> object:
    """Take the field out that has one of these names."""
    return next((fields.pop(name) for name in names if name in fields), "")


def _act(stored: str, at: int) -> Act:
    record = json.loads(stored)
    return Act(at, record["name"], record["by"], record["reason"], record["about"])
