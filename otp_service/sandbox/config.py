"""What can be set on the sandbox.

Knows names, units and defaults. Must not know where a value comes from: the command that starts the sandbox
reads its options and hands over this object.
"""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """The settings of one sandbox. All durations are in seconds."""

    tokens: frozenset[str] | Mapping[str, str] = field(repr=False)
    """Access tokens that the stand-in accepts, each with an account of its own.

    A mapping gives the accounts' names; without one they are called 1, 2 and so on, in the order of their tokens.
    """
    latency: float = 0.0
    """Added to every send."""
    error_rate: float = 0.0
    """Share of sends, 0 to 1, that are answered with 500 at random and go nowhere."""
    slow: float = 3.0
    """How long the outcome `slow` takes to answer."""
    stall: float = 15.0
    """How long the outcome `timeout_after_accept` takes to answer."""
    report_delay: float = 0.5
    """From accepting a message to its delivery; it is `sent` after half of that and `read` after twice."""
    report_url: str | None = None
    """Where every report and inbound message goes besides the registered webhooks; `{account}` becomes its name."""
    report_secret: str | None = field(default=None, repr=False)
    """Sent to `report_url` as Bearer."""
    report_webhook_id: str | None = field(default=None, repr=False)
    """Key of the `Signature` of WhatsApp, RCS and MIP events to `report_url`; without it they carry none."""
    report_form: str = "json"
    """How a report goes to `report_url`: `json` or `form` by POST, `get` in the query (a "compose webhook")."""
    report_fields: Mapping[str, str] = field(default_factory=dict)
    """The receiver's own name of each wanted field to the documented one; empty for the documented body."""
    report_retry_interval: float = 1800.0
    """Between tries of an SMS or voice report that was not accepted (documented: 30 minutes)."""
    report_retries: int = 3
    """Tries of such a report after the first (documented: 3)."""
    event_retries: tuple[float, ...] = (10.0, 100.0)
    """Waits before each further try of a WhatsApp, RCS or MIP event (documented: two, after 10 s and 100 s)."""
    gets_per_minute: int = 1000
    """All GET requests of one account together, as documented."""
    inbox_size: int = 10_000
    """Only so many of the newest messages are kept."""
    credits: float = 10_000_000
    """What each service of an account starts with; one unit of a message costs one."""
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
                ("tokens", "names that differ", len(set(self.accounts().values())) == len(self.tokens)),
                ("error_rate", "between 0 and 1", 0 <= self.error_rate <= 1),
                ("gets_per_minute", "at least 1", self.gets_per_minute >= 1),
                ("inbox_size", "at least 1", self.inbox_size >= 1),
                ("report_retries", "0 or more", self.report_retries >= 0),
                ("report_form", "json, form or get", self.report_form in FORMS),
                ("event_retries", "0 or more each", all(wait >= 0 for wait in self.event_retries)),
                *((name, "0 or more", getattr(self, name) >= 0) for name in _DURATIONS),
            )
            if not holds
        ]
        if mistakes:
            raise ValueError("; ".join(mistakes))

    def accounts(self) -> dict[str, str]:
        """Return the name of each token's account."""
        if isinstance(self.tokens, Mapping):
            return dict(self.tokens)
        return {token: str(number) for number, token in enumerate(sorted(self.tokens), start=1)}


FORMS = ("json", "form", "get")
_DURATIONS = ("latency", "slow", "stall", "report_delay", "report_retry_interval")
