"""How a process follows the policy in force, on a real server."""

import secrets
from collections.abc import Iterator

import pytest

from otp_service.errors import ConfigurationError, StoreUnavailable
from otp_service.policy import Policy
from otp_service.policy.active import ActivePolicy, PolicyFollower
from otp_service.policy.versions import Policies, Version
from otp_service.store.polling import POLL_EVERY
from tests.support.patience import until
from tests.support.spine import PatientScripts, together
from tests.support.valkey_server import ValkeyServer

PROCESSES = 20


@pytest.fixture
def policies(valkey: ValkeyServer) -> Iterator[Policies]:
    """Give a policy of its own, with a connection for each process."""
    scripts = PatientScripts(valkey, PROCESSES)
    yield Policies(scripts, prefix=f"t{secrets.token_hex(6)}")
    scripts.close()


def applied(policies: Policies, text: str) -> None:
    """Put a text in force."""
    policies.apply(text, author="anna", reason="a test")


def built(version: Version) -> ActivePolicy:
    """Build a policy with the text as its warning; a text with "bad" in it cannot be built."""
    if "bad" in version.text:
        raise ConfigurationError(["OTP_TOKEN is required"])
    return active_policy(version.number, version.text)


def active_policy(number: int, text: str) -> ActivePolicy:
    """Give an active policy that holds nothing but its number and the text."""
    policy = Policy(apps={}, upstreams={}, routes=(), warnings=(text,))
    return ActivePolicy(version=number, policy=policy, senders={}, accounts={})


def test_a_new_version_is_followed_within_two_seconds(policies: Policies) -> None:
    """A thread looks every second, and then builds it."""
    active = PolicyFollower(policies, built)
    active.follow()
    applied(policies, "one")
    until(lambda: active.version == 1)
    applied(policies, "two")
    until(lambda: active.version == 2)
    assert POLL_EVERY <= 1


def test_a_process_follows_the_version_in_force(policies: Policies) -> None:
    """A refresh builds a new version once; if it cannot be built, the one before stays in force."""
    active = PolicyFollower(policies, built)
    with pytest.raises(StoreUnavailable):
        active()
    active.refresh()
    with pytest.raises(StoreUnavailable):
        active()
    applied(policies, "one")
    active.refresh()
    first = active()
    assert first == active_policy(1, "one")
    active.refresh()
    assert active() is first
    applied(policies, "bad")
    active.refresh()
    assert active() is first
    applied(policies, "three")
    active.refresh()
    assert active() == active_policy(3, "three")


def test_the_first_build_serves_before_the_first_refresh(policies: Policies) -> None:
    """A process that starts while the store is away has the file's policy."""
    first = active_policy(0, "built from the file")
    assert PolicyFollower(policies, built, seed="file", first=first)() is first


def test_an_empty_store_is_seeded_once(policies: Policies) -> None:
    """Of twenty processes that start at once, one writes the first version and all follow it."""
    everyone = [PolicyFollower(policies, built, seed=f"file {n}") for n in range(PROCESSES)]
    assert together(PROCESSES, lambda n: everyone[n].refresh()) == [None] * PROCESSES
    assert policies.head() == 1
    seeded = active_policy(1, policies.history()[0].text)
    assert [active() for active in everyone] == [seeded] * PROCESSES
    late = PolicyFollower(policies, built, seed="another file")
    late.refresh()
    assert late() == seeded
    assert policies.head() == 1
