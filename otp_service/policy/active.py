"""One version of the policy and what was built for it: what sends over each channel, whom to ask.

Must not know how a version is found or built.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from otp_service.policy import Policy
from otp_service.upstream.port import Balance, Lookup, Message, Outcome, Receipt

Sender = Callable[[Message], Outcome]
"""Brings one message over one channel of one upstream account. Never raises."""


class Account(Protocol):
    """What can be asked of an upstream account besides sending."""

    def balance(self) -> list[Balance]:
        """Say what is left. Raises UpstreamError."""

    def lookup(self, to: str) -> Lookup:
        """Say what kind of line an E.164 number is. Raises UpstreamError."""

    def reports(self, channel: str, upstream_ids: Sequence[str]) -> list[Receipt]:
        """Say what became of messages. Raises UpstreamError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """One version of the policy and what was built for it; a use case sees one and the same throughout.

    `senders` are by channel and upstream, `accounts` by upstream.
    """

    version: int
    policy: Policy
    senders: Mapping[tuple[str, str], Sender]
    accounts: Mapping[str, Account]
