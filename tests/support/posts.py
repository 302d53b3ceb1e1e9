"""Posts to endpoints, as the demo and tests make them."""

import socket
from contextlib import suppress

from otp_service.net.public_only import PostResult, PublicClient, Resolve, lookup
from tests.support.fault_server import FaultServer, http
from tests.support.patience import PATIENCE

NAME = "hooks.example.test"
OK = http(b"{}")
HEADERS = {"webhook-id": "evt_1"}
ANSWERED = PostResult(200, None, "answered")


def failed(reason: str) -> PostResult:
    """Make the result of a try without an answer."""
    return PostResult(None, None, reason)


def known_as(*addresses: str) -> Resolve:
    """Resolve every name to these addresses."""
    return lambda _host, _port: addresses


def here(server: FaultServer, path: str = "/events") -> str:
    """Write the URL of a plain server."""
    return f"http://127.0.0.1:{server.port}{path}"


def post(url: str, resolve: Resolve = lookup, **settings: object) -> PostResult:
    """Post as the demo and tests do, with loopback allowed, and time to spare unless a test is about limits."""
    usual = {"allow_private": True, "connect_limit": PATIENCE, "total_limit": PATIENCE}
    client = PublicClient(**{**usual, "resolve": resolve, **settings})  # type: ignore[arg-type]
    return client.post(url, HEADERS, b'{"type":"challenge.sent"}')


def has_no_connection(listener: FaultServer, six: socket.socket | None) -> bool:
    """Return whether neither socket has seen a connection."""
    with suppress(BlockingIOError):
        if six:
            six.accept()[0].close()
            return False
    return listener.connections == 0
