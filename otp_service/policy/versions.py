"""The versions of the policy, in Redis: the one in force, and those before it.

Knows the keys and how a process follows. Must not know what a policy says.
"""

import json
import logging
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from otp_service.errors import ConfigurationError, PolicyConflict, StoreUnavailable
from otp_service.store.following import keep_looking
from otp_service.store.scripts import Scripts
from otp_service.telemetry.logs import log, redact

KEPT = 200
"""So many versions can be shown and brought back."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Version:
    """One version: its text, who applied it, when (milliseconds of the store's clock) and why."""

    number: int
    text: str
    author: str
    at: int
    reason: str


class Policies:
    """All versions. Every method raises StoreUnavailable when the server does not serve it in time."""

    def __init__(self, scripts: Scripts, *, prefix: str) -> None:
        self._scripts = scripts
        self._key = f"{prefix}:policy"

    def head(self) -> int:
        """Give the number of the version in force; 0 for none."""
        return int(self._read("head")[0] or 0)

    def version(self, number: int) -> Version | None:
        """Give a version, if it is still kept."""
        return _version(self._read(f"v{number}")[0])

    def newest(self) -> Version | None:
        """Give the version in force."""
        return self.version(head) if (head := self.head()) else None

    def history(self, limit: int = 20) -> list[Version]:
        """Give the newest versions, the one in force first."""
        head = self.head()
        if not head:
            return []
        found = self._read(*(f"v{number}" for number in range(head, max(0, head - limit), -1)))
        return [version for stored in found if (version := _version(stored))]

    def apply(self, text: str, *, author: str, reason: str, expected: int | None = None) -> Version:
        """Put a text in force that was checked before. Raises PolicyConflict if another came in between."""
        record = {"text": text, "author": author, "reason": redact(reason)}
        what, number = self._scripts.call(
            "policy_apply",
            [self._key],
            secrets.token_urlsafe(9),
            "" if expected is None else expected,
            json.dumps(record),
            KEPT,
        )
        if what == "conflict":
            raise PolicyConflict(number)
        log("policy.applied", version=number, author=author, reason=reason)
        applied = self.version(number)
        if applied is None:
            raise PolicyConflict(number)  # so many versions since that this one is forgotten
        return applied

    def _read(self, *fields: str) -> list[str | None]:
        found: list[str | None] = self._scripts.call("policy_read", [self._key], *fields)
        return found


def _version(stored: str | None) -> Version | None:
    if not stored:
        return None
    record = json.loads(stored)
    return Version(record["version"], record["text"], record["author"], record["at"], record["reason"])


class Current(Generic[T]):
    """What was built from the version in force.

    Whoever asks gets one whole build, never a mixture; what cannot be built here leaves the one before in force.
    """

    def __init__(
        self,
        policies: Policies,
        make: Callable[[Version], T],
        *,
        seed: str | None = None,
        first: T | None = None,
    ) -> None:
        """`make` raises ConfigurationError for what this process cannot do.

        `seed` is the text of the first version, for a store that holds none; `first` what was built of it.
        """
        self._policies = policies
        self._make = make
        self._seed = seed
        self._built = first
        self._number = 0

    def __call__(self) -> T:
        """Give the newest build. Raises StoreUnavailable while there is none."""
        if self._built is None:
            raise StoreUnavailable("No policy is in force yet: otp-service policy apply FILE.", retry_after=2)
        return self._built

    def follow(self) -> None:
        """Keep looking for a newer version, in a thread that ends with its process."""
        keep_looking("policy", self.look)

    def look(self) -> None:
        """Build the version in force, if it is a new one. Raises StoreUnavailable."""
        head = self._policies.head()
        if not head and self._seed is not None:
            with suppress(PolicyConflict):  # another process was first
                self._policies.apply(
                    self._seed, author="OTP_POLICY_FILE", reason="the first version", expected=0
                )
            head = self._policies.head()
        if head == self._number or (version := self._policies.version(head)) is None:
            return
        if not self._number and self._seed not in {None, version.text}:
            log("policy.file_passed_over", logging.WARNING, version=head, why="the store holds a policy")
        self._number = head
        try:
            self._built = self._make(version)
        except ConfigurationError as error:
            for problem in error.problems:
                log("policy.unusable", logging.ERROR, version=head, problem=problem)
        else:
            log("policy.followed", version=head)
