"""Records how checks end: for the guard, for the figures and for the app.

Knows what each of them counts. Must not know how a code is checked.
"""

from contextlib import suppress

from otp_service import phone
from otp_service.challenge import transitions
from otp_service.challenge.model import Challenge
from otp_service.challenge.notes import about_challenge, about_delivery
from otp_service.challenge.sealed import PersonalData, log_challenge
from otp_service.errors import StoreUnavailable
from otp_service.events.outbox import Outbox
from otp_service.guard.admission import Admission
from otp_service.guard.rules import GuardedSend, asked_of
from otp_service.history.journal import Journal
from otp_service.history.note import Note, What
from otp_service.store.sources import Call
from otp_service.telemetry.metrics import Metrics
from otp_service.verification.caller import Caller


class CheckRecorder:
    """Records each check once."""

    def __init__(
        self,
        *,
        admission: Admission,
        outbox: Outbox,
        journal: Journal,
        metrics: Metrics,
    ) -> None:
        self._admission = admission
        self._outbox = outbox
        self._journal = journal
        self._metrics = metrics

    def record_refused(self, caller: Caller, what: str, challenge_id: str) -> None:
        """Count a check that was refused before a code was compared."""
        if what != "gone":  # the id may be made up
            request, app = caller.request_id, caller.app.name
            self._journal.add(
                Note(what=What.GUESSED, challenge=challenge_id, request_id=request, app=app, result=what)
            )
        self._metrics.checks.labels(caller.app.name, what).inc()

    def record_repeated(self, caller: Caller, challenge: Challenge, person: PersonalData) -> None:
        """Count a check that got its first answer again."""
        self._record_result(caller, "repeated", challenge, person.e164)
        self._add(What.GUESSED, caller, challenge, person.e164, result="repeated")

    def counting_failure(self, caller: Caller, challenge: Challenge, person: PersonalData) -> list[Call]:
        """Return the calls that count a wrong code for the guard."""
        guard = caller.active.policy.guard_of(caller.app.name)
        return [self._admission.counting_failure(guard, asked_of(challenge, person.e164))]

    def record_wrong_code(self, caller: Caller, challenge: Challenge, person: PersonalData) -> None:
        """Count a wrong code. Tell the app if it was the last guess."""
        self._record_result(caller, "wrong_code", challenge, person.e164)
        self._add(What.GUESSED, caller, challenge, person.e164, result="wrong")
        if not challenge.checks_left:
            self._metrics.challenges.labels(caller.app.name, "exhausted").inc()
            self._add(What.ENDED, caller, challenge, person.e164, result="exhausted")
            with suppress(StoreUnavailable):  # the app is told when the challenge expires instead
                self._outbox.queue_exhausted(challenge)

    def counting_success(self, caller: Caller, challenge: Challenge, asked: GuardedSend) -> list[Call]:
        """Return the calls that count a right code for the guard: once for a challenge, whoever ends it.

        The code of a review number proves nothing, and many know it: it forgives nothing.
        """
        if challenge.review:
            return []
        guard = caller.active.policy.guard_of(caller.app.name)
        sent_at = transitions.charged_at(challenge)
        return self._admission.counting_success(guard, asked, sent_at, f"{challenge.id[-8:]}v")

    def record_success(
        self, caller: Caller, won: Challenge, asked: GuardedSend, now: int, *, token: str
    ) -> None:
        """Count a right code, which the delivery at `won.via` brought. `token` is the `jti` of its proof."""
        delivery = won.deliveries[won.via or 0]
        self._record_result(caller, "verified", won, asked.number.e164, channel=delivery.channel)
        self._metrics.challenges.labels(caller.app.name, "verified").inc()
        if won.review:
            self._record_review(caller, won, asked, now, token=token)
            return
        self._metrics.verified.labels(delivery.channel, delivery.upstream).inc()
        seconds = (now - delivery.at) / 1000
        self._metrics.verify_seconds.labels(delivery.channel).observe(seconds)
        country = asked.number.country
        facts = {"at": now, "country": country, "request_id": caller.request_id, "seconds": seconds}
        self._journal.add(
            about_delivery(What.GUESSED, won, won.via or 0, result="right", token=token, **facts)
        )
        self._journal.add(about_delivery(What.ENDED, won, won.via or 0, result="verified", **facts))

    def _record_review(
        self, caller: Caller, won: Challenge, asked: GuardedSend, now: int, *, token: str
    ) -> None:
        """Note the right code of a review number: no channel brought it, and its time teaches nothing."""
        facts = {"at": now, "country": asked.number.country, "request_id": caller.request_id}
        self._journal.add(about_challenge(What.GUESSED, won, result="right", token=token, **facts))
        self._journal.add(about_challenge(What.ENDED, won, result="verified", **facts))

    def _add(self, what: What, caller: Caller, challenge: Challenge, e164: str, *, result: str) -> None:
        country = phone.country_of(e164)
        self._journal.add(
            about_challenge(what, challenge, request_id=caller.request_id, country=country, result=result)
        )

    def _record_result(
        self, caller: Caller, result: str, challenge: Challenge, e164: str, **fields: object
    ) -> None:
        self._metrics.checks.labels(caller.app.name, result).inc()
        log_challenge(
            "challenge.checked", challenge, e164, request_id=caller.request_id, result=result, **fields
        )
