"""Phone numbers never reach the store in clear: values are sealed, and lookups use HMACs.

Knows AES-256-GCM and key ids. Must not know what is stored or where.
"""

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12
INDEX_BYTES = 16
_BLOCK_BYTES = 16


class Unsealable(ValueError):
    """The value was sealed with a key that this process does not have, or for another owner."""


class Seal:
    """Seals short texts and makes lookup keys."""

    def __init__(
        self, keys: Mapping[str, bytes], lookup_keys: Mapping[str, bytes], subject_key: bytes
    ) -> None:
        """`keys` seal values, `lookup_keys` make lookup keys. Both are rings, newest first.

        `subject_key` makes the names by which apps know people. It never changes.
        """
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._current = next(iter(keys))
        self.key_ids = tuple(keys)
        """The ids of the keys that this process can open values with."""
        self._lookups = tuple(map(_keyed, lookup_keys.values()))
        self.lookup_id = next(iter(lookup_keys))
        """The id of the key that makes new lookup keys."""
        self._subjects = _keyed(subject_key)
        self._blocks = tuple(map(_blocks, lookup_keys.values()))

    def close(self, text: str, owner: str) -> str:
        """Seal a text for `owner` with the newest key. Returns `KEYID.base64url(nonce + ciphertext)`."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + self._ciphers[self._current].encrypt(nonce, text.encode(), owner.encode())
        return f"{self._current}.{_text(sealed)}"

    def open(self, sealed: str, owner: str) -> str:
        """Open a text that `close` sealed for the same owner. Raises Unsealable."""
        key_id, _, body = sealed.partition(".")
        try:
            raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
            text = self._ciphers[key_id].decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], owner.encode())
        except (KeyError, ValueError, InvalidTag):  # an unknown key, another format, or not sealed by us
            raise Unsealable(key_id) from None
        return text.decode()

    def is_newest(self, sealed: str) -> bool:
        """Return whether a value was sealed with the newest key."""
        return sealed.partition(".")[0] == self._current

    def reference(self, challenge_id: str) -> str:
        """Draw a delivery's reference. It looks random, and only this service can derive the challenge from it.

        28 URL-safe characters: the partition, the id's 128 random bits encrypted as one AES block, 24 random bits.
        """
        cipher = self._blocks[0].encryptor()
        hidden = cipher.update(_block(challenge_id[2:])) + cipher.finalize()
        return challenge_id[:2] + _text(hidden) + secrets.token_urlsafe(3)

    def challenges_of(self, reference: str) -> Iterator[str]:
        """Yield the challenges that may have a delivery with this reference: one per lookup key, newest first.

        Yields nothing if the reference cannot be one of ours.
        """
        try:
            hidden = _block(reference[2:24])
        except ValueError:
            return
        for blocks in self._blocks:
            cipher = blocks.decryptor()
            yield reference[:2] + _text(cipher.update(hidden) + cipher.finalize())

    def index(self, *parts: str) -> str:
        """Return a lookup key: 22 base64url characters that reveal nothing about the parts without our key."""
        return _index(self._lookups[0], parts)

    def indexes(self, *parts: str) -> tuple[str, ...]:
        """Return the results of `index` under every key of the ring, newest first."""
        return tuple(_index(keyed, parts) for keyed in self._lookups)

    def subject(self, app: str, e164: str) -> str:
        """Return the name by which an app knows the person: always the same, and different for each app."""
        return _index(self._subjects, (app, e164))


def _blocks(lookup_key: bytes) -> Cipher[modes.ECB]:
    """Return the cipher that hides challenge ids in references.

    ECB is right here: one random block under its own key, and the same id must give the same block.
    """
    key = hmac.digest(lookup_key, b"reference", hashlib.sha256)
    return Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305


def _keyed(key: bytes) -> hmac.HMAC:
    return hmac.new(key, digestmod=hashlib.sha256)


def _index(keyed: hmac.HMAC, parts: Iterable[str]) -> str:
    one = keyed.copy()  # takes a third of the time of a new one, and a send needs a dozen
    one.update(b"".join([len(part).to_bytes(4, "big") + part for part in map(str.encode, parts)]))
    return _text(one.digest()[:INDEX_BYTES])


def _block(text: str) -> bytes:
    """Read 16 bytes of base64url. Raises ValueError."""
    raw = base64.b64decode(text.encode("ascii", "replace") + b"==", altchars=b"-_", validate=True)
    if len(raw) != _BLOCK_BYTES:
        raise binascii.Error("not one block")
    return raw


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
