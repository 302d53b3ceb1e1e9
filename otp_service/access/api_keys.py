"""API keys: how a key is generated, its format, and the hash that identifies it.

Must not know who holds a key or where its hash is stored.
"""

import hashlib
import secrets
from collections.abc import Mapping

from otp_service.durations import DAY, read_duration

PREFIXES: Mapping[str, str] = {"publishable": "pk", "secret": "sk", "ops": "ops", "webhook": "whs"}
"""The prefix of each kind of key."""


def draw(kind: str) -> str:
    """Generate a key of 192 random bits."""
    return f"{PREFIXES[kind]}_{secrets.token_urlsafe(24)}"


def digest(key: str) -> str:
    """Return the SHA-256 hash that identifies a key. A fast hash is enough: a key has 192 random bits."""
    return hashlib.sha256(key.encode()).hexdigest()


def read_lifetime(text: str, *, shortest: int) -> int:
    """Read a lifetime such as 90d or 24h, from `shortest` to ten years, in seconds. Raises ValueError."""
    try:
        return read_duration(text, shortest=shortest, longest=3650 * DAY)
    except ValueError:
        raise ValueError(f"must be a time such as 90d or 24h, from {shortest}s to 3650d") from None
