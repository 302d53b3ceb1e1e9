"""Send: open a challenge and schedule its first message.

Knows the order: number, plan, repetition, guard, store. Must not know HTTP, Redis or vendors.
"""

import random
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

from otp_service import phone
from otp_service.challenge import view
from otp_service.challenge.model import Challenge, Delivery, Plan, State, Status
from otp_service.challenge.sealed import PersonalData, canonical, log_challenge, seal_data
from otp_service.challenge.store import ChallengeStore
from otp_service.challenge.view import View
from otp_service.crypto.code_hashes import Hasher
from otp_service.crypto.sealing import Seal
from otp_service.crypto.tokens import Signer
from otp_service.delivery.send_wait import SendWait
from otp_service.delivery.worker_watch import WorkerWatch
from otp_service.errors import (
    BindingIncomplete,
    IdempotencyKeyReused,
    IdempotencyKeySpent,
    Invalid,
    InvalidNumber,
    StoreUnavailable,
    TokenInvalid,
)
from otp_service.guard.admission import Admission, Entry
from otp_service.guard.decision import Decision
from otp_service.guard.history import Past
from otp_service.guard.rules import GuardedSend, Known
from otp_service.history.journal import Journal
from otp_service.messages.payments import fields_of
from otp_service.phone import Number
from otp_service.policy import Guard
from otp_service.policy.model import DecisionHook
from otp_service.store.facts import Facts
from otp_service.store.partitions import ID_LENGTH
from otp_service.telemetry.metrics import Metrics
from otp_service.verification.caller import Caller
from otp_service.verification.own_challenges import OwnChallenges
from otp_service.verification.refunds import Refunds
from otp_service.verification.repetition import fingerprints, names_of
from otp_service.verification.review import for_review, review_of
from otp_service.verification.send_notes import SendNotes


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
    other_factor: bool = False
    address: str | None = None
    device_token: str = ""
    human_proof: str = ""


class Send:
    """`POST /otp/send`."""

    def __init__(
        self,
        *,
        challenges: ChallengeStore,
        facts: Facts,
        learned_wait: Callable[[Callable[[], int], str, str], float | None],
        hasher: Hasher,
        seal: Seal,
        signer: Signer,
        admission: Admission,
        workers: WorkerWatch,
        wait: SendWait,
        refunds: Refunds,
        journal: Journal,
        metrics: Metrics,
    ) -> None:
        self._challenges = challenges
        self._own = OwnChallenges(challenges, seal)
        self._facts, self._learned_wait = facts, learned_wait
        self._hasher, self._seal, self._signer = hasher, seal, signer
        self._admission = admission
        self._workers, self._wait = workers, wait
        self._refunds = refunds
        self._journal, self._metrics = journal, metrics

    def send(self, caller: Caller, request: SendRequest, idempotency_key: str | None = None) -> View:
        """Open a challenge and schedule its first message.

        Raises Invalid, BindingIncomplete, NoRoute, ChannelNotAvailable, NumberOptedOut, TooManyRequests,
        HumanCheckRequired, HumanCheckFailed, HumanCheckUnavailable, IdempotencyKeyReused, IdempotencyKeySpent,
        NoWorker, Busy or StoreUnavailable. Then nothing is stored or sent.
        """
        notes = _notes_of(self._journal, caller, request)
        with notes.written():
            return self._send(caller, request, idempotency_key, notes)

    def _send(self, caller: Caller, request: SendRequest, key: str | None, notes: SendNotes) -> View:
        if not key:  # no repetition of what was accepted: refuse it before it costs anything
            self._wait.require("send")
        number = self._read_number(request)
        notes.add_number(number)
        _check_server_fields(caller, request)
        _check_binding(caller, request)
        plan = self._plan(caller, request, number)
        notes.add_route(plan.route)
        operation = self._operation(caller, request, number, key)
        if operation.record and (known := self._challenges.recall(*operation.records)):
            return self._replay(known, operation)
        self._workers.require()
        if operation.record:
            self._wait.require("send")
        entry = self._guard_entry(caller, request, number, plan, notes)
        id_ = self._challenges.new_id(operation.record)
        with self._refunds.after_failure(
            is_done=lambda: operation.is_done(self._challenges, id_),
            give_back=lambda: self._admission.refund(entry, operation.id),
            keyed=bool(operation.record),
        ):
            decision = self._admission.admit(entry, operation.id)
            caller.record_standing(decision.standing)
            made = self._new_challenge(caller, request, entry, _cautious(plan, entry.rules, decision), id_)
            made = for_review(made, review_of(caller.app, number.e164, request, self._facts.time))
            opened = self._challenges.open(
                made, idempotency=operation.record, fingerprint=operation.fingerprints[0]
            )
        if opened.challenge is None:
            if not opened.known.endswith(operation.fingerprints[0]):
                self._admission.refund(entry, operation.id)
            return self._replay(opened.known, operation)
        self._wait.accept()
        notes.admitted(opened.challenge, decision.verdict, opened.now)
        self._metrics.challenges.labels(caller.app.name, "opened").inc()
        log_challenge("challenge.opened", opened.challenge, number.e164, request_id=caller.request_id)
        return view.of(opened.challenge, opened.now, phone.mask(number.e164))

    def _read_number(self, request: SendRequest) -> Number:
        """Read the number; an operator's pin lets one through that is newer than the metadata."""
        try:
            return phone.parse(request.to, request.country)
        except InvalidNumber:
            number = phone.parse(request.to, request.country, possible=True)
            if not self._admission.allows_unknown(number.e164):
                raise
            return number

    def _plan(self, caller: Caller, request: SendRequest, number: Number) -> Plan:
        return caller.active.policy.plan(
            number,
            caller.app.name,
            request.purpose,
            request.channel,
            dice=random.random,
            learned=self._learned,
        )

    def _learned(self, channel: str, country: str) -> float | None:
        """Return the wait that was learned (seconds). If the store is down, the send is refused a moment later."""
        try:
            return self._learned_wait(self._facts.time, channel, country)
        except StoreUnavailable:
            return None

    def _operation(
        self, caller: Caller, request: SendRequest, number: Number, key: str | None
    ) -> "_Operation":
        """Name the operation: requests with the same key and body are the same operation, even if they race."""
        if not key:
            return _Operation(secrets.token_urlsafe(9))
        records = names_of(self._seal, caller, key, "send")
        # A number may be written in several ways, and each repetition has another human proof.
        same = asdict(request) | {"to": number.e164, "country": None, "human_proof": ""}
        prints = fingerprints(self._seal, same)
        return _Operation(self._seal.index(records[0], prints[0]), records, prints)

    def _replay(self, known: str, operation: "_Operation") -> View:
        """Answer a repetition with the challenge that the first request opened; `known` is the idempotency record."""
        id_, stored = known[:ID_LENGTH], known[ID_LENGTH:]
        if stored not in operation.fingerprints:
            raise IdempotencyKeyReused
        now, challenge = self._challenges.read_challenge(id_)
        if challenge is None:
            raise IdempotencyKeySpent
        return self._own.view(challenge, now)

    def _new_challenge(
        self, caller: Caller, request: SendRequest, entry: Entry, plan: Plan, id_: str
    ) -> Challenge:
        data = PersonalData(
            entry.asked.number.e164, entry.asked.address or "", request.session, canonical(request.binding)
        )
        return Challenge(
            id=id_,
            app=caller.app.name,
            purpose=request.purpose,
            sealed=seal_data(self._seal, id_, data),
            scheme=self._hasher.scheme,
            state=State.PENDING,
            expires=0,
            plan=plan,
            deliveries=(_first_delivery(plan, caller, chosen=request.channel is not None),),
            locale=request.locale,
            app_hash=request.app_hash,
            host=caller.app.host(caller.origin),
            reference=request.reference,
            known=entry.asked.known,
            policy=caller.active.version,
            watched=caller.app.events is not None,
            set_by="page" if caller.is_page else "server",
        )

    def _guard_entry(
        self, caller: Caller, request: SendRequest, number: Number, plan: Plan, notes: SendNotes
    ) -> Entry:
        rules = caller.active.policy.guard_of(caller.app.name)
        known, now = self._recognise(caller, request, number.e164)
        notes.add_known(known)
        return Entry(
            asked=GuardedSend(
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
            browser=caller.is_page,
            now=now,
            hook=_hook_of(caller, request, number, self._facts.time),
            record_answer=notes.add_answer,
        )

    def _recognise(self, caller: Caller, request: SendRequest, e164: str) -> tuple[Known, int]:
        """Return the kind of the caller, and the store's time (0 if it was not needed)."""
        app, session = caller.app.name, request.session
        if request.other_factor:
            return "vouched", 0
        unknown: Known = "session" if session else "" if caller.is_page else "server"
        if not request.device_token and not session:
            return unknown, 0
        past = self._admission.read_past(app, session, e164)
        if request.device_token and self._is_device(request.device_token, app, e164, past):
            standing = caller.active.policy.guard_of(app).standing
            return ("device" if standing.holds(past.unverified) else unknown), past.now
        return ("returning" if past.met else unknown), past.now

    def _is_device(self, token: str, app: str, e164: str, past: Past) -> bool:
        """Check a device token. One from before its number was recycled may be another person's."""
        subject = self._seal.subject(app, e164)
        with suppress(TokenInvalid):
            claims = self._signer.check_device(token, subject, audience=app, now=past.now // 1000)
            return past.recycled is None or claims["iat"] * 1000 > past.recycled
        return False


@dataclass(frozen=True, slots=True)
class _Operation:
    """One send, however often it is requested: its id, and the names and fingerprints of its idempotency record.

    Names and fingerprints are made with each lookup key, the newest first.
    """

    id: str
    records: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ("",)

    @property
    def record(self) -> str:
        """The newest name of the idempotency record, empty if the request has no idempotency key."""
        return self.records[0] if self.records else ""

    def is_done(self, challenges: ChallengeStore, id_: str) -> bool:
        """Read whether a challenge was opened, by this request or by a repetition. Raises StoreUnavailable."""
        if not self.records:
            return challenges.read_challenge(id_)[1] is not None
        known = challenges.recall(*self.records)
        return known is not None and known[ID_LENGTH:] in self.fingerprints


def _notes_of(journal: Journal, caller: Caller, request: SendRequest) -> SendNotes:
    chosen = request.channel or ""
    return SendNotes(journal, caller, purpose=request.purpose, reference=request.reference, channel=chosen)


def _hook_of(
    caller: Caller, request: SendRequest, number: Number, clock: Callable[[], int]
) -> DecisionHook | None:
    """Return whom to ask about a send: nobody about that of a review number, as nothing is sent."""
    hook = caller.app.decision
    return None if hook and review_of(caller.app, number.e164, request, clock) else hook


def _first_delivery(plan: Plan, caller: Caller, *, chosen: bool) -> Delivery:
    return Delivery(0, plan.steps[0].channel, Status.QUEUED, 0, "", caller.request_id, chosen=chosen)


def _check_server_fields(caller: Caller, request: SendRequest) -> None:
    """Accept from servers only what a page could choose anew for each send, or claim."""
    if caller.is_page:
        given = [name for name in ("session", "address", "other_factor") if getattr(request, name)]
        if given:
            raise Invalid({name: ["is accepted only with a secret key"] for name in given})


def _check_binding(caller: Caller, request: SendRequest) -> None:
    """Require what the message must say, from a server: a page could show one payee and bind another."""
    if caller.app.binding and (caller.is_page or not fields_of(canonical(request.binding))):
        raise BindingIncomplete


def _cautious(plan: Plan, rules: Guard, decision: Decision) -> Plan:
    """Keep to cheap channels, or draw longer codes, if the guard says so."""
    if decision.verdict == "cheap":
        plan = replace(plan, steps=tuple(s for s in plan.steps if s.channel in rules.cheap_channels))
    if decision.tripped("guessing"):
        plan = replace(plan, code_length=max(plan.code_length, rules.guessing.code_length))
    return plan
