"""How well an upstream account does on a channel: what speaks against it, and when it is left alone for a while.

Pure. Must not know where the figures are kept. The breaker is the usual one: closed, open, half open with one
probe at a time.
"""

from dataclasses import dataclass

from otp_service.upstream.port import Outcome, Verdict

ACCOUNT_FAULTS = frozenset(
    {
        *("dns_failed", "connect_failed", "connect_timeout", "tls_failed"),
        *("throttled", "request_timeout", "unavailable", "server_error", "timeout", "connection_lost"),
        *("bad_token", "forbidden", "not_found", "redirected", "no_account", "no_credits"),
        *("invalid_sender", "invalid_service", "invalid_entity", "invalid_template", "upstream_gone"),
    }
)
"""Ends of a send that say something of the account and nothing of the number: another account may do better."""
WHOLE_ACCOUNT = frozenset(
    {
        *("dns_failed", "connect_failed", "connect_timeout", "tls_failed", "throttled", "unavailable"),
        *("bad_token", "forbidden", "no_account"),
    }
)
"""Faults that every channel of the account shares."""
NOTHING_LEFT = frozenset({"dns_failed", "connect_failed", "connect_timeout", "tls_failed"})
"""Faults before the request could leave: nobody has seen what it would have carried."""
ALARMS = frozenset({"bad_token", "forbidden", "no_account", "no_credits"})
"""What no waiting mends: an operator must act."""
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0
"""Seconds that a breaker stays open: doubled each time a probe fails."""
PROBE_LEASE = 10.0
"""Seconds that a probe may take before another is let through."""


@dataclass(frozen=True, slots=True)
class Signal:
    """What the end of one send says of its account: `well`, or how long to leave it alone (seconds, if at once)."""

    healthy: bool
    pause: float | None = None


def signal_of(outcome: Outcome) -> Signal | None:
    """Read an outcome; None where it says nothing of the account."""
    if outcome.verdict is Verdict.ACCEPTED:
        return Signal(healthy=True)
    if outcome.reason not in ACCOUNT_FAULTS:
        return Signal(healthy=True) if outcome.verdict is Verdict.REFUSED else None
    if outcome.retry_after:
        return Signal(healthy=False, pause=min(outcome.retry_after, LONGEST_PAUSE))
    return Signal(healthy=False)
