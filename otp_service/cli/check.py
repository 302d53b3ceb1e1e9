"""The `check` command: tries what a process needs, and says what is wrong.

Knows what a deployment can lack. Must not know how it is mended.
"""

from collections.abc import Iterator

import click

from otp_service.bootstrap.activation import configure
from otp_service.bootstrap.editing import PolicyEditing
from otp_service.cli.exit_codes import FAILED
from otp_service.cli.options import demo_option
from otp_service.cli.session import open_base
from otp_service.errors import ConfigurationError, StoreUnavailable
from otp_service.policy import Policy
from otp_service.policy.active import NO_POLICY, ActivePolicy
from otp_service.policy.checks import NO_MOBILES
from otp_service.policy.versions import Version
from otp_service.store.server_settings import SAFE_EVICTION, read_settings, shortcomings
from otp_service.store.topology import primaries_without_replica
from otp_service.upstream.port import UpstreamError


@click.command
@demo_option
def check() -> int:
    """Check settings, policy, store and upstreams. Print what is wrong."""
    base = open_base(lambda given: PolicyEditing(configure(given), role="check"))
    try:
        problems = list(_problems(base))
    finally:
        base.close()
    print(*(problems or ["all is well"]), sep="\n")
    return FAILED if any(problem.startswith("error") for problem in problems) else 0


def _problems(base: PolicyEditing) -> Iterator[str]:
    try:
        newest = base.policies.newest()
        servers = read_settings(base.scripts)
        alone = base.scripts.bounded(primaries_without_replica, "check")
    except StoreUnavailable as error:
        if error.detail != StoreUnavailable.detail:
            yield f"error: {error.detail}"
            return
        why = type(error.__cause__).__name__
        yield f"error: the store at {base.settings.store_address} does not answer ({why})"
        return  # it holds the policy
    for eviction in sorted({server.eviction for server in servers} - {SAFE_EVICTION}):
        yield f"error: Redis evicts keys ({eviction}): set maxmemory-policy {SAFE_EVICTION}"
    for primary in alone:
        yield f"error: the cluster's primary {primary} has no replica: accepted codes are lost with it. Add one to each"
    wanted = base.settings.redis_wait_replicas
    yield from (f"warning: {problem}" for problem in dict.fromkeys(shortcomings(servers, wanted)))
    yield from _policy_problems(base, newest)


def _policy_problems(base: PolicyEditing, newest: Version | None) -> Iterator[str]:
    """Judge the policy in force, and the file. Nothing is written: the first `serve` stores the file's policy."""
    file = base.configuration.policy_file
    if newest is None:
        if file is None:
            yield f"error: {NO_POLICY}"
            return
        newest = Version(0, file.text, "", 0, "")
    elif file and file.text != newest.text:
        yield (
            f"warning: OTP_POLICY_FILE is not the policy in force, which is version {newest.number}. "
            "To put it in force: otp-service policy apply FILE"
        )
        yield from _findings(file.policy, "OTP_POLICY_FILE: ")
    try:
        active = base.activation.activate(newest)
    except ConfigurationError as error:
        yield from (f"error: version {newest.number}: {problem}" for problem in error.problems)
        return
    yield from _findings(active.policy)
    yield from (f"warning: {missing}" for missing in base.warnings_here(active.policy))
    yield from _upstream_problems(active)


def _findings(policy: Policy, whose: str = "") -> Iterator[str]:
    for warning in policy.warnings:
        yield f"{'error' if NO_MOBILES in warning else 'warning'}: {whose}{warning}"


def _upstream_problems(active: ActivePolicy) -> Iterator[str]:
    for name, upstream in active.accounts.items():
        try:
            rows = upstream.balance()
            print(f"upstream {name}: " + ", ".join(f"{row.name} {row.credits:.2f}" for row in rows))
        except UpstreamError as error:
            yield f"error: upstream {name}: {error}"
