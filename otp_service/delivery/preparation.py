"""Prepares a message before it is armed: draws its code, hashes it, and composes the text.

Knows what a code's hash is bound to. Must not know where the message goes, or what is stored.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from otp_service.challenge.model import Challenge
from otp_service.challenge.sealed import PersonalData, unreadable
from otp_service.challenge.send_store import Lease
from otp_service.crypto.code_hashes import Claim, Hasher, UnknownPepper, digest_of, draw
from otp_service.crypto.sealing import Seal
from otp_service.delivery.message import compose
from otp_service.policy.active import ActivePolicy
from otp_service.upstream.port import Message

Stopping = Callable[[], bool]
"""Says whether the process is to stop."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A code, and the digest of its hash."""

    code: str = field(repr=False)
    digest: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A message, and the code in it."""

    message: Message
    drawn: Drawn


class Preparation:
    """Prepares messages."""

    def __init__(self, *, hasher: Hasher, seal: Seal) -> None:
        self._hasher = hasher
        self._seal = seal

    def prepare(
        self,
        active: ActivePolicy,
        lease: Lease,
        person: PersonalData,
        unused: Drawn | None,
        stopping: Stopping,
    ) -> Prepared | None:
        """Compose the newest delivery's message with a new code, or with one that is `unused`.

        Return None if the process is to stop. Raises Busy if a key is missing.
        """
        drawn = unused or self._draw(lease.challenge, person.binding, stopping)
        if drawn is None:
            return None
        message = compose(
            active.policy,
            lease.challenge,
            person.e164,
            code=drawn.code,
            reference=self._seal.reference(lease.challenge.id),
            now=lease.now,
            binding=person.binding,
        )
        return Prepared(message, drawn)

    def _draw(self, challenge: Challenge, binding: str, stopping: Stopping) -> Drawn | None:
        code = draw(challenge.plan.code_length)
        claim = Claim(challenge.id, challenge.purpose, binding)
        try:
            code_hash = self._hasher.hash_unless(stopping, code, claim, challenge.scheme)
        except UnknownPepper:
            raise unreadable(challenge.id) from None
        return Drawn(code, digest_of(code_hash)) if code_hash else None
