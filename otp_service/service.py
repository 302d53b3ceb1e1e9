"""The use cases: send, verify, status, resend, cancel, redeem; and for workers, the delivery of what is due.

Brings the pure rules, the store and the upstreams together. Must not know HTTP frameworks, Redis or vendors.
"""

import hashlib
import json
import logging
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from otp_service import challenge as rules
from otp_service import guard, messages, phone
from otp_service.challenge import Challenge, Delivery, Plan, State, Status, View
from otp_service.codes import Claim, Hasher, UnknownPepper, draw
from otp_service.delivery import Outcome, Verdict
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
    StoreUnavailable,
    TokenSpent,
    TooManyRequests,
    WrongCode,
)
from otp_service.policy import App, Policy
from otp_service.seal import Seal, Unsealable
from otp_service.store import ID_LENGTH, Lease, Store
from otp_service.telemetry import Metrics, event
from otp_service.tokens import LIFETIME, Signer

HASH_WAIT = 1.0
"""Seconds a check waits for a place to hash before it is shed."""
SETTLE_PATIENCE = 60.0
"""Seconds a worker keeps trying to write down what became of a message that left."""
SETTLE_PAUSE = 0.25
AMR = {"sms": "sms", "voice": "tel"}
"""Authentication method references of RFC 8176 for the channels that have one."""


class Sender(Protocol):
    """Brings one message over one channel of one upstream account. Never raises."""

    def __call__(self, *, to: str, text: str, reference: str) -> Outcome:
        """Send `text` to an E.164 number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks: the app, its page's origin, and the address of a browser (None for a server)."""

    app: App
    request_id: str
    origin: str | None = None
    address: str | None = None


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


@dataclass(frozen=True, slots=True)
class Verification:
    """A challenge that was won, and the token that proves it."""

    view: View
    token: str
    token_expires_in: int


class Service:
    """All use cases of the product."""

    def __init__(
        self,
        *,
        policy: Callable[[], Policy],
        store: Store,
        hasher: Hasher,
        seal: Seal,
        signer: Signer,
        senders: Mapping[tuple[str, str], Sender],
        metrics: Metrics,
    ) -> None:
        """`senders` are by channel and upstream."""
        self._policy = policy
        self._store = store
        self._hasher = hasher
        self._seal = seal
        self._signer = signer
        self._senders = senders
        self._metrics = metrics

    # Send and resend.

    def send(self, caller: Caller, request: SendRequest, idempotency_key: str | None = None) -> View:
        """Open a challenge and schedule its first message.

        Raises Invalid, NoRoute, ChannelNotAvailable, TooManyRequests, IdempotencyKeyReused,
        IdempotencyKeySpent or StoreUnavailable; nothing is stored or sent then.
        """
        number = phone.parse(request.to, request.country)
        plan = self._policy().plan(number, caller.app.name, request.purpose, request.channel)
        record, fingerprint = "", ""
        if idempotency_key:
            record = self._seal.index("send", caller.app.name, idempotency_key)
            fingerprint = self._fingerprint(asdict(request))
            if known := self._store.recall(record):
                return self._replay(known, fingerprint)
        # Requests that race with the same key and body are one act; with another body they are not.
        operation = self._seal.index(record, fingerprint) if record else secrets.token_urlsafe(9)
        self._charge(caller, number.e164, operation)
        opened = self._store.open(
            self._new(caller, request, number.e164, plan, record), idempotency=record, fingerprint=fingerprint
        )
        if opened.challenge is None:
            if not opened.known.endswith(fingerprint):
                self._refund(caller, number.e164, operation)
            return self._replay(opened.known, fingerprint)
        self._metrics.challenges.labels(caller.app.name, "opened").inc()
        self._event("challenge.opened", opened.challenge, number.e164, request_id=caller.request_id)
        return rules.view(opened.challenge, opened.now, phone.mask(number.e164))

    def _new(self, caller: Caller, request: SendRequest, e164: str, plan: Plan, record: str) -> Challenge:
        id_ = self._store.new_id(record)
        first = Delivery(
            0, plan.steps[0].channel, Status.QUEUED, 0, secrets.token_urlsafe(6), caller.request_id
        )
        return Challenge(
            id=id_,
            app=caller.app.name,
            purpose=request.purpose,
            sealed=self._seal.close(f"{e164}\n{_canonical(request.binding)}", id_),
            scheme=self._hasher.scheme,
            state=State.PENDING,
            expires=0,
            plan=plan,
            deliveries=(first,),
            locale=request.locale,
            app_hash=request.app_hash,
            host=caller.app.host(caller.origin) if caller.origin else "",
            reference=request.reference,
        )

    def _charge(self, caller: Caller, e164: str, operation: str) -> None:
        for charge in guard.charges(self._policy().limits, number=e164, address=caller.address):
            counter = self._seal.index(charge.rule, charge.subject)
            if pause := self._store.charge(counter, operation, charge.windows):
                self._metrics.refusals.labels(charge.rule).inc()
                event("guard.refused", rule=charge.rule, app=caller.app.name, request_id=caller.request_id)
                raise TooManyRequests(retry_after=-(-pause // 1000))

    def _refund(self, caller: Caller, e164: str, operation: str) -> None:
        with suppress(StoreUnavailable):  # the charge decays by itself
            for charge in guard.charges(self._policy().limits, number=e164, address=caller.address):
                self._store.refund(self._seal.index(charge.rule, charge.subject), operation)

    def _replay(self, known: str, fingerprint: str) -> View:
        id_, stored = known[:ID_LENGTH], known[ID_LENGTH:]
        if stored != fingerprint:
            raise IdempotencyKeyReused
        now, challenge = self._store.look(id_)
        if challenge is None:
            raise IdempotencyKeySpent
        return self._view(challenge, now)

    def _fingerprint(self, request: object) -> str:
        """Give an HMAC of a whole request: a plain hash of one could be reversed, a number has few digits."""
        return self._seal.index("fingerprint", json.dumps(request, sort_keys=True))

    def resend(
        self,
        caller: Caller,
        challenge_id: str,
        channel: str | None = None,
        idempotency_key: str | None = None,
    ) -> View:
        """Bring another code of the same challenge, over the next channel or the one named.

        Raises ChallengeNotFound, ChannelNotAvailable, ResendTooEarly, NoSendsLeft, TooManyRequests,
        IdempotencyKeyReused or StoreUnavailable; nothing is sent then.
        """
        now, challenge = self._open_challenge(caller, challenge_id)
        operation = secrets.token_urlsafe(6)
        if idempotency_key:
            key = self._seal.index("resend", challenge_id, idempotency_key)[:8]
            operation = f"{key}.{self._fingerprint(channel)[:8]}"
            for delivery in challenge.deliveries:
                if delivery.operation == operation:
                    return self._view(challenge, now)
                if delivery.operation.startswith(f"{key}."):
                    raise IdempotencyKeyReused
        step = rules.resend_step(challenge, channel)
        if step is None:
            raise ChannelNotAvailable
        if not challenge.sends_left:
            raise NoSendsLeft
        if now < challenge.resend_at():
            raise ResendTooEarly(retry_after=-(-(challenge.resend_at() - now) // 1000))
        e164 = self._number(challenge)
        self._charge(caller, e164, f"{challenge.id[-8:]}{operation}")
        chosen = challenge.plan.steps[step].channel
        delivery = Delivery(step, chosen, Status.QUEUED, 0, operation, caller.request_id)
        what, now, answer = self._store.resend(challenge.id, caller.app.name, delivery)
        if not isinstance(answer, Challenge):
            self._refund(caller, e164, f"{challenge.id[-8:]}{operation}")
            raise _refusal(what, answer or 0)
        self._event("challenge.resent", answer, e164, request_id=caller.request_id)
        return rules.view(answer, now, phone.mask(e164))

    # Check.

    def verify(
        self, caller: Caller, challenge_id: str, code: str, binding: str | Mapping[str, str] | None = None
    ) -> Verification:
        """Check a code. The guess is counted before it is looked at.

        Raises ChallengeNotFound, WrongCode, NoAttemptsLeft, Invalid (a code of another length, not counted),
        Busy (not counted) or StoreUnavailable.
        """
        if len(challenge_id) != ID_LENGTH:
            raise ChallengeNotFound
        with self._hash_slot(HASH_WAIT):
            what, now, challenge = self._store.take_attempt(challenge_id, caller.app.name, len(code))
            if challenge is None:
                self._metrics.checks.labels(caller.app.name, what).inc()
                raise _unchecked(what)
            e164, bound_to = self._unseal(challenge)
            bound = bound_to if binding is None else _canonical(binding)
            via = self._match(code, Claim(challenge.id, challenge.purpose, bound), challenge)
        if via is None:
            left = challenge.plan.max_attempts - challenge.attempts
            self._checked("wrong_code", challenge, e164, caller)
            if not left:
                self._metrics.challenges.labels(caller.app.name, "exhausted").inc()
            raise WrongCode(left)
        now, won = self._store.finish(challenge.id, caller.app.name, State.VERIFIED, via)
        if won is None:
            raise ChallengeNotFound
        channel = won.deliveries[via].channel
        self._checked("verified", won, e164, caller)
        self._metrics.challenges.labels(caller.app.name, "verified").inc()
        self._metrics.verified.labels(channel).inc()
        token = self._signer.sign(
            self._claims(won, e164, bound_to, channel), audience=caller.app.name, now=now // 1000
        )
        return Verification(rules.view(won, now, phone.mask(e164)), token, LIFETIME)

    def _match(self, code: str, claim: Claim, challenge: Challenge) -> int | None:
        live = challenge.live_hashes()
        if not live:
            return None  # nothing has left yet, so no code can be right
        started = time.perf_counter()
        try:
            found = self._hasher.match(code, claim, challenge.scheme, [code_hash for _, code_hash in live])
        except UnknownPepper:
            event("challenge.unreadable", logging.ERROR, challenge=challenge.id[:8])
            raise Busy("This process does not hold the challenge's key. Try again.", retry_after=2) from None
        self._metrics.hash_seconds.observe(time.perf_counter() - started)
        return None if found is None else live[found][0]

    def _claims(self, challenge: Challenge, e164: str, binding: str, channel: str) -> dict[str, Any]:
        claims: dict[str, Any] = {
            "sub": self._seal.index("subject", challenge.app, e164),
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
        now = self._store.time() // 1000
        claims = self._signer.check(token, audience=caller.app.name, now=now)
        if not self._store.spend(f"token:{claims['jti']}", claims["exp"] - now):
            raise TokenSpent
        event("token.redeemed", app=caller.app.name, request_id=caller.request_id)
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
            now, ended = self._store.finish(challenge.id, caller.app.name, State.CANCELLED)
            if ended is None:
                now, ended = self._store.look(challenge.id)
                if ended is None or ended.state is not State.CANCELLED:
                    raise ChallengeNotFound
                return self._view(ended, now)  # another call cancelled it at the same time
            challenge = ended
            self._metrics.challenges.labels(caller.app.name, "cancelled").inc()
            self._event(
                "challenge.cancelled", challenge, self._number(challenge), request_id=caller.request_id
            )
        return self._view(challenge, now)

    def _own_challenge(self, caller: Caller, challenge_id: str) -> tuple[int, Challenge]:
        if len(challenge_id) != ID_LENGTH:
            raise ChallengeNotFound
        now, challenge = self._store.look(challenge_id)
        if challenge is None or challenge.app != caller.app.name:
            raise ChallengeNotFound
        return now, challenge

    def _open_challenge(self, caller: Caller, challenge_id: str) -> tuple[int, Challenge]:
        now, challenge = self._own_challenge(caller, challenge_id)
        if challenge.status(now) is not State.PENDING:
            raise ChallengeNotFound
        return now, challenge

    # What workers do.

    def attend(self, challenge_id: str, stopping: Callable[[], bool]) -> None:
        """Do what is due for a challenge. Raises StoreUnavailable; its deadline stays then."""
        lease = self._store.claim(challenge_id)
        if lease is None:
            return
        if lease.what == "ended":
            if lease.challenge.state is not State.EXHAUSTED:  # counted with its last guess
                self._metrics.challenges.labels(lease.challenge.app, lease.challenge.state).inc()
            event("challenge.ended", challenge=challenge_id[:8], state=lease.challenge.state)
        elif lease.what == "waited":
            self._store.settle(lease, rules.after_wait(lease.challenge))
        else:
            try:
                self._deliver(lease, stopping)
            except (Busy, UnknownPepper):
                # The lease runs out, and then perhaps a worker has it that holds the key already, or still.
                event("challenge.unreadable", logging.ERROR, challenge=challenge_id[:8])

    def _deliver(self, lease: Lease, stopping: Callable[[], bool]) -> None:
        challenge, delivery = lease.challenge, lease.challenge.last
        step = challenge.plan.steps[delivery.step]
        e164, binding = self._unseal(challenge)
        code = draw(challenge.plan.code_length)
        reference = secrets.token_urlsafe(12)
        claim = Claim(challenge.id, challenge.purpose, binding)
        with self._hash_slot(None):
            if stopping():
                self._store.release(lease)
                return
            started = time.perf_counter()
            code_hash = self._hasher.hash(code, claim, challenge.scheme)
            self._metrics.hash_seconds.observe(time.perf_counter() - started)
        text = self._text(challenge, e164, code, lease.now)
        if not self._store.arm(lease, reference, code_hash):
            return
        started = time.perf_counter()
        outcome = self._sender(step.channel, step.upstream)(to=e164, text=text, reference=reference)
        self._metrics.upstream_seconds.labels(step.upstream).observe(time.perf_counter() - started)
        self._metrics.deliveries.labels(step.channel, step.upstream, outcome.verdict, outcome.reason).inc()
        self._event(
            "delivery.ended",
            challenge,
            e164,
            request_id=delivery.request_id,
            channel=step.channel,
            upstream=step.upstream,
            verdict=outcome.verdict,
            reason=outcome.reason,
        )
        self._settle(lease, outcome, reference, stopping)

    def _settle(self, lease: Lease, outcome: Outcome, reference: str, stopping: Callable[[], bool]) -> None:
        """Write an outcome down; the message has left, so a store that is away is waited for."""
        move = rules.after_outcome(lease.challenge, outcome)
        if isinstance(move, rules.GiveUp):
            self._metrics.challenges.labels(lease.challenge.app, State.UNDELIVERABLE).inc()
        until = time.monotonic() + SETTLE_PATIENCE
        while True:
            try:
                self._store.settle(
                    lease,
                    move,
                    reference=reference,
                    status=_STATUS[outcome.verdict],
                    reason="" if outcome.verdict is Verdict.ACCEPTED else outcome.reason,
                    upstream_id=outcome.upstream_id or "",
                )
            except StoreUnavailable:
                if stopping() or time.monotonic() > until:
                    raise
                time.sleep(SETTLE_PAUSE)
            else:
                return

    def _sender(self, channel: str, upstream: str) -> Sender:
        return self._senders.get((channel, upstream), _gone)

    def _text(self, challenge: Challenge, e164: str, code: str, now: int) -> str:
        policy = self._policy()
        app = policy.apps.get(challenge.app)
        return messages.compose(
            messages.choose(policy.templates, challenge.locale, phone.country_of(e164)),
            code=code,
            brand=app.brand if app else challenge.app,
            minutes=max(1, round((challenge.expires - now) / 60_000)),
            app_hash=challenge.app_hash,
            host=challenge.host or (app.host(None) if app else ""),
        )

    # Shared small steps.

    @contextmanager
    def _hash_slot(self, timeout: float | None) -> Iterator[None]:
        with self._metrics.hash_waiting.track_inprogress():
            self._hasher.acquire(timeout)
        try:
            yield
        finally:
            self._hasher.release()

    def _unseal(self, challenge: Challenge) -> tuple[str, str]:
        """Give the number, and what the code is bound to (empty for nothing).

        Raises Busy for what was sealed with a key that this process lacks: while keys are rotated another may hold it.
        """
        try:
            e164, _, binding = self._seal.open(challenge.sealed, challenge.id).partition("\n")
        except Unsealable:
            event("challenge.unreadable", logging.ERROR, challenge=challenge.id[:8])
            raise Busy("This process does not hold the challenge's key. Try again.", retry_after=2) from None
        return e164, binding

    def _number(self, challenge: Challenge) -> str:
        return self._unseal(challenge)[0]

    def _view(self, challenge: Challenge, now: int) -> View:
        return rules.view(challenge, now, phone.mask(self._number(challenge)))

    def _checked(self, result: str, challenge: Challenge, e164: str, caller: Caller) -> None:
        self._metrics.checks.labels(caller.app.name, result).inc()
        self._event("challenge.checked", challenge, e164, request_id=caller.request_id, result=result)

    def _event(self, name: str, challenge: Challenge, e164: str, **fields: object) -> None:
        # Eight signs of the id tell challenges apart; the whole of it is a secret of its holder.
        event(
            name, logging.INFO, challenge=challenge.id[:8], app=challenge.app, to=phone.mask(e164), **fields
        )


_STATUS = {
    Verdict.ACCEPTED: Status.ACCEPTED,
    Verdict.REFUSED: Status.REFUSED,
    Verdict.DEFERRED: Status.REFUSED,
    Verdict.UNKNOWN: Status.UNKNOWN,
}


def _gone(*, to: str, text: str, reference: str) -> Outcome:  # noqa: ARG001 - a sender's signature
    """Stand in for an upstream that has left the policy since the plan was made."""
    return Outcome(Verdict.REFUSED, "upstream_gone")


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


def digest(key: str) -> str:
    """Give the hash under which an API key is known; the key itself has 192 random bits."""
    return hashlib.sha256(key.encode()).hexdigest()
