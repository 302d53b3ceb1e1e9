"""Small facts with a time to live."""

from otp_service.bootstrap.stores import Stores


def test_something_is_spent_once(store: Stores) -> None:
    """The first to spend a name gets it, nobody else."""
    assert store.facts.use_once("token", 60)
    assert not store.facts.use_once("token", 60)
    assert store.facts.use_once("other", 60)
