"""Verification tokens: how they are signed and checked, and the public keys for checking them.

Knows Ed25519 keys and JWT (RFC 7519) with the precautions of RFC 8725: one pinned algorithm, an explicit type, our own
keys only. Must not know what is being verified.
"""

import base64
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from otp_service.crypto.lifetimes import DEVICE_LIFETIME, TOKEN_LIFETIME
from otp_service.errors import TokenInvalid

ALGORITHM = "EdDSA"
TYPE = "otp-verification+jwt"
DEVICE_TYPE = "otp-device+jwt"
REVIEW_TYPE = "otp-review+jwt"
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


class _Ring:
    """The keys of one type of tokens: signs with the key that an issue names, checks with any."""

    def __init__(self, seeds: Mapping[str, bytes], issuer: str, kind: str, lifetime: int) -> None:
        self.keys = {kid: Ed25519PrivateKey.from_private_bytes(seed) for kid, seed in seeds.items()}
        self.current = next(iter(seeds))
        self._issuer = issuer
        self._kind = kind
        self._lifetime = lifetime

    def sign(self, claims: Mapping[str, Any], audience: str, issue: Issue) -> str:
        if issue.kid not in self.keys:
            raise UnknownSigningKey(issue.kid)
        payload = {
            **claims,
            "iss": self._issuer,
            "aud": audience,
            "iat": issue.at,
            "exp": issue.at + self._lifetime,
            "jti": issue.jti,
        }
        headers = {"typ": self._kind, "kid": issue.kid}
        return jwt.encode(payload, self.keys[issue.kid], algorithm=ALGORITHM, headers=headers)

    def check(self, token: str, audience: str, now: int | None, required: Sequence[str]) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            key = self.keys.get(header.get("kid", ""))
            if key is None or header.get("typ") != self._kind:
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
        if not isinstance(claims["exp"], int) or (now is not None and now >= claims["exp"]):
            raise TokenInvalid
        return claims


class Signer:
    """Signs with the newest key, checks with any key of the ring.

    Device tokens have a ring of their own, whose public keys are not published, and an audience of their own: a backend
    that forgets to check the type of a token cannot take one for a proof. Tokens of review numbers have an audience of
    their own for the same reason.
    """

    def __init__(self, seeds: Mapping[str, bytes], device_seeds: Mapping[str, bytes], issuer: str) -> None:
        self._tokens = _Ring(seeds, issuer, TYPE, TOKEN_LIFETIME)
        self._reviews = _Ring(seeds, issuer, REVIEW_TYPE, TOKEN_LIFETIME)
        self._devices = _Ring(device_seeds, issuer, DEVICE_TYPE, DEVICE_LIFETIME)

    @property
    def kid(self) -> str:
        """The id of the key that signs new verification tokens."""
        return self._tokens.current

    def sign(self, claims: Mapping[str, Any], issue: Issue, *, audience: str) -> str:
        """Sign `claims` for an app, valid for TOKEN_LIFETIME. The same claims and issue give the same bytes (RFC 8032).

        Raises UnknownSigningKey.
        """
        return self._tokens.sign(claims, audience, issue)

    def sign_review(self, claims: Mapping[str, Any], issue: Issue, *, audience: str) -> str:
        """Sign `claims` of a review number, which nobody proved, as `sign` does."""
        return self._reviews.sign(claims, _review_audience(audience), issue)

    def check_review(self, token: str, *, audience: str, now: int | None) -> dict[str, Any] | None:
        """Return the claims of a valid token of a review number of this app, as `check` does; None for any other."""
        try:
            return self._reviews.check(token, _review_audience(audience), now, [*_REQUIRED, "phone_number"])
        except TokenInvalid:
            return None

    def sign_device(self, subject: str, issue: Issue, *, audience: str) -> str:
        """Sign that a device verified `subject`'s number, valid for DEVICE_LIFETIME, with the newest key of devices."""
        devices = self._devices
        return devices.sign({"sub": subject}, _device_audience(audience), replace(issue, kid=devices.current))

    def check(self, token: str, *, audience: str, now: int | None) -> dict[str, Any]:
        """Return the claims of a valid verification token of this app. Raises TokenInvalid for any other.

        `now` is None if the caller compares the time with the claim `exp` itself.
        """
        return self._tokens.check(token, audience, now, [*_REQUIRED, "phone_number"])

    def check_device(self, token: str, subject: str, *, audience: str, now: int) -> dict[str, Any]:
        """Return the claims of a valid device token for `subject`. Raises TokenInvalid for any other."""
        claims = self._devices.check(token, _device_audience(audience), now, _REQUIRED)
        if claims["sub"] != subject:
            raise TokenInvalid
        return claims

    def key_set(self) -> dict[str, list[dict[str, str]]]:
        """Return the public keys of verification tokens as a JWK set (RFC 7517, RFC 8037)."""
        return {"keys": [_public(kid, key) for kid, key in self._tokens.keys.items()]}


def _device_audience(app: str) -> str:
    """Name the audience of an app's device tokens. No app has a name with a colon."""
    return f"device:{app}"


def _review_audience(app: str) -> str:
    """Name the audience of an app's tokens of review numbers. No app has a name with a colon."""
    return f"review:{app}"


def _public(kid: str, key: Ed25519PrivateKey) -> dict[str, str]:
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    x = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    return {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": ALGORITHM, "kid": kid, "x": x}
