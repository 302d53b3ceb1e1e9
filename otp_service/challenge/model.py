"""A challenge as a value: its states, its plan and its deliveries.

Knows what each state means. Must not know where challenges are stored, how codes are hashed, or any clock: it is pure.
All times are milliseconds of the store's clock.
"""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """The state of a challenge. Every state except PENDING is final."""

    PENDING = "pending"
    VERIFIED = "verified"
    EXHAUSTED = "exhausted"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    UNDELIVERABLE = "undeliverable"


class Status(StrEnum):
    """The status of a delivery. `_KNOWN` orders those that a message can have after it was sent."""

    QUEUED = "queued"
    CLAIMED = "claimed"
    SENDING = "sending"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    SENT = "sent"
    REFUSED = "refused"
    FAILED = "failed"
    DELIVERED = "delivered"
    READ = "read"
    SUPERSEDED = "superseded"
    NOT_SENT = "not_sent"


_KNOWN = (
    Status.SENDING,
    Status.UNKNOWN,
    Status.ACCEPTED,
    Status.SENT,
    Status.REFUSED,
    Status.FAILED,
    Status.DELIVERED,
    Status.READ,
)
"""The statuses of a message that was sent. Each overrules all before it, so the order in which answers and receipts
arrive makes no difference: a message that was reported as failed, but also as delivered, was delivered."""
FAILED = frozenset({Status.REFUSED, Status.FAILED})
ARRIVED = frozenset({Status.DELIVERED, Status.READ})
_MAY_HAVE_ARRIVED = frozenset(_KNOWN) - FAILED


_KNOWN_IN_PARTS = (
    *(status for status in _KNOWN if status not in {Status.FAILED, Status.READ}),
    Status.FAILED,
    Status.READ,
)
"""As `_KNOWN`, if each part of a message may have a report: one part that failed makes the message useless."""


def overruled_by(status: Status, *, in_parts: bool = False) -> tuple[Status, ...]:
    """List the statuses that `status` overrules, by the reports of a whole message or of its parts."""
    order = _KNOWN_IN_PARTS if in_parts else _KNOWN
    return order[: order.index(status)]


@dataclass(frozen=True, slots=True)
class Step:
    """One way to deliver a code.

    `upstreams` are accounts in the order in which they are tried. The step succeeds when the message reaches the status
    `until` within `wait` seconds of being sent. `condition` says when the step can be taken: "mobile" (a lookup says
    that the number is mobile), "open" (the person wrote to us over this channel within the last day) or "" (always).
    `lines` says whether an SMS ends with the lines for autofill: "on" or "off".
    """

    channel: str
    upstreams: tuple[str, ...]
    wait: int
    until: str = "delivered"
    condition: str = ""
    lines: str = "on"


@dataclass(frozen=True, slots=True)
class Plan:
    """A copy of the policy's rules for one challenge, so that a policy change never alters a running challenge.

    `ttl` is in seconds. `cooldown` lists the seconds to wait after each message before another can be asked for. The
    newest `live_codes` codes are accepted. `after_choice` says what follows when a channel that the person chose
    fails: "continue" with the other steps, or "stop". `route` names the policy's route: its name, or its place. `arm`
    names the half of a split that was drawn.
    """

    steps: tuple[Step, ...]
    code_length: int
    ttl: int
    max_attempts: int
    max_sends: int
    cooldown: tuple[int, ...]
    live_codes: int = 4
    after_choice: str = "continue"
    route: str = ""
    arm: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One try to deliver one code.

    `reference` identifies the message to the upstream. `code_hash` is the
    digest of a PHC string: the rest belongs to the challenge. `chosen` means that the person
    chose the channel, `automatic` that the system fell back to it. `upstream` is the account that sent the message,
    `tried` are the accounts that could not. `ends` is when the step's wait is over. `only` are the channels that the
    guard allows for this delivery and for those that follow it automatically; empty means all.
    """

    step: int
    channel: str
    status: Status
    at: int
    operation: str
    request_id: str
    chosen: bool = False
    automatic: bool = False
    upstream: str = ""
    tried: tuple[str, ...] = ()
    ends: int | None = None
    reference: str = ""
    code_hash: str = ""
    reason: str = ""
    upstream_id: str = ""
    deferrals: int = 0
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a wrong guess with an Idempotency-Key: its name, the checks that were left, the guess's hash."""

    name: str
    left: int
    code_hash: str


@dataclass(frozen=True, slots=True)
class Proof:
    """What makes the token of a guess with an Idempotency-Key the same each time: `ends` is when it expires."""

    jti: str
    kid: str
    ends: int


@dataclass(frozen=True, slots=True)
class Challenge:
    """One act of proving one number for one purpose, as it is stored.

    `via` is the place of the delivery that brought the right code. `known` is how well the guard knew the caller.
    `policy` is the version that the plan was copied from. `watched` means that the app wants events; `told` names those
    that were queued. `set_by` is who set purpose, reference and binding: a "page" or a "server".
    `review` is the hash of the code of a review number: nothing is sent, and no other code is accepted.
    `owed` is the place of a delivery that was dropped as too late, until its charge has been given back.
    """

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
    known: str = ""
    review: str = ""
    policy: int = 0
    watched: bool = False
    told: tuple[str, ...] = ()
    set_by: str = "page"
    answers: tuple[Answer, ...] = ()
    proof: Proof | None = None
    owed: int | None = None

    def status(self, now: int) -> State:
        """Return the state at `now`: time or guesses end a challenge before the store records it."""
        if self.state is not State.PENDING:
            return self.state
        if self.attempts >= self.plan.max_attempts:
            return State.EXHAUSTED
        if now >= self.expires:
            return State.EXPIRED if self.was_sent else State.UNDELIVERABLE
        return State.PENDING

    @property
    def was_sent(self) -> bool:
        """Whether a message may have reached the person: an upstream took it, or its outcome is unknown."""
        return any(d.status in _MAY_HAVE_ARRIVED for d in self.deliveries)

    @property
    def last(self) -> Delivery:
        """The newest delivery, which is the only one that may still be sent."""
        return self.deliveries[-1]

    @property
    def step(self) -> Step:
        """The step of the newest delivery."""
        return self.plan.steps[self.last.step]

    @property
    def checks_left(self) -> int:
        """How many more codes may be checked."""
        return max(0, self.plan.max_attempts - self.attempts)

    @property
    def sends_left(self) -> int:
        """How many more messages may be sent."""
        return max(0, self.plan.max_sends - len(self.deliveries))

    def resend_at(self) -> int:
        """Return the time from which the person may ask for another message."""
        cooldown = self.plan.cooldown
        return self.last.at + 1000 * cooldown[min(len(self.deliveries), len(cooldown)) - 1]

    def live_hashes(self) -> list[tuple[int, str]]:
        """Return the place and the hash of each delivery with a code that is accepted."""
        if self.review:
            return [(len(self.deliveries) - 1, self.review)]
        return [(place, d.code_hash) for place, d in enumerate(self.deliveries) if d.code_hash]
