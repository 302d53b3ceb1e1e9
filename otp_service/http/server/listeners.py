"""Opens the sockets that connections come to, and closes them so that no connection is lost.

Knows socket options. Must not know processes or HTTP.
"""

import ctypes
import errno
import socket
import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress

from otp_service.errors import ConfigurationError

BACKLOG = 1024
"""Connections that wait to be accepted."""

SEND_BUFFER = 128 * 1024
"""Bytes that the kernel keeps for a client that reads slowly."""


def open_listeners(addresses: Sequence[str], *, shared: bool = True) -> list[socket.socket]:
    """Listen on each HOST:PORT. Raises ConfigurationError with the address that cannot be had.

    If they are `shared`, SO_REUSEPORT lets the successor of a service listen on the same port before this one stops.
    Only processes of the same user can share a port so (socket(7)).
    """
    listeners, problems = [], []
    for address in addresses:
        try:
            listeners.append(_listener(address, shared=shared))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            reason = "another program listens there" if taken else f"{error.strerror}"
            problems.append(f"cannot listen on {address}: {reason}")
    if problems:
        for listener in listeners:
            listener.close()
        raise ConfigurationError(problems)
    return listeners


def _listener(address: str, *, shared: bool) -> socket.socket:
    host, _, port = address.rpartition(":")
    family, kind, protocol, _, found = socket.getaddrinfo(
        host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
        # Accepted connections inherit these two.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        listener.settimeout(0)
        listener.bind(found)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def drop_new_handshakes(listeners: Iterable[socket.socket]) -> None:
    """Make the kernel ignore new connections to these sockets, in every process that has them; handshakes finish.

    Closing a listener resets the connections that nobody has accepted yet. With this, that queue runs dry first. A
    client whose packet was ignored repeats it a second later, and meets the successor on the same port.
    """
    program = ctypes.create_string_buffer(b"".join(_DROP_SYN))
    option = struct.pack("HP", len(_DROP_SYN), ctypes.addressof(program))
    for listener in listeners:
        with suppress(OSError):  # not on Linux: a connection in that queue is lost
            listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, option)


_SO_ATTACH_FILTER = 26
_DROP_SYN = [
    struct.pack("HBBI", *instruction)  # code, jump if true, jump if false, operand (linux/filter.h)
    for instruction in (
        (0x30, 0, 0, 13),  # load the byte of the TCP header's flags
        (0x54, 0, 0, 0x12),  # keep SYN and ACK
        (0x15, 0, 1, 0x02),  # SYN alone opens a connection:
        (0x06, 0, 0, 0),  # drop it
        (0x06, 0, 0, 0xFFFFFFFF),  # pass everything else
    )
]
