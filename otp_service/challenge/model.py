"""The challenge as a value: its states, its plan and its deliveries.

Pure. Must not know where challenges are kept or how codes are hashed. All times are milliseconds of the store's clock.
"""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Where a challenge stands; all but PENDING are final."""

    PENDING = "pending"
    VERIFIED = "verified"
    EXHAUSTED = "exhausted"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    UNDELIVERABLE = "undeliverable"


class Status(StrEnum):
    """Where a delivery stands; those that a message which left can have stand in the order of `_KNOWN`."""

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
"""What can be known of a message that left, each overruling all before it. As the greatest counts, the order in
which answers and receipts come does not: a message that was delivered after all was delivered."""
FAILED = frozenset({Status.REFUSED, Status.FAILED})
_MAY_HAVE_COME = frozenset(_KNOWN) - FAILED


def overruled_by(status: Status) -> tuple[Status, ...]:
    """Name what a delivery may be for news of `status` to count."""
    return _KNOWN[: _KNOWN.index(status)]


@dataclass(frozen=True, slots=True)
class Step:
    """One way to bring a code.

    `upstreams` are accounts in the order in which they are tried. `wait` is in seconds, from the moment a message
    leaves: how long `until` may take to come true. `condition` is "" or what must hold for the step to be taken:
    "mobile" (a lookup says so), "open" (the person wrote to us over this channel within a day).
    """

    channel: str
    upstreams: tuple[str, ...]
    wait: int
    until: str = "delivered"
    condition: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one challenge was given, a copy: a policy change never alters a running challenge.

    `live_codes` are accepted at the same time. `after_choice` says what follows when a channel that the person
    chose fails: "continue" with the other steps, or "stop".
    """

    steps: tuple[Step, ...]
    code_length: int
    ttl: int
    max_attempts: int
    max_sends: int
    cooldown: tuple[int, ...]
    live_codes: int = 4
    after_choice: str = "continue"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One try to bring one code.

    `reference` is what the upstream sees; `code_hash` is a PHC string. `chosen` tells that the person named the
    channel, `automatic` that the system fell back to it. `upstream` is the account that it left by, `tried` are
    those that could not take it, `ends` is when its step's wait is over, `only` the channels that the guard left it
    and what follows it by itself (all, if it names none).
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
class Challenge:
    """One act of proving one number for one purpose, as the store holds it.

    `known` is how well its caller was known (see guard). `policy` is the version that gave the plan. `watched` tells
    that its app wants to hear of its events, `told` names those that were handed over.
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
    policy: int = 0
    watched: bool = False
    told: tuple[str, ...] = ()

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
        return any(d.status in _MAY_HAVE_COME for d in self.deliveries)

    @property
    def last(self) -> Delivery:
        """The newest delivery; the only one that may still be sent."""
        return self.deliveries[-1]

    @property
    def step(self) -> Step:
        """The newest delivery's step."""
        return self.plan.steps[self.last.step]

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
