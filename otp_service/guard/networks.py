"""The networks of an address: whom a limit on addresses counts.

Pure. Who has one IPv6 address has 2^64, and many have 2^80: a provider gives a home a /64, a /56 or a /48 (RFC 6177,
RIPE-690). So each of these is counted. A wider network has more people, so it gets more.
"""

import ipaddress
from functools import lru_cache

IPV6_SUBSCRIBER = 64
"""Bits of an IPv6 address that identify one subscriber (RFC 6177)."""
WIDER = ((56, 4), (48, 16))
"""Wider IPv6 networks that one subscriber may have (RIPE-690), and how many times a subscriber's limits each gets."""
PLACE = {4: 24, 6: 48}
"""Bits by which a network counts as a new one: the smallest that is announced to the internet by itself."""

_OF_IPV4 = tuple(map(ipaddress.IPv6Network, ("::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")))
"""Networks that stand for all of IPv4 by their last 32 bits: mapped (RFC 4291), and behind a translator (RFC 7915, RFC
6052). By their first 64 bits, everyone with IPv4 would be one subscriber."""


@lru_cache(1024)
def subscriber(address: str) -> str:
    """Return what identifies one subscriber: an IPv4 address, or an IPv6 network of 64 bits."""
    parsed = _parsed(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return _network(parsed, IPV6_SUBSCRIBER)
    return "unknown" if parsed is None else str(parsed)


@lru_cache(1024)
def wider_networks(address: str) -> tuple[tuple[str, int], ...]:
    """List the wider networks of an IPv6 address, each with how many times the limits of a subscriber it gets."""
    parsed = _parsed(address)
    if not isinstance(parsed, ipaddress.IPv6Address):
        return ()
    return tuple((_network(parsed, bits), times) for bits, times in WIDER)


@lru_cache(1024)
def place_of(address: str) -> str:
    """Return the network by which an address counts as new: its IPv4 /24 or IPv6 /48."""
    parsed = _parsed(address)
    return "unknown" if parsed is None else _network(parsed, PLACE[parsed.version])


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    if any(parsed in network for network in _OF_IPV4):
        return ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
    return parsed


def _network(address: ipaddress.IPv4Address | ipaddress.IPv6Address, bits: int) -> str:
    return str(ipaddress.ip_network((address, bits), strict=False))
