"""Where the sandbox may post: to this machine and to private networks, unless it was told to reach out.

Knows which addresses are near. Must not know what is posted. A sandbox that a stranger can call must not become a way
to post anywhere: a name is resolved once for each connection, every address is checked, and the connection goes to a
checked address, so that a second lookup cannot lead elsewhere (DNS rebinding).
"""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, cast

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.connection import create_connection

Resolve = Callable[[str, int], Sequence[str]]
_NEAR: Final = tuple(
    ipaddress.ip_network(written)
    for written in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
)


class FarError(Exception):
    """The receiver is outside this machine and private networks, so nothing was sent."""


def lookup(host: str, port: int) -> list[str]:
    """Return all addresses of a host. Raises OSError or UnicodeError."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def open_session(*, reach_out: bool, resolve: Resolve = lookup) -> requests.Session:
    """Open a session for posts, for one thread at a time. Unless it may `reach_out`, its posts raise FarError.

    No proxy or .netrc of this machine may see or change what is posted.
    """
    session = requests.Session()
    session.trust_env = False
    if not reach_out:
        adapter = HTTPAdapter()
        pools = {"http": partial(_Pool, resolve=resolve), "https": partial(_TlsPool, resolve=resolve)}
        adapter.poolmanager.pool_classes_by_scheme = cast("dict[str, Any]", pools)
        for scheme in ("http://", "https://"):
            session.mount(scheme, adapter)
    return session


def near_addresses(host: str, port: int, resolve: Resolve = lookup) -> Sequence[str]:
    """Resolve a host. Raises FarError unless every address is near, and OSError if the lookup fails."""
    try:
        found = resolve(host, port)
        parsed = [ipaddress.ip_address(address.partition("%")[0]) for address in found]
    except ValueError:  # UnicodeError, for an impossible name, is one
        raise FarError from None
    if not parsed or not all(any(one in network for network in _NEAR) for one in parsed):
        raise FarError
    return found


class _Near(HTTPConnection):
    """A connection to a checked address; TLS still uses the name."""

    def __init__(self, *args: Any, resolve: Resolve, **kwargs: Any) -> None:  # noqa: ANN401 - passed through
        super().__init__(*args, **kwargs)
        self._resolve = resolve

    def _new_conn(self) -> socket.socket:
        failed: OSError | None = None
        for address in near_addresses(self._dns_host, self.port, self._resolve):
            try:
                return create_connection(
                    (address, self.port), self.timeout, socket_options=self.socket_options
                )
            except OSError as fault:
                failed = fault
        raise failed or OSError


class _NearTls(_Near, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Near


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _NearTls
