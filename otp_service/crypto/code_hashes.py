"""Codes: draw, pepper, hash, check. Knows Argon2 and the peppers; must not know where hashes are kept.

What is hashed is an HMAC of the code with a secret pepper, so that a stolen store alone tells nothing although a
code has only 20 bits. Every hash of one challenge shares salt, profile and pepper: a check costs one Argon2 run
however many codes are live.
"""

import hashlib
import hmac
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

from argon2.low_level import Type, hash_secret

from otp_service.errors import Busy

DIGEST_BYTES = 16
"""128 bits: far above the 20 that a code has."""
SALT_BYTES = 16


@dataclass(frozen=True, slots=True)
class Profile:
    """Argon2id parameters: passes, memory in KiB, lanes (RFC 9106)."""

    passes: int
    memory: int
    lanes: int = 1


# The costs are medians of one run on one core of a small cloud machine. The search time is what a thief of
# both the store and the peppers needs on one such core to try all 10^6 codes of six digits; without the
# peppers there is nothing to search. `owasp` and `owasp-low-memory` are equal choices of the OWASP Password
# Storage Cheat Sheet.
PROFILES: Mapping[str, Profile] = {
    "owasp": Profile(passes=2, memory=19456),  # 25 ms; 7 hours
    "owasp-low-memory": Profile(passes=5, memory=7168),  # 19 ms; 5.4 hours
    "fast": Profile(passes=1, memory=1024),  # 0.6 ms; 9 minutes: leans on the pepper
    "testing": Profile(passes=1, memory=8),  # 0.04 ms; 40 seconds: settings refuse it
}


class UnknownPepper(LookupError):
    """The hash was made with a pepper or profile that this process does not hold."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a code is tied to. A change in any part voids the code (PSD2 RTS article 5 for `binding`)."""

    challenge_id: str
    purpose: str
    binding: str

    def encode(self, code: str) -> bytes:
        """Join all parts, each with its length before it, so that no two claims encode alike."""
        parts = [part.encode() for part in (self.challenge_id, self.purpose, self.binding, code)]
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


class Hasher:
    """Hashes and checks codes, as many at once as `slots` says."""

    def __init__(
        self,
        peppers: Mapping[str, bytes],
        profile: str,
        slots: int,
        *,
        waiting: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """Let `slots` callers hash at once; `waiting` is entered while a caller waits for a slot."""
        self._peppers = peppers
        self._waiting = waiting
        self.scheme = f"{profile}.{next(iter(peppers))}"
        """Profile and pepper of new challenges; a challenge keeps the one it was opened with."""
        self._slots = threading.BoundedSemaphore(slots)

    @contextmanager
    def slot(self, timeout: float | None = None) -> Iterator[None]:
        """Hold one of the places to hash. Raises Busy if none is free within `timeout` seconds."""
        with self._waiting():
            taken = self._slots.acquire(timeout=timeout)
        if not taken:
            raise Busy(retry_after=1)
        try:
            yield
        finally:
            self._slots.release()

    def hash(self, code: str, claim: Claim, scheme: str) -> str:
        """Give the code's hash as a PHC string. Raises UnknownPepper. Call it within `slot`."""
        name, _, pepper_id = scheme.partition(".")
        profile, pepper = PROFILES.get(name), self._peppers.get(pepper_id)
        if profile is None or pepper is None:
            raise UnknownPepper(scheme)
        return hash_secret(
            hmac.digest(pepper, claim.encode(code), hashlib.sha256),
            _salt(claim.challenge_id),
            time_cost=profile.passes,
            memory_cost=profile.memory,
            parallelism=profile.lanes,
            hash_len=DIGEST_BYTES,
            type=Type.ID,
        ).decode("ascii")

    def match(self, code: str, claim: Claim, scheme: str, hashes: Sequence[str]) -> int | None:
        """Give the place of the hash that the code belongs to, or None: one Argon2 run.

        Every hash is compared, each in constant time. Raises UnknownPepper. Call it within `slot`.
        """
        computed = self.hash(code, claim, scheme)
        found = None
        for place, known in enumerate(hashes):
            if hmac.compare_digest(computed, known):
                found = place
        return found


def draw(length: int) -> str:
    """Draw a code of `length` digits, uniform over all of them (ASVS 6.5.3), leading zeros kept."""
    return f"{secrets.randbelow(10**length):0{length}d}"


def _salt(challenge_id: str) -> bytes:
    """Derive the challenge's one salt: its id holds 128 random bits, and any worker can do it again."""
    return hashlib.sha256(b"otp salt\0" + challenge_id.encode()).digest()[:SALT_BYTES]
