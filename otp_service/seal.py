"""Keeps phone numbers out of the store in clear: sealed values, and HMACs to look them up by.

Knows AES-256-GCM and key ids. Must not know what is stored or where.
"""

import base64
import hashlib
import hmac
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12
INDEX_BYTES = 16


class Unsealable(ValueError):
    """The value was sealed with a key that is gone, or for something else."""


class Seal:
    """Seals short texts and makes lookup keys."""

    def __init__(self, keys: Mapping[str, bytes], lookup_key: bytes) -> None:
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._current = next(iter(keys))
        self._lookup_key = lookup_key

    def close(self, text: str, owner: str) -> str:
        """Seal a text for `owner` with the newest key; gives `KEYID.base64url(nonce + ciphertext)`."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + self._ciphers[self._current].encrypt(nonce, text.encode(), owner.encode())
        return f"{self._current}.{base64.urlsafe_b64encode(sealed).decode().rstrip('=')}"

    def open(self, sealed: str, owner: str) -> str:
        """Open what `close` sealed for the same owner. Raises Unsealable."""
        key_id, _, body = sealed.partition(".")
        try:
            raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
            text = self._ciphers[key_id].decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], owner.encode())
        except (KeyError, ValueError, InvalidTag):  # no such key, no such form, not what we sealed
            raise Unsealable(key_id) from None
        return text.decode()

    def index(self, *parts: str) -> str:
        """Give a lookup key (22 base64url signs) that tells nothing about its parts without our key."""
        text = b"".join(len(p.encode()).to_bytes(4, "big") + p.encode() for p in parts)
        digest = hmac.digest(self._lookup_key, text, hashlib.sha256)[:INDEX_BYTES]
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")
