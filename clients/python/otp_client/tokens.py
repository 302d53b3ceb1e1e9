"""Checks verification tokens offline, with the service's public keys.

Knows JWT (RFC 7519, RFC 8725), Ed25519 and key sets (RFC 7517). Must not know other calls. Needs the extra `offline`.
"""

import copy
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from otp_client.model import Binding, Claims, claims_from
from otp_client.problems import OtpError, TokenInvalid, TokenMismatch

try:
    import jwt
    from jwt.algorithms import OKPAlgorithm
except ImportError:  # the extra is not installed
    jwt = None  # type: ignore[assignment]

WITHOUT_EXTRA = (
    "Checking tokens offline needs PyJWT: pip install 'pyjwt[crypto]>=2.13,<3', "
    "which is the extra 'offline' of otp-service-client."
)
TYPE = "otp-verification+jwt"
KEYS_LIVE = 300.0
"""Seconds for which the service lets its key set be kept."""
ASK_AT_MOST_EVERY = 10.0
"""Seconds between two readings of the key set that a token with an unknown key can cause."""


class TokenChecker:
    """Checks tokens of one issuer; many threads may use it. `read_keys` reads the members of the key set."""

    def __init__(
        self,
        read_keys: Callable[[], Mapping[str, Any]],
        issuer: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read_keys = read_keys
        self._issuer = issuer
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, Any] = {}
        self._read_at: float | None = None
        self._failure: tuple[float, OtpError] | None = None

    def check(self, token: str, app: str, expect: Mapping[str, Any], leeway: float) -> Claims:
        """Check a token and return its claims. Raises TokenInvalid, TokenMismatch, or what `read_keys` raises."""
        if jwt is None:
            raise RuntimeError(WITHOUT_EXTRA)
        try:
            header = jwt.get_unverified_header(token)
            key = self._key(header["kid"]) if header.get("typ") == TYPE else None
            if key is None:
                raise _invalid()
            payload: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=["EdDSA"],
                audience=app,
                issuer=self._issuer,
                leeway=leeway,
                options={"require": ["iss", "aud", "sub", "iat", "exp", "jti"]},
            )
            claims = claims_from(payload)
        except (jwt.PyJWTError, KeyError, TypeError, ValueError):
            raise _invalid() from None
        if unmet := [name for name, value in expect.items() if not _equal(getattr(claims, name), value)]:
            raise _mismatch(unmet)
        return claims

    def _key(self, kid: str) -> Any:  # noqa: ANN401 - a key of the optional library
        """Return a public key. A kid that is not known has the key set read again, but not by each forged token."""
        asked_at = self._clock()
        with self._lock:
            age = None if self._read_at is None else self._clock() - self._read_at
            known = kid in self._keys
            if age is None or age > KEYS_LIVE or (not known and age > ASK_AT_MOST_EVERY):
                self._read(asked_at)
            return self._keys.get(kid)

    def _read(self, asked_at: float) -> None:
        """Read the key set. A reading that failed while this caller waited is its own: callers do not wait in turn."""
        if self._failure is not None and self._failure[0] >= asked_at:
            raise copy.copy(self._failure[1])
        try:
            self._keys = _public_keys(self._read_keys())
        except OtpError as error:
            self._failure = self._clock(), error
            raise
        self._read_at = self._clock()


def _public_keys(key_set: Mapping[str, Any]) -> dict[str, Any]:
    ours = [key for key in key_set["keys"] if (key.get("kty"), key.get("crv")) == ("OKP", "Ed25519")]
    return {key["kid"]: OKPAlgorithm.from_jwk(key) for key in ours}


def _equal(claimed: Binding | None, expected: Binding) -> bool:
    if isinstance(expected, str) or isinstance(claimed, str) or claimed is None:
        return claimed == expected
    return dict(claimed) == dict(expected)


def _invalid() -> TokenInvalid:
    detail = "The verification token is not valid for this app or has expired."
    return TokenInvalid({"code": TokenInvalid.CODE, "status": 400, "detail": detail})


def _mismatch(unmet: list[str]) -> TokenMismatch:
    errors = [{"field": f"expect.{name}", "rule": "must be what the token was issued for"} for name in unmet]
    detail = "The verification token is not for what you expect."
    return TokenMismatch({"code": TokenMismatch.CODE, "status": 409, "detail": detail, "errors": errors})
