"""How a delivery that was armed too early is taken back."""

from dataclasses import replace

import pytest

from otp_service.bootstrap.stores import Stores
from otp_service.challenge.model import State, Status, Step
from otp_service.challenge.send_store import CLAIM_LEASE, SEND_LEASE
from tests.support.spine import PLAN, armed, claimed, deadline, opened, seen
from tests.support.valkey_server import ValkeyServer

TWO = replace(PLAN, steps=(Step("sms", ("spare", "main"), 30, "accepted"),))


def test_a_disarmed_delivery_is_as_if_just_claimed(store: Stores, valkey: ValkeyServer) -> None:
    """Nothing of the message is left, and the lease is one for hashing again."""
    store.scripts.offset += 3_600_000
    id_ = opened(store, TWO).id
    with valkey.client() as client:
        lease, reference = armed(store, id_)
        before = deadline(valkey, store, id_)
        [key] = client.scan_iter(f"*:c:{id_[2:]}")
        lives = client.pttl(key)
        assert store.challenges.disarm(lease, reference)
        assert 0 < client.pttl(key) <= lives
        last = seen(store, id_).last
        assert (last.status, last.reference, last.code_hash) == (Status.CLAIMED, "", "")
        assert (last.upstream, last.ends) == ("", None)
        after = deadline(valkey, store, id_)
    assert before is not None
    assert after is not None
    assert after < before + CLAIM_LEASE < before + SEND_LEASE
    assert after - CLAIM_LEASE >= before - SEND_LEASE


def test_it_can_be_armed_for_another_account(store: Stores) -> None:
    """The codes that were accepted before still are."""
    id_ = opened(store, TWO).id
    lease, reference = armed(store, id_)
    assert store.challenges.disarm(lease, reference)
    assert store.challenges.arm(lease, "second", "digest", "spare")
    last = seen(store, id_).last
    assert (last.status, last.reference, last.upstream) == (Status.SENDING, "second", "spare")


@pytest.mark.parametrize("what", ["lease", "reference", "state"])
def test_only_the_holder_takes_back_what_is_being_sent(store: Stores, what: str) -> None:
    """Neither the holder of a lease that is over, nor for another message, nor once the challenge has ended."""
    id_ = opened(store, TWO).id
    lease, reference = armed(store, id_)
    if what == "lease":
        assert store.challenges.disarm(lease, reference)
        store.scripts.offset += CLAIM_LEASE + 1
        claimed(store, id_)
    elif what == "reference":
        reference = "another"
    else:
        store.challenges.finish(id_, "web", State.CANCELLED)
    before = seen(store, id_)
    assert not store.challenges.disarm(lease, reference)
    assert seen(store, id_) == before
