"""Small facts with a time to live."""

from otp_service.bootstrap.stores import Stores
from tests.support.spine import prefix_of
from tests.support.valkey_server import ValkeyServer


def test_a_name_is_used_once(store: Stores) -> None:
    """Only the first use of a name succeeds."""
    assert store.facts.use_once("token", 60)
    assert not store.facts.use_once("token", 60)
    assert store.facts.use_once("other", 60)


def test_the_first_user_may_repeat_under_any_of_its_names(store: Stores) -> None:
    """While lookup keys are rotated, one process puts another name first."""
    assert store.facts.use_once_by("token", 60, "new", "old")
    assert store.facts.use_once_by("token", 60, "old", "new")
    assert not store.facts.use_once_by("token", 60, "old", "older")
    assert not store.facts.use_once("token", 60)


def test_a_repeated_use_is_written_again_and_lives_no_longer(store: Stores, valkey: ValkeyServer) -> None:
    """WAIT tells of what its own connection wrote, so a repetition must write."""
    key = f"{prefix_of(store)}:s:token"
    with valkey.client() as client:
        assert store.facts.use_once_by("token", 60, "name")
        client.pexpire(key, 5000)
        before = client.info("persistence")["rdb_changes_since_last_save"]
        assert store.facts.use_once_by("token", 60, "name")
        assert client.info("persistence")["rdb_changes_since_last_save"] == before + 1
        assert 0 < client.pttl(key) <= 5000
