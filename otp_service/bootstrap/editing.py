"""What operators do with the policy: check it, change it, add and remove apps.

Knows how these parts are made, and that a policy must fit this process. Must not know what a policy says.
"""

from functools import cached_property

from otp_service.bootstrap.activation import Activation
from otp_service.bootstrap.operations import Operations
from otp_service.bootstrap.secrets_needed import held_secrets, needed_secrets
from otp_service.ops.apps import Apps
from otp_service.ops.keyless_apps import keyless_apps
from otp_service.ops.policy_changes import PolicyChanges
from otp_service.policy import Policy
from otp_service.policy.active import PolicyFollower
from otp_service.policy.followers import Report


class PolicyEditing(Operations):
    """The operators' acts, with those on the policy."""

    @cached_property
    def activation(self) -> Activation:
        """What activates a version of the policy in this process."""
        return Activation(self.configuration, self.threads)

    @cached_property
    def active(self) -> PolicyFollower:
        """The policy in force, with what was built for it."""
        file = self.configuration.policy_file
        return PolicyFollower(
            self.policies,
            self.activation.activate,
            seed=file.text if file else None,
            first=self.activation.build(file.policy, 0) if file else None,
        )

    @cached_property
    def policy_changes(self) -> PolicyChanges:
        """Checks and applies policies."""
        return PolicyChanges(
            policies=self.policies,
            check=self.activation.check,
            warn=self.warnings_here,
        )

    def warnings_here(self, loaded: Policy) -> list[str]:
        """Warn of what is missing around a policy: secrets of running processes, keys. Raises StoreUnavailable."""
        now, keys = self.keyring.read_all()
        return [*self.followers.lacking(needed_secrets(loaded)), *keyless_apps(loaded, keys, now)]

    @cached_property
    def apps(self) -> Apps:
        """Adds and removes apps."""
        return Apps(changes=self.policy_changes, keyring=self.keyring)

    def report(self) -> Report:
        """Say which version this process works with, and which secrets it has."""
        return Report(self.active.version, self.active.newest, held_secrets(self.settings))

    def close(self) -> None:
        """Close all connections, also those to upstreams."""
        self.activation.close()
        super().close()

    def begin_policy(self) -> None:
        """Put the policy file's policy in force if there is none yet. Raises StoreUnavailable."""
        if self.configuration.policy_file and not self.policies.head():
            self.policies.begin(self.configuration.policy_file.text)
