"""The upstream's formats of times.

Knows both formats. Must not read a clock: every function takes Unix seconds.
"""

from datetime import UTC, datetime, timedelta, timezone

# The samples of the upstream fit Indian time where they show no zone.
PORTAL_ZONE = timezone(timedelta(hours=5, minutes=30))


def portal_time(at: float | None) -> str:
    """Return `yyyy-mm-dd hh:mm:ss` without a zone, or an empty text for None."""
    return "" if at is None else datetime.fromtimestamp(at, PORTAL_ZONE).strftime("%Y-%m-%d %H:%M:%S")


def iso_time(at: float) -> str:
    """Return ISO 8601 in UTC with microseconds and Z."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
