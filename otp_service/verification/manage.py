"""Manage: read or cancel a challenge.

Knows that each of these may be repeated. Must not know HTTP, Redis or vendors.
"""

from otp_service.challenge.model import Challenge, State
from otp_service.challenge.notes import about_challenge
from otp_service.challenge.sealed import country_in, log_challenge
from otp_service.challenge.store import ChallengeStore
from otp_service.challenge.view import View
from otp_service.crypto.sealing import Seal
from otp_service.errors import ChallengeNotFound
from otp_service.history.journal import Journal
from otp_service.history.note import What
from otp_service.telemetry.metrics import Metrics
from otp_service.verification.caller import Caller
from otp_service.verification.own_challenges import OwnChallenges


class Manage:
    """`GET` and `DELETE /otp/{id}`."""

    def __init__(self, *, challenges: ChallengeStore, seal: Seal, journal: Journal, metrics: Metrics) -> None:
        self._challenges = challenges
        self._own = OwnChallenges(challenges, seal)
        self._seal = seal
        self._journal = journal
        self._metrics = metrics

    def status(self, caller: Caller, challenge_id: str) -> View:
        """Show a challenge, even for a while after its end. Raises ChallengeNotFound, Busy or StoreUnavailable."""
        now, challenge = self._own.read(caller, challenge_id)
        return self._own.view(challenge, now)

    def cancel(self, caller: Caller, challenge_id: str) -> View:
        """End a challenge. Cancelling it again changes nothing. Raises ChallengeNotFound, Busy or StoreUnavailable."""
        now, challenge = self._own.read(caller, challenge_id)
        if challenge.state is not State.CANCELLED:
            now, challenge = self._end(caller, challenge)
        return self._own.view(challenge, now)

    def _end(self, caller: Caller, challenge: Challenge) -> tuple[int, Challenge]:
        now, ended = self._challenges.finish(challenge.id, caller.app.name, State.CANCELLED)
        if ended is None:
            now, ended = self._challenges.read_challenge(challenge.id)
            if ended is None or ended.state is not State.CANCELLED:
                raise ChallengeNotFound
            return now, ended  # another call cancelled it at the same time
        self._metrics.challenges.labels(caller.app.name, "cancelled").inc()
        facts = {"at": now, "request_id": caller.request_id, "country": country_in(self._seal, ended)}
        self._journal.add(about_challenge(What.ENDED, ended, result=ended.state, **facts))
        log_challenge("challenge.cancelled", ended, self._own.number(ended), request_id=caller.request_id)
        return now, ended
