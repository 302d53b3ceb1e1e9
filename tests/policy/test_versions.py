"""The versions of the policy on a real server."""

import secrets
from collections.abc import Iterator

import pytest

from otp_service.errors import PolicyConflict
from otp_service.policy.versions import MOST_VERSIONS, Policies, Version
from tests.support.fault_proxy import FaultProxy
from tests.support.spine import PatientScripts, proxied_store, together
from tests.support.valkey_server import ValkeyServer

CROWD = 50


@pytest.fixture
def policies(valkey: ValkeyServer) -> Iterator[Policies]:
    """Give a policy of its own, with a connection for each thread."""
    scripts = PatientScripts(valkey, CROWD)
    yield Policies(scripts, prefix=f"t{secrets.token_hex(6)}")
    scripts.close()


def applied(policies: Policies, text: str, expected: int | None = None) -> Version:
    """Put a text in force."""
    return policies.apply(text, author="anna", reason="a test", expected=expected)[0]


def test_a_reason_contains_no_number_and_no_key(policies: Policies) -> None:
    """Whatever an operator pastes."""
    policies.apply("t = 1\n", author="anna", reason="+14155552671 lost sk_abcdefghijkl")
    assert [version.reason for version in policies.history()] == ["[digits] lost [secret]"]


def test_a_version_is_kept_with_its_author_time_and_reason(policies: Policies) -> None:
    """The time is the store's. Before the first version there is none."""
    assert (policies.head(), policies.newest(), policies.history()) == (0, None, [])
    made, _ = policies.apply('t = "\u00e9"\n', author="anna", reason="begin")
    assert (made.number, made.text, made.author, made.reason) == (1, 't = "\u00e9"\n', "anna", "begin")
    assert made.at > 1_600_000_000_000
    assert policies.newest() == policies.version(1) == made
    assert policies.version(2) is None


def test_a_wrong_expected_version_changes_nothing(policies: Policies) -> None:
    """If two operators edit at once, the second is told which version is in force."""
    applied(policies, "one", 0)
    with pytest.raises(PolicyConflict):
        applied(policies, "two", 0)
    assert policies.head() == 1
    assert applied(policies, "two", 1).number == 2
    assert applied(policies, "three").number == 3


def test_the_text_in_force_makes_no_new_version(policies: Policies) -> None:
    """Not even under another name, and without a line in the log. An earlier text is another matter."""
    first = applied(policies, 'brand = "\u00e9"\n')
    again = policies.apply('brand = "\u00e9"\n', author="ben", reason="again", expected=1)
    assert again == (first, False)
    assert policies.apply('brand = "\u00e9"', author="ben", reason="shorter")[1]
    assert applied(policies, 'brand = "\u00e9"\n').number == 3
    with pytest.raises(PolicyConflict):
        applied(policies, 'brand = "\u00e9"\n', 2)


def test_the_newest_versions_are_kept(policies: Policies) -> None:
    """Older ones are removed. The history begins with the newest."""
    for n in range(1, MOST_VERSIONS + 3):
        applied(policies, f"text {n}")
    assert policies.version(2) is None
    assert policies.version(3) is not None
    assert [v.number for v in policies.history(3)] == [MOST_VERSIONS + 2, MOST_VERSIONS + 1, MOST_VERSIONS]
    assert len(policies.history(10 * MOST_VERSIONS)) == MOST_VERSIONS


def test_fifty_at_once_make_fifty_versions(policies: Policies) -> None:
    """None is lost or numbered twice. If all expect the same version, exactly one succeeds."""
    found = together(CROWD, lambda n: applied(policies, f"text {n}").number)
    assert sorted(map(str, found)) == sorted(str(n) for n in range(1, CROWD + 1))
    texts = {v.text for v in policies.history(CROWD)}
    assert texts == {f"text {n}" for n in range(CROWD)}
    won = together(CROWD, lambda n: applied(policies, f"more {n}", CROWD).number)
    assert sum(isinstance(one, PolicyConflict) for one in won) == CROWD - 1
    assert policies.head() == CROWD + 1


def test_a_lost_reply_applies_once(valkey: ValkeyServer) -> None:
    """The reply was lost after the version was applied. The repetition makes no second one, and no conflict."""
    prefix = f"t{secrets.token_hex(6)}"
    with FaultProxy(valkey.socket) as proxy, proxied_store(proxy.url, prefix) as store:
        policies = Policies(store.scripts, prefix=prefix)
        proxy.lose_reply()
        assert applied(policies, "one", 0).number == 1
        assert proxy.lost == 1
        assert policies.head() == 1


def test_the_policy_does_not_expire(policies: Policies, valkey: ValkeyServer) -> None:
    """It is configuration."""
    applied(policies, "one")
    with valkey.client() as client:
        assert client.ttl(policies._key) == -1  # noqa: SLF001
