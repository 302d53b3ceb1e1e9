"""What workers do for a challenge that is due: bring its code, or see what became of it and decide what follows.

Brings the pure rules, the store and the upstreams together. Must not know Redis or vendors.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from otp_service import phone
from otp_service.challenge import transitions
from otp_service.challenge.model import Challenge, State, Status, Step
from otp_service.challenge.sealed import log_challenge, unseal
from otp_service.challenge.store import ChallengeStore, Lease
from otp_service.challenge.transitions import Move
from otp_service.crypto.code_hashes import Claim, Hasher, UnknownPepper, draw
from otp_service.crypto.sealing import Seal
from otp_service.delivery.account_health import AccountHealth
from otp_service.delivery.conversion import Conversion
from otp_service.delivery.receipts import Receipts
from otp_service.errors import Busy, StoreUnavailable
from otp_service.events.outbox import Outbox
from otp_service.guard.admission import Admission, Entry
from otp_service.guard.rules import after_sending, asked_of
from otp_service.guard.suppressions import Suppressions
from otp_service.messages import templates as messages
from otp_service.policy import Policy
from otp_service.policy.active import ActivePolicy
from otp_service.store.facts import Facts
from otp_service.telemetry.logs import log
from otp_service.telemetry.metrics import Metrics
from otp_service.upstream.breakers import Breakers, Passage
from otp_service.upstream.faults import NOTHING_LEFT
from otp_service.upstream.get_budget import GetBudget
from otp_service.upstream.port import Message, Outcome, UpstreamAccount, UpstreamError, Verdict

SETTLE_PATIENCE = 60.0
"""Seconds a worker keeps trying to write down what became of a message that left."""
SETTLE_PAUSE = 0.25
LOOKUP_KEPT = 24 * 3600
"""Seconds that the answer to a paid lookup of a number is remembered."""


@dataclass(frozen=True, slots=True)
class _Way:
    """A step's place in the plan, an account of it, and that its breakers let the request through."""

    place: int
    account: str
    passage: Passage


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A code, and its hash as a PHC string."""

    code: str = field(repr=False)
    code_hash: str


class Dispatcher:
    """Does what is due for challenges."""

    def __init__(
        self,
        *,
        active: Callable[[], ActivePolicy],
        challenges: ChallengeStore,
        facts: Facts,
        suppressions: Suppressions,
        budget: GetBudget,
        breakers: Breakers,
        conversion: Conversion,
        hasher: Hasher,
        seal: Seal,
        outbox: Outbox,
        admission: Admission,
        receipts: Receipts,
        metrics: Metrics,
        reach: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`active` gives the newest one. `reach` is told each point where a process may die; tests kill it there."""
        self._active = active
        self._challenges = challenges
        self._facts = facts
        self._suppressions = suppressions
        self._budget = budget
        self._breakers = breakers
        self._account_health = AccountHealth(breakers, metrics, active)
        self._conversion = conversion
        self._hasher = hasher
        self._seal = seal
        self._outbox = outbox
        self._admission = admission
        self._receipts = receipts
        self._metrics = metrics
        self._reach = reach

    def dispatch(self, challenge_id: str, stopping: Callable[[], bool]) -> None:
        """Do what is due for a challenge. Raises StoreUnavailable; its deadline stays then."""
        self._attend(challenge_id, stopping, None)

    def _attend(self, challenge_id: str, stopping: Callable[[], bool], unseen: "_Drawn | None") -> None:
        """Attend to a challenge; `unseen` is a code of its newest delivery that never left."""
        lease = self._challenges.claim(challenge_id)
        if lease is None:
            return
        self._reach("claimed")
        if lease.what == "ended":
            if lease.challenge.state is not State.EXHAUSTED:  # counted with its last guess
                self._metrics.challenges.labels(lease.challenge.app, lease.challenge.state).inc()
            log("challenge.ended", challenge=challenge_id[:8], state=lease.challenge.state)
        elif lease.what == "over":
            self._outbox.queue_events(lease.challenge, over=lease.operation)
        elif lease.what == "waited":
            self._look_again(lease)
        else:
            try:
                self._deliver(lease, stopping, unseen)
            except (Busy, UnknownPepper):
                # The lease runs out, and then perhaps a worker has it that holds the key already, or still.
                log("challenge.unreadable", logging.ERROR, challenge=challenge_id[:8])

    def _look_again(self, lease: Lease) -> None:
        """Do what follows for a message that left: news came, or its step's time is over."""
        challenge = lease.challenge
        self._outbox.queue_events(challenge)
        self._reach("told")
        if transitions.is_worth_asking(challenge, lease.now):
            challenge = self._ask_upstream(challenge) or challenge
        move = transitions.after_wait(challenge, lease.now)
        self._reach("decided")
        self._settle_move(lease, move)

    def _ask_upstream(self, challenge: Challenge) -> Challenge | None:
        """Ask what became of the newest delivery, as no receipt came by itself."""
        active, delivery = self._active(), challenge.last
        upstream = active.policy.upstreams.get(delivery.upstream)
        account = active.accounts.get(delivery.upstream)
        if not (upstream and account and upstream.pull and delivery.upstream_id):
            return None
        if not self._budget.take(delivery.upstream, upstream.gets_per_minute):
            return None
        try:
            found = account.reports(delivery.channel, [delivery.upstream_id])
        except UpstreamError as error:
            log("receipt.unasked", logging.WARNING, upstream=delivery.upstream, reason=error.reason)
            return None
        for receipt in found:
            self._receipts.record_receipt(delivery.upstream, receipt)
        return self._challenges.read_challenge(challenge.id)[1]

    def _deliver(self, lease: Lease, stopping: Callable[[], bool], unseen: "_Drawn | None") -> None:
        active = self._active()
        who = unseal(self._seal, lease.challenge)
        e164, binding = who.e164, who.binding
        stopped = self._suppressions.read(*self._seal.indexes("suppressed", e164)) is not None
        found = None if stopped else self._way(active, lease.challenge, e164)
        if isinstance(found, _Way) and transitions.is_to_be_charged(lease.challenge):
            lease, found = self._charged(active, lease, e164, found)
        if not isinstance(found, _Way):
            self._settle_move(lease, transitions.after_none(lease.challenge, lease.now, found))
            return
        account, passage = found.account, found.passage
        lease = replace(lease, challenge=transitions.with_step(lease.challenge, found.place))
        challenge, step = lease.challenge, lease.challenge.step
        reference = self._seal.reference(challenge.id)
        drawn = unseen or self._draw(challenge, binding, stopping)
        if drawn is None:
            self._challenges.release(lease)
            return
        message = self._message(active.policy, challenge, e164, drawn.code, reference, lease.now)
        self._reach("hashed")
        if not self._challenges.arm(lease, reference, drawn.code_hash, account):
            return
        self._reach("armed")
        started = time.perf_counter()
        outcome = active.senders[step.channel, account](message)
        self._reach("sent")
        self._metrics.upstream_seconds.labels(account).observe(time.perf_counter() - started)
        self._account_health.record_outcome(account, step.channel, outcome, clean=passage.clean)
        self._ended(challenge, e164, account, outcome, lease.now)
        move = transitions.after_outcome(challenge, outcome, account, lease.now)
        self._settle(lease, move, outcome, reference, account, stopping)
        if move == transitions.Again(0) and outcome.reason in NOTHING_LEFT:
            self._attend(challenge.id, stopping, drawn)

    def _charged(
        self, active: ActivePolicy, lease: Lease, e164: str, way: _Way
    ) -> "tuple[Lease, _Way | float | None]":
        """Charge a message that the system sends by itself; gives the way that is left to it, if any is."""
        challenge, steps = lease.challenge, lease.challenge.plan.steps
        own = active.policy.guard_of(challenge.app)
        entry = Entry(
            asked=replace(asked_of(challenge, e164), channel=steps[way.place].channel),
            rules=own,
            request_id=challenge.last.request_id,
            cheap=any(
                steps[place].channel in own.cheap_channels for place in transitions.candidates(challenge)
            ),
        )
        decision = self._admission.admit_fallback(entry, f"{challenge.id[-8:]}{len(challenge.deliveries)}")
        if decision.verdict == "cheap":
            lease = replace(lease, challenge=transitions.limited(challenge, own.cheap_channels))
            return lease, way if entry.asked.channel in own.cheap_channels else self._way(
                active, lease.challenge, e164
            )
        return lease, None if decision.verdict == "refuse" else way

    def _draw(self, challenge: Challenge, binding: str, stopping: Callable[[], bool]) -> "_Drawn | None":
        """Draw a code and hash it; None when the process is to stop."""
        code = draw(challenge.plan.code_length)
        with self._hasher.slot():
            if stopping():
                return None
            started = time.perf_counter()
            claim = Claim(challenge.id, challenge.purpose, binding)
            code_hash = self._hasher.hash(code, claim, challenge.scheme)
            self._metrics.hash_seconds.observe(time.perf_counter() - started)
        return _Drawn(code, code_hash)

    def _way(self, active: ActivePolicy, challenge: Challenge, e164: str) -> "_Way | float | None":
        """Choose step and account for a delivery: the first account that is well of the first step that can be taken.

        Else gives the seconds until one may be, or None where none ever can.
        """
        pauses = []
        for place in transitions.candidates(challenge):
            step = challenge.plan.steps[place]
            if not self._holds(active, step, e164):
                self._metrics.skips.labels(step.channel, step.condition).inc()
                continue
            tried = challenge.last.tried if place == challenge.last.step else ()
            for account in step.upstreams:
                if account in tried or (step.channel, account) not in active.senders:
                    continue
                passage = self._breakers.ask(account, step.channel)
                if passage.state != "open":
                    return _Way(place, account, passage)
                pauses.append(passage.pause)
            self._metrics.skips.labels(step.channel, "no account").inc()
        return min(pauses, default=None)

    def _holds(self, active: ActivePolicy, step: Step, e164: str) -> bool:
        """Say whether a step's condition is met; a lookup that fails must not keep a code from a person."""
        if step.condition == "open":
            marks = (f"open:{step.channel}:{index}" for index in self._seal.indexes("number", e164))
            return self._facts.get(*marks) is not None
        if step.condition == "mobile":
            account = next(
                (active.accounts[name] for name in step.upstreams if name in active.accounts), None
            )
            return account is None or self._is_mobile(account, e164)
        return True

    def _is_mobile(self, account: UpstreamAccount, e164: str) -> bool:
        """Ask once in a while what kind of line a number is, as each lookup is paid for."""
        names = [f"mobile:{index}" for index in self._seal.indexes("number", e164)]
        if known := self._facts.get(*names):
            return known == "yes"
        try:
            mobile = account.lookup(e164).mobile is True
        except UpstreamError as error:
            log("lookup.failed", logging.WARNING, reason=error.reason)
            return True
        self._facts.put(names[0], "yes" if mobile else "no", LOOKUP_KEPT)
        return mobile

    def _ended(self, challenge: Challenge, e164: str, account: str, outcome: Outcome, now: int) -> None:
        channel = challenge.step.channel
        self._metrics.deliveries.labels(channel, account, outcome.verdict, outcome.reason).inc()
        if outcome.charges:
            self._metrics.charges.labels(channel, account).inc(outcome.charges)
        log_challenge(
            "delivery.ended",
            challenge,
            e164,
            request_id=challenge.last.request_id,
            channel=channel,
            upstream=account,
            verdict=outcome.verdict,
            reason=outcome.reason,
        )
        if outcome.verdict is Verdict.ACCEPTED:
            with suppress(StoreUnavailable):  # a figure for operators
                self._conversion.count_sent(now, channel, phone.country_of(e164), account)
            self._charge(challenge, e164, outcome)

    def _charge(self, challenge: Challenge, e164: str, outcome: Outcome) -> None:
        """Tell the guard what left: the conversion of a challenge is judged by its first message, money by each."""
        rules = self._active().policy.guard_of(challenge.app)
        asked, first = asked_of(challenge, e164), challenge.deliveries[0]
        price = partial(rules.money.price, country=asked.number.country)
        cost = price(challenge.last.channel) if outcome.charges is None else outcome.charges
        paid = price(_asked_for(challenge))
        was_sent = any(d.upstream for d in challenge.deliveries[:-1])
        self._admission.count(after_sending(rules, asked, None if was_sent else first.at, cost - paid))

    def _settle(
        self,
        lease: Lease,
        move: Move,
        outcome: Outcome,
        reference: str,
        account: str,
        stopping: Callable[[], bool],
    ) -> None:
        """Write an outcome down; the message has left, so a store that is away is waited for."""
        until = time.monotonic() + SETTLE_PATIENCE
        while True:
            try:
                if outcome.upstream_id:
                    self._challenges.index_message(
                        self._seal.index("message", account, outcome.upstream_id),
                        lease.challenge.id,
                        lease.challenge.expires - lease.now,
                    )
                settled = self._challenges.settle(
                    lease,
                    move,
                    reference=reference,
                    status=_STATUS[outcome.verdict],
                    reason="" if outcome.verdict is Verdict.ACCEPTED else outcome.reason,
                    upstream_id=outcome.upstream_id or "",
                    account=account,
                )
            except StoreUnavailable:
                if stopping() or time.monotonic() > until:
                    raise
                time.sleep(SETTLE_PAUSE)
            else:
                self._count_end(settled, move)
                self._reach("settled")
                return

    def _settle_move(self, lease: Lease, move: Move) -> None:
        self._count_end(self._challenges.settle(lease, move), move)
        self._reach("moved")

    def _count_end(self, settled: Challenge | None, move: Move) -> None:
        if isinstance(move, transitions.GiveUp) and settled and settled.state is State.UNDELIVERABLE:
            self._metrics.challenges.labels(settled.app, State.UNDELIVERABLE).inc()

    def _message(
        self, policy: Policy, challenge: Challenge, e164: str, code: str, reference: str, now: int
    ) -> Message:
        app = policy.apps.get(challenge.app)
        channel, left = challenge.step.channel, challenge.expires - now
        written = messages.write(
            channel,
            policy.templates,
            challenge.locale,
            phone.country_of(e164),
            code=code,
            brand=app.brand if app else challenge.app,
            minutes=max(1, round(left / 60_000)),
            app_hash=challenge.app_hash,
            host=challenge.host or (app.host(None) if app else ""),
        )
        return Message(
            to=e164,
            reference=reference,
            code=code,
            text=written.text,
            language=written.language,
            seconds=left // 1000,
        )


_STATUS = {
    Verdict.ACCEPTED: Status.ACCEPTED,
    Verdict.REFUSED: Status.REFUSED,
    Verdict.DEFERRED: Status.REFUSED,
    Verdict.UNKNOWN: Status.UNKNOWN,
}


def _asked_for(challenge: Challenge) -> str:
    """Name the channel that the guard was charged for: a first message may have moved on to another step since."""
    place = transitions.charged(challenge)
    return challenge.deliveries[place].channel if place else challenge.plan.steps[0].channel
