"""How delivery reports change a challenge, in whatever order they come."""

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otp_service.bootstrap.stores import Stores
from otp_service.challenge.keys import SCOPE
from otp_service.challenge.model import State, Status, overruled_by
from otp_service.challenge.store import Recorded
from otp_service.challenge.transitions import (
    Hold,
    Move,
    Next,
    Wait,
    after_wait,
)
from otp_service.upstream.port import Verdict
from tests.support.examples import PATIENT
from tests.support.spine import (
    PLAN,
    armed,
    claimed,
    deadline,
    ended,
    opened,
    seen,
)
from tests.support.valkey_server import ValkeyServer

ONE_STEP = replace(PLAN, steps=PLAN.steps[:1])


LEFT = [*overruled_by(Status.READ)[1:], Status.READ]
"""What can be heard of a message that left."""


@settings(
    PATIENT,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.data(), st.lists(st.tuples(st.booleans(), st.sampled_from(LEFT)), min_size=1, max_size=6))
def test_receipts_and_answers_may_come_in_any_order_and_often(
    store: Stores, data: st.DataObject, news: list[tuple[bool, Status]]
) -> None:
    """After receipts and answers in any order, with duplicates, the greatest status is stored with its reason."""
    again = data.draw(st.permutations(news + data.draw(st.lists(st.sampled_from(news), max_size=3))))
    for history in (news, again):
        id_ = opened(store).id
        lease, reference = armed(store, id_)
        for is_receipt, status in history:
            if is_receipt:
                store.challenges.record_receipt(
                    id_, "main", upstream_id="", reference=reference, status=status, reason=status
                )
            else:
                store.challenges.settle(lease, Wait(), reference=reference, status=status, reason=status)
        best = max((status for _, status in news), key=LEFT.index)
        first = seen(store, id_).deliveries[0]
        assert (first.status, first.reason) == (best, best)
        assert seen(store, id_).state is State.PENDING


@pytest.mark.parametrize("state", [State.VERIFIED, State.CANCELLED])
def test_a_receipt_ends_nothing_and_wakes_no_end(store: Stores, valkey: ValkeyServer, state: State) -> None:
    """A message that was read is no proof. A challenge that has ended stays so, whatever receipts arrive."""
    id_ = opened(store, ONE_STEP).id
    lease, reference = armed(store, id_)
    for status in LEFT:
        store.challenges.record_receipt(
            id_, "main", upstream_id="", reference=reference, status=status, reason=""
        )
        assert seen(store, id_).state is State.PENDING
    store.challenges.finish(id_, "web", state, 0)
    won = seen(store, id_)
    for status in reversed(LEFT):
        answer = store.challenges.record_receipt(
            id_, "main", upstream_id="", reference=reference, status=status, reason="late"
        )
        assert answer == Recorded("known")
        assert seen(store, id_) == won
    ended(store, lease, reference, Verdict.REFUSED)
    assert seen(store, id_) == won
    assert deadline(valkey, store, id_) is None


def test_the_first_message_that_arrives_is_told_once(store: Stores) -> None:
    """Whichever of a challenge's messages it is, and whatever is reported in between."""
    id_ = opened(store).id
    lease, first = armed(store, id_)
    store.challenges.settle(lease, Next(1), reference=first, status=Status.ACCEPTED)
    lease, second = armed(store, id_)
    store.challenges.settle(lease, Wait(), reference=second, status=Status.ACCEPTED)
    told = [
        store.challenges.record_receipt(
            id_, "main", upstream_id="", reference=reference, status=status, reason=""
        ).first
        for reference, status in (
            (first, Status.SENT),
            (second, Status.DELIVERED),
            (first, Status.FAILED),
            (second, Status.READ),
            (first, Status.DELIVERED),
        )
    ]
    assert told == [False, True, False, False, False]


def test_what_a_call_changed_is_kept_while_it_may_be_repeated(store: Stores, valkey: ValkeyServer) -> None:
    """Whatever comes in between; not for longer, as the record is small."""
    id_ = opened(store).id
    lease, reference = armed(store, id_)
    store.challenges.settle(lease, Wait(), reference=reference, status=Status.ACCEPTED)
    sizes = []
    for status in (Status.SENT, Status.DELIVERED, Status.READ):
        store.challenges.record_receipt(
            id_, "main", upstream_id="", reference=reference, status=status, reason=""
        )
        with valkey.client() as client:
            stored = client.get(store.partitions.key_of(id_, SCOPE))
        sizes.append(len(json.loads(f"{stored}")["heard"]))
        store.scripts.offset += 10_000 if status is Status.DELIVERED else 0
    assert sizes == [1, 2, 1]


def test_a_receipt_is_matched_by_either_id(store: Stores) -> None:
    """The upstream's id is tried before our reference. A receipt that matches neither changes nothing."""
    id_ = opened(store).id
    lease, reference = armed(store, id_)
    store.challenges.settle(lease, Next(1), reference=reference, status=Status.ACCEPTED, upstream_id="up-1")
    lease, second = armed(store, id_)
    store.challenges.settle(lease, Hold(), reference=second, status=Status.ACCEPTED, upstream_id="up-2")
    before = seen(store, id_)
    for upstream_id, other in (("up-3", "never"), ("", ""), ("", "never")):
        none = store.challenges.record_receipt(
            id_, "main", upstream_id=upstream_id, reference=other, status=Status.READ, reason=""
        )
        assert none == Recorded("none")
    assert seen(store, id_) == before
    for upstream_id, other, place in (("up-1", second, 0), ("up-2", "", 1)):
        what, _, found, status, *_ = store.challenges.record_receipt(
            id_, "main", upstream_id=upstream_id, reference=other, status=Status.SENT, reason=""
        )
        assert (what, found, status) == ("changed", place, Status.ACCEPTED)
    what, _, found, status, *_ = store.challenges.record_receipt(
        id_, "main", upstream_id="", reference=reference, status=Status.DELIVERED, reason=""
    )
    assert (what, found, status) == ("changed", 0, Status.SENT)
    unknown = store.challenges.new_id()
    assert (
        store.challenges.record_receipt(
            unknown, "main", upstream_id="up-1", reference="", status=Status.READ, reason=""
        )[0]
        == "none"
    )


def test_a_receipt_is_matched_by_its_account(store: Stores) -> None:
    """Two accounts may use the same id: each reports on the message that it sent."""
    id_ = opened(store).id
    lease, reference = armed(store, id_)
    store.challenges.settle(lease, Next(1), reference=reference, status=Status.ACCEPTED, upstream_id="up")
    lease = claimed(store, id_)
    assert store.challenges.arm(lease, "second", "hash", "spare")
    store.challenges.settle(lease, Hold(), reference="second", status=Status.ACCEPTED, upstream_id="up")
    for account, place in (("spare", 1), ("main", 0)):
        answer = store.challenges.record_receipt(
            id_, account, upstream_id="up", reference="", status=Status.SENT, reason=""
        )
        assert (answer[0], answer[2]) == ("changed", place)
    third = store.challenges.record_receipt(
        id_, "third", upstream_id="up", reference="second", status=Status.READ, reason=""
    )
    assert third == Recorded("none")


def test_a_failure_is_due_at_once(store: Stores, valkey: ValkeyServer) -> None:
    """This holds for the newest delivery of a pending challenge. Any other receipt waits."""
    id_ = opened(store).id
    lease, reference = armed(store, id_)
    ended(store, lease, reference, Verdict.UNKNOWN)
    due = deadline(valkey, store, id_)
    store.challenges.record_receipt(
        id_, "main", upstream_id="", reference=reference, status=Status.SENT, reason=""
    )
    assert deadline(valkey, store, id_) == due
    store.scripts.offset += 1000
    before = store.facts.time()
    store.challenges.record_receipt(
        id_, "main", upstream_id="", reference=reference, status=Status.FAILED, reason="absent"
    )
    at = deadline(valkey, store, id_)
    assert at is not None
    assert before <= at <= store.facts.time()
    lease = claimed(store, id_)
    assert (lease.what, lease.challenge.last.status, lease.challenge.last.reason) == (
        "waited",
        Status.FAILED,
        "absent",
    )
    assert after_wait(lease.challenge, lease.now) == Next(1)


@pytest.mark.parametrize("end", ["cancelled", "expired"])
def test_a_failure_after_the_end_schedules_nothing(store: Stores, valkey: ValkeyServer, end: str) -> None:
    """An ended challenge is not scheduled, and one that has just expired stays due at its expiry."""
    id_ = opened(store).id
    lease, reference = armed(store, id_)
    store.challenges.settle(lease, Hold(), reference=reference, status=Status.ACCEPTED)
    if end == "cancelled":
        store.challenges.finish(id_, "web", State.CANCELLED)
    else:
        store.scripts.offset += 1000 * PLAN.ttl
    due = deadline(valkey, store, id_)
    answer = store.challenges.record_receipt(
        id_, "main", upstream_id="", reference=reference, status=Status.FAILED, reason=""
    )
    assert answer[0] == "changed"
    assert deadline(valkey, store, id_) == due


def test_an_answer_that_a_receipt_overrules_is_decided_again(store: Stores) -> None:
    """The receipt overrules the answer, so its move does not count, and a worker decides again."""
    id_ = opened(store).id
    lease, reference = armed(store, id_)
    store.challenges.record_receipt(
        id_, "main", upstream_id="", reference=reference, status=Status.DELIVERED, reason=""
    )
    ended(store, lease, reference, Verdict.REFUSED)
    assert [d.status for d in seen(store, id_).deliveries] == [Status.DELIVERED]
    again = claimed(store, id_)
    assert (again.what, after_wait(again.challenge, again.now)) == ("waited", Hold())


@pytest.mark.parametrize("move", [Wait(20), Hold(), Next(1)])
def test_a_receipt_ends_the_lease_of_a_worker_that_is_deciding(
    store: Stores, valkey: ValkeyServer, move: Move
) -> None:
    """A receipt that arrives between a worker's claim and its decision ends its lease. The challenge is due at once."""
    id_ = opened(store).id
    lease, reference = armed(store, id_)
    store.challenges.settle(lease, Wait(0), reference=reference, status=Status.ACCEPTED)
    looking = claimed(store, id_)
    store.challenges.record_receipt(
        id_, "main", upstream_id="", reference=reference, status=Status.FAILED, reason="undelivered"
    )
    store.challenges.settle(looking, move)
    assert len(seen(store, id_).deliveries) == 1
    at = deadline(valkey, store, id_)
    assert at is not None
    assert at <= store.facts.time()
