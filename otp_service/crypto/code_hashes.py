"""Codes: how they are drawn, peppered, hashed and checked.

Knows Argon2 and the peppers. Must not know where hashes are stored.

The hashed value is an HMAC of the code with a secret pepper: a code has only 20 bits, but a stolen store alone
reveals nothing. All hashes of one challenge share salt, profile and pepper, so a check costs one Argon2 run, whatever
the number of live codes.
"""

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Self

from argon2.low_level import Type, hash_secret

from otp_service.crypto.hashing_threads import HashingThreads
from otp_service.errors import Busy

DIGEST_BYTES = 16
"""128 bits, far more than the 20 bits of a code."""
SALT_BYTES = 16
TICKETS_PER_SLOT = 32
"""Checks that may be under way for each slot. With the profile `owasp` the last of them waits about 1.4 s."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Argon2id parameters: passes, memory in KiB, lanes (RFC 9106)."""

    passes: int
    memory: int
    lanes: int = 1


# The first figure is the median of one run on one core of a small cloud machine. The second is the time in which
# someone who stole both the store and the peppers can try all 10^6 codes of six digits on one such core. Without the
# peppers there is nothing to search. For the OWASP Password Storage Cheat Sheet, `owasp` and `owasp-low-memory` are
# equivalent.
PROFILES: Mapping[str, Profile] = {
    "owasp": Profile(passes=2, memory=19456),  # 25 ms; 7 hours
    "owasp-low-memory": Profile(passes=5, memory=7168),  # 19 ms; 5.4 hours
    "fast": Profile(passes=1, memory=1024),  # 0.6 ms; 9 minutes: relies on the pepper
    "testing": Profile(passes=1, memory=8),  # 0.04 ms; 40 seconds: settings do not allow it
}


class UnknownPepper(LookupError):
    """The hash was made with a pepper or profile that this process does not have."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a code is bound to. A change in any part invalidates the code (for `binding`: PSD2 RTS, article 5)."""

    challenge_id: str
    purpose: str
    binding: str

    @classmethod
    def of_review(cls, app: str, e164: str, binding: str = "") -> Self:
        """Bind the code of a review number to its app and number; such a code has no binding."""
        return cls(f"review {app} {e164}", "", binding)

    def encode(self, code: str) -> bytes:
        """Join all parts, each after its length, so that no two claims have the same encoding."""
        parts = [part.encode() for part in (self.challenge_id, self.purpose, self.binding, code)]
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


class Hasher:
    """Hashes codes, in `slots` threads; checks take a ticket first."""

    def __init__(
        self,
        peppers: Mapping[str, bytes],
        profile: str,
        slots: int,
        *,
        waiting: Callable[[], AbstractContextManager[object]] = nullcontext,
        observe: Callable[[float], object] = lambda _seconds: None,
    ) -> None:
        """Enter `waiting` while a caller waits for a ticket or a thread; tell `observe` the seconds of each hash."""
        self._peppers = peppers
        self._waiting = waiting
        self._observe = observe
        self.scheme = f"{profile}.{next(iter(peppers))}"
        """Profile and pepper of new challenges. A challenge keeps the scheme it was opened with."""
        self.schemes = tuple(f"{profile}.{pepper}" for profile in PROFILES for pepper in peppers)
        """Every scheme that this process can check."""
        self.threads = HashingThreads(slots, waiting=waiting)
        """Bounds how many hash at once, and how many threads keep the memory of a large hash."""
        self._tickets = threading.BoundedSemaphore(slots * TICKETS_PER_SLOT)

    @contextmanager
    def ticket(self, timeout: float) -> Iterator[None]:
        """Hold a right to hash. Raises Busy if none becomes free within `timeout` seconds.

        Its holder may wait for the store without holding a core, and is never refused a thread. The number of tickets
        bounds the wait for one.
        """
        with self._waiting():
            taken = self._tickets.acquire(timeout=timeout)
        if not taken:
            raise Busy(retry_after=1)
        try:
            yield
        finally:
            self._tickets.release()

    def hash(self, code: str, claim: Claim, scheme: str) -> str:
        """Return the code's hash as a PHC string, however long it waits for a thread. Raises UnknownPepper."""
        return self.threads.run(lambda: self._timed(code, claim, scheme), _memory(scheme))

    def hash_unless(self, stopping: Callable[[], bool], code: str, claim: Claim, scheme: str) -> str | None:
        """Return what `hash` returns, or None if it is `stopping` when its turn comes. Raises UnknownPepper."""
        return self.threads.run(
            lambda: None if stopping() else self._timed(code, claim, scheme), _memory(scheme)
        )

    def hash_here(self, code: str, claim: Claim, scheme: str) -> str:
        """Hash in the caller's own thread, to measure it. Raises UnknownPepper."""
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

    def _timed(self, code: str, claim: Claim, scheme: str) -> str:
        started = time.perf_counter()
        code_hash = self.hash_here(code, claim, scheme)
        self._observe(time.perf_counter() - started)
        return code_hash


def _memory(scheme: str) -> int:
    """Return the memory (KiB) that a hash of a scheme fills, 0 of one that nobody knows."""
    profile = PROFILES.get(scheme.partition(".")[0])
    return profile.memory if profile else 0


def place_of(code_hash: str, hashes: Sequence[str]) -> int | None:
    """Return the place of a hash among others, or None. Every one is compared, each in constant time."""
    found = None
    for place, known in enumerate(hashes):
        if hmac.compare_digest(code_hash, known):
            found = place
    return found


def digest_of(code_hash: str) -> str:
    """Return the part of a PHC string that differs between the codes of one challenge."""
    return code_hash.rpartition("$")[2]


def draw(length: int) -> str:
    """Draw a code of `length` digits, uniformly from all of them (ASVS 6.5.3), with leading zeros."""
    return f"{secrets.randbelow(10**length):0{length}d}"


def _salt(challenge_id: str) -> bytes:
    """Derive the salt of a challenge. Its id has 128 random bits, and any worker can derive the same salt."""
    return hashlib.sha256(b"otp salt\0" + challenge_id.encode()).digest()[:SALT_BYTES]
