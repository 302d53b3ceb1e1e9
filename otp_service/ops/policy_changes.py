"""Changes of the policy: what may be put in force, and by whom.

Knows what is checked before a change, and which changes are for admins only. Must not know HTTP, a terminal, or how
versions are stored.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from otp_service.errors import NotFound, PolicyConflict, PolicyInvalid, RoleNotAllowed, StoreUnavailable
from otp_service.ops.checked_policy import parse_checked
from otp_service.policy import CHANNELS, ROLES, Policy
from otp_service.policy.versions import Policies, Version


@dataclass(frozen=True, slots=True)
class Applied:
    """The version in force after a change, and the warnings about it. Without `changed` it was in force before."""

    version: Version
    warnings: tuple[str, ...]
    changed: bool


class PolicyChanges:
    """Checks and applies policies. Its methods raise StoreUnavailable."""

    def __init__(
        self,
        *,
        policies: Policies,
        check: Callable[[str], Policy],
        warn: Callable[[Policy], Sequence[str]] = lambda _: (),
    ) -> None:
        """`check` parses a text; it raises ConfigurationError if this process could not run it.

        `warn` says what is missing around a policy, such as a secret in another process.
        """
        self._policies = policies
        self._check = check
        self._warn = warn

    def check(self, text: str) -> Policy:
        """Parse a policy that could be applied. Raises PolicyInvalid with every problem."""
        return parse_checked(text, self._check)

    def warnings_about(self, loaded: Policy) -> tuple[str, ...]:
        """Return the warnings about a policy, and about what is missing around it."""
        return (*loaded.warnings, *self._warn(loaded))

    def _check_change(self, text: str) -> Policy:
        return parse_checked(text, self._check, f"{PolicyInvalid.detail} Nothing was changed.")

    def _applied(self, loaded: Policy, version: Version, *, changed: bool) -> Applied:
        """Look around after the change: what came with it, such as keys, is there now."""
        warnings = loaded.warnings
        with suppress(StoreUnavailable):  # the change is made, and that is the answer
            warnings = self.warnings_about(loaded)
        return Applied(version, warnings, changed)

    def apply(
        self,
        text: str,
        *,
        by: str,
        reason: str,
        expected: int | None = None,
        same_access_as: Policy | None = None,
    ) -> Applied:
        """Put a policy in force, only over the version `expected` if one is given.

        With `same_access_as` who may call, and where codes and events go, must stay as they are; the policy given
        there counts while the store holds none. Raises PolicyInvalid, PolicyConflict, RoleNotAllowed.
        """
        loaded = self._check_change(text)
        with _in_conflict(loaded.warnings):
            if same_access_as is not None:
                expected = self._with_same_access(loaded, same_access_as, expected)
            version, changed = self._policies.apply(text, author=by, reason=reason, expected=expected)
        return self._applied(loaded, version, changed=changed)

    def rollback(
        self, number: int | None, *, by: str, reason: str, same_access_as: Policy | None = None
    ) -> Applied:
        """Put an earlier version in force again, as a new version; without a number, the one before the newest.

        Raises NotFound, and as `apply` does.
        """
        earlier = version_of(self._policies, self._before_newest() if number is None else number)
        why = f"rollback to {earlier.number}: {reason}"
        return self.apply(earlier.text, by=by, reason=why, same_access_as=same_access_as)

    def _before_newest(self) -> int:
        newest = version_of(self._policies).number
        if newest == 1:
            raise NotFound("Version 1 is the first; there is nothing to roll back to.")
        return newest - 1

    def edit(
        self,
        change: Callable[[str], str],
        *,
        by: str,
        reason: str,
        before: Callable[[], None] = lambda: None,
    ) -> Applied:
        """Apply what `change` makes of the policy in force. Raises NotFound, and as `apply` does.

        `before` is called directly before the result is put in force, and only if nothing refuses it.
        """
        newest = version_of(self._policies)
        text = change(newest.text)
        loaded = self._check_change(text)
        with _in_conflict(loaded.warnings):
            if (head := self._policies.head()) != newest.number:
                raise PolicyConflict(head)
            before()
            version, changed = self._policies.apply(text, author=by, reason=reason, expected=newest.number)
        return self._applied(loaded, version, changed=changed)

    def _with_same_access(self, loaded: Policy, first: Policy, expected: int | None) -> int:
        """Refuse a change of access; return the version that was compared, so that no other comes in between.

        An operator who may apply a policy could otherwise give operators any role in it, or receive all codes.
        """
        newest = self._policies.newest()
        before = first if newest is None else self.check(newest.text)
        number = newest.number if newest else 0
        if expected not in {None, number}:
            raise PolicyConflict(number)
        if _access(before) != _access(loaded):
            raise RoleNotAllowed(
                ROLES[-1],
                "A change of who may call, of what messages say, or of where codes, events and human checks go",
            )
        return number


@contextmanager
def _in_conflict(warnings: tuple[str, ...]) -> Iterator[None]:
    """Give the warnings about a policy to the conflict that prevents it: whoever tries again wants to know them."""
    try:
        yield
    except PolicyConflict as error:
        raise PolicyConflict(error.version, warnings) from None


def version_of(policies: Policies, number: int | None = None) -> Version:
    """Read a version, or the one in force. Raises NotFound, StoreUnavailable."""
    if number is None:
        newest = policies.newest()
        if newest is None:
            raise NotFound("No policy is in force yet.")
        return newest
    found = policies.version(number)
    if found is None:
        raise NotFound(f"There is no version {number}; see policy history.")
    return found


def _access(policy: Policy) -> tuple[object, ...]:
    """Return what says who may call, where codes, secrets and events go, and what messages with codes say."""
    apps = {
        name: (
            app.brand,
            app.binding,
            app.review,
            app.origins,
            app.publishable_keys,
            app.secret_keys,
            app.events,
            app.decision,
            policy.guard_of(name).human_check,
        )
        for name, app in policy.apps.items()
    }
    upstreams = {
        name: (
            *(one.kind, one.base_url, one.token_env, one.auth, one.paths, one.balance_paths, one.receipts),
            *(getattr(one, channel) for channel in CHANNELS),
        )
        for name, one in policy.upstreams.items()
    }
    return policy.operators, policy.alerts, apps, upstreams, policy.templates, frozenset(policy.hosts)
