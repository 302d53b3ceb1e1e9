"""Reads what the networks know about a number (documentation, v2/lookup/verify).

Knows the fields of an answer. Must not pass on the subscriber's identity (IMSI) or the switch that serves it.
"""

from collections.abc import Mapping
from typing import Any, Final

from otp_service.upstream.mobtexting.values import identifier, scalar, truth
from otp_service.upstream.port import Lookup

_MAX_NAME: Final = 64


def lookup_of(row: Mapping[str, Any]) -> Lookup:
    """Read a row. If the number was not found, nothing else is read."""
    if str(row.get("status")).strip().upper() != "SUCCESS":
        return Lookup()
    ported = truth(row.get("ported"))
    return Lookup(
        mobile=True if identifier(row.get("imsi")) or identifier(row.get("mcc_mnc")) else None,
        network=_network(row.get("ported_network"), "ported_")
        if ported
        else _network(row.get("original_network")),
        ported=ported,
    )


def _network(written: object, prefix: str = "") -> str | None:
    """Read the name of a network. The fields of the network that a number was ported to begin with `ported_`."""
    fields = written if isinstance(written, Mapping) else {}
    name = scalar(fields.get(f"{prefix}network_name")) or scalar(fields.get("network_name"))
    return name[:_MAX_NAME].strip() if name and name.isprintable() else None
