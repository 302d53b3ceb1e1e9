"""The settings of a sandbox.

Knows names, units and defaults. Must not know where a value comes from: the command that starts the sandbox
reads its options and passes this object.
"""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """All durations are in seconds."""

    tokens: frozenset[str] | Mapping[str, str] = field(repr=False)
    """The access tokens that the sandbox accepts, each with its own account.

    A mapping gives the names of the accounts. Without it, they are called 1, 2 and so on, in the order of their tokens.
    """
    latency: float = 0.0
    """Added to every send."""
    error_rate: float = 0.0
    """Share of sends, 0 to 1, that get a 500 at random and are not accepted."""
    slow: float = 3.0
    """How long the outcome `slow` takes to answer."""
    stall: float = 15.0
    """How long the outcome `timeout_after_accept` takes to answer."""
    report_delay: float = 0.5
    """From acceptance to delivery. A message is `sent` after half of this time and `read` after twice the time."""
    reach_out: bool = False
    """Whether reports may leave this machine and private networks."""
    report_url: str | None = None
    """Receives every report and inbound message, beside the registered webhooks; `{account}` becomes the name."""
    report_secret: str | None = field(default=None, repr=False)
    """Sent to `report_url` as Bearer token."""
    report_webhook_id: str | None = field(default=None, repr=False)
    """Key of the `Signature` of WhatsApp, RCS and MIP events to `report_url`; without it, they are not signed."""
    report_form: str = "json"
    """Form of a report to `report_url`: `json` or `form` by POST, or `get` in the query (a "compose webhook")."""
    report_fields: Mapping[str, str] = field(default_factory=dict)
    """Maps the receiver's name of each wanted field to the documented one; empty: the documented body."""
    report_retry_interval: float = 1800.0
    """Between tries of an SMS or voice report that was not accepted (documented: 30 minutes)."""
    report_retries: int = 3
    """Retries of such a report (documented: 3)."""
    event_retries: tuple[float, ...] = (10.0, 100.0)
    """Seconds before each retry of a WhatsApp, RCS or MIP event (documented: two, after 10 s and 100 s)."""
    gets_per_minute: int = 1000
    """Limit for all GET requests of one account, as documented."""
    inbox_size: int = 10_000
    """The number of messages that are kept; the newest stay."""
    credits: float = 10_000_000
    """Initial credits of each service of an account; one unit of a message costs one."""
    clock: Callable[[], float] = time.time
    """Unix time for timestamps, expiry and the window of the rate limit."""
    random: Callable[[], float] = random.random
    """Random numbers for the error rate, from 0 to below 1."""

    def __post_init__(self) -> None:
        """Check the values. Raises ValueError with all mistakes."""
        mistakes = [
            f"{name} must be {rule}"
            for name, rule, holds in (
                ("tokens", "at least one token, none empty", bool(self.tokens) and all(self.tokens)),
                ("tokens", "different names", len(set(self.accounts().values())) == len(self.tokens)),
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
