"""Servers on loopback that no event may reach."""

import socket
from collections.abc import Iterator

import pytest

from tests.support.fault_server import FaultServer, say
from tests.support.posts import OK


@pytest.fixture(scope="module")
def listener() -> Iterator[FaultServer]:
    """Run a server that no payload may reach."""
    with FaultServer() as running:
        running.play(say(OK))
        yield running


@pytest.fixture
def six(listener: FaultServer) -> Iterator[socket.socket | None]:
    """Listen on [::1] on the same port; None on a machine without IPv6."""
    try:
        sock = socket.create_server(("::1", listener.port), family=socket.AF_INET6)
    except OSError:
        yield None
        return
    with sock:
        sock.settimeout(0)
        yield sock
