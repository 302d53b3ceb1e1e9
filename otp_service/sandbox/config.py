"""What can be set on the sandbox.

Knows names, units and defaults. Must not know where a value comes from: the command that starts the sandbox
reads its options and hands over this object.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """The settings of one sandbox. All durations are in seconds."""

    tokens: frozenset[str] = field(repr=False)
    """Access tokens that the stand-in accepts."""
    latency: float = 0.0
    """Added to every send."""
    error_rate: float = 0.0
    """Share of sends, 0 to 1, that are answered with 500 at random and go nowhere."""
    slow: float = 3.0
    """How long the outcome `slow` takes to answer."""
    stall: float = 15.0
    """How long the outcome `timeout_after_accept` takes to answer."""
    report_delay: float = 0.5
    """From accepting a message to its delivery report."""
    report_url: str | None = None
    """Where every SMS report goes besides the registered webhooks."""
    report_secret: str | None = field(default=None, repr=False)
    """Sent to `report_url` as Bearer."""
    report_retry_interval: float = 1800.0
    """Between tries of a report that was not accepted (documented: 30 minutes)."""
    report_retries: int = 3
    """Tries after the first (documented: 3)."""
    gets_per_minute: int = 1000
    """All GET requests of the API together, as documented."""
    inbox_size: int = 10_000
    """Only so many of the newest messages are kept."""
    credits: float = 10_000_000
    """What each service starts with; one unit of a message costs one."""
    clock: Callable[[], float] = time.time
    """Unix time: stamps, expiry and the rate limit's window."""
    random: Callable[[], float] = random.random
    """Source of the error rate's dice, 0 up to but without 1."""

    def __post_init__(self) -> None:
        """Refuse a configuration that could not mean anything, all mistakes at once."""
        mistakes = [
            f"{name} must be {rule}"
            for name, rule, holds in (
                ("tokens", "at least one token, none empty", bool(self.tokens) and all(self.tokens)),
                ("error_rate", "between 0 and 1", 0 <= self.error_rate <= 1),
                ("gets_per_minute", "at least 1", self.gets_per_minute >= 1),
                ("inbox_size", "at least 1", self.inbox_size >= 1),
                ("report_retries", "0 or more", self.report_retries >= 0),
                *((name, "0 or more", getattr(self, name) >= 0) for name in _DURATIONS),
            )
            if not holds
        ]
        if mistakes:
            raise ValueError("; ".join(mistakes))


_DURATIONS = ("latency", "slow", "stall", "report_delay", "report_retry_interval")
