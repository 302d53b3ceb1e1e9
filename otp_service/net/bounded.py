"""Pooled keep-alive connections with strict limits.

Knows sockets and the internals of urllib3: when a request has certainly not left, when the time is up although bytes
still trickle in, when an idle connection is too old to be trusted. Must not know accounts, paths or the content of
answers.
"""

import contextlib
import http.client
import io
import socket
import ssl
import time
from functools import partial
from typing import Any, Final, cast

import urllib3.exceptions
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.connection import create_connection

_CONNECT_FAULTS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    # The first match counts; ssl.SSLError and gaierror are subclasses of OSError.
    (socket.gaierror, "dns_failed"),
    (UnicodeError, "dns_failed"),  # raised by the resolver for an impossible name
    (TimeoutError, "connect_timeout"),
    (ssl.SSLError, "tls_failed"),
    (urllib3.exceptions.SSLError, "tls_failed"),  # the ca_bundle cannot be loaded
    (OSError, "connect_failed"),
)


class NotConnectedError(Exception):
    """There was no connection, so nothing was sent. `reason` is a stable word of ours."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Until(io.RawIOBase):
    """The bytes of a socket until a deadline.

    The timeout of a socket starts again with every byte, so a slow server could hold the caller forever.
    Here, the socket's first timeout limits the whole answer.
    """

    def __init__(self, sock: socket.socket, raw: socket.SocketIO) -> None:
        self._sock, self._raw = sock, raw
        self._end = time.monotonic() + (sock.gettimeout() or 0.0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - io's own type for it is private to typeshed
        self._sock.settimeout(_left(self._end))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """An answer with one deadline for status line, headers and body."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed through
        super().__init__(sock, *args, **kwargs)
        # detach() keeps the socket open, which may be "closed" before the answer is read.
        raw = cast("socket.SocketIO", self.fp.detach())
        self.fp = io.BufferedReader(_Until(sock, raw))


class _Bounded(HTTPConnection):
    """The common part of plain and TLS connections.

    `unlogged_query` is added to the path at the last moment, because urllib3 logs the path that it gets.
    """

    response_class = _Response

    def __init__(self, *args: Any, unlogged_query: str, idle_timeout: float, **kwargs: Any) -> None:  # noqa: ANN401 - passed through
        super().__init__(*args, **kwargs)
        self._unlogged_query = unlogged_query
        self._idle_timeout = idle_timeout
        self._last_used = time.monotonic()

    def _new_conn(self) -> socket.socket:
        """Divide the connect limit by the addresses; what is left of it is for the TLS handshake.

        The C library has no time limit for the lookup. If a lookup takes too long, nothing is sent.
        """
        end = time.monotonic() + cast("float", self.timeout)
        found = socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        for place, address in enumerate(addresses[:-1]):
            with contextlib.suppress(OSError):
                return self._connect_to(address, end, share=len(addresses) - place)
        return self._connect_to(addresses[-1], end)

    def _connect_to(self, address: str, end: float, share: int = 1) -> socket.socket:
        left = _left(end) / share
        sock = create_connection((address, self.port), left, socket_options=self.socket_options)
        sock.settimeout(max(end - time.monotonic(), 0.001))  # 0 would mean "do not wait at all"
        return sock

    def connect(self) -> None:
        """Connect. Raises NotConnectedError: any failure in here comes before the first byte of a request."""
        try:
            super().connect()
        except Exception as fault:  # noqa: BLE001 - TLS alone has a dozen kinds, and all mean the same
            reason = next(
                (word for kind, word in _CONNECT_FAULTS if isinstance(fault, kind)), "connect_failed"
            )
            raise NotConnectedError(reason) from None

    @property
    def is_connected(self) -> bool:
        """Whether the connection may serve another request.

        The other side may have dropped a long idle connection without notice; a request would have an unknown fate.
        """
        return time.monotonic() - self._last_used < self._idle_timeout and super().is_connected

    def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed through
        if self._unlogged_query:
            url += ("&" if "?" in url else "?") + self._unlogged_query
        super().putrequest(method, url, *args, **kwargs)
        self._last_used = time.monotonic()


class _BoundedTls(_Bounded, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Bounded


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _BoundedTls


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class _Adapter(HTTPAdapter):
    def close(self) -> None:
        """Close the idle connections now; urllib3 would leave them to the garbage collector."""
        pools = self.poolmanager.pools
        for key in pools.keys():  # noqa: SIM118 - its __iter__ is forbidden
            with contextlib.suppress(KeyError):  # another thread closes too
                pools[key].close()
        super().close()


def bounded_adapter(*, pool_size: int, idle_timeout: float, unlogged_query: str) -> HTTPAdapter:
    """Return an adapter with limited connections; many threads may use it.

    It serves more than `pool_size` calls at once, but does not keep the extra connections: waiting for a free one
    would take time that no limit counts. Nothing is ever sent twice (max_retries is 0).
    """
    adapter = _Adapter(pool_connections=1, pool_maxsize=pool_size, max_retries=0, pool_block=False)
    own = {"unlogged_query": unlogged_query, "idle_timeout": idle_timeout}
    pools = {"http": partial(_Pool, **cast("Any", own)), "https": partial(_TlsPool, **cast("Any", own))}
    adapter.poolmanager.pool_classes_by_scheme = cast("dict[str, Any]", pools)
    return adapter
