"""The policy in force: one version with everything that was built for it, and how a process follows new versions.

Knows when a new version replaces the one before. Must not know how a version is stored, or how its parts are built.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from otp_service.errors import ConfigurationError, StoreUnavailable
from otp_service.policy import Policy
from otp_service.policy.versions import Policies, Version
from otp_service.store.polling import start_polling
from otp_service.telemetry.logs import log
from otp_service.upstream.port import ChannelSender, UpstreamAccount

NO_POLICY = "No policy is in force yet: otp-service policy apply FILE."


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivePolicy:
    """One version of the policy with the senders and accounts that were built for it.

    A use case works with the same one from start to end. `senders` maps (channel, upstream) to a sender, `accounts`
    maps an upstream's name to its account.
    """

    version: int
    policy: Policy
    senders: Mapping[tuple[str, str], ChannelSender]
    accounts: Mapping[str, UpstreamAccount]

    def channels_of_accounts(self) -> dict[str, list[str]]:
        """List the channels over which each account sends."""
        return {name: [channel for channel, one in self.senders if one == name] for name in self.accounts}


class PolicyFollower:
    """Gives the newest active policy, always from one version only.

    If this process cannot build a version, the one before stays in force.
    """

    def __init__(
        self,
        policies: Policies,
        make: Callable[[Version], ActivePolicy],
        *,
        seed: str | None = None,
        first: ActivePolicy | None = None,
    ) -> None:
        """`make` builds a version; it raises ConfigurationError if this process cannot use it.

        `seed` is the text of the first version, for a store that holds none. `first` is what was built from it.
        """
        self._policies = policies
        self._make = make
        self._seed = seed
        self._active = first
        self._number = 0

    def __call__(self) -> ActivePolicy:
        """Return the newest active policy. Raises StoreUnavailable while there is none."""
        if self._active is None:
            raise StoreUnavailable(NO_POLICY, retry_after=2)
        return self._active

    @property
    def version(self) -> int:
        """The version that this process works with; 0 if it has none of the store."""
        return self._active.version if self._active else 0

    @property
    def newest(self) -> int:
        """The newest version that this process has seen, whether it can use it or not."""
        return self._number

    def follow(self) -> None:
        """Start a daemon thread that refreshes the active policy again and again."""
        start_polling("policy", self.refresh)

    def refresh(self) -> None:
        """Build the version in force if it is new. Raises StoreUnavailable."""
        head = self._policies.head()
        if not head and self._seed is not None:
            self._policies.begin(self._seed)
            head = self._policies.head()
        if head == self._number or (version := self._policies.version(head)) is None:
            return
        if not self._number and self._seed not in {None, version.text}:
            log("policy.file_passed_over", logging.WARNING, version=head, why="the store holds a policy")
        self._number = head
        try:
            self._active = self._make(version)
        except ConfigurationError as error:
            for problem in error.problems:
                log("policy.unusable", logging.ERROR, version=head, problem=problem)
        else:
            log("policy.followed", version=head)
