"""API keys: how one is drawn, how it looks, and the hash under which it is known.

Must not know who holds a key or where its hash is kept.
"""

import hashlib
import secrets
from collections.abc import Mapping

from otp_service.durations import DAY, read_duration

PREFIXES: Mapping[str, str] = {"publishable": "pk", "secret": "sk", "ops": "ops", "webhook": "whs"}
"""What a key of each kind starts with."""


def draw(kind: str) -> str:
    """Draw a key of 192 random bits."""
    return f"{PREFIXES[kind]}_{secrets.token_urlsafe(24)}"


def digest(key: str) -> str:
    """Give the hash under which an API key is known; the key itself has 192 random bits."""
    return hashlib.sha256(key.encode()).hexdigest()


def seconds(text: str) -> int:
    """Read a time such as 90d or 24h, up to ten years. Raises ValueError."""
    try:
        return read_duration(text, longest=3650 * DAY)
    except ValueError:
        raise ValueError("must be a time such as 90d or 24h, up to 3650d") from None
