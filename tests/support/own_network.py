"""A network that only what is started within it can see, with a name server: where compose.yaml's own names hold.

Knows the kernel's network namespaces and a name server's A records. Must not know what is started. It needs root.
"""

import ctypes
import fcntl
import os
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

NAME_SERVER = "127.0.0.11"
"""Where engines have theirs, too."""
_NEW_NETWORK = 0x40000000
_SET_FLAGS, _UP = 0x8914, 1


@contextmanager
def own_network(addresses: Mapping[str, str]) -> Iterator[None]:
    """Move this thread, and all that it starts, to a network with nothing but a loopback of its own.

    `addresses` are those of names, all in 127.0.0.0/8.
    """
    kernel = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open() as before:
        _call(kernel.unshare(_NEW_NETWORK))
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
                fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh", b"lo", _UP))
            with _name_server(addresses):
                yield
        finally:
            _call(kernel.setns(before.fileno(), _NEW_NETWORK))


def _call(answer: int) -> None:
    if answer:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@contextmanager
def _name_server(addresses: Mapping[str, str]) -> Iterator[None]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            asked, answering = self.request
            answering.sendto(answer(asked, addresses), self.client_address)

    with socketserver.UDPServer((NAME_SERVER, 53), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def answer(asked: bytes, addresses: Mapping[str, str]) -> bytes:
    """Answer a question for an A record (RFC 1035, 4.1): its address, or that there is none or no such name."""
    labels, at = [], 12
    while length := asked[at]:
        labels.append(asked[at + 1 : at + 1 + length].decode())
        at += 1 + length
    kind = struct.unpack("!H", asked[at + 1 : at + 3])[0]
    address = addresses.get(".".join(labels).lower())
    found = b""
    if address and kind == 1:
        found = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 1, 4) + socket.inet_aton(address)
    flags = 0x8580 if address else 0x8583  # an answer with authority; or that there is no such name
    return asked[:2] + struct.pack("!HHHHH", flags, 1, bool(found), 0, 0) + asked[12 : at + 5] + found
