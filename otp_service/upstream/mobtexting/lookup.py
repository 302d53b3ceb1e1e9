"""Reads what the networks know about a number (documentation, v2/lookup/verify).

Knows the fields of an answer. Keeps only what a route can use: must not pass on the subscriber's identity (IMSI), the
network or the switch that serves it.
"""

from collections.abc import Mapping
from typing import Any

from otp_service.upstream.mobtexting.values import identifier
from otp_service.upstream.port import Lookup


def lookup_of(row: Mapping[str, Any]) -> Lookup:
    """Read a row. If the number was not found, nothing else is read."""
    if str(row.get("status")).strip().upper() != "SUCCESS":
        return Lookup()
    return Lookup(mobile=True if identifier(row.get("imsi")) or identifier(row.get("mcc_mnc")) else None)
