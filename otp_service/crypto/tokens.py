"""Verification tokens: how they are signed and checked, and the public keys for checking them.

Knows Ed25519 keys and JWT (RFC 7519) with the precautions of RFC 8725: one pinned algorithm, an explicit type, our own
keys only. Must not know what is being verified.
"""

import base64
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from otp_service.crypto.lifetimes import DEVICE_LIFETIME, TOKEN_LIFETIME
from otp_service.errors import TokenInvalid

ALGORITHM = "EdDSA"
TYPE = "otp-verification+jwt"
DEVICE_TYPE = "otp-device+jwt"
_REQUIRED = ["iss", "aud", "sub", "iat", "exp", "jti"]


class UnknownSigningKey(LookupError):
    """The token was signed with a key that this process does not have."""


@dataclass(frozen=True, slots=True)
class Issue:
    """What tells one token from all others: its id, when it was issued (seconds), and the key that signs it."""

    jti: str
    at: int
    kid: str


def new_jti() -> str:
    """Draw the id of a token."""
    return secrets.token_urlsafe(16)


class Signer:
    """Signs with the newest key, checks with any key of the ring."""

    def __init__(self, seeds: Mapping[str, bytes], issuer: str) -> None:
        self._keys = {kid: Ed25519PrivateKey.from_private_bytes(seed) for kid, seed in seeds.items()}
        self._current = next(iter(seeds))
        self._issuer = issuer

    @property
    def kid(self) -> str:
        """The id of the key that signs new tokens."""
        return self._current

    def sign(self, claims: Mapping[str, Any], issue: Issue, *, audience: str) -> str:
        """Sign `claims` for an app, valid for TOKEN_LIFETIME. The same claims and issue give the same bytes (RFC 8032).

        Raises UnknownSigningKey.
        """
        return self._sign(TYPE, claims, audience, issue, TOKEN_LIFETIME)

    def sign_device(self, subject: str, issue: Issue, *, audience: str) -> str:
        """Sign that a device verified `subject`'s number, valid for DEVICE_LIFETIME. Raises UnknownSigningKey."""
        return self._sign(DEVICE_TYPE, {"sub": subject}, audience, issue, DEVICE_LIFETIME)

    def check(self, token: str, *, audience: str, now: int) -> dict[str, Any]:
        """Return the claims of a valid verification token of this app. Raises TokenInvalid for any other."""
        return self._check(TYPE, token, audience, now, [*_REQUIRED, "phone_number"])

    def check_device(self, token: str, subject: str, *, audience: str, now: int) -> dict[str, Any]:
        """Return the claims of a valid device token for `subject`. Raises TokenInvalid for any other."""
        claims = self._check(DEVICE_TYPE, token, audience, now, _REQUIRED)
        if claims["sub"] != subject:
            raise TokenInvalid
        return claims

    def _sign(self, kind: str, claims: Mapping[str, Any], audience: str, issue: Issue, lifetime: int) -> str:
        if issue.kid not in self._keys:
            raise UnknownSigningKey(issue.kid)
        payload = {
            **claims,
            "iss": self._issuer,
            "aud": audience,
            "iat": issue.at,
            "exp": issue.at + lifetime,
            "jti": issue.jti,
        }
        headers = {"typ": kind, "kid": issue.kid}
        return jwt.encode(payload, self._keys[issue.kid], algorithm=ALGORITHM, headers=headers)

    def _check(
        self, kind: str, token: str, audience: str, now: int, required: Sequence[str]
    ) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            key = self._keys.get(header.get("kid", ""))
            if key is None or header.get("typ") != kind:
                raise TokenInvalid
            claims: dict[str, Any] = jwt.decode(
                token,
                key.public_key(),
                algorithms=[ALGORITHM],
                audience=audience,
                issuer=self._issuer,
                options={
                    "require": list(required),
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except (jwt.PyJWTError, TypeError):
            raise TokenInvalid from None
        # The store's clock decides, as everywhere. PyJWT would use the clock of this host.
        if not isinstance(claims["exp"], int) or now >= claims["exp"]:
            raise TokenInvalid
        return claims

    def key_set(self) -> dict[str, list[dict[str, str]]]:
        """Return the public keys as a JWK set (RFC 7517, RFC 8037)."""
        return {"keys": [_public(kid, key) for kid, key in self._keys.items()]}


def _public(kid: str, key: Ed25519PrivateKey) -> dict[str, str]:
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    x = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    return {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": ALGORITHM, "kid": kid, "x": x}
