"""The human check: a proof of work that costs a browser a moment and a crowd of scripts their machines' time.

Knows ALTCHA's form, version 2: PBKDF2 over a counter that must be searched for, under signed parameters. Must not
know HTTP, the store, or when a check is asked for. It proves no person: it puts a price on each send (OWASP API6:2023).
"""

import hashlib
import hmac
import math
import secrets as dice
from collections.abc import Callable
from typing import Any, NamedTuple

from altcha import Payload, create_challenge, verify_solution

from otp_service.errors import HumanCheckFailed

LIFETIME = 5 * 60_000
"""Milliseconds in which a check must be solved and shown."""
MAX_PROOF = 4096
"""Signs of a proof; a good one has about a thousand."""
ALGORITHM = "PBKDF2/SHA-256"
"""Runs at full speed inside every browser, so that an attacker's own program gains little; wants no WebAssembly,
which a page's Content-Security-Policy may forbid."""
ROUNDS = 1000
"""Hashes of one try: enough that a browser's cost of starting one does not count."""
LEAST, MOST = 50_000, 2_000_000
"""Hashes that the lightest and the heaviest check take at most; half as many on average."""
DOUBLES_EVERY = 0.25
HOARDED = 4
"""How many times heavier checks may have become before one that was posed counts no more: who is honest solves it at
once, who asks for thousands while they are light must not have a stock of them."""


def effort_for(over: float) -> int:
    """Give the hashes to ask for, LEAST to MOST, doubling with each quarter that a counter is over its threshold.

    `over` is (counter - threshold) / threshold: 0 at the threshold, 1 at twice as much.
    """
    steps = min(max(over / DOUBLES_EVERY, 0.0), 64.0)
    return min(MOST, int(LEAST * 2**steps))


def enough_until(effort: int) -> float:
    """Give how far a counter may be over its threshold for a check of this effort to count still."""
    if effort * HOARDED >= MOST:
        return math.inf
    return DOUBLES_EVERY * math.log2(effort * HOARDED / LEAST)


class Proof(NamedTuple):
    """A good proof: its `id`, which is to be spent once, and how far `over` its threshold a counter may be for it."""

    id: str
    enough: float


class ProofOfWork:
    """Poses checks and judges proofs. `keys` are secrets of at least 32 bytes: the first signs, any of them proves.

    Safe to use from many threads and processes: what must be known of a check travels, signed, inside it.
    """

    def __init__(self, *keys: bytes, draw: Callable[[int], int] = dice.randbelow) -> None:
        """`draw` gives an unguessable whole number from 0 to below its argument."""
        self._keys = [(_made(key, b"human check"), _made(key, b"human check answer")) for key in keys]
        self._draw = draw

    def pose(self, bound: str, *, effort: int, now: int) -> dict[str, Any]:
        """Make a check of `effort` hashes at most: what a page needs, `challenge` being for ALTCHA's widget.

        `bound` names all that the proof is to count for, and tells a stranger nothing. `now` is the store's time in
        milliseconds. Costs one try here. The expiry stays out of the widget's own field: it would compare it with
        the clock of a phone.
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
        """Judge a proof. `payload` is what the widget made, `bounds` are all that it may have been made for.

        Raises HumanCheckFailed, whatever is wrong. Costs two HMACs, as the answer was signed when the check was posed.
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


def _made(key: bytes, use: bytes) -> bytes:
    return hmac.digest(key, use, hashlib.sha256)


def _read(payload: str) -> Payload:
    if len(payload) > MAX_PROOF:
        raise HumanCheckFailed
    try:
        return Payload.from_base64(payload)
    except (ValueError, KeyError, TypeError, RecursionError):  # whatever JSON can hold that is no proof
        raise HumanCheckFailed from None
