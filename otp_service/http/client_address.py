"""Where a request comes from: the address of the peer, or the one that trusted proxies report.

Pure. Must not know what an address is used for.
"""

import re
from ipaddress import IPv6Address, ip_address

_BRACKETED = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?")
_WITH_PORT = re.compile(r"([0-9.]+):[0-9]{1,5}")


def client_address(forwarded: str | None, peer: str | None, trusted: int) -> str:
    """Return the client's address in canonical form, or an empty string if it is not an address.

    `forwarded` is X-Forwarded-For; several headers are joined with commas. Each of the `trusted` proxies appends the
    address of its own peer, so the client's address is `trusted` entries from the end. Entries before it come from the
    client and prove nothing. An empty entry counts: skipping it would let the client choose its address. With fewer
    entries the request did not pass through all proxies, and the peer is the client.
    """
    entries = (forwarded or "").split(",") if (forwarded or "").strip() else []
    if trusted and len(entries) >= trusted:
        return canonical(entries[-trusted])
    return canonical(peer or "")


def canonical(entry: str) -> str:
    """Return an address, written with or without a port, in canonical form; an empty string if it is none."""
    text = entry.strip(" \t")
    if match := _BRACKETED.fullmatch(text) or _WITH_PORT.fullmatch(text):
        text = match[1]
    try:
        # The zone of a link-local address, which IPv4 has not, names an interface of this host, not the client.
        parsed = ip_address(text.partition("%")[0] if ":" in text else text)
    except ValueError:
        return ""
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(parsed)
