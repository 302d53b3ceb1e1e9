"""Where a challenge waits for what is left to do: open ones are due, endings are listed apart. It always expires."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from otp_service.bootstrap.stores import Stores
from otp_service.challenge.model import State, Status
from otp_service.challenge.send_store import Lease
from otp_service.challenge.transitions import MIN_TIME_LEFT, Again, Hold, Next, Wait
from otp_service.upstream.port import Verdict
from tests.support.spine import (
    PLAN,
    PatientScripts,
    armed,
    brought,
    claimed,
    deadline,
    ended,
    new_delivery,
    opened,
    prefix_of,
    seen,
)
from tests.support.valkey_server import ValkeyServer

LATE = PLAN.ttl * 1000 - MIN_TIME_LEFT + 1
EXPIRY = PLAN.ttl * 1000
LONG = replace(PLAN, cooldown=(1,))


class Repeating(PatientScripts):
    """Scripts of which each runs twice, as after a lost reply; the second answer counts."""

    def call(self, name: str, keys: Sequence[str], *arguments: str | float) -> Any:  # noqa: ANN401 - as Scripts
        """Run a script twice."""
        super().call(name, keys, *arguments)
        return super().call(name, keys, *arguments)


@pytest.fixture
def repeating(store: Stores, valkey: ValkeyServer) -> Iterator[Stores]:
    """Give the stores of the same deployment, of which each act is repeated."""
    scripts = Repeating(valkey)
    yield Stores(scripts, prefix=prefix_of(store), partitions=4)
    scripts.close()


def claimed_twice(store: Stores, repeating: Stores, id_: str) -> Lease:
    """Lease a challenge that must be due; the first answer is lost."""
    repeating.scripts.offset = store.scripts.offset
    return claimed(repeating, id_)


def waits(store: Stores, id_: str) -> str:
    """Say where the only challenge waits: due, for its turn to be due, among the endings, or nowhere."""
    found = store.due.due([id_[:2]], 10)[id_[:2]]
    ended = store.due.ended(id_[:2], 10) == [id_]
    where = ["due"] * (id_ in found.ids) + ["later"] * (found.following is not None) + ["ended"] * ended
    assert len(where) <= 1
    return where[0] if where else "nowhere"


def expires(server: ValkeyServer, store: Stores, id_: str) -> bool:
    """Tell whether a challenge's record has a time to live."""
    with server.client() as client:
        return bool(client.pttl(f"{{{prefix_of(store)}:{id_[:2]}}}:c:{id_[2:]}") > 0)


def test_a_leased_challenge_is_no_ending(store: Stores) -> None:
    """It is open: its lease ends, and then it is due."""
    id_ = opened(store).id
    assert waits(store, id_) == "due"
    claimed(store, id_)
    assert waits(store, id_) == "later"


def test_each_partition_has_what_is_its_own(store: Stores) -> None:
    """Of several that are read at once."""
    id_ = opened(store).id
    others = [name for name in store.partitions.names() if name != id_[:2]]
    found = store.due.due([*others, id_[:2]], 10)
    assert list(found[id_[:2]].ids) == [id_]
    assert all(not found[name].ids for name in others)


@pytest.mark.parametrize("armed_before", [False, True])
def test_a_challenge_without_guesses_only_waits_for_its_end(
    store: Stores, valkey: ValkeyServer, *, armed_before: bool
) -> None:
    """Nothing more is sent. Its last guess may still be checked until it expires."""
    id_ = opened(store).id
    if armed_before:
        armed(store, id_)
    for _ in range(PLAN.max_attempts):
        store.challenges.take_attempt(id_, "web", 6)
    store.scripts.offset += EXPIRY // 2
    assert store.challenges.claim(id_) is None
    assert waits(store, id_) == "nowhere"
    assert seen(store, id_).last.status is (Status.UNKNOWN if armed_before else Status.NOT_SENT)
    store.scripts.offset += EXPIRY // 2 + 1
    assert waits(store, id_) == "ended"
    assert store.challenges.end_expired([id_]) == [(id_, seen(store, id_))]
    assert seen(store, id_).state is State.EXHAUSTED
    assert waits(store, id_) == "nowhere"
    assert expires(valkey, store, id_)


def test_a_message_is_not_armed_again_after_its_time(store: Stores) -> None:
    """A worker that asks whether it may send gets no old permission."""
    id_ = opened(store).id
    lease, reference = armed(store, id_)
    assert store.challenges.arm(lease, reference, "hash", "main")
    store.scripts.offset += EXPIRY
    assert not store.challenges.arm(lease, reference, "hash", "main")


def test_a_late_message_that_was_not_charged_leaves_its_challenge_to_its_end(
    store: Stores, valkey: ValkeyServer
) -> None:
    """An earlier message may have come: its code is valid until the challenge expires."""
    id_ = opened(store).id
    lease, reference = armed(store, id_)
    store.challenges.settle(lease, Next(1), reference=reference, status=Status.ACCEPTED)
    store.scripts.offset += LATE
    assert store.challenges.claim(id_) is None
    after = seen(store, id_)
    assert (after.state, after.owed, after.last.status) == (State.PENDING, None, Status.NOT_SENT)
    assert after.live_hashes() == [(0, "hash")]
    assert expires(valkey, store, id_)
    assert waits(store, id_) == "nowhere"
    store.scripts.offset += MIN_TIME_LEFT
    assert waits(store, id_) == "ended"


@pytest.mark.parametrize("watched", [False, True])
def test_a_challenge_whose_messages_all_failed_ends_when_the_next_is_late(
    store: Stores, valkey: ValkeyServer, *, watched: bool
) -> None:
    """Nothing is owed for a fallback that was not charged. Its app is told, if it listens; no code is valid."""
    id_ = opened(store, watched=watched).id
    lease, reference = armed(store, id_)
    store.challenges.settle(lease, Next(1), reference=reference, status=Status.FAILED)
    store.scripts.offset += LATE
    assert claimed(store, id_).what == "ended"
    assert (seen(store, id_).state, seen(store, id_).live_hashes()) == (State.UNDELIVERABLE, [])
    assert waits(store, id_) == ("ended" if watched else "nowhere")
    assert expires(valkey, store, id_)


def test_a_message_that_was_superseded_did_not_come(store: Stores) -> None:
    """Both messages stayed here, so that the challenge ends."""
    id_ = opened(store, LONG).id
    store.scripts.offset += LATE
    assert store.challenges.resend(id_, "web", new_delivery(LONG))[0] == "queued"
    assert store.challenges.claim(id_) is None
    after = seen(store, id_)
    assert [one.status for one in after.deliveries] == [Status.SUPERSEDED, Status.NOT_SENT]
    assert (after.state, after.owed) == (State.UNDELIVERABLE, 1)


def test_a_worker_whose_message_was_dropped_holds_nothing(store: Stores) -> None:
    """Whoever leases the challenge for it gives the charge back."""
    id_ = opened(store).id
    store.scripts.offset += LATE // 2
    lease = claimed(store, id_)
    store.scripts.offset += LATE // 2 + 1
    assert not store.challenges.arm(lease, "reference", "hash", "main")
    store.challenges.record_repaid(lease)
    assert seen(store, id_).owed == 0


@pytest.mark.parametrize("sent_before", [False, True])
def test_what_is_owed_is_said_again(
    store: Stores, repeating: Stores, valkey: ValkeyServer, *, sent_before: bool
) -> None:
    """A worker whose lease was granted, but whose answer was lost, learns what it leased."""
    id_ = opened(store, LONG).id
    if sent_before:
        brought(store, id_)
    store.scripts.offset += LATE
    if sent_before:
        store.challenges.resend(id_, "web", new_delivery(LONG))
    assert store.challenges.claim(id_) is None
    assert waits(store, id_) == "ended"
    lease = claimed_twice(store, repeating, id_)
    assert lease.what == "owed"
    assert waits(store, id_) == "nowhere"
    for _ in range(2):
        store.challenges.record_repaid(lease)
        assert seen(store, id_).owed is None
    assert expires(valkey, store, id_)
    store.scripts.offset += MIN_TIME_LEFT
    assert waits(store, id_) == ("ended" if sent_before else "nowhere")


def test_an_app_is_told_of_an_end_as_soon_as_its_charge_is_given_back(
    store: Stores, valkey: ValkeyServer
) -> None:
    """Nothing else is left to wait for."""
    id_ = opened(store, watched=True).id
    store.scripts.offset += LATE
    assert store.challenges.claim(id_) is None
    lease, before = claimed(store, id_), store.facts.time()
    store.challenges.record_repaid(lease)
    due = deadline(valkey, store, id_)
    assert due is not None
    assert before <= due <= store.facts.time()


def test_who_has_given_a_charge_back_holds_nothing(store: Stores) -> None:
    """A report of the first message that comes then finds no worker that decides, so that nothing is due."""
    id_ = opened(store, LONG).id
    lease, reference = armed(store, id_)
    ended(store, lease, reference, Verdict.ACCEPTED)
    store.scripts.offset += LATE
    store.challenges.resend(id_, "web", new_delivery(LONG))
    assert store.challenges.claim(id_) is None
    store.challenges.record_repaid(claimed(store, id_))
    changed = store.challenges.record_receipt(
        id_, "main", upstream_id="", reference=reference, status=Status.DELIVERED, reason=""
    )
    assert changed[0] == "changed"
    assert waits(store, id_) == "nowhere"


def test_a_worker_that_owes_nothing_gives_nothing_back(store: Stores) -> None:
    """Its message leaves."""
    id_ = opened(store).id
    lease = claimed(store, id_)
    store.challenges.record_repaid(lease)
    assert store.challenges.arm(lease, "reference", "hash", "main")


def test_who_leased_what_is_owed_decides_nothing_else(store: Stores) -> None:
    """It still holds the lease when the charge is given back."""
    id_ = opened(store, LONG).id
    brought(store, id_)
    store.scripts.offset += LATE
    store.challenges.resend(id_, "web", new_delivery(LONG))
    assert store.challenges.claim(id_) is None
    lease = claimed(store, id_)
    store.challenges.settle(lease, Hold())
    store.challenges.record_repaid(lease)
    assert seen(store, id_).owed is None


def test_a_message_that_is_handed_back_is_due_now(store: Stores, valkey: ValkeyServer) -> None:
    """And its challenge expires as before."""
    id_ = opened(store, LONG).id
    brought(store, id_)
    store.scripts.offset += 2000
    assert store.challenges.resend(id_, "web", new_delivery(LONG))[0] == "queued"
    lease, before = claimed(store, id_), store.facts.time()
    store.challenges.release(lease)
    due = deadline(valkey, store, id_)
    assert due is not None
    assert before <= due <= store.facts.time()
    assert expires(valkey, store, id_)


def test_a_fallback_is_as_old_as_the_decision_for_it(store: Stores) -> None:
    """From then on it waits to be sent."""
    id_ = opened(store).id
    lease, reference = armed(store, id_)
    before = store.facts.time()
    store.challenges.settle(lease, Next(1), reference=reference, status=Status.FAILED)
    assert before <= seen(store, id_).last.at <= store.facts.time()


def test_a_pause_without_an_account_to_ask_is_no_deferral(store: Stores) -> None:
    """Nobody said "not now", so that it uses up none of the tries."""
    id_ = opened(store).id
    for account, deferrals in (("", 0), ("main", 1)):
        store.challenges.settle(claimed(store, id_), Again(1), account=account)
        assert seen(store, id_).last.deferrals == deferrals
        store.scripts.offset += 1000


def test_that_a_wait_is_over_is_said_again(store: Stores, repeating: Stores) -> None:
    """The message has left: a worker whose answer was lost must not send it once more."""
    id_ = opened(store).id
    lease, reference = armed(store, id_)
    store.challenges.settle(lease, Wait(), reference=reference, status=Status.UNKNOWN)
    store.scripts.offset += PLAN.steps[0].wait * 1000
    assert claimed_twice(store, repeating, id_).what == "waited"


def test_what_is_left_to_do_after_the_end_is_said_again(store: Stores, repeating: Stores) -> None:
    """Its app has to be told. The lease of an ending is an ending, and what follows a message has its turn."""
    id_ = opened(store, watched=True).id
    first = claimed_twice(store, repeating, id_)
    assert first.what == "send"
    armed_twice = [store.challenges.arm(first, "reference", "hash", "main") for _ in range(2)]
    assert armed_twice == [True, True]
    store.scripts.offset += EXPIRY
    assert store.challenges.end_expired([id_]) == [(id_, seen(store, id_))]
    assert seen(store, id_).state is State.EXPIRED
    assert store.challenges.end_expired([id_]) == [(id_, None)]
    assert waits(store, id_) == "ended"
    assert claimed_twice(store, repeating, id_).what == "over"
    assert waits(store, id_) == "nowhere"
