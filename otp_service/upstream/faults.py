"""Which outcomes are faults of the upstream account, and how long to pause it.

Pure. Must not know where faults are counted. The circuit breaker is the usual one: closed, open, and half open with
one probe at a time.
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
"""Reasons that are about the account and not about the number: another account may succeed."""
WHOLE_ACCOUNT = frozenset(
    {
        *("dns_failed", "connect_failed", "connect_timeout", "tls_failed", "throttled", "unavailable"),
        *("bad_token", "forbidden", "no_account"),
    }
)
"""Faults that every channel of the account shares."""
NOTHING_LEFT = frozenset({"dns_failed", "connect_failed", "connect_timeout", "tls_failed"})
"""Faults before the request left: its code is still unused."""
NOT_NOW = frozenset({"throttled"})
"""Faults that ask for a pause of this very account (RFC 6585, section 4): one is enough. A 503 may be about one message
or one machine of the upstream, so the account's tolerance decides."""
ALARMS = frozenset({"bad_token", "forbidden", "no_account", "no_credits"})
"""Faults that only an operator can fix."""
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0
"""Seconds that a breaker stays open, from the first time to the longest; doubled each time a probe fails."""
PROBE_LEASE = 10.0
"""Seconds that a probe may take before another probe may pass."""


@dataclass(frozen=True, slots=True)
class Signal:
    """What the outcome of one send says about its account.

    `pause` is for how long the upstream asks not to be called, in seconds, if it says so. `at_once`: it is paused now,
    whatever its tolerance.
    """

    healthy: bool
    pause: float | None = None
    at_once: bool = False


def signal_of(outcome: Outcome) -> Signal | None:
    """Read an outcome. Return None if it says nothing about the account."""
    if outcome.verdict is Verdict.ACCEPTED:
        return Signal(healthy=True)
    if outcome.reason not in ACCOUNT_FAULTS:
        return Signal(healthy=True) if outcome.verdict is Verdict.REFUSED else None
    if outcome.retry_after:
        pause = min(outcome.retry_after, LONGEST_PAUSE)
        return Signal(healthy=False, pause=pause, at_once=outcome.reason in NOT_NOW)
    return Signal(healthy=False)
