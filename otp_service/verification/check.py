"""Check: count a guess, compare the code, and prove the number with a token.

Knows that a guess counts before it is compared. Must not know HTTP, Redis or vendors.
"""

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from otp_service import phone
from otp_service.challenge import view
from otp_service.challenge.model import Challenge, Delivery, State
from otp_service.challenge.sealed import PersonalData, canonical, log_challenge, unreadable, unseal
from otp_service.challenge.store import ChallengeStore
from otp_service.challenge.view import View
from otp_service.crypto.code_hashes import Claim, Hasher, UnknownPepper
from otp_service.crypto.sealing import Seal
from otp_service.crypto.tokens import LIFETIME, Signer
from otp_service.delivery.conversion import Conversion
from otp_service.errors import (
    ChallengeNotFound,
    Invalid,
    NoAttemptsLeft,
    OtpError,
    StoreUnavailable,
    WrongCode,
)
from otp_service.events.outbox import Outbox
from otp_service.guard.admission import Admission
from otp_service.guard.rules import after_failure, after_success, asked_of
from otp_service.telemetry.metrics import Metrics
from otp_service.verification.caller import Caller
from otp_service.verification.own_challenges import check_form

HASH_WAIT = 1.0
"""Seconds that a check waits for a hash slot before it is refused."""
AMR = {"sms": "sms", "voice": "tel"}
"""Authentication method references of RFC 8176 for the channels that have one."""


@dataclass(frozen=True, slots=True)
class Verification:
    """A verified challenge, the token that proves it, and a token that its device keeps, if that was requested."""

    view: View
    token: str
    token_expires_in: int
    device_token: str | None = None


class Check:
    """`POST /otp/verify`."""

    def __init__(
        self,
        *,
        challenges: ChallengeStore,
        conversion: Conversion,
        hasher: Hasher,
        seal: Seal,
        signer: Signer,
        admission: Admission,
        outbox: Outbox,
        metrics: Metrics,
    ) -> None:
        self._challenges = challenges
        self._conversion = conversion
        self._hasher = hasher
        self._seal = seal
        self._signer = signer
        self._admission = admission
        self._outbox = outbox
        self._metrics = metrics

    def verify(
        self,
        caller: Caller,
        challenge_id: str,
        code: str,
        binding: str | Mapping[str, str] | None = None,
        *,
        remember_device: bool = False,
    ) -> Verification:
        """Check a code. The guess is counted before it is compared.

        Raises ChallengeNotFound, WrongCode, NoAttemptsLeft, Invalid (a code of another length, not counted),
        Busy (not counted if no slot for hashing was free) or StoreUnavailable.
        """
        check_form(challenge_id)
        with self._hasher.slot(HASH_WAIT):
            challenge = self._count_attempt(caller, challenge_id, code)
            person = unseal(self._seal, challenge)
            via = self._match(code, challenge, person.binding if binding is None else canonical(binding))
        if via is None:
            raise self._record_wrong_code(caller, challenge, person)
        now, won = self._challenges.finish(challenge.id, caller.app.name, State.VERIFIED, via)
        if won is None:
            raise ChallengeNotFound
        delivery = won.deliveries[via]
        self._record_success(caller, won, person, delivery, now)
        return self._prove(won, person, delivery.channel, now, remember_device=remember_device)

    def _count_attempt(self, caller: Caller, challenge_id: str, code: str) -> Challenge:
        what, _, challenge = self._challenges.take_attempt(challenge_id, caller.app.name, len(code))
        if challenge is None:
            self._metrics.checks.labels(caller.app.name, what).inc()
            raise _attempt_error(what)
        return challenge

    def _match(self, code: str, challenge: Challenge, binding: str) -> int | None:
        """Return the place of the delivery that brought this code, None for a wrong code."""
        live = challenge.live_hashes()
        if not live:
            return None  # nothing was sent yet, so no code can be right
        claim = Claim(challenge.id, challenge.purpose, binding)
        started = time.perf_counter()
        try:
            found = self._hasher.match(code, claim, challenge.scheme, [code_hash for _, code_hash in live])
        except UnknownPepper:
            raise unreadable(challenge) from None
        self._metrics.hash_seconds.observe(time.perf_counter() - started)
        return None if found is None else live[found][0]

    def _record_wrong_code(self, caller: Caller, challenge: Challenge, person: PersonalData) -> WrongCode:
        """Count a wrong code for the guard and the figures. Return the error that says so."""
        self._record_result(caller, "wrong_code", challenge, person.e164)
        guard = caller.active.policy.guard_of(caller.app.name)
        self._admission.count(after_failure(guard, asked_of(challenge, person.e164)))
        left = challenge.plan.max_attempts - challenge.attempts
        if not left:
            self._metrics.challenges.labels(caller.app.name, "exhausted").inc()
            with suppress(StoreUnavailable):  # the app is told when the challenge expires instead
                self._outbox.queue_exhausted(challenge)
        return WrongCode(left)

    def _record_success(
        self, caller: Caller, won: Challenge, person: PersonalData, delivery: Delivery, now: int
    ) -> None:
        """Count a right code for the guard and the figures."""
        self._record_result(caller, "verified", won, person.e164, channel=delivery.channel)
        self._metrics.challenges.labels(caller.app.name, "verified").inc()
        self._record_conversion(delivery, person.e164, now)
        guard = caller.active.policy.guard_of(caller.app.name)
        asked = asked_of(won, person.e164)
        self._admission.count(after_success(guard, asked, won.deliveries[0].at))
        if person.session:
            self._admission.record_session(caller.app.name, person.session, person.e164)

    def _record_conversion(self, delivery: Delivery, e164: str, now: int) -> None:
        seconds, country = (now - delivery.at) / 1000, phone.country_of(e164)
        self._metrics.verified.labels(delivery.channel, delivery.upstream).inc()
        self._metrics.verify_seconds.labels(delivery.channel).observe(seconds)
        with suppress(StoreUnavailable):  # only operators miss it
            self._conversion.count_verified(now, delivery.channel, country, delivery.upstream, seconds)

    def _prove(
        self, won: Challenge, person: PersonalData, channel: str, now: int, *, remember_device: bool
    ) -> Verification:
        subject, seconds = self._seal.subject(won.app, person.e164), now // 1000
        token = self._signer.sign(_claims(won, person, subject, channel), audience=won.app, now=seconds)
        device = None
        if remember_device:
            device = self._signer.sign_device(subject, audience=won.app, now=seconds)
        return Verification(view.of(won, now, phone.mask(person.e164)), token, LIFETIME, device)

    def _record_result(
        self, caller: Caller, result: str, challenge: Challenge, e164: str, **fields: object
    ) -> None:
        self._metrics.checks.labels(caller.app.name, result).inc()
        log_challenge(
            "challenge.checked", challenge, e164, request_id=caller.request_id, result=result, **fields
        )


def _claims(won: Challenge, person: PersonalData, subject: str, channel: str) -> dict[str, Any]:
    claims: dict[str, Any] = {
        "sub": subject,
        "phone_number": person.e164,
        "phone_number_verified": True,
        "purpose": won.purpose,
        "amr": ["otp", *([AMR[channel]] if channel in AMR else [])],
        "channel": channel,
    }
    if person.binding:
        claims["binding"] = json.loads(person.binding)
    if won.reference:
        claims["reference"] = won.reference
    return claims


def _attempt_error(what: str) -> OtpError:
    if what == "exhausted":
        return NoAttemptsLeft()
    if what == "shape":
        return Invalid({"code": ["must have as many digits as the code that was sent, see code_length"]})
    return ChallengeNotFound()
