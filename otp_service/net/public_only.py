"""One POST to an app's endpoint, which must not be inside our own network.

Knows addresses, names and HTTP. Must not know what an event contains or when it is sent again.

An app chooses the URL, so an attacker may have chosen it (OWASP API7:2023, ASVS 15.3.2). The name is resolved once,
every address is checked, and the connection goes to a checked address, so a second lookup cannot lead elsewhere. SNI,
Host and the certificate still use the name.
"""

import ipaddress
import re
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self, cast

import requests
from urllib3.util import Timeout

from otp_service.net.bounded import NotConnectedError, bounded_adapter

CONNECT_LIMIT, TOTAL_LIMIT = 5.0, 15.0
"""Seconds for lookup, connection and TLS, and for everything. Standard Webhooks recommends 15 to 30."""
Resolve = Callable[[str, int], Sequence[str]]
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
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

_HEADERS = {
    "Accept-Encoding": "identity",
    "Connection": "close",
    "Content-Type": "application/json",
    "User-Agent": "otp-service",
}
_SHAPE = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<path>/[!-~]*)?"
)
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_MAX_URL, _MAX_PORT = 2048, 65535


def check_url(url: str, *, allow_private: bool = False) -> str | None:
    """Return the rule that an endpoint's URL breaks, or None. Checks the form only, without a lookup."""
    try:
        _Endpoint.parse(url, allow_private=allow_private)
    except ValueError as rule:
        return str(rule)
    return None


def lookup(host: str, port: int) -> list[str]:
    """Return all addresses of a host, the preferred one first. Raises OSError or UnicodeError."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


@dataclass(frozen=True, slots=True)
class PostResult:
    """The result of one try.

    `status` is None if there was no answer. `retry_after` is in seconds, if the receiver sent it. `reason` is a stable
    word of ours for logs and metrics: `answered`, `timeout`, `forbidden_address`... `body` is the beginning of the
    answer's, if the client reads it.
    """

    status: int | None
    retry_after: float | None
    reason: str
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicClient:
    """Posts to endpoints; many threads may use it.

    `allow_private` allows private networks, and plain HTTP to this machine: for apps beside the service, the demo and
    tests. Metadata, link-local and embedded addresses stay forbidden. `ca_bundle` is a file of certificates to trust
    instead of the usual ones. Limits are in seconds.
    """

    allow_private: bool = False
    ca_bundle: str | None = None
    connect_limit: float = CONNECT_LIMIT
    total_limit: float = TOTAL_LIMIT
    resolve: Resolve = lookup
    most: int = 0
    """Bytes of an answer that are wanted; one more is read, to tell that there are more. 0: the body is not read."""

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> PostResult:
        """Post JSON once and return the answer, or the reason why there is none. Network errors are not raised.

        Redirects are not followed. Proxies and netrc of the environment are ignored. A lookup cannot be interrupted,
        but nothing is sent after one that took too long.
        """
        started = time.monotonic()
        try:
            endpoint = _Endpoint.parse(url, allow_private=self.allow_private)
        except ValueError:
            return _failed("bad_url")
        try:
            found = self.resolve(endpoint.host, endpoint.port)
            addresses = [ipaddress.ip_address(address) for address in found]
        except (OSError, ValueError):  # UnicodeError, for an impossible name, is a ValueError
            return _failed("dns_failed")
        if not addresses:
            return _failed("dns_failed")
        # One bad address among good ones is a trap or a mistake; we cannot tell which.
        if not all(endpoint.may_reach(address) for address in addresses):
            return _failed("forbidden_address")
        sent = {**_HEADERS, "Host": endpoint.authority, **headers}
        request = requests.Request("POST", headers=sent, data=body)
        return self._post_to(addresses, endpoint, request, started)

    def _post_to(
        self, addresses: Sequence[_Address], endpoint: "_Endpoint", request: requests.Request, started: float
    ) -> PostResult:
        """Post to the first address that accepts a connection; all addresses share the connect limit."""
        answer = _failed("connect_timeout")
        for place, address in enumerate(addresses):
            spent = time.monotonic() - started
            share = (self.connect_limit - spent) / (len(addresses) - place)
            if share <= 0:
                break
            request.url = endpoint.at(address)
            try:
                return self._exchange(
                    endpoint, request, Timeout(total=self.total_limit - spent, connect=share)
                )
            except NotConnectedError as fault:
                answer = _failed(fault.reason)
        return answer

    def _exchange(self, endpoint: "_Endpoint", request: requests.Request, timeout: Timeout) -> PostResult:
        """Send one request and read the answer. Raises NotConnectedError if nothing was sent."""
        adapter = bounded_adapter(pool_size=1, idle_timeout=0, unlogged_query=endpoint.query)
        adapter.poolmanager.connection_pool_kw["server_hostname"] = endpoint.host
        try:
            with adapter.send(
                request.prepare(),
                stream=True,
                timeout=cast("Any", timeout),  # a documented kind of timeout that the stubs leave out
                verify=self.ca_bundle or True,
            ) as response:
                retry_after = _seconds(response.headers.get("Retry-After"), datetime.now(UTC))
                body = response.raw.read(self.most + 1) if self.most else b""
                return PostResult(response.status_code, retry_after, "answered", body)
        except NotConnectedError:
            raise
        except requests.Timeout:
            return _failed("timeout")
        except Exception:  # noqa: BLE001 - whatever an answer breaks in a parser must end in a word
            return _failed("no_answer")


@dataclass(frozen=True, slots=True)
class _Endpoint:
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

    def _check(self, address: _Address | None) -> None:
        here = self.host == "localhost" if address is None else address.is_loopback
        if self.scheme == "http" and not (self.allow_private and here):
            raise ValueError("must be https")
        if address is not None and not self.may_reach(address):
            raise ValueError("must not be a private or reserved address")

    def may_reach(self, address: _Address) -> bool:
        """Return whether a connection to the address is allowed; plain HTTP stays on this machine."""
        if any(address in network for network in _NEVER):
            return False
        if self.scheme == "http" and not address.is_loopback:
            return False
        private = any(address in network for network in _PRIVATE)
        return self.allow_private if private else any(address in network for network in _ALLOTTED)

    def at(self, address: _Address) -> str:
        """Return the URL with an address instead of the name, without the query, which must not be logged."""
        host = f"[{address}]" if isinstance(address, ipaddress.IPv6Address) else address
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def _literal(host: str) -> _Address | None:
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


def _failed(reason: str) -> PostResult:
    return PostResult(None, None, reason)


def _seconds(retry_after: str | None, now: datetime) -> float | None:
    """Return the seconds of a Retry-After header, a number or a date (RFC 9110, 10.2.3); None if there is none."""
    if retry_after is None:
        return None
    if re.fullmatch("[0-9]{1,9}", retry_after):
        return float(retry_after)
    try:
        date = parsedate_to_datetime(retry_after)
        wait = (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds()
    except (ValueError, OverflowError):
        return None
    return max(wait, 0.0)
