"""The port to upstreams: messages that go out, outcomes of sends, and what comes back later.

Knows a message, the verdicts of a send and the stages of a delivery report. Must not know a vendor's words or how an
answer is fetched.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message with a code. Its repr shows no number, code or text.

    `to` is E.164 with its plus. `reference` belongs to the delivery. `text` is shown, or spoken in a call; `language`
    is the person's (BCP 47, such as "pt-BR"). `seconds` are left of the challenge: if the upstream supports
    an expiry, the message must not arrive later. `template` names the policy's text, `app` and `purpose` what it is
    for: together they choose the id under which a text is registered.
    """

    to: str = field(repr=False)
    reference: str
    code: str = field(repr=False)
    text: str = field(repr=False)
    language: str
    seconds: int
    template: str = ""
    app: str = ""
    purpose: str = ""


class Verdict(StrEnum):
    """How a send ended, as far as the sender can know."""

    ACCEPTED = "accepted"
    """The upstream accepted the message."""
    REFUSED = "refused"
    """The upstream rejects the message for good: try the next channel."""
    DEFERRED = "deferred"
    """Nothing left, or the upstream said "not now": the same send may be repeated."""
    UNKNOWN = "unknown"
    """The request left, but no answer tells its result: it must not be repeated blindly."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one send.

    `reason` is a stable word of this service (`bad_token`, `no_credits`, `timeout`...), safe for logs and metrics.
    `upstream_id` is the upstream's id of the message, `retry_after` is in seconds, `charges` is in the upstream's
    unit, `said` its own status word if it is safe to show; each is None if the upstream did not give it.
    """

    verdict: Verdict
    reason: str
    upstream_id: str | None = None
    retry_after: float | None = None
    charges: float | None = None
    said: str | None = field(default=None, compare=False)


class Stage(StrEnum):
    """How far a message came, according to a delivery report."""

    PENDING = "pending"
    """The upstream has it."""
    SENT = "sent"
    """The next network has it."""
    DELIVERED = "delivered"
    """It reached the device; a call was answered."""
    READ = "read"
    FAILED = "failed"
    """It will not arrive."""
    UNKNOWN = "unknown"
    """The report does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One delivery report.

    `reason` is a stable word of this service. `said` is the upstream's own word if it is safe to show, `word` the same
    if it is new. At least one of `upstream_id` and `reference` is set; `other_references` may be ours, too.
    `seconds` is how long an answered call lasted, if the report tells. `in_parts` means that the message is an SMS of
    several parts, each of which may have a report.
    """

    channel: str
    stage: Stage
    reason: str
    upstream_id: str | None = None
    reference: str | None = None
    other_references: tuple[str, ...] = ()
    word: str | None = None
    said: str | None = field(default=None, compare=False)
    seconds: float | None = None
    in_parts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A message that a person wrote. `sender` is as the upstream names it; `text` is empty for pictures and similar.

    `written` is false if the person opted out or in by other means than a message, such as a link.
    """

    channel: str
    sender: str = field(repr=False)
    text: str = field(repr=False)
    written: bool = True


@dataclass(frozen=True, slots=True)
class Balance:
    """The balance of one service code. `credits` are in the upstream's unit.

    `channel` is what the code is for, None if it is not known.
    """

    service: str
    name: str
    credits: float
    postpaid: bool
    channel: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """What is known about a number.

    `mobile` is True if a mobile network certainly has it, None if it is not known. `network` is the name of the network
    that has it now, also if it was `ported` there from another one.
    """

    mobile: bool | None = None
    network: str | None = None
    ported: bool = False


class UpstreamError(Exception):
    """The upstream gave no usable answer. The text is safe to show.

    `reason` is a stable word of this service. `retry_after` is in seconds, if the upstream said "not now".
    """

    def __init__(self, account: str, reason: str, retry_after: float | None = None) -> None:
        super().__init__(f"The upstream account {account} gave no usable answer: {reason}.")
        self.reason = reason
        self.retry_after = retry_after


ChannelSender = Callable[[Message], Outcome]
"""Sends one message over one channel of one upstream account. Never raises."""


class UpstreamAccount(Protocol):
    """What an upstream account can answer besides sending."""

    def balance(self) -> list[Balance]:
        """Return the balance of each service code. Raises UpstreamError."""

    def lookup(self, to: str) -> Lookup:
        """Look up what kind of line an E.164 number is. Raises UpstreamError."""

    def reports(self, channel: str, upstream_ids: Sequence[str]) -> list[Receipt]:
        """Return the delivery reports of messages, by their upstream ids. Raises UpstreamError."""
