"""The use cases of apps: send, verify, status, resend, cancel, redeem.

Brings the pure rules and the store together. Must not know HTTP frameworks, Redis or vendors.
"""

import json
import logging
import random
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from otp_service import phone
from otp_service.challenge import model as rules
from otp_service.challenge.model import Challenge, Delivery, Plan, State, Status, View
from otp_service.challenge.store import ChallengeStore
from otp_service.crypto.code_hashes import Claim, Hasher, UnknownPepper
from otp_service.crypto.sealing import Seal
from otp_service.crypto.tokens import LIFETIME, Signer
from otp_service.delivery.casework import Sealed, hash_slot, report, sealed, unseal
from otp_service.delivery.conversion import Figures
from otp_service.errors import (
    Busy,
    ChallengeNotFound,
    ChannelNotAvailable,
    IdempotencyKeyReused,
    IdempotencyKeySpent,
    Invalid,
    NoAttemptsLeft,
    NoSendsLeft,
    OtpError,
    ResendTooEarly,
    Standing,
    StoreUnavailable,
    TokenInvalid,
    TokenSpent,
    WrongCode,
)
from otp_service.events.outbox import Outbox
from otp_service.guard import rules as guard
from otp_service.guard.admission import Admission, Entry
from otp_service.guard.limiter import Past
from otp_service.guard.rules import Asked, Decision, Known, known_as
from otp_service.phone import Number
from otp_service.policy import App, Guard
from otp_service.policy.active import ActivePolicy
from otp_service.store.facts import Facts
from otp_service.store.partitions import ID_LENGTH
from otp_service.telemetry.logs import log
from otp_service.telemetry.metrics import Metrics

HASH_WAIT = 1.0
"""Seconds a check waits for a place to hash before it is shed."""
AMR = {"sms": "sms", "voice": "tel"}
"""Authentication method references of RFC 8176 for the channels that have one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks: the app, its page's origin, and the address of a browser (None for a server).

    `active` is the one in which the app was found. `hear` is told how the budget stands that is nearest to its limit.
    """

    app: App
    active: ActivePolicy
    request_id: str
    origin: str | None = None
    address: str | None = None
    hear: Callable[[Standing | None], None] = lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class SendRequest:
    """What `POST /otp/send` asks for."""

    to: str
    country: str | None = None
    purpose: str = "login"
    channel: str | None = None
    locale: str = ""
    reference: str = ""
    binding: str | Mapping[str, str] | None = None
    app_hash: str = ""
    session: str = ""
    address: str | None = None
    device_token: str = ""
    human_proof: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """A challenge that was won, the token that proves it, and one that its device keeps, where it was asked for."""

    view: View
    token: str
    token_expires_in: int
    device_token: str | None = None


class Service:
    """All use cases of the product."""

    def __init__(
        self,
        *,
        challenges: ChallengeStore,
        facts: Facts,
        figures: Figures,
        hasher: Hasher,
        seal: Seal,
        signer: Signer,
        admission: Admission,
        outbox: Outbox,
        metrics: Metrics,
    ) -> None:
        self._challenges = challenges
        self._facts = facts
        self._figures = figures
        self._hasher = hasher
        self._seal = seal
        self._signer = signer
        self._admission = admission
        self._outbox = outbox
        self._metrics = metrics

    # Send and resend.

    def send(self, caller: Caller, request: SendRequest, idempotency_key: str | None = None) -> View:
        """Open a challenge and schedule its first message.

        Raises Invalid, NoRoute, ChannelNotAvailable, NumberOptedOut, TooManyRequests, IdempotencyKeyReused,
        IdempotencyKeySpent or StoreUnavailable; nothing is stored or sent then.
        """
        number = phone.parse(request.to, request.country)
        _check_who(caller, request)
        plan = caller.active.policy.plan(
            number,
            caller.app.name,
            request.purpose,
            request.channel,
            dice=random.random,
            learned=self._learned,
        )
        record = ""
        fingerprints: tuple[str, ...] = ("",)
        if idempotency_key:
            record, *older = self._seal.indexes("send", caller.app.name, idempotency_key)
            # However the number is spelled, it is the same request.
            fingerprints = self._fingerprints(
                asdict(request) | {"to": number.e164, "country": None, "human_proof": ""}
            )
            if known := self._challenges.recall(record, *older):
                return self._replay(known, fingerprints)
        # Requests that race with the same key and body are one act; with another body they are not.
        operation = self._seal.index(record, fingerprints[0]) if record else secrets.token_urlsafe(9)
        entry = self._entry(caller, request, number, plan)
        decision = self._admission.admit(entry, operation)
        caller.hear(decision.standing)
        plan = _cautious(plan, entry.rules, decision)
        opened = self._challenges.open(
            self._new(caller, request, entry, plan, record), idempotency=record, fingerprint=fingerprints[0]
        )
        if opened.challenge is None:
            if not opened.known.endswith(fingerprints[0]):
                self._admission.refund(entry, operation)
            return self._replay(opened.known, fingerprints)
        self._metrics.challenges.labels(caller.app.name, "opened").inc()
        report("challenge.opened", opened.challenge, number.e164, request_id=caller.request_id)
        return rules.view(opened.challenge, opened.now, phone.mask(number.e164))

    def _new(self, caller: Caller, request: SendRequest, entry: Entry, plan: Plan, record: str) -> Challenge:
        e164 = entry.asked.number.e164
        id_ = self._challenges.new_id(record)
        who = Sealed(e164, request.address or "", request.session, _canonical(request.binding))
        first = Delivery(
            0,
            plan.steps[0].channel,
            Status.QUEUED,
            0,
            "",
            caller.request_id,
            chosen=request.channel is not None,
        )
        return Challenge(
            id=id_,
            app=caller.app.name,
            purpose=request.purpose,
            sealed=sealed(self._seal, id_, who),
            scheme=self._hasher.scheme,
            state=State.PENDING,
            expires=0,
            plan=plan,
            deliveries=(first,),
            locale=request.locale,
            app_hash=request.app_hash,
            host=caller.app.host(caller.origin) if caller.origin else "",
            reference=request.reference,
            known=entry.asked.known,
            policy=caller.active.version,
            watched=caller.app.events is not None,
        )

    def _learned(self, channel: str, country: str) -> float | None:
        """Give the wait that was learned; a store that is away refuses the send itself a moment later."""
        try:
            return self._figures.learned(self._facts.time(), channel, country)
        except StoreUnavailable:
            return None

    def _entry(self, caller: Caller, request: SendRequest, number: Number, plan: Plan) -> Entry:
        rules = caller.active.policy.guard_of(caller.app.name)
        known, now = self._known(caller, request, number.e164)
        return Entry(
            asked=Asked(
                number=number,
                app=caller.app.name,
                purpose=request.purpose,
                channel=plan.steps[0].channel,
                address=request.address if caller.address is None else caller.address,
                session=request.session,
                known=known,
            ),
            rules=rules,
            request_id=caller.request_id,
            cheap=any(step.channel in rules.cheap_channels for step in plan.steps),
            proof=request.human_proof,
            browser=caller.address is not None,
            now=now,
        )

    def _known(self, caller: Caller, request: SendRequest, e164: str) -> tuple[Known, int]:
        """Say how well the caller is known; what a device token was given for may be another person's number by now.

        Gives also the store's time, 0 if it was not needed.
        """
        app, session = caller.app.name, request.session
        if not request.device_token and not session:
            return "", 0
        past = self._admission.past(app, session, e164)
        if request.device_token and self._is_device(request.device_token, app, e164, past):
            return "device", past.now
        return ("returning" if past.met else "session" if session else ""), past.now

    def _is_device(self, token: str, app: str, e164: str, past: Past) -> bool:
        subject = self._seal.subject(app, e164)
        with suppress(TokenInvalid):
            claims = self._signer.check_device(token, subject, audience=app, now=past.now // 1000)
            return past.recycled is None or claims["iat"] * 1000 > past.recycled
        return False

    def _replay(self, known: str, fingerprints: Sequence[str]) -> View:
        id_, stored = known[:ID_LENGTH], known[ID_LENGTH:]
        if stored not in fingerprints:
            raise IdempotencyKeyReused
        now, challenge = self._challenges.read_challenge(id_)
        if challenge is None:
            raise IdempotencyKeySpent
        return self._view(challenge, now)

    def _fingerprints(self, request: object) -> tuple[str, ...]:
        """Give HMACs of a whole request, newest key first: a plain hash could be reversed, a number has few digits."""
        return self._seal.indexes("fingerprint", json.dumps(request, sort_keys=True))

    def resend(
        self,
        caller: Caller,
        challenge_id: str,
        channel: str | None = None,
        idempotency_key: str | None = None,
        *,
        human_proof: str = "",
    ) -> View:
        """Bring another code of the same challenge, over the next channel or the one named.

        It is let in as a send is, for whoever started the challenge. Raises ChallengeNotFound, ChannelNotAvailable,
        ResendTooEarly, NoSendsLeft, NoRoute, NumberOptedOut, TooManyRequests, HumanCheckRequired, HumanCheckFailed,
        HumanCheckUnavailable, IdempotencyKeyReused or StoreUnavailable; nothing is sent then.
        """
        now, challenge = self._open_challenge(caller, challenge_id)
        operation = secrets.token_urlsafe(6)
        if idempotency_key:
            keys = self._seal.indexes("resend", challenge_id, idempotency_key)
            operations = [
                f"{key[:8]}.{body[:8]}" for key, body in zip(keys, self._fingerprints(channel), strict=True)
            ]
            operation = operations[0]
            for delivery in challenge.deliveries:
                if delivery.operation in operations:
                    return self._view(challenge, now)
                if delivery.operation.startswith(tuple(one[:9] for one in operations)):
                    raise IdempotencyKeyReused
        step = rules.resend_step(challenge, channel)
        if step is None:
            raise ChannelNotAvailable
        if not challenge.sends_left:
            raise NoSendsLeft
        if now < challenge.resend_at():
            raise ResendTooEarly(retry_after=-(-(challenge.resend_at() - now) // 1000))
        who = unseal(self._seal, challenge)
        entry = self._entry_again(caller, challenge, who, step, named=channel is not None, proof=human_proof)
        decision = self._admission.admit(entry, f"{challenge.id[-8:]}{operation}")
        caller.hear(decision.standing)
        only: tuple[str, ...] = ()
        if decision.verdict == "cheap":
            only = entry.rules.cheap_channels
            left = rules.resend_step(challenge, channel, only)
            step = step if left is None else left
        delivery = Delivery(
            step,
            challenge.plan.steps[step].channel,
            Status.QUEUED,
            0,
            operation,
            caller.request_id,
            chosen=channel is not None,
            only=only,
        )
        what, now, answer = self._challenges.resend(challenge.id, caller.app.name, delivery)
        if not isinstance(answer, Challenge):
            self._admission.refund(entry, f"{challenge.id[-8:]}{operation}")
            raise _refusal(what, answer or 0)
        report("challenge.resent", answer, who.e164, request_id=caller.request_id)
        return rules.view(answer, now, phone.mask(who.e164))

    def _entry_again(
        self, caller: Caller, challenge: Challenge, who: Sealed, step: int, *, named: bool, proof: str
    ) -> Entry:
        """Make the entry of another message of a challenge, whose caller is known as well as at its start."""
        rules = caller.active.policy.guard_of(caller.app.name)
        steps = challenge.plan.steps
        return Entry(
            asked=Asked(
                number=phone.parse(who.e164),
                app=caller.app.name,
                purpose=challenge.purpose,
                channel=steps[step].channel,
                address=(who.address or None) if caller.address is None else caller.address,
                session=who.session,
                known=known_as(challenge.known),
            ),
            rules=rules,
            request_id=caller.request_id,
            cheap=any(one.channel in rules.cheap_channels for one in ([steps[step]] if named else steps)),
            proof=proof,
            browser=caller.address is not None,
        )

    # Check.

    def verify(
        self,
        caller: Caller,
        challenge_id: str,
        code: str,
        binding: str | Mapping[str, str] | None = None,
        *,
        remember_device: bool = False,
    ) -> Verification:
        """Check a code. The guess is counted before it is looked at.

        Raises ChallengeNotFound, WrongCode, NoAttemptsLeft, Invalid (a code of another length, not counted),
        Busy (not counted) or StoreUnavailable.
        """
        if len(challenge_id) != ID_LENGTH:
            raise ChallengeNotFound
        with hash_slot(self._hasher, self._metrics, HASH_WAIT):
            what, now, challenge = self._challenges.take_attempt(challenge_id, caller.app.name, len(code))
            if challenge is None:
                self._metrics.checks.labels(caller.app.name, what).inc()
                raise _unchecked(what)
            who = unseal(self._seal, challenge)
            e164, bound = who.e164, who.binding if binding is None else _canonical(binding)
            via = self._match(code, Claim(challenge.id, challenge.purpose, bound), challenge)
        if via is None:
            left = challenge.plan.max_attempts - challenge.attempts
            self._checked("wrong_code", challenge, e164, caller)
            rules_now = caller.active.policy.guard_of(caller.app.name)
            self._admission.count(guard.after_failure(rules_now, guard.asked_of(challenge, e164)))
            if not left:
                self._metrics.challenges.labels(caller.app.name, "exhausted").inc()
                with suppress(StoreUnavailable):  # it is told when the challenge expires, then
                    self._outbox.queue_exhausted(challenge)
            raise WrongCode(left)
        now, won = self._challenges.finish(challenge.id, caller.app.name, State.VERIFIED, via)
        if won is None:
            raise ChallengeNotFound
        channel = won.deliveries[via].channel
        self._checked("verified", won, e164, caller, channel=channel)
        self._metrics.challenges.labels(caller.app.name, "verified").inc()
        self._converted(won.deliveries[via], e164, now)
        asked = guard.asked_of(won, e164)
        rules_now = caller.active.policy.guard_of(caller.app.name)
        self._admission.count(guard.after_success(rules_now, asked, won.deliveries[0].at))
        if who.session:
            self._admission.meet(caller.app.name, who.session, e164)
        token = self._signer.sign(
            self._claims(won, e164, who.binding, channel), audience=caller.app.name, now=now // 1000
        )
        device = None
        if remember_device:
            subject = self._seal.subject(caller.app.name, e164)
            device = self._signer.sign_device(subject, audience=caller.app.name, now=now // 1000)
        return Verification(rules.view(won, now, phone.mask(e164)), token, LIFETIME, device)

    def _converted(self, delivery: Delivery, e164: str, now: int) -> None:
        seconds, country = (now - delivery.at) / 1000, phone.country_of(e164)
        self._metrics.verified.labels(delivery.channel, delivery.upstream).inc()
        self._metrics.verify_seconds.labels(delivery.channel).observe(seconds)
        with suppress(StoreUnavailable):  # a figure for operators
            self._figures.verified(now, delivery.channel, country, delivery.upstream, seconds)

    def _match(self, code: str, claim: Claim, challenge: Challenge) -> int | None:
        live = challenge.live_hashes()
        if not live:
            return None  # nothing has left yet, so no code can be right
        started = time.perf_counter()
        try:
            found = self._hasher.match(code, claim, challenge.scheme, [code_hash for _, code_hash in live])
        except UnknownPepper:
            log("challenge.unreadable", logging.ERROR, challenge=challenge.id[:8])
            raise Busy("This process does not hold the challenge's key. Try again.", retry_after=2) from None
        self._metrics.hash_seconds.observe(time.perf_counter() - started)
        return None if found is None else live[found][0]

    def _claims(self, challenge: Challenge, e164: str, binding: str, channel: str) -> dict[str, Any]:
        claims: dict[str, Any] = {
            "sub": self._seal.subject(challenge.app, e164),
            "phone_number": e164,
            "phone_number_verified": True,
            "purpose": challenge.purpose,
            "amr": ["otp", *([AMR[channel]] if channel in AMR else [])],
            "channel": channel,
        }
        if binding:
            claims["binding"] = json.loads(binding)
        if challenge.reference:
            claims["reference"] = challenge.reference
        return claims

    def redeem(self, caller: Caller, token: str) -> dict[str, Any]:
        """Spend a verification token once and give its claims.

        Raises TokenInvalid, TokenSpent or StoreUnavailable.
        """
        now = self._facts.time() // 1000
        claims = self._signer.check(token, audience=caller.app.name, now=now)
        if not self._facts.use_once(f"token:{claims['jti']}", claims["exp"] - now):
            raise TokenSpent
        log("token.redeemed", app=caller.app.name, request_id=caller.request_id)
        return claims

    # Look and cancel.

    def status(self, caller: Caller, challenge_id: str) -> View:
        """Show a challenge, also for a while after its end. Raises ChallengeNotFound, StoreUnavailable."""
        now, challenge = self._own_challenge(caller, challenge_id)
        return self._view(challenge, now)

    def cancel(self, caller: Caller, challenge_id: str) -> View:
        """End a challenge; cancelling twice is the same. Raises ChallengeNotFound, StoreUnavailable."""
        now, challenge = self._own_challenge(caller, challenge_id)
        if challenge.state is not State.CANCELLED:
            now, ended = self._challenges.finish(challenge.id, caller.app.name, State.CANCELLED)
            if ended is None:
                now, ended = self._challenges.read_challenge(challenge.id)
                if ended is None or ended.state is not State.CANCELLED:
                    raise ChallengeNotFound
                return self._view(ended, now)  # another call cancelled it at the same time
            challenge = ended
            self._metrics.challenges.labels(caller.app.name, "cancelled").inc()
            report("challenge.cancelled", challenge, self._number(challenge), request_id=caller.request_id)
        return self._view(challenge, now)

    def _own_challenge(self, caller: Caller, challenge_id: str) -> tuple[int, Challenge]:
        if len(challenge_id) != ID_LENGTH:
            raise ChallengeNotFound
        now, challenge = self._challenges.read_challenge(challenge_id)
        if challenge is None or challenge.app != caller.app.name:
            raise ChallengeNotFound
        return now, challenge

    def _open_challenge(self, caller: Caller, challenge_id: str) -> tuple[int, Challenge]:
        now, challenge = self._own_challenge(caller, challenge_id)
        if challenge.status(now) is not State.PENDING:
            raise ChallengeNotFound
        return now, challenge

    # Shared small steps.

    def _number(self, challenge: Challenge) -> str:
        return unseal(self._seal, challenge).e164

    def _view(self, challenge: Challenge, now: int) -> View:
        return rules.view(challenge, now, phone.mask(self._number(challenge)))

    def _checked(
        self, result: str, challenge: Challenge, e164: str, caller: Caller, **fields: object
    ) -> None:
        self._metrics.checks.labels(caller.app.name, result).inc()
        report("challenge.checked", challenge, e164, request_id=caller.request_id, result=result, **fields)


def _check_who(caller: Caller, request: SendRequest) -> None:
    """Take a session and an address from servers only: a page could choose a new one for each send."""
    if caller.address is not None:
        given = [name for name in ("session", "address") if getattr(request, name)]
        if given:
            raise Invalid({name: ["may come with a secret key only"] for name in given})


def _cautious(plan: Plan, rules: Guard, decision: Decision) -> Plan:
    """Keep to cheap channels, or draw longer codes, where the guard says so."""
    if decision.verdict == "cheap":
        plan = replace(plan, steps=tuple(s for s in plan.steps if s.channel in rules.cheap_channels))
    if decision.tripped("guessing"):
        plan = replace(plan, code_length=max(plan.code_length, rules.guessing.code_length))
    return plan


def _refusal(what: str, pause: int) -> OtpError:
    if what == "early":
        return ResendTooEarly(retry_after=-(-pause // 1000))
    return NoSendsLeft() if what == "spent" else ChallengeNotFound()


def _unchecked(what: str) -> OtpError:
    if what == "exhausted":
        return NoAttemptsLeft()
    if what == "shape":
        return Invalid({"code": ["must have as many digits as the code that was sent, see code_length"]})
    return ChallengeNotFound()


def _canonical(binding: str | Mapping[str, str] | None) -> str:
    """Write a binding so that equal ones are equal text; empty for none."""
    if binding is None:
        return ""
    return json.dumps(binding, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
