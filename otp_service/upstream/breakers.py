"""Circuit breakers of upstream accounts, shared by all processes in Redis.

Knows the keys and when a request may pass. Must not know what an outcome means. Each account has one breaker for
itself and one for each of its channels; a request passes only if both allow it.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from otp_service.store.scripts import Scripts
from otp_service.store.sources import Call
from otp_service.upstream.faults import FIRST_PAUSE, LONGEST_PAUSE, PROBE_LEASE

WHOLE = "*"
"""Stands for the account itself, in place of a channel."""
MEMORY = 3_600_000
"""Milliseconds that faults are remembered."""


@dataclass(frozen=True, slots=True)
class Passage:
    """Whether a request may pass.

    `state` is `closed`, `probe` or `open`. `pause` is the seconds until an open breaker allows a probe. `clean` is true
    if no fault is recorded.
    """

    state: str
    pause: float
    clean: bool


def passage(answer: tuple[str, int, int]) -> Passage:
    """Read what `breaker_ask.lua` answers."""
    state, pause, known = answer
    return Passage(state, pause / 1000, clean=not known)


class Breakers:
    """All breakers. Every method raises StoreUnavailable if the server does not answer in time."""

    def __init__(self, scripts: Scripts, *, prefix: str) -> None:
        self._scripts = scripts
        self._prefix = prefix

    def ask(self, account: str, channel: str) -> Passage:
        """Ask whether a request may pass.

        The caller of a `probe` must record how it ended; otherwise another probe passes when its lease is over.
        """
        call = self.asking(account, channel)
        return passage(self._scripts.call(call.name, call.keys, *call.arguments))

    def asking(self, account: str, channel: str) -> Call:
        """Return the call that asks; `passage` reads its answer."""
        keys = [self._key(account, channel), self._key(account, WHOLE)]
        return Call("breaker_ask", keys, (int(PROBE_LEASE * 1000),))

    def record_fault(self, account: str, channel: str, pause: float | None, tolerance: int) -> float:
        """Record a fault. Opens after `tolerance` faults in a row; for `pause` seconds, if the upstream says how long.

        Returns the seconds for which this call opened the breaker, or 0.
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
        """Close the breakers of the channel and of the account."""
        for name in (channel, WHOLE):
            self._scripts.call("delete", [self._key(account, name)])

    def states(self, accounts: Mapping[str, Sequence[str]]) -> dict[str, dict[str, str]]:
        """Return the state of each breaker by account and channel, without using up a probe."""
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
