"""Where a request comes from: the peer, or what trusted proxies say of it.

Pure. Must not know what an address is used for.
"""

import re
from ipaddress import IPv6Address, ip_address

_BRACKETED = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?")
_WITH_PORT = re.compile(r"([0-9.]+):[0-9]{1,5}")


def client_address(forwarded: str | None, peer: str | None, trusted: int) -> str:
    """Give the client's address in its one usual spelling; empty for what is no address.

    `forwarded` is X-Forwarded-For, several of them with a comma between, to which each of the `trusted` proxies added
    the address of its own peer. So the client's stands `trusted` entries from the end, and what stands before it is the
    client's own word. An empty entry counts: leaving it out would move the client's word within reach. With fewer
    entries the request did not come through all proxies, and the peer is who asks.
    """
    entries = (forwarded or "").split(",") if (forwarded or "").strip() else []
    if trusted and len(entries) >= trusted:
        return _address(entries[-trusted])
    return _address(peer or "")


def _address(entry: str) -> str:
    """Read an address, with or without a port, as proxies write it."""
    text = entry.strip(" \t")
    if match := _BRACKETED.fullmatch(text) or _WITH_PORT.fullmatch(text):
        text = match[1]
    try:
        # The zone of a link-local address names a card of this host, and no client.
        parsed = ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(parsed)
