"""Where the sandbox may post: to this machine and to private networks, unless it was told to reach out.

Knows which addresses are near. Must not know what is posted. A sandbox that a stranger can call must not become a way
to post anywhere.
"""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

Resolve = Callable[[str, int], Sequence[str]]
_NEAR: Final = tuple(
    ipaddress.ip_network(written)
    for written in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
)


def lookup(host: str, port: int) -> list[str]:
    """Return all addresses of a host. Raises OSError or UnicodeError."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def is_near(url: str, resolve: Resolve = lookup) -> bool:
    """Return whether every address of a URL's host is of this machine or a private network."""
    try:
        parts = urlsplit(url)
        found = resolve(parts.hostname or "", parts.port or 80)
        addresses = [ipaddress.ip_address(address.partition("%")[0]) for address in found]
    except (OSError, ValueError):  # a host without addresses, and a URL that cannot be read
        return False
    return bool(addresses) and all(any(one in network for network in _NEAR) for one in addresses)
