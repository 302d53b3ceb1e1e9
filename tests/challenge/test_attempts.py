"""How guesses are counted, and until when they count."""

from dataclasses import replace

import pytest

from otp_service.bootstrap.stores import Stores
from otp_service.challenge.model import State
from tests.support.patience import PATIENCE
from tests.support.spine import (
    PLAN,
    brought,
    claimed,
    new_delivery,
    opened,
    prefix_of,
    resent,
    seen,
)
from tests.support.valkey_server import ValkeyServer


def test_attempts_are_counted_up_to_the_limit(store: Stores) -> None:
    """Each guess counts once; the one after the last is refused and not counted."""
    id_ = opened(store).id
    for count in range(1, PLAN.max_attempts + 1):
        what, _, challenge = store.challenges.take_attempt(id_, "web", 6)
        assert challenge is not None
        assert (what, challenge.attempts) == ("counted", count)
    assert store.challenges.take_attempt(id_, "web", 6)[0] == "exhausted"
    assert seen(store, id_).attempts == PLAN.max_attempts


def test_a_guess_of_another_length_is_not_counted(store: Stores) -> None:
    """A guess that cannot be the code costs no attempt."""
    id_ = opened(store).id
    assert {store.challenges.take_attempt(id_, "web", length)[0] for length in (0, 5, 7, 60)} == {"shape"}
    assert seen(store, id_).attempts == 0


def test_a_resend_never_resets_the_attempts(store: Stores) -> None:
    """Attempts belong to the challenge: resends, claims and deliveries do not change them."""
    id_ = opened(store).id
    brought(store, id_)
    for count in range(1, PLAN.max_sends):
        store.challenges.take_attempt(id_, "web", 6)
        assert resent(store, id_).attempts == count
        brought(store, id_)
        assert seen(store, id_).attempts == count


def test_an_exhausted_challenge_cannot_be_resent(store: Stores) -> None:
    """No message is sent for a challenge that no guess can win."""
    id_ = opened(store).id
    for _ in range(PLAN.max_attempts):
        store.challenges.take_attempt(id_, "web", 6)
    store.scripts.offset += 60_000
    assert store.challenges.resend(id_, "web", new_delivery())[0] == "gone"


def test_a_challenge_exists_only_for_its_own_app(store: Stores) -> None:
    """An app cannot guess, resend or end another app's challenge, and nothing is counted."""
    id_ = opened(store).id
    store.scripts.offset += 60_000
    before = seen(store, id_)
    assert store.challenges.take_attempt(id_, "other", 6)[0] == "gone"
    assert store.challenges.resend(id_, "other", new_delivery())[0] == "gone"
    assert store.challenges.finish(id_, "other", State.VERIFIED)[1] is None
    assert seen(store, id_) == before


def test_an_unknown_challenge_is_gone(store: Stores) -> None:
    """Nothing can be done with an id that was never drawn."""
    id_ = store.challenges.new_id()
    assert store.challenges.read_challenge(id_)[1] is None
    assert store.challenges.take_attempt(id_, "web", 6)[0] == "gone"
    assert store.challenges.resend(id_, "web", new_delivery())[0] == "gone"
    assert store.challenges.finish(id_, "web", State.VERIFIED)[1] is None
    assert store.challenges.claim(id_) is None


def test_nothing_counts_from_the_millisecond_of_the_expiry(store: Stores, valkey: ValkeyServer) -> None:
    """From the expiry on no guess, resend, end or arming is accepted. The store's clock decides."""
    challenge = opened(store)
    lease = claimed(store, challenge.id)
    with valkey.client() as client:  # the record's expiry is put on this very millisecond
        key = f"{{{prefix_of(store)}:{challenge.id[:2]}}}:c:{challenge.id[2:]}"
        record = client.get(key)
        now = store.facts.time()
        assert isinstance(record, str)
        client.set(key, record.replace(str(challenge.expires), str(now)), keepttl=True)
    store.scripts.offset += now - store.facts.time()
    assert store.facts.time() - now < 1000 * PATIENCE
    assert store.challenges.take_attempt(challenge.id, "web", 6)[0] == "gone"
    assert store.challenges.resend(challenge.id, "web", new_delivery())[0] == "gone"
    assert store.challenges.finish(challenge.id, "web", State.VERIFIED, 0)[1] is None
    assert not store.challenges.arm(lease, "reference", "hash", "main")


def test_the_millisecond_of_the_expiry_is_the_first_that_does_not_count(store: Stores) -> None:
    """Guesses of a wrong length, repeated across the expiry, are answered differently from that millisecond on."""
    challenge = opened(store)
    turns: dict[int, str] = {}
    while challenge.expires not in turns or min(turns) >= challenge.expires:
        store.scripts.offset += challenge.expires - store.facts.time() - 5
        now = 0
        while now <= challenge.expires:
            what, now, _ = store.challenges.take_attempt(challenge.id, "web", 7)
            assert now > challenge.expires - 10_000
            turns[now] = what
    assert {now: what for now, what in turns.items() if (what == "gone") != (now >= challenge.expires)} == {}


@pytest.mark.parametrize("ttl", [30, 600])
def test_a_challenge_lives_exactly_as_long_as_its_plan_says(store: Stores, ttl: int) -> None:
    """The expiry is the time of opening plus the plan's time to live. Guesses count before it, and none from it on."""
    challenge = opened(store, replace(PLAN, ttl=ttl))
    left = challenge.expires - store.facts.time()
    assert 0 < left <= ttl * 1000
    store.scripts.offset += left - 20_000
    assert store.challenges.take_attempt(challenge.id, "web", 6)[0] == "counted"
    store.scripts.offset += 20_000
    assert store.challenges.take_attempt(challenge.id, "web", 6)[0] == "gone"
