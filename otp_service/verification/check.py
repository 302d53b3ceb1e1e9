"""Check: count a guess, compare the code, and prove the number with a token.

Brings hashes, the store and tokens together. Must not know HTTP, Redis or vendors.
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
from otp_service.challenge.sealed import Sealed, log_challenge, unreadable, unseal
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
from otp_service.verification.own import canonical, check_form

HASH_WAIT = 1.0
"""Seconds that a check waits for a place to hash before it is refused."""
AMR = {"sms": "sms", "voice": "tel"}
"""Authentication method references of RFC 8176 for the channels that have one."""


@dataclass(frozen=True, slots=True)
class Verification:
    """A challenge that was won, the token that proves it, and one that its device keeps, where it was asked for."""

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
        Busy (not counted) or StoreUnavailable.
        """
        check_form(challenge_id)
        with self._hasher.slot(HASH_WAIT):
            challenge = self._counted(caller, challenge_id, code)
            who = unseal(self._seal, challenge)
            via = self._match(code, challenge, who.binding if binding is None else canonical(binding))
        if via is None:
            raise self._wrong(caller, challenge, who)
        now, won = self._challenges.finish(challenge.id, caller.app.name, State.VERIFIED, via)
        if won is None:
            raise ChallengeNotFound
        self._won(caller, won, who, won.deliveries[via], now)
        return self._proof(won, who, now, remember_device=remember_device)

    def _counted(self, caller: Caller, challenge_id: str, code: str) -> Challenge:
        what, _, challenge = self._challenges.take_attempt(challenge_id, caller.app.name, len(code))
        if challenge is None:
            self._metrics.checks.labels(caller.app.name, what).inc()
            raise _uncounted(what)
        return challenge

    def _match(self, code: str, challenge: Challenge, binding: str) -> int | None:
        """Give the place of the delivery that brought this code; None for a wrong code."""
        live = challenge.live_hashes()
        if not live:
            return None  # nothing has left yet, so no code can be right
        claim = Claim(challenge.id, challenge.purpose, binding)
        started = time.perf_counter()
        try:
            found = self._hasher.match(code, claim, challenge.scheme, [code_hash for _, code_hash in live])
        except UnknownPepper:
            raise unreadable(challenge) from None
        self._metrics.hash_seconds.observe(time.perf_counter() - started)
        return None if found is None else live[found][0]

    def _wrong(self, caller: Caller, challenge: Challenge, who: Sealed) -> WrongCode:
        """Note a wrong guess, and give the error that says so."""
        self._log(caller, "wrong_code", challenge, who.e164)
        guard = caller.active.policy.guard_of(caller.app.name)
        self._admission.count(after_failure(guard, asked_of(challenge, who.e164)))
        left = challenge.plan.max_attempts - challenge.attempts
        if not left:
            self._metrics.challenges.labels(caller.app.name, "exhausted").inc()
            with suppress(StoreUnavailable):  # otherwise the app hears of it when the challenge expires
                self._outbox.queue_exhausted(challenge)
        return WrongCode(left)

    def _won(self, caller: Caller, won: Challenge, who: Sealed, delivery: Delivery, now: int) -> None:
        """Note a right guess: for figures, and for what the guard knows of the caller."""
        self._log(caller, "verified", won, who.e164, channel=delivery.channel)
        self._metrics.challenges.labels(caller.app.name, "verified").inc()
        self._converted(delivery, who.e164, now)
        guard = caller.active.policy.guard_of(caller.app.name)
        asked = asked_of(won, who.e164)
        self._admission.count(after_success(guard, asked, won.deliveries[0].at))
        if who.session:
            self._admission.record_session(caller.app.name, who.session, who.e164)

    def _converted(self, delivery: Delivery, e164: str, now: int) -> None:
        seconds, country = (now - delivery.at) / 1000, phone.country_of(e164)
        self._metrics.verified.labels(delivery.channel, delivery.upstream).inc()
        self._metrics.verify_seconds.labels(delivery.channel).observe(seconds)
        with suppress(StoreUnavailable):  # a figure for operators
            self._conversion.count_verified(now, delivery.channel, country, delivery.upstream, seconds)

    def _proof(self, won: Challenge, who: Sealed, now: int, *, remember_device: bool) -> Verification:
        subject, seconds = self._seal.subject(won.app, who.e164), now // 1000
        token = self._signer.sign(_claims(won, who, subject), audience=won.app, now=seconds)
        device = None
        if remember_device:
            device = self._signer.sign_device(subject, audience=won.app, now=seconds)
        return Verification(view.of(won, now, phone.mask(who.e164)), token, LIFETIME, device)

    def _log(self, caller: Caller, result: str, challenge: Challenge, e164: str, **fields: object) -> None:
        self._metrics.checks.labels(caller.app.name, result).inc()
        log_challenge(
            "challenge.checked", challenge, e164, request_id=caller.request_id, result=result, **fields
        )


def _claims(won: Challenge, who: Sealed, subject: str) -> dict[str, Any]:
    channel = won.deliveries[won.via or 0].channel
    claims: dict[str, Any] = {
        "sub": subject,
        "phone_number": who.e164,
        "phone_number_verified": True,
        "purpose": won.purpose,
        "amr": ["otp", *([AMR[channel]] if channel in AMR else [])],
        "channel": channel,
    }
    if who.binding:
        claims["binding"] = json.loads(who.binding)
    if won.reference:
        claims["reference"] = won.reference
    return claims


def _uncounted(what: str) -> OtpError:
    if what == "exhausted":
        return NoAttemptsLeft()
    if what == "shape":
        return Invalid({"code": ["must have as many digits as the code that was sent, see code_length"]})
    return ChallengeNotFound()
