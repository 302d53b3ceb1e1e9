"""Resend: schedule another message of a challenge, over the next channel or a chosen one.

Knows the order: repetition, step, guard, store. Must not know HTTP, Redis or vendors.
"""

import secrets
from dataclasses import dataclass, replace

from otp_service import phone
from otp_service.challenge import transitions, view
from otp_service.challenge.model import Challenge, Delivery, Status
from otp_service.challenge.notes import about_challenge, about_delivery
from otp_service.challenge.sealed import PersonalData, country_in, log_challenge, unseal
from otp_service.challenge.store import ChallengeStore
from otp_service.challenge.view import View
from otp_service.crypto.sealing import Seal
from otp_service.delivery.send_wait import SendWait
from otp_service.delivery.worker_watch import WorkerWatch
from otp_service.errors import (
    ChallengeNotFound,
    ChannelNotAvailable,
    IdempotencyKeyReused,
    NoSendsLeft,
    OtpError,
    ResendTooEarly,
)
from otp_service.guard.admission import Admission, Entry
from otp_service.guard.decision_hook import Answer
from otp_service.guard.rules import GuardedSend, known_as
from otp_service.history.journal import Journal
from otp_service.history.note import What
from otp_service.history.refusals import noting_refusals
from otp_service.verification.caller import Caller
from otp_service.verification.own_challenges import OwnChallenges
from otp_service.verification.refunds import Refunds
from otp_service.verification.repetition import fingerprints, names_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ResendRequest:
    """What `POST /otp/{id}/resend` asks for."""

    channel: str | None = None
    human_proof: str = ""


class Resend:
    """`POST /otp/{id}/resend`."""

    def __init__(
        self,
        *,
        challenges: ChallengeStore,
        seal: Seal,
        admission: Admission,
        workers: WorkerWatch,
        wait: SendWait,
        refunds: Refunds,
        journal: Journal,
    ) -> None:
        self._challenges = challenges
        self._own = OwnChallenges(challenges, seal)
        self._seal = seal
        self._admission = admission
        self._workers = workers
        self._wait = wait
        self._refunds = refunds
        self._journal = journal

    def resend(
        self,
        caller: Caller,
        challenge_id: str,
        request: ResendRequest = ResendRequest(),
        idempotency_key: str | None = None,
    ) -> View:
        """Schedule another message of a challenge. The guard treats it as another send by the same caller.

        Raises ChallengeNotFound, ChannelNotAvailable, ResendTooEarly, NoSendsLeft, NoRoute, NumberOptedOut,
        TooManyRequests, HumanCheckRequired, HumanCheckFailed, HumanCheckUnavailable, IdempotencyKeyReused, NoWorker,
        Busy or StoreUnavailable. Then nothing is sent.
        """
        now, challenge = self._own.read_pending(caller, challenge_id)
        about = {"request_id": caller.request_id, "channel": request.channel or ""}
        with noting_refusals(
            self._journal,
            lambda: [
                about_challenge(What.RESENT, challenge, country=country_in(self._seal, challenge), **about)
            ],
        ):
            return self._resend(caller, now, challenge, request, idempotency_key)

    def _resend(
        self,
        caller: Caller,
        now: int,
        challenge: Challenge,
        request: ResendRequest,
        idempotency_key: str | None,
    ) -> View:
        operation = self._operation(caller, challenge, request, idempotency_key)
        if operation is None:
            return self._own.view(challenge, now)
        self._workers.require()
        self._wait.require("resend")
        step = _choose_step(challenge, request.channel, now)
        person = unseal(self._seal, challenge)
        entry = replace(
            _guard_entry(caller, challenge, person, step, request),
            record_answer=lambda answer: self._add_answer(caller, challenge, answer),
        )
        charge = f"{challenge.id[-8:]}{operation}"
        with self._refunds.after_failure(
            is_done=lambda: self._has(challenge.id, operation),
            give_back=lambda: self._admission.refund(entry, charge),
            keyed=bool(idempotency_key),
        ):
            decision = self._admission.admit(entry, charge)
            caller.record_standing(decision.standing)
            only = entry.rules.cheap_channels if decision.verdict == "cheap" else ()
            delivery = _new_delivery(caller, challenge, step, request, operation, only)
            what, now, answer = self._challenges.resend(challenge.id, caller.app.name, delivery)
        if not isinstance(answer, Challenge):
            self._admission.refund(entry, charge)
            raise _refusal(what, answer or 0)
        self._journal.add(about_delivery(What.RESENT, answer, at=now, country=entry.asked.number.country))
        log_challenge("challenge.resent", answer, person.e164, request_id=caller.request_id)
        return view.of(answer, now, phone.mask(person.e164))

    def _add_answer(self, caller: Caller, challenge: Challenge, answer: Answer) -> None:
        """Take a note of what the app's own endpoint decided."""
        country = country_in(self._seal, challenge)
        about = about_challenge(What.DECIDED, challenge, request_id=caller.request_id, country=country)
        self._journal.add(answer.as_note(about))

    def _has(self, challenge_id: str, operation: str) -> bool:
        """Read whether an operation added its delivery. Raises StoreUnavailable."""
        challenge = self._challenges.read_challenge(challenge_id)[1]
        return challenge is not None and any(d.operation == operation for d in challenge.deliveries)

    def _operation(
        self, caller: Caller, challenge: Challenge, request: ResendRequest, key: str | None
    ) -> str | None:
        """Name the operation. Return None if this key did it already. Raises IdempotencyKeyReused."""
        if not key:
            return secrets.token_urlsafe(6)
        keys = names_of(self._seal, caller, key, "resend", challenge.id)
        bodies = fingerprints(self._seal, request.channel)
        operations = [f"{key[:8]}.{body[:8]}" for key, body in zip(keys, bodies, strict=True)]
        for delivery in challenge.deliveries:
            if delivery.operation in operations:
                return None
            if delivery.operation.startswith(tuple(one[:9] for one in operations)):
                raise IdempotencyKeyReused
        return operations[0]


def _choose_step(challenge: Challenge, channel: str | None, now: int) -> int:
    """Choose the step. Raises ChannelNotAvailable, NoSendsLeft or ResendTooEarly."""
    step = transitions.resend_step(challenge, channel)
    if step is None:
        raise ChannelNotAvailable(step.channel for step in challenge.plan.steps)
    if not challenge.sends_left:
        raise NoSendsLeft
    if now < challenge.resend_at():
        raise ResendTooEarly(retry_after=-(-(challenge.resend_at() - now) // 1000))
    return step


def _guard_entry(
    caller: Caller, challenge: Challenge, person: PersonalData, step: int, request: ResendRequest
) -> Entry:
    """Make the guard's entry for the message. The caller is known as well as when the challenge was opened."""
    rules = caller.active.policy.guard_of(caller.app.name)
    steps = challenge.plan.steps
    left = [steps[step]] if request.channel else steps
    return Entry(
        asked=GuardedSend(
            number=phone.parse(person.e164, possible=True),
            app=caller.app.name,
            purpose=challenge.purpose,
            channel=steps[step].channel,
            address=(person.address or None) if caller.address is None else caller.address,
            session=person.session,
            known=known_as(challenge.known),
        ),
        rules=rules,
        request_id=caller.request_id,
        cheap=any(one.channel in rules.cheap_channels for one in left),
        proof=request.human_proof,
        browser=caller.is_page,
        hook=None if challenge.review else caller.app.decision,
    )


def _new_delivery(
    caller: Caller,
    challenge: Challenge,
    step: int,
    request: ResendRequest,
    operation: str,
    only: tuple[str, ...],
) -> Delivery:
    """Make the delivery. `only` are the channels that the guard allows, empty for all."""
    if only:
        left = transitions.resend_step(challenge, request.channel, only)
        step = step if left is None else left
    return Delivery(
        step,
        challenge.plan.steps[step].channel,
        Status.ACCEPTED if challenge.review else Status.QUEUED,
        0,
        operation,
        caller.request_id,
        chosen=request.channel is not None,
        only=only,
    )


def _refusal(what: str, pause: int) -> OtpError:
    if what == "early":
        return ResendTooEarly(retry_after=-(-pause // 1000))
    return NoSendsLeft() if what == "spent" else ChallengeNotFound()
