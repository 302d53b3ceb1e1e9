"""Pooled keep-alive connections that keep to their limits.

Knows sockets and urllib3's seams: when a request is sure not to have left, when time is up although bytes
still drip in, when an idle connection is too old to trust. Must not know accounts, paths or what answers say.
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
    # The first that fits; ssl.SSLError and gaierror are OSErrors themselves.
    (socket.gaierror, "dns_failed"),
    (UnicodeError, "dns_failed"),  # the resolver's own word for an impossible name
    (TimeoutError, "connect_timeout"),
    (ssl.SSLError, "tls_failed"),
    (urllib3.exceptions.SSLError, "tls_failed"),  # the ca_bundle cannot be loaded
    (OSError, "connect_failed"),
)


class NotConnectedError(Exception):
    """No connection came about, so nothing left; `reason` is our word for why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Until(io.RawIOBase):
    """A socket's bytes until one moment.

    A socket's timeout starts again with every byte, so a server that drips would hold the caller for ever.
    Here the timeout that the socket has at first is all there is.
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
    """An answer whose status line, headers and body share one deadline."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed through
        super().__init__(sock, *args, **kwargs)
        # detach() keeps the file's hold on the socket, which may be "closed" before the answer is read.
        raw = cast("socket.SocketIO", self.fp.detach())
        self.fp = io.BufferedReader(_Until(sock, raw))


class _Bounded(HTTPConnection):
    """What the plain and the TLS connection have in common.

    `unlogged_query` is added to the path at the last moment, since urllib3 logs the path that it was given.
    """

    response_class = _Response

    def __init__(self, *args: Any, unlogged_query: str, idle_timeout: float, **kwargs: Any) -> None:  # noqa: ANN401 - passed through
        super().__init__(*args, **kwargs)
        self._unlogged_query = unlogged_query
        self._idle_timeout = idle_timeout
        self._last_used = time.monotonic()

    def _new_conn(self) -> socket.socket:
        """Share the connect limit among all addresses, and leave the rest of it to the TLS handshake.

        The C library offers no limit for the lookup itself; one that outlasts the limit ends here, unsent.
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
        """Connect, or say that nothing left: what fails in here came before the first byte of a request."""
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

        One that was idle for long may be gone without a sign; a request sent into it has an unknown end.
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
        """Close the idle connections at once; urllib3 alone would wait for the garbage collector."""
        pools = self.poolmanager.pools
        for key in pools.keys():  # noqa: SIM118 - its __iter__ is forbidden
            with contextlib.suppress(KeyError):  # another thread closes too
                pools[key].close()
        super().close()


def bounded_adapter(*, pool_size: int, idle_timeout: float, unlogged_query: str) -> HTTPAdapter:
    """Make an adapter whose connections are bounded; safe to use from many threads.

    More than `pool_size` calls at once are served too, only their connections are not kept: waiting for a
    free one would be time that no limit counts. Nothing is ever sent twice (max_retries is 0).
    """
    adapter = _Adapter(pool_connections=1, pool_maxsize=pool_size, max_retries=0, pool_block=False)
    own = {"unlogged_query": unlogged_query, "idle_timeout": idle_timeout}
    pools = {"http": partial(_Pool, **cast("Any", own)), "https": partial(_TlsPool, **cast("Any", own))}
    adapter.poolmanager.pool_classes_by_scheme = cast("dict[str, Any]", pools)
    return adapter
