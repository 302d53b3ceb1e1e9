"""Small facts with a time to live."""

from otp_service.bootstrap.stores import Stores


def test_a_name_is_used_once(store: Stores) -> None:
    """Only the first use of a name succeeds."""
    assert store.facts.use_once("token", 60)
    assert not store.facts.use_once("token", 60)
    assert store.facts.use_once("other", 60)
