"""Which version of the policy each process works with, and which secrets it has, by the names of their settings.

Knows the reports in Redis. Must not know what a policy says, or the value of any secret.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

from otp_service.store.polling import start_polling
from otp_service.store.scripts import Scripts

EVERY = 5.0
"""Seconds between two reports of a process."""
LIFE = 15_000
"""Milliseconds after which a process that reports nothing is taken for gone."""


@dataclass(frozen=True, slots=True)
class Report:
    """What one process says: the version it works with, the newest it has seen, and the secrets it has."""

    version: int
    newest: int
    secrets: tuple[str, ...]


class Followers:
    """The processes that follow the policy. Its methods raise StoreUnavailable, except `behind`."""

    def __init__(self, scripts: Scripts, *, prefix: str) -> None:
        self._scripts = scripts
        self._key = f"{prefix}:followers"
        self._seen: dict[str, Report] = {}

    def follow(self, name: str, report: Callable[[], Report]) -> None:
        """Write this process's report, and read those of others, every few seconds in a daemon thread."""
        start_polling("followers", lambda: self.write(name, report()), every=EVERY)

    def write(self, name: str, report: Report) -> None:
        """Write a report, and remember what all processes report."""
        self._seen = self._call(name, json.dumps(asdict(report)))

    def behind(self) -> list[str]:
        """Say which processes could not use the newest version and keep an older one, as last read."""
        return [
            f"{name} keeps version {report.version}, not {report.newest}"
            for name, report in sorted(self._seen.items())
            if report.version < report.newest
        ]

    def lacking(self, secrets: Iterable[str]) -> list[str]:
        """Say which processes have not all of these secrets."""
        wanted = sorted(secrets)
        return [
            f"{secret} is missing in {name}: it keeps version {report.version} until it has it and gets SIGHUP"
            for name, report in sorted(self._call("", "").items())
            for secret in wanted
            if secret not in report.secrets
        ]

    def _call(self, name: str, report: str) -> dict[str, Report]:
        found = self._scripts.call("follow", [self._key], name, report, LIFE)
        return {of: _read(text) for of, text in zip(found[::2], found[1::2], strict=True)}


def _read(text: str) -> Report:
    said = json.loads(text)
    return Report(said["version"], said["newest"], tuple(said["secrets"]))
