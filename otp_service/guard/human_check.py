"""The human check: a proof of work that is cheap for one browser and expensive for a crowd of scripts.

Knows the format of ALTCHA, version 2: a search for a PBKDF2 counter, under signed parameters. Must not know HTTP, the
store, or when a check is required. It does not prove that there is a person; it puts a price on each send (OWASP
API6:2023).
"""

import hashlib
import hmac
import math
import secrets
from collections.abc import Callable
from typing import Any, NamedTuple

from altcha import Payload, create_challenge, verify_solution

from otp_service.errors import HumanCheckFailed

LIFETIME = 5 * 60_000
"""Milliseconds in which a check must be solved and used."""
MAX_PROOF = 4096
"""Characters of a proof. A valid one has about a thousand."""
ALGORITHM = "PBKDF2/SHA-256"
"""Runs at full speed in every browser, so that an attacker's own program gains little. Needs no WebAssembly, which a
page's Content-Security-Policy may forbid."""
ROUNDS = 1000
"""Hashes of one try: enough to make a browser's cost of starting a try negligible."""
LEAST, MOST = 50_000, 2_000_000
"""Most hashes that the lightest and the heaviest check need; half as many on average."""
DOUBLES_EVERY = 0.25
HOARDED = 4
"""A posed check is no longer accepted when checks have become more than this many times heavier. An honest caller
solves a check at once; an attacker must not collect thousands of light ones."""


def effort_for(over: float) -> int:
    """Return the hashes to require, LEAST to MOST: doubled for each quarter that a counter is over its threshold.

    `over` is (counter - threshold) / threshold: 0 at the threshold, 1 at twice as much.
    """
    steps = min(max(over / DOUBLES_EVERY, 0.0), 64.0)
    return min(MOST, int(LEAST * 2**steps))


def enough_until(effort: int) -> float:
    """Return how far a counter may be over its threshold for a check of this effort to be accepted."""
    if effort * HOARDED >= MOST:
        return math.inf
    return DOUBLES_EVERY * math.log2(effort * HOARDED / LEAST)


class Proof(NamedTuple):
    """A valid proof. Its `id` can be used once; it is `enough` for counters up to so far over their thresholds."""

    id: str
    enough: float


class ProofOfWork:
    """Poses checks and verifies proofs. `keys` are secrets of at least 32 bytes: the first signs, all verify.

    Safe for many threads and processes: everything about a check is inside it, signed.
    """

    def __init__(self, *keys: bytes, draw: Callable[[int], int] = secrets.randbelow) -> None:
        """`draw` returns an unpredictable integer from 0 to below its argument."""
        self._keys = [
            (_derived_key(key, b"human check"), _derived_key(key, b"human check answer")) for key in keys
        ]
        self._draw = draw

    def pose(self, bound: str, *, effort: int, now: int) -> dict[str, Any]:
        """Make a check of at most `effort` hashes. Returns what a page needs; `challenge` is for ALTCHA's widget.

        `bound` names what the proof is valid for, and reveals nothing to a stranger. `now` is the store's time in
        milliseconds. This costs one try. The expiry is not in the widget's own field, because the widget would
        compare it with the phone's clock.
        """
        signing, answers = self._keys[0]
        data = {"bound": bound, "effort": effort, "until": now + LIFETIME}
        posed = create_challenge(
            ALGORITHM,
            ROUNDS,
            counter=self._draw(max(1, effort // ROUNDS)),
            data=data,
            hmac_secret=signing,
            hmac_key_secret=answers,
        )
        return {"kind": "altcha", "expires_in": LIFETIME // 1000, "challenge": posed.to_dict()}

    def verify(self, payload: str, *bounds: str, now: int) -> Proof:
        """Verify a proof. `payload` is the widget's result; `bounds` are the names that the check may be bound to.

        Raises HumanCheckFailed for any mistake. Costs two HMACs, as the answer was signed when the check was posed.
        """
        proof = _read(payload)
        if not any(
            verify_solution(proof, key, hmac_key_secret=answers).verified for key, answers in self._keys
        ):
            raise HumanCheckFailed
        signed = proof.challenge.parameters.data or {}
        if signed["bound"] not in bounds or signed["until"] <= now:
            raise HumanCheckFailed
        return Proof(proof.challenge.parameters.nonce, enough_until(signed["effort"]))


def _derived_key(key: bytes, use: bytes) -> bytes:
    return hmac.digest(key, use, hashlib.sha256)


def _read(payload: str) -> Payload:
    if len(payload) > MAX_PROOF:
        raise HumanCheckFailed
    try:
        return Payload.from_base64(payload)
    except (ValueError, KeyError, TypeError, RecursionError):  # any JSON that is not a proof
        raise HumanCheckFailed from None
