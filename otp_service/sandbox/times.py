"""How the upstream writes times.

Knows its three spellings. Must not read a clock: every function takes unix seconds.
"""

from datetime import UTC, datetime, timedelta, timezone

# Samples of the upstream fit Indian time where no zone is written.
PORTAL_ZONE = timezone(timedelta(hours=5, minutes=30))


def portal_time(at: float | None) -> str:
    """Write `yyyy-mm-dd hh:mm:ss` without a zone; empty where there is no time yet."""
    return "" if at is None else datetime.fromtimestamp(at, PORTAL_ZONE).strftime("%Y-%m-%d %H:%M:%S")


def iso_time(at: float) -> str:
    """Write ISO 8601 in UTC with microseconds and Z."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
