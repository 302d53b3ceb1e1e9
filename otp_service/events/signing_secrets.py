"""The secrets that sign events, as Standard Webhooks 1.0.0 writes them.

Knows their form. Must not know which app has which secret, or how an event is signed.
"""

import base64
import secrets

PREFIX = "whsec_"
MIN_SECRET, MAX_SECRET = 24, 64
"""Bytes of a secret."""
DRAWN_SECRET = 32
"""Bytes of a secret that this service draws: the output length of the hash (RFC 2104, section 3)."""


def read_secret(text: str) -> bytes:
    """Read a secret: `whsec_` and the base64 of 24 to 64 bytes. Raises ValueError with the rule that it breaks."""
    try:
        raw = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except ValueError:
        raw = b""
    if not text.startswith(PREFIX) or not MIN_SECRET <= len(raw) <= MAX_SECRET:
        raise ValueError(f"must be {PREFIX} followed by the base64 of {MIN_SECRET} to {MAX_SECRET} bytes")
    return raw


def read_secrets(text: str) -> list[bytes]:
    """Read one secret or, during a rotation, several with commas between them, the newest first. Raises ValueError."""
    return [read_secret(one.strip()) for one in text.split(",")]


def draw_secret() -> str:
    """Draw a secret for one endpoint. Endpoints must not share secrets."""
    return PREFIX + base64.b64encode(secrets.token_bytes(DRAWN_SECRET)).decode()
