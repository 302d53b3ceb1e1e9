"""An app's own challenges: how they are read and shown.

Knows which challenges an app may see. Unknown, foreign and malformed ids get the same answer, so that an attacker
learns nothing. Must not know what is done with a challenge.
"""

from otp_service import phone
from otp_service.challenge import view
from otp_service.challenge.model import Challenge, State
from otp_service.challenge.sealed import unseal
from otp_service.challenge.store import ChallengeStore
from otp_service.challenge.view import View
from otp_service.crypto.sealing import Seal
from otp_service.errors import ChallengeNotFound
from otp_service.store.partitions import ID_LENGTH
from otp_service.verification.caller import Caller


class OwnChallenges:
    """Reads the challenges of the app that calls. Its methods raise StoreUnavailable."""

    def __init__(self, challenges: ChallengeStore, seal: Seal) -> None:
        self._challenges = challenges
        self._seal = seal

    def read(self, caller: Caller, challenge_id: str) -> tuple[int, Challenge]:
        """Return the time and a challenge of the caller's app. Raises ChallengeNotFound."""
        check_form(challenge_id)
        now, challenge = self._challenges.read_challenge(challenge_id)
        if challenge is None or challenge.app != caller.app.name:
            raise ChallengeNotFound
        return now, challenge

    def read_pending(self, caller: Caller, challenge_id: str) -> tuple[int, Challenge]:
        """Return the time and a challenge that has not ended. Raises ChallengeNotFound."""
        now, challenge = self.read(caller, challenge_id)
        if challenge.status(now) is not State.PENDING:
            raise ChallengeNotFound
        return now, challenge

    def number(self, challenge: Challenge) -> str:
        """Return a challenge's number (E.164). Raises Busy."""
        return unseal(self._seal, challenge).e164

    def view(self, challenge: Challenge, now: int) -> View:
        """Show a challenge with its number masked. Raises Busy."""
        return view.of(challenge, now, phone.mask(self.number(challenge)))


def check_form(challenge_id: str) -> None:
    """Raise ChallengeNotFound for text that cannot be an id, before anything is read."""
    if len(challenge_id) != ID_LENGTH:
        raise ChallengeNotFound
