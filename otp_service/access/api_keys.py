"""API keys: how one is drawn, how it looks, and the hash under which it is known.

Must not know who holds a key or where its hash is kept.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping

PREFIXES: Mapping[str, str] = {"publishable": "pk", "secret": "sk", "ops": "ops", "webhook": "whs"}
"""What a key of each kind starts with."""


def draw(kind: str) -> str:
    """Draw a key of 192 random bits."""
    return f"{PREFIXES[kind]}_{secrets.token_urlsafe(24)}"


def digest(key: str) -> str:
    """Give the hash under which an API key is known; the key itself has 192 random bits."""
    return hashlib.sha256(key.encode()).hexdigest()


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600}


def seconds(text: str) -> int:
    """Read a time such as 90d or 24h, up to ten years. Raises ValueError."""
    match = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if not match or (found := int(match[1]) * _UNITS[match[2]]) > 3650 * _UNITS["d"]:
        raise ValueError("must be a time such as 90d or 24h, up to 3650d")
    return found
