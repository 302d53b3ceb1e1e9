"""Breakers of upstream accounts, shared by all processes in Redis.

Knows the keys and when who may pass. Must not know what an outcome means. An account has one breaker for itself and
one for each of its channels; both must let a request through.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from otp_service.store.scripts import Scripts
from otp_service.upstream.faults import FIRST_PAUSE, LONGEST_PAUSE, PROBE_LEASE

WHOLE = "*"
"""In place of a channel: the account itself."""
MEMORY = 3_600_000
"""Milliseconds that faults are remembered."""


@dataclass(frozen=True, slots=True)
class Passage:
    """Whether a request may go: `state` is closed, probe or open; `pause` is seconds; `clean` if no fault is known."""

    state: str
    pause: float
    clean: bool


class Breakers:
    """All breakers. Every method raises StoreUnavailable when the server does not serve it in time."""

    def __init__(self, scripts: Scripts, *, prefix: str) -> None:
        self._scripts = scripts
        self._prefix = prefix

    def ask(self, account: str, channel: str) -> Passage:
        """Ask to pass; a probe that is let through must tell how it went, or another follows after its lease."""
        keys = [self._key(account, channel), self._key(account, WHOLE)]
        state, pause, known = self._scripts.call("breaker_ask", keys, int(PROBE_LEASE * 1000))
        return Passage(state, pause / 1000, clean=not known)

    def record_fault(self, account: str, channel: str, pause: float | None, tolerance: int) -> float:
        """Count a fault, `tolerance` in a row being too many, or open for `pause` seconds.

        Gives the seconds for which this opened it, else 0.
        """
        opened = self._scripts.call(
            "breaker_fault",
            [self._key(account, channel)],
            "" if pause is None else int(pause * 1000),
            tolerance,
            int(FIRST_PAUSE * 1000),
            int(LONGEST_PAUSE * 1000),
            MEMORY,
            secrets.token_urlsafe(6),
        )
        return float(opened) / 1000

    def close(self, account: str, channel: str) -> None:
        """Close both breakers."""
        for name in (channel, WHOLE):
            self._scripts.call("delete", [self._key(account, name)])

    def states(self, accounts: Mapping[str, Sequence[str]]) -> dict[str, dict[str, str]]:
        """Show the breakers of accounts by channel, without taking a probe's place."""
        return {
            account: {channel: self._state(account, channel) for channel in (WHOLE, *channels)}
            for account, channels in accounts.items()
        }

    def _state(self, account: str, channel: str) -> str:
        state, pause, _ = self._scripts.call("breaker_ask", [self._key(account, channel)], 0)
        return (
            f"open for {pause / 1000:.0f} s"
            if state == "open"
            else "half open"
            if state == "probe"
            else state
        )

    def _key(self, account: str, channel: str) -> str:
        return f"{{{self._prefix}:b:{account}}}:{channel}"
