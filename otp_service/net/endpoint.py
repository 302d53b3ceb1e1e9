"""The URL of an endpoint that an app or operator chose: its parts, and which addresses may be reached for it.

Pure. Knows what a URL looks like, and the networks that are not for it. Must not know how it is called.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Self

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(*written: str) -> tuple[_Network, ...]:
    return tuple(ipaddress.ip_network(network) for network in written)


# The IANA special-purpose registries (RFC 6890). They are written out because the result of Python's `is_global` for
# some of them has changed between patch releases.
_NEVER = _networks(
    "0.0.0.0/8",  # "this host"
    "100.64.0.0/10",  # carriers' NAT, and a cloud's metadata (100.100.100.200)
    "168.63.129.16/32",  # a cloud's agent, on a public address
    "169.254.0.0/16",  # link-local, and the metadata of most clouds
    "192.0.0.0/24",  # protocol assignments, and a cloud's metadata (192.0.0.192)
    "192.0.2.0/24",  # documentation
    "192.88.99.0/24",  # relays of 6to4
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/3",  # multicast, reserved, broadcast
    "2001::/23",  # protocol assignments, Teredo with an IPv4 address inside
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4, with an IPv4 address inside
    "3fff::/20",  # documentation
    "fd00:ec2::/32",  # a cloud's metadata inside the private range
    "fd20:ce::/32",  # as above
)
_PRIVATE = _networks("10.0.0.0/8", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
# The rest of IPv6 is not assigned to hosts: unspecified, IPv4-mapped, NAT64, link-local, site-local, multicast.
_ALLOTTED = _networks("0.0.0.0/0", "2000::/3")

_SHAPE = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<path>/[!-~]*)?"
)
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_MAX_URL, _MAX_PORT = 2048, 65535


def check_url(url: str, *, allow_private: bool = False) -> str | None:
    """Return the rule that an endpoint's URL breaks, or None. Checks the form only, without a lookup."""
    try:
        EndpointUrl.parse(url, allow_private=allow_private)
    except ValueError as rule:
        return str(rule)
    return None


@dataclass(frozen=True, slots=True)
class EndpointUrl:
    """A URL that we parsed once, so that no two parsers can disagree about it."""

    scheme: str
    host: str
    port: int
    authority: str
    path: str
    query: str
    allow_private: bool

    @classmethod
    def parse(cls, url: str, *, allow_private: bool) -> Self:
        """Parse a URL. Raises ValueError with the rule that it breaks."""
        match = _SHAPE.fullmatch(url) if len(url) <= _MAX_URL and not set(url) & {"#", "\\"} else None
        if not match or int(match["port"] or 1) > _MAX_PORT:
            raise ValueError(
                "must be a URL such as https://app.example.com/events, without user, fragment or spaces"
            )
        host = match["host"].strip("[]").lower()
        path, _, query = (match["path"] or "/").partition("?")
        made = cls(
            scheme=match["scheme"],
            host=host,
            port=int(match["port"] or (443 if match["scheme"] == "https" else 80)),
            authority=url.split("/")[2],
            path=path,
            query=query,
            allow_private=allow_private,
        )
        made._check(_literal(match["host"]))
        return made

    def _check(self, address: Address | None) -> None:
        here = self.host == "localhost" if address is None else address.is_loopback
        if self.scheme == "http" and not (self.allow_private and here):
            raise ValueError("must be https")
        if address is not None and not self.may_reach(address):
            raise ValueError("must not be a private or reserved address")

    def may_reach(self, address: Address) -> bool:
        """Return whether a connection to the address is allowed; plain HTTP stays on this machine."""
        if any(address in network for network in _NEVER):
            return False
        if self.scheme == "http" and not address.is_loopback:
            return False
        private = any(address in network for network in _PRIVATE)
        return self.allow_private if private else any(address in network for network in _ALLOTTED)

    def at(self, address: Address) -> str:
        """Return the URL with an address instead of the name, without the query, which must not be logged."""
        host = f"[{address}]" if isinstance(address, ipaddress.IPv6Address) else address
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def _literal(host: str) -> Address | None:
    """Return the address if a host is one, None if it is a name. Raises ValueError with the rule that it breaks.

    If the last label starts with a digit, the host is an IPv4 address (WHATWG URL, "ends in a number"). It must be in
    dotted decimal form, because resolvers also read octal, hexadecimal and shortened forms.
    """
    labels = host.split(".")
    try:
        if host.startswith("["):
            return ipaddress.IPv6Address(host[1:-1])
        if labels[-1][:1].isdigit():
            return ipaddress.IPv4Address(host)
    except ValueError:
        raise ValueError("must have an address in its usual form, or a name") from None
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("must have a host name of letters, digits, hyphens and dots")
    return None
