"""The challenge: its states, its plan, what comes next, and what a screen may see of it.

Pure: takes a challenge and the store's time, gives values. Must not know where challenges are kept, how codes are
hashed or what an upstream says beyond a verdict. All times are milliseconds of the store's clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from otp_service.delivery import Outcome, Verdict

LIVE_CODES = 4
"""Codes of one challenge that are accepted at the same time."""
MAX_DEFERRALS = 3
"""How often one delivery is tried again after an upstream said "not now"."""


class State(StrEnum):
    """Where a challenge stands; all but PENDING are final."""

    PENDING = "pending"
    VERIFIED = "verified"
    EXHAUSTED = "exhausted"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    UNDELIVERABLE = "undeliverable"


class Status(StrEnum):
    """Where a delivery stands."""

    QUEUED = "queued"
    CLAIMED = "claimed"
    SENDING = "sending"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Step:
    """One way to bring a code. `wait` is in seconds: how long an unknown outcome may stay so."""

    channel: str
    upstream: str
    wait: int

    def as_record(self) -> list[Any]:
        """Give the step as the store keeps it."""
        return [self.channel, self.upstream, self.wait]


@dataclass(frozen=True, slots=True)
class Plan:
    """What one challenge was given, a copy: a policy change never alters a running challenge."""

    steps: tuple[Step, ...]
    code_length: int
    ttl: int
    max_attempts: int
    max_sends: int
    cooldown: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One try to bring one code. `reference` is what the upstream sees; `code_hash` is a PHC string."""

    step: int
    channel: str
    status: Status
    at: int
    operation: str
    request_id: str
    reference: str = ""
    code_hash: str = ""
    reason: str = ""
    upstream_id: str = ""
    deferrals: int = 0


@dataclass(frozen=True, slots=True)
class Challenge:
    """One act of proving one number for one purpose, as the store holds it."""

    id: str
    app: str
    purpose: str
    sealed: str
    scheme: str
    state: State
    expires: int
    plan: Plan
    deliveries: tuple[Delivery, ...]
    attempts: int = 0
    via: int | None = None
    locale: str = ""
    app_hash: str = ""
    host: str = ""
    reference: str = ""

    def status(self, now: int) -> State:
        """Give the state as it is at `now`: time and guesses end a challenge before anybody writes it down."""
        if self.state is not State.PENDING:
            return self.state
        if self.attempts >= self.plan.max_attempts:
            return State.EXHAUSTED
        if now >= self.expires:
            return State.EXPIRED if self.was_sent else State.UNDELIVERABLE
        return State.PENDING

    @property
    def was_sent(self) -> bool:
        """Whether a message may have reached the person: taken by an upstream, or left with an unknown fate."""
        return any(d.status in {Status.SENDING, Status.ACCEPTED, Status.UNKNOWN} for d in self.deliveries)

    @property
    def last(self) -> Delivery:
        """The newest delivery; the only one that may still be sent."""
        return self.deliveries[-1]

    @property
    def sends_left(self) -> int:
        """How many more messages this challenge may cause."""
        return max(0, self.plan.max_sends - len(self.deliveries))

    def resend_at(self) -> int:
        """Give the time from which a person may ask for another message; the waits grow along the ladder."""
        ladder = self.plan.cooldown
        return self.last.at + 1000 * ladder[min(len(self.deliveries), len(ladder)) - 1]

    def live_hashes(self) -> list[tuple[int, str]]:
        """Give place and hash of each delivery whose code counts."""
        return [(place, d.code_hash) for place, d in enumerate(self.deliveries) if d.code_hash]


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing more to do before the challenge expires."""


@dataclass(frozen=True, slots=True)
class Wait:
    """See again after `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Again:
    """Send the same delivery once more after `seconds`, with a new code."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Next:
    """Start a new delivery with the step of this place in the plan."""

    step: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No way is left to bring the code."""


Move = Hold | Wait | Again | Next | GiveUp


def after_outcome(challenge: Challenge, outcome: Outcome) -> Move:
    """Say what follows the end of the newest delivery's send."""
    wait = challenge.plan.steps[challenge.last.step].wait
    if outcome.verdict is Verdict.ACCEPTED:
        return Hold()
    if outcome.verdict is Verdict.UNKNOWN:
        return Wait(wait)
    further = _next_step(challenge)
    if outcome.verdict is Verdict.DEFERRED and challenge.last.deferrals < MAX_DEFERRALS:
        pause = max(outcome.retry_after or 0, 2.0**challenge.last.deferrals)
        if pause <= wait or not further:
            return Again(pause)
    return further or (Hold() if challenge.was_sent else GiveUp())  # an earlier code may still come back


def after_wait(challenge: Challenge) -> Move:
    """Say what follows when a delivery's time is over.

    An outcome that stayed unknown moves on to the next step; where no other is left it is tried once more on the
    same one, as the first message may never have left. A second unknown is not repeated.
    """
    if challenge.last.status is not Status.UNKNOWN:
        return Hold()
    if step := _next_step(challenge):
        return step
    repeats = sum(d.step == challenge.last.step and d.status is Status.UNKNOWN for d in challenge.deliveries)
    return Next(challenge.last.step) if repeats == 1 and challenge.sends_left else Hold()


def resend_step(challenge: Challenge, channel: str | None) -> int | None:
    """Choose the step of a resend: the named channel's first, else the one after the newest, else the last again."""
    steps = challenge.plan.steps
    if channel is None:
        return min(challenge.last.step + 1, len(steps) - 1)
    return next((place for place, step in enumerate(steps) if step.channel == channel), None)


def _next_step(challenge: Challenge) -> Next | None:
    place = challenge.last.step + 1
    return Next(place) if place < len(challenge.plan.steps) and challenge.sends_left else None


@dataclass(frozen=True, slots=True)
class View:
    """What a screen may see of a challenge. `to` is masked; the `*_in` figures are whole seconds from now."""

    challenge_id: str
    status: State
    to: str
    channel: str
    purpose: str
    expires_in: int
    resend_in: int
    sends_left: int
    checks_left: int
    code_length: int
    channels_left: list[str]
    deliveries: list[Mapping[str, str]]
    reference: str | None = None


_SHOWN = {Status.CLAIMED: Status.QUEUED}
"""A claim is the workers' own affair."""


def view(challenge: Challenge, now: int, masked: str) -> View:
    """Show the challenge as it is at `now`. Whole seconds are rounded up, so that waiting them is enough."""
    status = challenge.status(now)
    open_ = status is State.PENDING
    shown = challenge.deliveries[challenge.via] if challenge.via is not None else challenge.last
    left = challenge.sends_left if open_ else 0
    return View(
        challenge_id=challenge.id,
        status=status,
        to=masked,
        channel=shown.channel,
        purpose=challenge.purpose,
        expires_in=_seconds(challenge.expires - now) if open_ else 0,
        resend_in=_seconds(challenge.resend_at() - now) if left else 0,
        sends_left=left,
        checks_left=max(0, challenge.plan.max_attempts - challenge.attempts) if open_ else 0,
        code_length=challenge.plan.code_length,
        channels_left=_channels(challenge.plan.steps) if left else [],
        deliveries=[
            {"channel": d.channel, "status": _SHOWN.get(d.status, d.status)} for d in challenge.deliveries
        ],
        reference=challenge.reference or None,
    )


def _channels(steps: Sequence[Step]) -> list[str]:
    return list(dict.fromkeys(step.channel for step in steps))


def _seconds(milliseconds: int) -> int:
    return max(0, -(-milliseconds // 1000))
