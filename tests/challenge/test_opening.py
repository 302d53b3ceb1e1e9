"""How a challenge is opened: stored and scheduled, once for each idempotency key, for as long as is stated."""

from dataclasses import replace

import pytest

from otp_service.bootstrap.stores import Stores
from otp_service.challenge.model import Step
from otp_service.challenge.store import Retention
from tests.support.patience import until
from tests.support.spine import (
    PLAN,
    brought,
    deadline,
    new_challenge,
    opened,
    prefix_of,
    resent,
    seen,
)
from tests.support.valkey_server import ValkeyServer


def test_a_challenge_is_announced_to_the_workers(store: Stores) -> None:
    """As soon as it is stored: none waits until its partition is read."""
    heard = store.scripts.listen(store.due.wake_channel)
    with heard:
        until(lambda: heard.subscribed)
        made = opened(store).id
        until(lambda: (heard.get_message(timeout=1) or {}).get("data") == made)


def test_a_challenge_comes_back_as_it_was_stored(store: Stores) -> None:
    """Every field survives the record, whatever characters it contains."""
    made = new_challenge(
        store,
        locale="pt-BR",
        app_hash="FA+9qCX9VSu",
        host="app.example.com",
        reference='order "7"/\\ \u00e9\U0001f510\x00\n',
    )
    now, challenge = store.challenges.read_challenge(store.challenges.open(made).challenge.id)  # type: ignore[union-attr]  # it was opened
    assert challenge is not None
    assert now >= challenge.deliveries[0].at == challenge.expires - PLAN.ttl * 1000
    at = challenge.deliveries[0].at
    assert challenge == replace(
        made, expires=challenge.expires, deliveries=(replace(made.deliveries[0], at=at),)
    )


@pytest.mark.parametrize(
    "step",
    [
        Step("sms", ("main",), 30),
        Step("sms", ("main", "spare"), 30, "read"),
        Step("sms", ("main",), 30, "delivered", "open"),
        Step("sms", ("main",), 30, lines="off"),
    ],
)
def test_every_part_of_a_step_comes_back(store: Stores, step: Step) -> None:
    """Parts with their defaults at the end are left out of the record."""
    _, challenge = store.challenges.read_challenge(opened(store, replace(PLAN, steps=(step, step))).id)
    assert challenge is not None
    assert challenge.plan.steps == (step, step)


def test_what_is_opened_has_no_code_yet(store: Stores, valkey: ValkeyServer) -> None:
    """Not for the first message, nor for a later step: the worker draws each just before it sends it."""
    made = opened(store, replace(PLAN, steps=PLAN.steps * 3))
    with valkey.client() as client:
        (stored,) = [client.get(key) for key in client.scan_iter(f"*{prefix_of(store)}*:c:*")]
    assert [one.code_hash for one in seen(store, made.id).deliveries] == [""]
    assert "argon2" not in f"{stored}"


def test_a_stored_challenge_is_scheduled_for_now(store: Stores, valkey: ValkeyServer) -> None:
    """It is due at once, in the schedule of its own partition and in no other."""
    challenge = opened(store)
    assert deadline(valkey, store, challenge.id) == challenge.deliveries[0].at
    where = [p for p in store.partitions.names() if challenge.id in store.due.due([p], 10)[p].ids]
    assert where == [challenge.id[:2]]


def test_a_challenge_that_is_not_stored_is_not_scheduled(store: Stores, valkey: ValkeyServer) -> None:
    """A send that only repeats an idempotency key stores nothing and schedules nothing."""
    first = new_challenge(store, id=store.challenges.new_id("key"))
    second = new_challenge(store, id=store.challenges.new_id("key"))
    store.challenges.open(first, idempotency="key", fingerprint="f")
    assert store.challenges.open(second, idempotency="key", fingerprint="f").known == f"{first.id}f"
    assert store.challenges.read_challenge(second.id)[1] is None
    assert deadline(valkey, store, second.id) is None


def test_opening_the_same_challenge_again_changes_nothing(store: Stores, valkey: ValkeyServer) -> None:
    """A second call with the same id returns what is stored, and does not reset or reschedule it."""
    made = new_challenge(store)
    store.challenges.open(made)
    assert store.challenges.take_attempt(made.id, "web", 6)[0] == "counted"
    brought(store, made.id)
    before, due = seen(store, made.id), deadline(valkey, store, made.id)
    store.scripts.offset += 5000
    assert store.challenges.open(made).challenge == before
    assert (seen(store, made.id), deadline(valkey, store, made.id)) == (before, due)


def test_an_idempotency_key_is_remembered_with_what_it_asked_for(store: Stores) -> None:
    """The key leads to the id and the fingerprint of the first send. Another key leads to nothing."""
    challenge = new_challenge(store, id=store.challenges.new_id("key"))
    assert store.challenges.recall("key") is None
    assert store.challenges.open(challenge, idempotency="key", fingerprint="print").challenge is not None
    assert store.challenges.recall("key") == f"{challenge.id}print"
    assert store.challenges.recall("other") is None


def test_a_challenge_shares_a_partition_with_its_idempotency_key(store: Stores) -> None:
    """Ids drawn for one key are in one partition. Without a key they are spread over all partitions."""
    assert len({store.challenges.new_id("key")[:2] for _ in range(50)}) == 1
    assert {store.challenges.new_id()[:2] for _ in range(200)} == set(store.partitions.names())


def test_ids_hold_128_random_bits(store: Stores) -> None:
    """After the partition an id has 22 characters of base64url, and no two ids are equal."""
    ids = {store.challenges.new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert {len(id_) for id_ in ids} == {24}


def test_a_challenge_can_be_read_for_a_while_after_its_end(store: Stores, valkey: ValkeyServer) -> None:
    """The record outlives the expiry by its retention, the schedule outlives the record, and no act shortens either."""
    challenge = opened(store)
    key = f"{{{prefix_of(store)}:{challenge.id[:2]}}}"
    for step in (lambda: brought(store, challenge.id), lambda: resent(store, challenge.id)):
        step()
        with valkey.client() as client:
            left = client.pttl(f"{key}:c:{challenge.id[2:]}")
            whole = PLAN.ttl * 1000 + Retention().challenges
            assert whole - 10_000 < left <= whole
            assert client.pttl(f"{key}:due") > left
