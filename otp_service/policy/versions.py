"""The versions of the policy in Redis: the one in force and those before it.

Knows the keys. Must not know what a policy says, or how a process follows new versions.
"""

import json
import secrets
from contextlib import suppress
from dataclasses import dataclass

from otp_service.errors import PolicyConflict
from otp_service.store.scripts import Scripts
from otp_service.telemetry.logs import Record, log, redact

MOST_VERSIONS = 200
"""The newest versions, which can be shown and applied again."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version: its text, its author, when it was applied (milliseconds of the store's clock) and why."""

    number: int
    text: str
    author: str
    at: int
    reason: str


class Policies:
    """All versions. Every method raises StoreUnavailable if the server does not answer in time."""

    def __init__(self, scripts: Scripts, *, prefix: str, record: Record = log) -> None:
        """`record` writes down who put which version in force."""
        self._record = record
        self._scripts = scripts
        self._key = f"{prefix}:policy"

    def head(self) -> int:
        """Return the number of the version in force; 0 if there is none."""
        return int(self._read("head")[0] or 0)

    def version(self, number: int) -> Version | None:
        """Return a version, or None if it is not kept."""
        return _version(self._read(f"v{number}")[0])

    def newest(self) -> Version | None:
        """Return the version in force, or None."""
        return self.version(head) if (head := self.head()) else None

    def history(self, limit: int = 20) -> list[Version]:
        """Return the newest versions, the one in force first. Each is read alone: all texts are megabytes."""
        head = self.head()
        found = map(self.version, range(head, max(0, head - limit), -1))
        return [version for version in found if version]

    def apply(
        self, text: str, *, author: str, reason: str, expected: int | None = None
    ) -> tuple[Version, bool]:
        """Put a checked text in force. Return the version in force, and whether it is new.

        The same text again makes no version. Raises PolicyConflict if the version in force is not `expected`.
        """
        record = {"text": text, "author": author, "reason": redact(reason)}
        what, number = self._scripts.call(
            "policy_apply",
            [self._key],
            secrets.token_urlsafe(9),
            "" if expected is None else expected,
            json.dumps(record),
            MOST_VERSIONS,
        )
        if what == "conflict":
            raise PolicyConflict(number)
        if what == "applied":
            self._record("policy.applied", version=number, author=author, reason=reason)
        applied = self.version(number)
        if applied is None:
            raise PolicyConflict(number)  # so many newer versions that this one is no longer kept
        return applied, what == "applied"

    def begin(self, text: str) -> None:
        """Put the text of the policy file in force, unless another process was first."""
        with suppress(PolicyConflict):
            self.apply(text, author="OTP_POLICY_FILE", reason="the first version", expected=0)

    def _read(self, field: str) -> list[str | None]:
        found: list[str | None] = self._scripts.call("policy_read", [self._key], field)
        return found


def _version(stored: str | None) -> Version | None:
    if not stored:
        return None
    record = json.loads(stored)
    return Version(record["version"], record["text"], record["author"], record["at"], record["reason"])
