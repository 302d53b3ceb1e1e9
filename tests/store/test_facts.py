"""Small facts with a time to live."""

from otp_service.bootstrap.stores import Stores
from tests.support.spine import FAR, prefix_of
from tests.support.valkey_server import ValkeyServer


def test_a_name_is_used_once(store: Stores) -> None:
    """Only the first use of a name succeeds."""
    assert store.facts.use_once("token", 60)
    assert not store.facts.use_once("token", 60)
    assert store.facts.use_once("other", 60)


def test_the_first_user_may_repeat_under_any_of_its_names(store: Stores) -> None:
    """While lookup keys are rotated, one process puts another name first."""
    assert store.facts.use_before("token", FAR, "new", "old")
    assert store.facts.use_before("token", FAR, "old", "new")
    assert not store.facts.use_before("token", FAR, "old", "older")
    assert not store.facts.use_once("token", 60)


def test_what_has_ended_cannot_be_used(store: Stores, valkey: ValkeyServer) -> None:
    """Not by the first user either; until then the use is remembered, and no longer."""
    end = store.facts.time() // 1000 + 100
    assert store.facts.use_before("token", end, "name")
    with valkey.client() as client:
        assert 90_000 < client.pttl(f"{prefix_of(store)}:s:token") <= 100_000
    store.scripts.offset += 100_000
    assert store.facts.use_before("token", end, "name") is None
    assert store.facts.use_before("other", end, "name") is None


def test_a_repeated_use_is_written_again_and_lives_no_longer(store: Stores, valkey: ValkeyServer) -> None:
    """WAIT tells of what its own connection wrote, so a repetition must write."""
    key = f"{prefix_of(store)}:s:token"
    with valkey.client() as client:
        assert store.facts.use_before("token", FAR, "name")
        client.pexpire(key, 60_000)
        before = client.info("persistence")["rdb_changes_since_last_save"]
        assert store.facts.use_before("token", FAR, "name")
        assert client.info("persistence")["rdb_changes_since_last_save"] == before + 1
        assert 0 < client.pttl(key) <= 60_000
