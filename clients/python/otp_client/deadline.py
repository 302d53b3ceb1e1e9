"""Connections whose time limit holds for the whole exchange.

Knows sockets, `requests` and urllib3. Must not know what is asked or answered.
The timeout of `requests` starts again with each byte and with each address of a name, so a slow server could hold a
caller for as long as it likes. The only part without a limit is the lookup of a name, which the system limits.
"""

import contextlib
import http.client
import io
import socket
import time
from typing import Any, cast

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.connection import create_connection


class _Until(io.RawIOBase):
    """The bytes of a socket until a deadline: its timeout now, counted from the start of the answer."""

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
        raw = cast("socket.SocketIO", self.fp.detach())
        self.fp = io.BufferedReader(_Until(sock, raw))


class _Connection(HTTPConnection):
    response_class = _Response

    def _new_conn(self) -> socket.socket:
        """Divide the limit by the addresses of the name; what is left of it is for the TLS handshake."""
        end = time.monotonic() + cast("float", self.timeout)
        found = socket.getaddrinfo(self.host.strip("[]"), self.port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        for place, address in enumerate(addresses[:-1]):
            with contextlib.suppress(OSError):
                return self._connect_to(address, end, share=len(addresses) - place)
        return self._connect_to(addresses[-1], end, share=1)

    def _connect_to(self, address: str, end: float, share: int) -> socket.socket:
        sock = create_connection(
            (address, self.port), _left(end) / share, self.source_address, self.socket_options
        )
        sock.settimeout(max(end - time.monotonic(), 0.001))  # 0 would mean "do not wait at all"
        return sock


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class DeadlineAdapter(HTTPAdapter):
    """An adapter for `requests` whose timeout, if it is a `urllib3.Timeout(total=...)`, is the whole time."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed through
        """Make connections with a deadline."""
        super().init_poolmanager(*args, **kwargs)
        _use_deadlines(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - passed through
        """Make connections with a deadline through a proxy, too."""
        manager = super().proxy_manager_for(*args, **kwargs)
        _use_deadlines(manager)
        return manager


def _use_deadlines(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
