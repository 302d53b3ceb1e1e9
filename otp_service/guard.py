"""What may be sent at all: a request becomes charges, in the order they are made.

Pure. Must not know where counters live. What the caller owns is charged before what a victim owns, so that a
refused caller spends nothing of a victim's budget.
"""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from otp_service.policy import Limits, Window

IPV6_SUBSCRIBER = 64
"""Bits of an IPv6 address that name one subscriber (RFC 6177)."""


@dataclass(frozen=True, slots=True)
class Charge:
    """One act against one counter. `subject` is what is counted, in clear; it is kept only as an HMAC."""

    rule: str
    subject: str
    windows: tuple[Window, ...]


def charges(limits: Limits, *, number: str, address: str | None) -> Iterator[Charge]:
    """Name what one send costs. `address` is the browser's; None for a server, which is known by its key."""
    if address is not None and limits.address:
        yield Charge("address", subscriber(address), limits.address)
    yield Charge("number", number, limits.number)


def subscriber(address: str) -> str:
    """Give what stands for one subscriber: an IPv4 address, or an IPv6 network of 64 bits."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, IPV6_SUBSCRIBER), strict=False))
    return str(parsed)
