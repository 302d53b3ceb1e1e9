"""The store's scripts against a model of them in plain Python, over random histories.

The model knows the rules of docs/design.md and nothing of Redis. Every script answers with the time at which it
ran, so the model decides for exactly that time. `MODEL_RUN=thorough` makes the run long, and `pytest -s` says how long.
"""

import os
import secrets
import sys
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from otp_service.bootstrap.stores import Stores
from otp_service.challenge.model import Challenge, Delivery, Plan, State, Status, Step, overruled_by
from otp_service.challenge.send_store import CLAIM_LEASE, SEND_LEASE, Lease
from otp_service.challenge.transitions import MIN_TIME_LEFT, Again, GiveUp, Hold, Move, Next, Wait
from tests.support.spine import PatientScripts, deadline, new_challenge, new_delivery
from tests.support.valkey_server import ValkeyServer

THOROUGH = settings(
    deadline=None, max_examples=2000, stateful_step_count=50, suppress_health_check=[*HealthCheck]
)
USUAL = settings(THOROUGH, max_examples=70, stateful_step_count=30, phases=[Phase.reuse, Phase.generate])
"""Without shrinking: a history that fails is replayed against a real server, which takes long."""
STEPS = (Step("sms", ("main",), 20), Step("voice", ("main",), 20))
PLANS = (
    Plan(STEPS, 6, 60, max_attempts=2, max_sends=3, cooldown=(5, 10)),
    Plan(STEPS[:1], 6, 300, max_attempts=3, max_sends=8, cooldown=(1,)),
)
MOVES = (Hold(), Wait(7), Again(3), Next(0), GiveUp())
NOT_LEFT = {Status.QUEUED, Status.CLAIMED}
NEVER_CAME = {Status.SUPERSEDED, Status.NOT_SENT, Status.REFUSED, Status.FAILED}
AT_THE_END = {Status.QUEUED: Status.NOT_SENT, Status.CLAIMED: Status.NOT_SENT, Status.SENDING: Status.UNKNOWN}
"""What a delivery under way is when its challenge has ended."""


@dataclass
class Known:
    """What the model knows of one challenge."""

    now: Challenge
    due: int | None
    """When it is due; None when nobody needs to see to it any more."""
    ending: bool = False
    """Whether nothing but its end is left."""
    lease: str = ""
    attempts: list[str] = field(default_factory=list)

    def change(self, place: int = -1, **changes: Any) -> None:  # noqa: ANN401 - names and types are Delivery's
        """Change one delivery."""
        deliveries = list(self.now.deliveries)
        deliveries[place] = replace(deliveries[place], **changes)
        self.now = replace(self.now, deliveries=tuple(deliveries))

    def add(self, delivery: Delivery) -> None:
        """Add a delivery."""
        self.now = replace(self.now, deliveries=(*self.now.deliveries, delivery))

    def end(self, state: State) -> None:
        """End the challenge: no code is accepted, no delivery is under way, and nothing is scheduled."""
        deliveries = tuple(
            replace(d, code_hash="", status=AT_THE_END.get(d.status, d.status)) for d in self.now.deliveries
        )
        self.now = replace(self.now, state=state, deliveries=deliveries)
        self.due, self.ending = None, False

    def drop(self, now: int, *, charged: bool) -> None:
        """Drop the newest delivery as too late."""
        self.change(status=Status.NOT_SENT, reason="too_late")
        place, expires, self.lease = len(self.now.deliveries) - 1, self.now.expires, ""
        if all(d.status in NEVER_CAME for d in self.now.deliveries):
            self.end(State.UNDELIVERABLE)
        elif not charged:
            self.due, self.ending = expires, True
        if charged:
            self.now = replace(self.now, owed=place)
            self.due, self.ending = now, True

    def is_charged(self) -> bool:
        """Whether the guard charged the newest delivery before it was claimed."""
        last, before = self.now.last, self.now.deliveries[-2:-1]
        replaces = any(d.status is Status.REFUSED for d in before)
        return bool(not last.automatic or last.tried or last.deferrals or replaces)

    def settle_exhausted(self) -> None:
        """After the last guess, what was not sent is not sent any more."""
        for place, delivery in enumerate(self.now.deliveries):
            if self.exhausted and delivery.status in NOT_LEFT:
                self.change(place, status=Status.NOT_SENT)

    def is_open(self, now: int) -> bool:
        """Whether guesses and sends may count."""
        return self.now.state is State.PENDING and now < self.now.expires

    @property
    def exhausted(self) -> bool:
        """Whether no guess is left."""
        return self.now.attempts >= self.now.plan.max_attempts


class Histories(RuleBasedStateMachine):
    """Random histories of a few challenges. The model and the scripts must agree after each step."""

    server: ClassVar[ValkeyServer]
    begun: ClassVar = 0
    """Histories so far, and steps of all of them."""
    steps: ClassVar = 0
    ids = Bundle("ids")
    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        Histories.begun += 1
        self.scripts = PatientScripts(self.server, 2, still=True)
        self.store = Stores(self.scripts, prefix=f"m{secrets.token_hex(6)}", partitions=2)
        self.known: dict[str, Known] = {}
        self.keys: dict[str, str] = {}
        self.touched = ""
        self.latest = 0
        """No script may run at an earlier time than this."""

    def teardown(self) -> None:
        """Close the connections."""
        self.scripts.close()

    def at(self, now: int | None = None) -> int:
        """Return the time at which the last script ran, and check that it is not before the one of the last step."""
        now = int(self.scripts.answer[1]) if now is None else now
        assert now >= self.latest
        self.latest = now
        return now

    # The world.

    @rule(milliseconds=st.sampled_from([1000, 5000, 20_000]))
    def time_passes(self, milliseconds: int) -> None:
        """Move the store's clock."""
        self.store.scripts.offset += milliseconds
        self.latest += milliseconds if self.latest else 0

    @initialize(plan=st.sampled_from(PLANS), target=ids)
    def open_the_first(self, plan: Plan) -> str:
        """Begin every history with a challenge."""
        return self.open("", plan)

    @rule(key=st.sampled_from(["", "", "a", "b"]), plan=st.sampled_from(PLANS), target=ids)
    def start(self, key: str, plan: Plan) -> str:
        """Open another challenge."""
        return self.open(key, plan)

    def open(self, key: str, plan: Plan) -> str:
        """Open a challenge, with or without an idempotency key."""
        made = new_challenge(self.store, plan, id=self.store.challenges.new_id(key))
        opened = self.store.challenges.open(made, idempotency=key, fingerprint="print" if key else "")
        if key in self.keys:
            assert opened.known == f"{self.keys[key]}print"
            return self.keys[key]
        if key:
            self.keys[key] = made.id
        now = self.at(opened.now)
        first = replace(made.last, at=now)
        stored = replace(made, expires=now + plan.ttl * 1000, deliveries=(first,))
        assert opened.challenge == stored
        self.known[made.id] = Known(stored, now)
        return made.id

    @rule(id_=ids)
    def open_again(self, id_: str) -> None:
        """Repeat an opening whose reply was lost."""
        assert self.store.challenges.open(self.known[id_].now).challenge == self.known[id_].now

    # The person.

    @rule(id_=ids, app=st.sampled_from(["web", "web", "web", "other"]), length=st.sampled_from([6, 6, 6, 7]))
    def guess(self, id_: str, app: str, length: int) -> None:
        """Count a guess."""
        known = self.known[id_]
        what, now, challenge = self.store.challenges.take_attempt(id_, app, length)
        self.at(now)
        if app != "web" or not known.is_open(now):
            assert what == "gone"
        elif length != known.now.plan.code_length:
            assert what == "shape"
        elif known.exhausted:
            assert what == "exhausted"
        else:
            assert what == "counted"
            known.now = replace(known.now, attempts=known.now.attempts + 1)
            known.settle_exhausted()
            assert challenge == known.now
        self.touched = id_

    @rule(
        id_=ids,
        app=st.sampled_from(["web", "web", "web", "other"]),
        state=st.sampled_from([State.VERIFIED, State.CANCELLED]),
    )
    def finish(self, id_: str, app: str, state: State) -> None:
        """End a challenge."""
        known = self.known[id_]
        via = 0 if state is State.VERIFIED else None
        now, ended = self.store.challenges.finish(id_, app, state, via)
        self.at(now)
        if app == "web" and known.is_open(now) and not (state is State.CANCELLED and known.exhausted):
            left = known.due, known.ending
            known.end(state)
            if known.now.owed is not None:
                known.due, known.ending = left
            known.now = replace(known.now, via=via)
            assert ended == known.now
        else:
            assert ended is None
        self.touched = id_

    @rule(id_=ids, operation=st.sampled_from(["", "", "same"]), patient=st.booleans())
    def resend(self, id_: str, operation: str, *, patient: bool) -> None:
        """Ask for another message, sometimes when the cooldown is over."""
        known = self.known[id_]
        self.wait_until(known.now.resend_at() if patient else None)
        fresh = new_delivery(known.now.plan, len(known.now.plan.steps) - 1, operation)
        what, now, answer = self.store.challenges.resend(id_, "web", fresh)
        self.at(now)
        if not known.is_open(now) or known.exhausted or known.now.owed is not None:
            assert (what, answer) == ("gone", None)
        elif any(d.operation == fresh.operation for d in known.now.deliveries):
            assert (what, answer) == ("queued", known.now)
        elif not known.now.sends_left:
            assert (what, answer) == ("spent", None)
        elif now < known.now.resend_at():
            assert (what, answer) == ("early", known.now.resend_at() - now)
        else:
            if known.now.last.status in NOT_LEFT:
                known.change(status=Status.SUPERSEDED)
            known.add(replace(fresh, at=now))
            known.due, known.lease, known.ending = now, "", False
            assert (what, answer) == ("queued", known.now)
        self.touched = id_

    # The workers.

    def claim(self, id_: str) -> Lease | MultipleResults[Lease]:
        """Claim a challenge. The model decides whether the script may."""
        known = self.known[id_]
        lease = self.store.challenges.claim(id_)
        now = self.at()
        self.touched, expected = id_, ""
        if known.due is None or known.due > now:
            assert lease is None
            return multiple()
        expires, last = known.now.expires, known.now.last
        if known.now.owed is not None:
            assert lease is not None
            known.lease, known.due, expected = lease.operation, now + CLAIM_LEASE, "owed"
        elif (
            last.status in NOT_LEFT
            and now > expires - MIN_TIME_LEFT
            and not (known.exhausted and now < expires)
        ):
            charged = known.is_charged()
            known.drop(now, charged=charged)
            if charged or known.now.state is State.PENDING:
                assert lease is None
                return multiple()
            expected = "ended"
        elif now >= expires:
            arrived = {Status.SENDING, Status.ACCEPTED, Status.UNKNOWN}
            sent = any(d.status in arrived for d in known.now.deliveries)
            expected = "ended"
            known.end(State.EXHAUSTED if known.exhausted else State.EXPIRED if sent else State.UNDELIVERABLE)
        elif known.exhausted:
            known.due, known.ending = known.now.expires, True
            if known.now.last.status is Status.SENDING:
                known.change(status=Status.UNKNOWN)
            assert lease is None
            return multiple()
        else:
            assert lease is not None
            known.lease, known.due, known.ending = lease.operation, now + CLAIM_LEASE, False
            expected = "send" if known.now.last.status in NOT_LEFT else "waited"
            if expected == "send":
                known.change(status=Status.CLAIMED)
            elif known.now.last.status is Status.SENDING:
                known.change(status=Status.UNKNOWN, reason="worker_lost")
        assert lease is not None
        assert lease.challenge == known.now
        assert lease.what == expected
        return lease

    def wait_until(self, then: int | None) -> None:
        """Move the store's clock forward to a time."""
        if then is not None and then > self.latest:
            self.time_passes(then - self.latest)

    @rule(id_=ids, patient=st.booleans(), target=leases)
    def claim_and_arm(self, id_: str, *, patient: bool) -> Lease | MultipleResults[Lease]:
        """Claim a challenge, sometimes when it is due, and arm its message."""
        self.wait_until(self.known[id_].due if patient else None)
        lease = self.claim(id_)
        if isinstance(lease, Lease) and lease.what == "send":
            self.arm(lease, "")
        return lease

    @rule(lease=leases, reference=st.sampled_from(["", "", "same"]))
    def send(self, lease: Lease, reference: str) -> None:
        """Arm a message with a lease that may be lost."""
        self.arm(lease, reference)

    @rule(id_=ids, patient=st.booleans(), target=leases)
    def come(self, id_: str, *, patient: bool) -> Lease | MultipleResults[Lease]:
        """Claim a challenge that may not be due."""
        self.wait_until(self.known[id_].due if patient else None)
        return self.claim(id_)

    def arm(self, lease: Lease, reference: str) -> None:
        """Arm a message. The model decides whether the script may."""
        known = self.known[lease.challenge.id]
        reference = reference or secrets.token_hex(4)
        armed = self.store.challenges.arm(lease, reference, f"hash-{reference}", "main")
        now = self.at()
        last = known.now.last
        ours = known.now.state is State.PENDING and known.lease == lease.operation
        if ours and last.status is Status.CLAIMED and now > known.now.expires - MIN_TIME_LEFT:
            known.drop(now, charged=True)
            assert not armed
        elif ours and last.status is Status.CLAIMED:
            known.change(
                status=Status.SENDING,
                reference=reference,
                code_hash=f"hash-{reference}",
                upstream="main",
                ends=now + known.now.step.wait * 1000,
            )
            known.due = now + SEND_LEASE
            live = [place for place, _ in known.now.live_hashes()]
            for place in live[: -known.now.plan.live_codes]:
                known.change(place, code_hash="")
            assert armed
        else:
            again = last.status is Status.SENDING and last.reference == reference
            assert armed == (ours and again and now < known.now.expires)
        self.touched = lease.challenge.id

    @rule(
        lease=leases,
        move=st.sampled_from(MOVES),
        status=st.sampled_from([Status.ACCEPTED, Status.REFUSED, Status.UNKNOWN]),
        place=st.integers(-2, 0),
    )
    def settle_send(self, lease: Lease, move: Move, status: Status, place: int) -> None:
        """Store the outcome of any delivery that was sent, with any lease."""
        known = self.known[lease.challenge.id]
        sent = [d.reference for d in known.now.deliveries if d.reference]
        reference = sent[place] if -len(sent) <= place < len(sent) else "never"
        self.store.challenges.settle(
            lease,
            move,
            reference=reference,
            status=status,
            reason="because",
            upstream_id="upstream",
            account="main",
        )
        at = [p for p, d in enumerate(known.now.deliveries) if d.reference == reference]
        self.at()
        if at:
            counts = known.now.deliveries[at[-1]].status in overruled_by(status)
            news: dict[str, Any] = {"status": status, "reason": "because"} if counts else {}
            known.change(at[-1], upstream_id="upstream", **news)
            if known.now.last.reference == reference:
                self._move(known, lease, move if counts else Wait(0), tried=1)
        self.touched = lease.challenge.id

    @rule(lease=leases, move=st.sampled_from(MOVES))
    def settle_wait(self, lease: Lease, move: Move) -> None:
        """Decide about a delivery with a wait that is over, with any lease."""
        known = self.known[lease.challenge.id]
        self.store.challenges.settle(lease, move)
        self.at()
        self._move(known, lease, move)
        self.touched = lease.challenge.id

    def _move(self, known: Known, lease: Lease, move: Move, tried: int = 0) -> None:
        if known.now.state is not State.PENDING or known.lease != lease.operation:
            return
        if known.now.owed is not None:
            return
        now, expires = self.latest, known.now.expires
        known.lease = ""
        if known.exhausted:
            move = Hold()
        if known.now.last.status is Status.CLAIMED and isinstance(move, Hold | GiveUp):
            known.change(status=Status.REFUSED, reason="no_account_left")
        match move:
            case Hold():
                known.due = expires
            case Wait(seconds):
                assert seconds is not None
                ends = known.now.last.ends
                rest = expires if ends is None else max(ends, now)
                known.due = min(expires, rest, now + int(seconds * 1000))
            case Again(seconds):
                known.change(status=Status.QUEUED, deferrals=known.now.last.deferrals + tried)
                known.due = min(expires, now + int(seconds * 1000))
            case Next(step):
                request, channel = lease.challenge.last.request_id, known.now.plan.steps[step].channel
                known.add(Delivery(step, channel, Status.QUEUED, now, "", request, automatic=True))
                known.due = min(expires, now)
            case GiveUp():
                known.end(State.UNDELIVERABLE)
        known.ending = known.due is not None and known.due >= expires

    @rule(lease=leases)
    def repay(self, lease: Lease) -> None:
        """Record that a charge was given back, with any lease."""
        known = self.known[lease.challenge.id]
        self.store.challenges.record_repaid(lease)
        self.at()
        if known.lease == lease.operation and known.now.owed is not None:
            known.lease, known.now = "", replace(known.now, owed=None)
            known.ending = known.now.state is State.PENDING
            known.due = known.now.expires if known.ending else None
        self.touched = lease.challenge.id

    @rule(lease=leases)
    def release(self, lease: Lease) -> None:
        """Hand a delivery back, with any lease."""
        known = self.known[lease.challenge.id]
        self.store.challenges.release(lease)
        now = self.at()
        pending = known.now.state is State.PENDING
        if pending and known.lease == lease.operation and known.now.last.status is Status.CLAIMED:
            known.change(status=Status.QUEUED)
            first = known.now.last
            is_first = len(known.now.deliveries) == 1 and not first.tried and not first.deferrals
            known.lease, known.due, known.ending = "", first.at if is_first else now, False
        self.touched = lease.challenge.id

    # What must hold after each step.

    @precondition(lambda self: self.touched)
    @invariant()
    def the_record_is_as_the_model_says(self) -> None:
        """The record and the deadline of the challenge that was changed last are the model's."""
        known = self.known[self.touched]
        assert self.store.challenges.read_challenge(self.touched)[1] == known.now
        assert deadline(self.server, self.store, self.touched) == known.due
        self.touched = ""

    @invariant()
    def what_is_due_is_as_the_model_says(self) -> None:
        """Each partition lists what is due and when the next deadline is."""
        for partition in self.store.partitions.names():
            found = self.store.due.due([partition], 1000)[partition]
            self.at(found.now)
            ours = {id_: known for id_, known in self.known.items() if id_[:2] == partition}
            deadlines = {id_: known.due for id_, known in ours.items() if not known.ending}
            ended = {id_ for id_, known in ours.items() if known.ending and (known.due or 0) <= found.now}
            assert ended <= set(self.store.due.ended(partition, 1000))
            now_due = {id_: due for id_, due in deadlines.items() if due is not None and due <= found.now}
            assert found.ids == now_due
            later = [due for due in deadlines.values() if due is not None and due > found.now]
            assert found.following == min(later, default=None)

    @invariant()
    def what_the_product_promises_holds(self) -> None:
        """Pending challenges are scheduled, codes, guesses and sends keep their limits, and ends keep no codes."""
        Histories.steps += 1
        for known in self.known.values():
            now = known.now
            assert (known.due is not None) == (now.state is State.PENDING or now.owed is not None)
            assert now.state is State.PENDING or not any(d.status in AT_THE_END for d in now.deliveries)
            assert len(now.live_hashes()) <= (now.plan.live_codes if now.state is State.PENDING else 0)
            assert now.attempts <= now.plan.max_attempts


def test_the_scripts_do_what_the_model_does(valkey: ValkeyServer) -> None:
    """Model and scripts agree on every answer, record and deadline of every history."""
    chosen = THOROUGH if os.environ.get("MODEL_RUN") == "thorough" else USUAL
    Histories.server, Histories.begun, Histories.steps = valkey, 0, 0
    Histories.TestCase.settings = chosen
    Histories.TestCase().runTest()
    sys.stdout.write(f"{Histories.begun} histories, {Histories.steps} steps\n")
    assert Histories.begun >= chosen.max_examples
