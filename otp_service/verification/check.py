"""Check: count a guess, compare the code, and prove the number with a token.

Knows that a guess counts before it is compared, and what a repetition of it gets. Must not know HTTP, Redis or vendors.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from otp_service.challenge.guess import Guess
from otp_service.challenge.model import Challenge, State
from otp_service.challenge.sealed import PersonalData, canonical, unreadable, unseal
from otp_service.challenge.store import ChallengeStore
from otp_service.crypto.code_hashes import Claim, Hasher, UnknownPepper, digest_of, place_of
from otp_service.crypto.lifetimes import TOKEN_LIFETIME
from otp_service.crypto.sealing import Seal
from otp_service.crypto.tokens import Issue, Signer
from otp_service.errors import (
    Busy,
    ChallengeNotFound,
    IdempotencyKeyReused,
    Invalid,
    NoAttemptsLeft,
    OtpError,
    StoreUnavailable,
    WrongCode,
)
from otp_service.events.outbox import Outbox
from otp_service.guard.admission import Admission
from otp_service.guard.rules import GuardedSend, asked_of
from otp_service.history.journal import Journal
from otp_service.store.partitions import operation
from otp_service.telemetry.metrics import Metrics
from otp_service.verification.caller import Caller
from otp_service.verification.check_recorder import CheckRecorder
from otp_service.verification.own_challenges import check_form
from otp_service.verification.proof import Prover, Verification
from otp_service.verification.repetition import names_of
from otp_service.verification.review import claim_of

TICKET_WAIT = 1.0
"""Seconds that a check waits for a ticket before it is refused."""
ANSWER_PAUSES = (0.05, 0.1, 0.2, 0.4)
"""Seconds between looks for the answer to the same guess while another request checks it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """One check: the guess as it was counted, and the hash of its code."""

    caller: Caller
    guess: Guess
    challenge: Challenge
    person: PersonalData
    code_hash: str


class Check:
    """`POST /otp/verify`."""

    def __init__(
        self,
        *,
        challenges: ChallengeStore,
        hasher: Hasher,
        seal: Seal,
        signer: Signer,
        admission: Admission,
        outbox: Outbox,
        journal: Journal,
        metrics: Metrics,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`sleep` waits for seconds."""
        self._challenges = challenges
        self._hasher = hasher
        self._seal = seal
        self._prover = Prover(seal, signer)
        self._recorder = CheckRecorder(admission=admission, outbox=outbox, journal=journal, metrics=metrics)
        self._metrics = metrics
        self._sleep = sleep
        self._schemes = _listed(hasher.schemes)
        self._seals = _listed(seal.key_ids)

    def verify(
        self,
        caller: Caller,
        challenge_id: str,
        code: str,
        binding: str | Mapping[str, str] | None = None,
        *,
        remember_device: bool = False,
        idempotency_key: str | None = None,
    ) -> Verification:
        """Check a code. The guess is counted before it is compared; a repetition gets the first answer.

        Raises ChallengeNotFound, WrongCode, NoAttemptsLeft, IdempotencyKeyReused, Invalid (a code of another length) or
        Busy, neither of which counts, or StoreUnavailable.
        """
        check_form(challenge_id)
        guess = self._guess(caller, challenge_id, idempotency_key, device=remember_device)
        with self._hasher.ticket(TICKET_WAIT):
            what, now, challenge = self._take_attempt(caller, challenge_id, len(code), guess)
            person = unseal(self._seal, challenge)
            bound = person.binding if binding is None else canonical(binding)
            code_hash = digest_of(self._hash(code, challenge, claim_of(challenge, person, bound)))
        check = _Check(caller=caller, guess=guess, challenge=challenge, person=person, code_hash=code_hash)
        match what:
            case "counted":
                return self._answer(check)
            case "won":
                return self._repeat_success(check, now)
            case _:
                raise self._repeat_wrong_code(check)

    def _guess(self, caller: Caller, challenge_id: str, key: str | None, *, device: bool) -> Guess:
        """Describe a guess. A key belongs to its app, challenge and kind of caller: no page can take a server's."""
        return Guess(
            names=names_of(self._seal, caller, key, "verify", challenge_id) if key else (),
            device=device,
            schemes=self._schemes,
            seals=self._seals,
        )

    def _take_attempt(
        self, caller: Caller, challenge_id: str, digits: int, guess: Guess
    ) -> tuple[str, int, Challenge]:
        """Count a guess, or find out how it was answered before."""
        for pause in (*ANSWER_PAUSES, None):
            what, now, challenge = self._count_attempt(caller, challenge_id, digits, guess)
            if challenge is not None:
                return what, now, challenge
            if what != "running" or pause is None:
                self._recorder.record_refused(caller, what, challenge_id)
                raise _attempt_error(what, challenge_id)
            self._sleep(pause)
        raise AssertionError  # the last pause is None

    def _count_attempt(
        self, caller: Caller, challenge_id: str, digits: int, guess: Guess
    ) -> tuple[str, int, Challenge | None]:
        """Count a guess. If a promotion may forget it, it is not checked: a repetition takes it over."""
        try:
            return self._challenges.take_attempt(challenge_id, caller.app.name, digits, guess)
        except StoreUnavailable as error:
            if error.made:
                self._challenges.record_answer(challenge_id, guess, "unchecked")
            raise

    def _hash(self, code: str, challenge: Challenge, claim: Claim) -> str:
        try:
            return self._hasher.hash(code, claim, challenge.scheme)
        except UnknownPepper:
            raise unreadable(challenge.id) from None

    def _answer(self, check: _Check) -> Verification:
        """Compare a guess that was counted. Of several right ones, one wins."""
        live = check.challenge.live_hashes()
        place = place_of(check.code_hash, [code_hash for _, code_hash in live])
        if place is None:
            raise self._answer_wrong_code(check)
        via, caller = live[place][0], check.caller
        token = self._prover.new_token(*check.guess.names[:1])
        asked = _asked_by(check)
        now, won = self._challenges.finish(
            check.challenge.id,
            caller.app.name,
            State.VERIFIED,
            via,
            token,
            beside=self._recorder.counting_success(caller, check.challenge, asked),
        )
        if won is None:
            return self._repeat_after_defeat(check)
        self._recorder.record_success(caller, won, asked, now, token=token.jti)
        at = won.proof.ends // 1000 - TOKEN_LIFETIME if won.proof else now // 1000
        issue = Issue(token.jti, at, token.kid)
        return self._prover.prove(won, check.person, issue, now, remember_device=check.guess.device)

    def _answer_wrong_code(self, check: _Check) -> WrongCode:
        """Record a wrong code. Return the error that says so."""
        challenge, left = check.challenge, check.challenge.checks_left
        self._challenges.record_answer(
            challenge.id,
            check.guess,
            "wrong",
            left,
            check.code_hash,
            beside=self._recorder.counting_failure(check.caller, challenge, check.person),
        )
        self._recorder.record_wrong_code(check.caller, challenge, check.person)
        return WrongCode(left)

    def _repeat_after_defeat(self, check: _Check) -> Verification:
        """Give the answer of the guess that won, if it was the same. Raises ChallengeNotFound otherwise."""
        challenge, again = check.challenge, replace(check.guess, operation=operation())
        what, now, newest = self._challenges.take_attempt(
            challenge.id, check.caller.app.name, challenge.plan.code_length, again
        )
        if what != "won" or newest is None:
            raise ChallengeNotFound
        return self._repeat_success(replace(check, challenge=newest, guess=again), now)

    def _repeat_success(self, check: _Check, now: int) -> Verification:
        """Give the first answer to whoever repeats the right code. Raises IdempotencyKeyReused for another one."""
        won = check.challenge
        assert won.proof is not None  # noqa: S101 - the store found it
        same = place_of(check.code_hash, [code_hash for _, code_hash in won.live_hashes()]) is not None
        self._challenges.record_answer(won.id, check.guess, "same" if same else "other")
        if not same:
            raise IdempotencyKeyReused
        self._recorder.record_repeated(check.caller, won, check.person)
        issue = Issue(won.proof.jti, won.proof.ends // 1000 - TOKEN_LIFETIME, won.proof.kid)
        return self._prover.prove(won, check.person, issue, now, remember_device=check.guess.device)

    def _repeat_wrong_code(self, check: _Check) -> OtpError:
        """Return the first answer to a wrong guess, or the error that says that it was another one."""
        [first] = [answer for answer in check.challenge.answers if answer.name in check.guess.names]
        if place_of(check.code_hash, [first.code_hash]) is None:
            return IdempotencyKeyReused()
        self._recorder.record_repeated(check.caller, check.challenge, check.person)
        return WrongCode(first.left)


def _asked_by(check: _Check) -> GuardedSend:
    """Return what is known about the send whose code came back, and about who typed it."""
    address = check.caller.address or check.person.address or None
    return replace(
        asked_of(check.challenge, check.person.e164), address=address, session=check.person.session
    )


def _listed(ids: Iterable[str]) -> str:
    """Write ids in the form in which scripts search them: each between commas."""
    return f",{','.join(ids)},"


def _attempt_error(what: str, challenge_id: str) -> OtpError:
    match what:
        case "exhausted":
            return NoAttemptsLeft()
        case "shape":
            return Invalid({"code": ["must have as many digits as the code that was sent, see code_length"]})
        case "reused":
            return IdempotencyKeyReused()
        case "running":
            return Busy(
                "The same guess is being checked. Try again after retry_after seconds.", retry_after=1
            )
        case "unreadable":
            return unreadable(challenge_id)
        case _:
            return ChallengeNotFound()
