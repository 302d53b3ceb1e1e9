"""Verification tokens: signed, checked, and the public keys to check them with.

Knows Ed25519 keys and JWT (RFC 7519, hardened as RFC 8725 says: one pinned algorithm, explicit type, own keys
only). Must not know what is being verified.
"""

import base64
import secrets
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from otp_service.errors import TokenInvalid

ALGORITHM = "EdDSA"
TYPE = "otp-verification+jwt"
LIFETIME = 300
"""Seconds a token lives."""
_REQUIRED = ["iss", "aud", "sub", "iat", "exp", "jti", "phone_number"]


class Signer:
    """Signs with the newest key, checks with any."""

    def __init__(self, seeds: Mapping[str, bytes], issuer: str) -> None:
        self._keys = {kid: Ed25519PrivateKey.from_private_bytes(seed) for kid, seed in seeds.items()}
        self._current = next(iter(seeds))
        self._issuer = issuer

    def sign(self, claims: Mapping[str, Any], *, audience: str, now: int) -> str:
        """Sign `claims` for an app, valid from `now` (seconds) for LIFETIME, with a fresh `jti`."""
        payload = {
            **claims,
            "iss": self._issuer,
            "aud": audience,
            "iat": now,
            "exp": now + LIFETIME,
            "jti": secrets.token_urlsafe(16),
        }
        headers = {"typ": TYPE, "kid": self._current}
        return jwt.encode(payload, self._keys[self._current], algorithm=ALGORITHM, headers=headers)

    def check(self, token: str, *, audience: str, now: int) -> dict[str, Any]:
        """Give the claims of a good token of this app. Raises TokenInvalid for any other."""
        try:
            header = jwt.get_unverified_header(token)
            key = self._keys.get(header.get("kid", ""))
            if key is None or header.get("typ") != TYPE:
                raise TokenInvalid
            claims: dict[str, Any] = jwt.decode(
                token,
                key.public_key(),
                algorithms=[ALGORITHM],
                audience=audience,
                issuer=self._issuer,
                options={"require": _REQUIRED, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
        except (jwt.PyJWTError, TypeError):
            raise TokenInvalid from None
        # The store's clock decides, as everywhere; PyJWT would ask this host's.
        if not isinstance(claims["exp"], int) or now >= claims["exp"]:
            raise TokenInvalid
        return claims

    def key_set(self) -> dict[str, list[dict[str, str]]]:
        """Give the public keys as a JWK set (RFC 7517, RFC 8037)."""
        return {"keys": [_public(kid, key) for kid, key in self._keys.items()]}


def _public(kid: str, key: Ed25519PrivateKey) -> dict[str, str]:
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    x = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    return {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": ALGORITHM, "kid": kid, "x": x}
