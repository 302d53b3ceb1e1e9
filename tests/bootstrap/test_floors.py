"""The floors of the composition: each has what it says, and shares its parts."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from otp_service.bootstrap.configuration import Configuration, PolicyFile
from otp_service.bootstrap.core import Core
from otp_service.bootstrap.operations import Operations
from otp_service.errors import ConfigurationError, StoreUnavailable
from otp_service.policy import parse
from tests.conftest import POLICY, make_settings
from tests.support.valkey_server import ValkeyServer

TEXT = POLICY.replace("UPSTREAM/", "http://127.0.0.1:9/")
SLOWER = TEXT.replace('wait = "5s"', 'wait = "25s"')


@pytest.fixture
def operations(valkey: ValkeyServer) -> Iterator[Operations]:
    """What an operator's command works on, without a policy file."""
    made = Operations(Configuration(make_settings(valkey.url)), role="test")
    yield made
    made.close()


def test_without_any_policy_an_operator_is_told_how_to_apply_one(operations: Operations) -> None:
    """There is neither a version in the store nor a policy file."""
    with pytest.raises(StoreUnavailable, match="otp-service policy apply FILE"):
        operations.policy_in_force()


def test_the_newest_version_is_in_force_and_else_the_policy_file(operations: Operations) -> None:
    """Reading the policy in force writes nothing."""
    operations.configuration = replace(operations.configuration, policy_file=PolicyFile.parse(TEXT))
    assert operations.policy_in_force().routes[0].steps[0].wait == 5
    assert operations.policies.head() == 0
    operations.policies.apply(SLOWER, author="a test", reason="r")
    assert operations.policy_in_force().routes[0].steps[0].wait == 25


def test_a_version_that_cannot_be_read_is_told(operations: Operations) -> None:
    """It may be of a later release."""
    operations.policies.apply("x = 1", author="a test", reason="r")
    with pytest.raises(ConfigurationError):
        operations.policy_in_force()


def test_a_core_makes_all_parts_before_the_first_request(core: Core) -> None:
    """Two threads could otherwise each make one, and hash twice as many codes at once."""
    made = {"hasher", "limiter", "blocks", "policy_changes", "send", "check", "dispatcher", "live_keys"}
    assert made <= vars(core).keys()


def test_an_operators_command_makes_only_the_parts_that_it_asks_for(operations: Operations) -> None:
    """Lifting a block needs the blocks, and what explains them."""
    assert operations.blocks.read_all(parse(TEXT)) == []
    assert "erasure" not in vars(operations)
    assert "simulator" not in vars(operations)
