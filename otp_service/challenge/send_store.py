"""Deliveries of challenges in Redis, as workers do them: claim, arm, settle.

Knows the scripts. Must not know how a message is sent or why anything follows.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict, Unpack

from otp_service.challenge import record
from otp_service.challenge.guess_store import GuessStore
from otp_service.challenge.model import Challenge, Delivery, Status, overruled_by
from otp_service.challenge.transitions import MIN_TIME_LEFT, Again, GiveUp, Hold, Move, Next, Wait
from otp_service.store.partitions import operation
from otp_service.store.sources import Call

CLAIM_LEASE = 8_000
"""Milliseconds to draw a code and hash it. After that, another worker takes the delivery."""
SEND_LEASE = 9_000
"""Milliseconds to wait for the upstream's answer, longer than any account's timeout. Then the outcome is unknown."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A challenge that one worker holds for a while.

    `what` says what to do: `send` (send the newest delivery), `waited` (decide what follows), `over` (it has ended,
    tell its app), `owed` (give back a charge) or `ended` (it expired just now). `operation` identifies the lease.
    """

    what: str
    now: int
    challenge: Challenge
    operation: str


class Settled(NamedTuple):
    """What became of a lease: the challenge as it is then, and the move that was made at `now`.

    `move` is the word of `settle.lua` (hold, wait, again, next or give_up), empty if the lease was lost meanwhile.
    """

    challenge: Challenge
    now: int
    move: str


class Ending(TypedDict, total=False):
    """How a delivery ended, as far as there is news. `account` could not take the message."""

    reference: str
    status: Status
    reason: str
    upstream_id: str
    account: str


@dataclass(frozen=True, slots=True)
class Around:
    """Calls that run before and after a settlement, in this order. Those `beside` may be lost where they are apart."""

    before: Sequence[Call] = ()
    after: Sequence[Call] = ()
    beside: Sequence[Call] = ()


class SendStore(GuessStore):
    """What workers do with deliveries, too. Every method raises StoreUnavailable if the server is silent."""

    def claim(self, id_: str) -> Lease | None:
        """Lease a challenge that is due. Return None if nothing is left to do."""
        act = operation()
        answer = self._scripts.call("claim", self._names.of(id_), id_, act, CLAIM_LEASE, MIN_TIME_LEFT)
        if answer[0] == "none":
            return None
        return Lease(answer[0], answer[1], record.read(id_, answer[2]), act)

    def record_repaid(self, lease: Lease) -> None:
        """Record that the charge of a dropped delivery has been given back."""
        id_ = lease.challenge.id
        self._scripts.call("repaid", self._names.of(id_), id_, lease.operation)

    def arm(self, lease: Lease, reference: str, digest: str, upstream: str) -> bool:
        """Mark the newest delivery as being sent by an account. Return False if it must not be sent.

        `digest` is that of the code's hash: salt and scheme are the challenge's.
        """
        return self.arm_after((), lease, reference, digest, upstream)[0]

    def arm_after(
        self, before: Sequence[Call], lease: Lease, reference: str, digest: str, upstream: str
    ) -> tuple[bool, list[Any]]:
        """Arm a delivery, whatever the calls before it answer, in one exchange with them. Return these answers, too."""
        id_ = lease.challenge.id
        sending = {
            "reference": reference,
            "hash": digest,
            "step": lease.challenge.last.step,
            "upstream": "" if lease.challenge.step.upstreams == (upstream,) else upstream,
            "only": " ".join(lease.challenge.last.only),
            "wait": lease.challenge.step.wait * 1000,
            "lease": SEND_LEASE,
            "least": MIN_TIME_LEFT,
            "live": lease.challenge.plan.live_codes,
        }
        call = Call("arm", self._names.of(id_), (id_, lease.operation, json.dumps(sending)))
        *answers, (what, _) = self._scripts.call_in_turn([*before, call])
        return what == "armed", answers

    def disarm(self, lease: Lease, reference: str) -> bool:
        """Take back that a message is being sent, as it did not leave. Return False if the lease is lost."""
        id_ = lease.challenge.id
        answer = self._scripts.call(
            "disarm", self._names.of(id_), id_, lease.operation, reference, CLAIM_LEASE
        )
        return bool(answer[0] == "claimed")

    def settle(self, lease: Lease, move: Move, **ending: Unpack[Ending]) -> Settled | None:
        """Store how a leased delivery ended and what follows. What follows counts only while the lease holds.

        Return what became of it, None if the challenge is gone.
        """
        return self.settle_among(Around(), lease, move, **ending)[0]

    def settle_among(
        self, around: Around, lease: Lease, move: Move, **ending: Unpack[Ending]
    ) -> tuple[Settled | None, list[Any]]:
        """Settle among other calls, in one exchange if they can be. Return what those after it answer, too."""
        id_ = lease.challenge.id
        written = json.dumps(_written_ending(**ending) | _written_move(move, lease))
        call = Call("settle", self._names.of(id_), (id_, lease.operation, written, self._due.wake_channel))
        answers = self._scripts.call_in_turn([*around.before, call, *around.after], around.beside)
        answer, *following = answers[len(around.before) :]
        if answer[0] != "settled":
            return None, following
        return Settled(record.read(id_, answer[2]), answer[1], answer[3]), following

    def release(self, lease: Lease) -> None:
        """Hand back a claimed delivery that was not sent."""
        id_ = lease.challenge.id
        self._scripts.call("release", self._names.of(id_), id_, lease.operation, self._due.wake_channel)


def listed(statuses: Sequence[Status]) -> str:
    """Write statuses in the form in which scripts search them: each between commas."""
    return f",{','.join(statuses)},"


def _written_ending(
    reference: str = "",
    status: Status | None = None,
    reason: str = "",
    upstream_id: str = "",
    account: str = "",
) -> dict[str, Any]:
    """Write how a delivery ended as `settle.lua` reads it."""
    return {
        "reference": reference,
        "status": status or "",
        "overruled": listed(overruled_by(status)) if status else "",
        "reason": reason,
        "upstream_id": upstream_id,
        "account": account,
    }


def _written_move(move: Move, lease: Lease) -> dict[str, Any]:
    """Write a move as `settle.lua` reads it, with its pause in milliseconds and the delivery that it adds."""
    match move:
        case Hold():
            return {"move": "hold", "pause": max(0, lease.challenge.expires - lease.now)}
        case Wait(seconds):
            return {"move": "wait", "pause": -1 if seconds is None else int(seconds * 1000)}
        case Again(seconds):
            return {"move": "again", "pause": int(seconds * 1000)}
        case Next(step):
            last = lease.challenge.last
            delivery = Delivery(
                step,
                lease.challenge.plan.steps[step].channel,
                Status.QUEUED,
                0,
                "",
                last.request_id,
                # A repeated step is still the one that the person chose.
                chosen=last.chosen and step == last.step,
                automatic=True,
                only=last.only,
            )
            return {"move": "next", "pause": 0, "following": record.write_delivery(delivery)}
        case GiveUp():
            return {"move": "give_up", "pause": 0}
