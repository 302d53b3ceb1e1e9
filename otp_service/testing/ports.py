"""Ports for servers that take no listening socket: chosen before they start, and still theirs when they do.

Knows what the kernel does with ports. Must not know who listens.
"""

import socket

HOST = "127.0.0.1"


def free_port() -> int:
    """Find a port that nobody listens on and that nobody else is given for the next minute.

    A port that is only closed again is at once the kernel's to give: to the next one who asks for any port, or to
    the near end of somebody's connection. One connection made and ended from its own side leaves it in `TIME-WAIT`
    (RFC 9293, 3.6.1: twice the maximum segment lifetime, 60 s on Linux). For so long the kernel gives it to nobody;
    a server that names it, and allows the reuse of addresses as every server here does, may have it.
    """
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        with socket.create_connection((HOST, port)) as near:
            far, _ = listener.accept()
            far.close()
            near.recv(1)  # nothing: ended by the far side, whose port it is
    return port
