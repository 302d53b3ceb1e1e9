"""Reads what the networks know about a number (documentation, v2/lookup/verify).

Knows the fields of an answer. Keeps only what a route or a risk rule can use: must not pass on the subscriber's
identity (IMSI) or the switch that serves it.
"""

import re
from collections.abc import Mapping
from typing import Any

from otp_service.upstream.mobtexting.values import identifier, truth
from otp_service.upstream.port import Lookup


def lookup_of(row: Mapping[str, Any]) -> Lookup:
    """Read a row. If the number was not found, nothing else is read."""
    if str(row.get("status")).strip().upper() != "SUCCESS":
        return Lookup(known=False)
    mcc_mnc = identifier(row.get("mcc_mnc")) or ""
    ported = truth(row.get("ported"))
    return Lookup(
        known=True,
        mobile=True if identifier(row.get("imsi")) or mcc_mnc else None,
        network=_network(row.get("ported_network") if ported else None)
        or _network(row.get("original_network")),
        mcc_mnc=mcc_mnc if re.fullmatch(r"[0-9]{5,6}", mcc_mnc) else None,
        ported=ported,
        roaming=truth(row.get("roaming")),
    )


def _network(network: object) -> str | None:
    return identifier(network.get("network_name")) if isinstance(network, dict) else None
