"""What is handed to an upstream, what can become of it, and what comes back later.

Knows one message, the verdicts of an answer and the stages of a delivery report. Must not know any vendor's
words or how an answer is fetched.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One code on its way; number, code and words never show in its repr.

    `to` is E.164 with its plus, `reference` is the delivery's own, `text` is for channels that carry words and
    for voice what is spoken, `language` is the text's (BCP 47, primary subtag such as "en"), `seconds` are
    left of the challenge: nothing should arrive later, where the upstream can be told.
    """

    to: str = field(repr=False)
    reference: str
    code: str = field(repr=False)
    text: str = field(repr=False)
    language: str
    seconds: int


class Verdict(StrEnum):
    """How a send ended, as far as the caller can know."""

    ACCEPTED = "accepted"
    """The upstream took the message."""
    REFUSED = "refused"
    """The upstream will not take it, now or later: the next channel's turn."""
    DEFERRED = "deferred"
    """Nothing left, or the upstream said "not now": the same send may be tried again."""
    UNKNOWN = "unknown"
    """The request left and no answer says what became of it: never blindly sent again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one send.

    `reason` is a stable word of ours (`bad_token`, `no_credits`, `timeout`...), fit for logs and metrics.
    `upstream_id` is the upstream's id of the message, `retry_after` is in seconds, `charges` is in the
    upstream's own unit; each only where the upstream named it.
    """

    verdict: Verdict
    reason: str
    upstream_id: str | None = None
    retry_after: float | None = None
    charges: float | None = None


class Stage(StrEnum):
    """How far a message came, as a delivery report says."""

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

    `reason` is a stable word of ours, `word` the upstream's own where ours lacks it and it is fit to be shown.
    At least one of `upstream_id` and `reference` is there. `charges` is in the upstream's own unit.
    """

    channel: str
    stage: Stage
    reason: str
    upstream_id: str | None = None
    reference: str | None = None
    word: str | None = None
    charges: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """What a person wrote to us; `sender` is E.164 with its plus, `text` is empty for a picture and the like."""

    channel: str
    sender: str = field(repr=False)
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Balance:
    """What is left of one service code. `credits` and `charges` are in the upstream's own unit."""

    service: str
    name: str
    credits: float
    postpaid: bool
    charges: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """What is known of a number.

    `known` says whether a network has it, `mobile` whether that is sure to be a mobile one (None: it was not
    said), `network` names the present one and `mcc_mnc` its code.
    """

    known: bool
    mobile: bool | None = None
    network: str | None = None
    mcc_mnc: str | None = None
    ported: bool = False
    roaming: bool = False


class UpstreamError(Exception):
    """The upstream gave no usable answer; the text is safe to show.

    `reason` is a stable word of ours, `retry_after` is in seconds where the upstream said "not now".
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
        """Give what is left of each credit. Raises UpstreamError."""

    def lookup(self, to: str) -> Lookup:
        """Give what kind of line an E.164 number is. Raises UpstreamError."""

    def reports(self, channel: str, upstream_ids: Sequence[str]) -> list[Receipt]:
        """Give how far messages came, by their upstream ids. Raises UpstreamError."""
