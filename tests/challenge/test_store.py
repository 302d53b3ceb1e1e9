"""What the store's scripts promise, on a real server: life cycles, lost replies, time, memory."""

import random
import secrets
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from otp_service.bootstrap.stores import Stores
from otp_service.challenge.model import State, Status, overruled_by
from otp_service.challenge.store import CLAIM_LEASE, SEND_LEASE, Retention
from otp_service.challenge.transitions import (
    MAX_DEFERRALS,
    Again,
    GiveUp,
    Hold,
    Move,
    Next,
    Wait,
    after_wait,
    limited,
    with_step,
)
from otp_service.crypto.code_hashes import Claim
from otp_service.delivery.conversion import Conversion
from otp_service.events import queue
from otp_service.guard.slot import REMEMBER
from otp_service.policy import Route, StepRule
from otp_service.policy.versions import Policies
from otp_service.upstream.breakers import Breakers
from otp_service.upstream.get_budget import WINDOW
from otp_service.upstream.port import Verdict
from otp_service.verification.caller import Caller
from otp_service.verification.send import SendRequest
from tests.support.patience import PATIENCE
from tests.support.spine import (
    NUMBERS,
    PATIENT,
    PLAN,
    Spine,
    armed,
    brought,
    claimed,
    deadline,
    ended,
    new_challenge,
    new_delivery,
    open_spine,
    open_store,
    opened,
    prefix_of,
    resent,
    seen,
)
from tests.support.valkey_server import ValkeyServer, stored_bytes

ONE_STEP = replace(PLAN, steps=PLAN.steps[:1])
WAIT = PLAN.steps[0].wait * 1000
MOVES: tuple[Move, ...] = (Hold(), Wait(1), Again(1), Next(1), GiveUp())


@pytest.fixture
def store(valkey: ValkeyServer) -> Iterator[Stores]:
    """Give a store with keys of its own."""
    with open_store(valkey) as made:
        yield made


# Opening.


def test_a_challenge_comes_back_as_it_was_stored(store: Stores) -> None:
    """Every field survives the record, whatever signs it holds."""
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


def test_a_stored_challenge_is_scheduled_for_now(store: Stores, valkey: ValkeyServer) -> None:
    """What was opened is due at once, in the schedule of its own partition and in no other."""
    challenge = opened(store)
    assert deadline(valkey, store, challenge.id) == challenge.deliveries[0].at
    where = [p for p in store.partitions.names() if challenge.id in store.due.due(p, 10).ids]
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
    """A second call with the same id answers with what is there and does not reset or reschedule it."""
    made = new_challenge(store)
    store.challenges.open(made)
    assert store.challenges.take_attempt(made.id, "web", 6)[0] == "counted"
    brought(store, made.id)
    before, due = seen(store, made.id), deadline(valkey, store, made.id)
    store.scripts.offset += 5000
    assert store.challenges.open(made).challenge == before
    assert (seen(store, made.id), deadline(valkey, store, made.id)) == (before, due)


def test_an_idempotency_key_is_remembered_with_what_it_asked_for(store: Stores) -> None:
    """The key gives id and fingerprint of the first send; another key gives nothing."""
    challenge = new_challenge(store, id=store.challenges.new_id("key"))
    assert store.challenges.recall("key") is None
    assert store.challenges.open(challenge, idempotency="key", fingerprint="print").challenge is not None
    assert store.challenges.recall("key") == f"{challenge.id}print"
    assert store.challenges.recall("other") is None


def test_a_challenge_shares_a_partition_with_its_idempotency_key(store: Stores) -> None:
    """Ids drawn for one key lie in one partition; without a key they are spread over all."""
    assert len({store.challenges.new_id("key")[:2] for _ in range(50)}) == 1
    assert {store.challenges.new_id()[:2] for _ in range(200)} == set(store.partitions.names())


def test_ids_hold_128_random_bits(store: Stores) -> None:
    """After the partition an id has 22 signs of base64url, and no two are alike (requirement A9)."""
    ids = {store.challenges.new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert {len(id_) for id_ in ids} == {24}


# Attempts.


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
    """A code that cannot be one costs no attempt."""
    id_ = opened(store).id
    assert {store.challenges.take_attempt(id_, "web", length)[0] for length in (0, 5, 7, 60)} == {"shape"}
    assert seen(store, id_).attempts == 0


def test_a_resend_never_resets_the_attempts(store: Stores) -> None:
    """Attempts count per challenge: resends, claims and deliveries leave them alone (requirement C2)."""
    id_ = opened(store).id
    brought(store, id_)
    for count in range(1, PLAN.max_sends):
        store.challenges.take_attempt(id_, "web", 6)
        assert resent(store, id_).attempts == count
        brought(store, id_)
        assert seen(store, id_).attempts == count


def test_an_exhausted_challenge_cannot_be_resent(store: Stores) -> None:
    """No message goes out for a challenge that no guess can win."""
    id_ = opened(store).id
    for _ in range(PLAN.max_attempts):
        store.challenges.take_attempt(id_, "web", 6)
    store.scripts.offset += 60_000
    assert store.challenges.resend(id_, "web", new_delivery())[0] == "gone"


def test_another_apps_challenge_is_gone_for_everyone_else(store: Stores) -> None:
    """No guess, resend or end by an app that does not own it; nothing is counted."""
    id_ = opened(store).id
    store.scripts.offset += 60_000
    before = seen(store, id_)
    assert store.challenges.take_attempt(id_, "other", 6)[0] == "gone"
    assert store.challenges.resend(id_, "other", new_delivery())[0] == "gone"
    assert store.challenges.finish(id_, "other", State.VERIFIED)[1] is None
    assert seen(store, id_) == before


def test_an_unknown_challenge_is_gone(store: Stores) -> None:
    """Nothing can be done with an id that nobody drew."""
    id_ = store.challenges.new_id()
    assert store.challenges.read_challenge(id_)[1] is None
    assert store.challenges.take_attempt(id_, "web", 6)[0] == "gone"
    assert store.challenges.resend(id_, "web", new_delivery())[0] == "gone"
    assert store.challenges.finish(id_, "web", State.VERIFIED)[1] is None
    assert store.challenges.claim(id_) is None


def test_nothing_counts_from_the_millisecond_of_the_expiry(store: Stores, valkey: ValkeyServer) -> None:
    """At the expiry no guess, resend, end or arming is taken; the store's own clock decides."""
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
    """Asked again and again across the border, with guesses that cost nothing, the answer turns on it."""
    challenge = opened(store)
    turns: dict[int, str] = {}
    while challenge.expires not in turns:
        store.scripts.offset += challenge.expires - store.facts.time() - 5
        now = 0
        while now <= challenge.expires:
            what, now, _ = store.challenges.take_attempt(challenge.id, "web", 7)
            assert now > challenge.expires - 10_000
            turns[now] = what
    assert {now: what for now, what in turns.items() if (what == "gone") != (now >= challenge.expires)} == {}
    assert min(turns) < challenge.expires


@pytest.mark.parametrize("ttl", [30, 600])
def test_a_challenge_lives_exactly_as_long_as_its_plan_says(store: Stores, ttl: int) -> None:
    """The expiry is the opening's time plus the plan's; before it guesses count, from it on none does."""
    challenge = opened(store, replace(PLAN, ttl=ttl))
    left = challenge.expires - store.facts.time()
    assert 0 < left <= ttl * 1000
    store.scripts.offset += left - 5000
    assert store.challenges.take_attempt(challenge.id, "web", 6)[0] == "counted"
    store.scripts.offset += 5000
    assert store.challenges.take_attempt(challenge.id, "web", 6)[0] == "gone"


# Ending.


def test_a_challenge_is_won_once(store: Stores) -> None:
    """After it was verified nothing changes it any more, and it can still be looked at."""
    id_ = opened(store).id
    brought(store, id_)
    _, won = store.challenges.finish(id_, "web", State.VERIFIED, 0)
    assert won is not None
    assert (won.state, won.via) == (State.VERIFIED, 0)
    assert store.challenges.finish(id_, "web", State.VERIFIED, 0)[1] is None
    assert store.challenges.finish(id_, "web", State.CANCELLED)[1] is None
    assert store.challenges.take_attempt(id_, "web", 6)[0] == "gone"
    store.scripts.offset += 60_000
    assert store.challenges.resend(id_, "web", new_delivery())[0] == "gone"
    assert seen(store, id_) == won


@pytest.mark.parametrize("state", [State.VERIFIED, State.CANCELLED])
def test_an_ended_challenge_keeps_no_hashes_and_no_deadline(
    store: Stores, valkey: ValkeyServer, state: State
) -> None:
    """With the end no code counts any more and no worker comes again."""
    id_ = opened(store).id
    brought(store, id_)
    assert seen(store, id_).live_hashes() == [(0, "hash")]
    store.challenges.finish(id_, "web", state)
    assert seen(store, id_).live_hashes() == []
    assert deadline(valkey, store, id_) is None


def test_a_cancelled_challenge_is_not_sent_any_more(store: Stores) -> None:
    """A delivery that was claimed before the end is not armed after it, and not taken again."""
    id_ = opened(store).id
    lease = claimed(store, id_)
    store.challenges.finish(id_, "web", State.CANCELLED)
    assert not store.challenges.arm(lease, "reference", "hash", "main")
    store.scripts.offset += CLAIM_LEASE
    assert store.challenges.claim(id_) is None


@pytest.mark.parametrize("verdict", [Verdict.ACCEPTED, Verdict.REFUSED, Verdict.DEFERRED, Verdict.UNKNOWN])
def test_an_outcome_is_written_down_after_the_end_and_moves_nothing(
    store: Stores, valkey: ValkeyServer, verdict: Verdict
) -> None:
    """What became of the message is kept though the challenge was won meanwhile; the win stays, nobody comes."""
    id_ = opened(store, ONE_STEP).id
    lease, reference = armed(store, id_)
    store.challenges.finish(id_, "web", State.VERIFIED, 0)
    ended(store, lease, reference, verdict)
    after = seen(store, id_)
    known = {Verdict.ACCEPTED: Status.ACCEPTED, Verdict.UNKNOWN: Status.UNKNOWN}
    assert after.state is State.VERIFIED
    assert [d.status for d in after.deliveries] == [known.get(verdict, Status.REFUSED)]
    assert deadline(valkey, store, id_) is None


@pytest.mark.parametrize(
    ("verdict", "end"),
    [(Verdict.ACCEPTED, State.EXPIRED), (Verdict.UNKNOWN, State.EXPIRED), (None, State.UNDELIVERABLE)],
)
def test_the_end_says_whether_a_message_went_out(
    store: Stores, valkey: ValkeyServer, verdict: Verdict | None, end: State
) -> None:
    """At its expiry a challenge is expired if an upstream took a message, else undeliverable; hashes go."""
    challenge = opened(store)
    if verdict:
        lease, reference = armed(store, challenge.id)
        ended(store, lease, reference, verdict)
    store.scripts.offset += PLAN.ttl * 1000
    assert seen(store, challenge.id).status(store.facts.time()) is end
    lease = claimed(store, challenge.id)
    assert (lease.what, lease.challenge.state) == ("ended", end)
    assert seen(store, challenge.id).live_hashes() == []
    assert deadline(valkey, store, challenge.id) is None


def test_a_guess_in_flight_can_win_although_it_was_the_last(store: Stores, valkey: ValkeyServer) -> None:
    """A worker that comes by between the count of the last guess and its check must not take the win away."""
    challenge = opened(store)
    lease, reference = armed(store, challenge.id)
    ended(store, lease, reference, Verdict.UNKNOWN)
    for _ in range(PLAN.max_attempts):
        assert store.challenges.take_attempt(challenge.id, "web", 6)[0] == "counted"
    store.scripts.offset += WAIT
    assert store.challenges.claim(challenge.id) is None
    assert deadline(valkey, store, challenge.id) == challenge.expires
    assert store.challenges.finish(challenge.id, "web", State.VERIFIED, 0)[1] is not None


def test_an_exhausted_challenge_ends_as_exhausted(store: Stores) -> None:
    """Nothing is sent for it any more, and at its expiry it is written down as what it is; hashes go."""
    id_ = opened(store).id
    for _ in range(PLAN.max_attempts):
        store.challenges.take_attempt(id_, "web", 6)
    assert seen(store, id_).status(store.facts.time()) is State.EXHAUSTED
    assert store.challenges.claim(id_) is None
    store.scripts.offset += PLAN.ttl * 1000
    lease = claimed(store, id_)
    assert (lease.what, lease.challenge.state) == ("ended", State.EXHAUSTED)
    assert seen(store, id_).live_hashes() == []


# Resending.


def test_a_resend_waits_for_the_ladder(store: Stores) -> None:
    """Each message must be as old as the ladder's rung says, to the millisecond; the last rung repeats."""
    id_ = opened(store, replace(PLAN, cooldown=(30, 60))).id
    for rung in (30_000, 60_000, 60_000):
        what, now, left = store.challenges.resend(id_, "web", new_delivery())
        last = seen(store, id_).last
        assert (what, left) == ("early", last.at + rung - now)
        assert isinstance(left, int)
        assert resent(store, id_).last.at >= last.at + rung


def test_a_challenge_causes_no_more_messages_than_its_plan_allows(store: Stores) -> None:
    """After the last send a resend is refused for good."""
    id_ = opened(store).id
    for _ in range(PLAN.max_sends - 1):
        resent(store, id_)
    store.scripts.offset += 60_000
    assert store.challenges.resend(id_, "web", new_delivery())[0] == "spent"
    assert len(seen(store, id_).deliveries) == PLAN.max_sends


def test_a_resend_is_due_at_once(store: Stores, valkey: ValkeyServer) -> None:
    """The new delivery is scheduled for the moment it was asked for, though the challenge was at rest."""
    id_ = opened(store).id
    brought(store, id_)
    last = resent(store, id_).last
    assert deadline(valkey, store, id_) == last.at
    assert last.status is Status.QUEUED


@pytest.mark.parametrize("already_claimed", [False, True])
def test_a_delivery_that_a_resend_overtook_never_leaves(store: Stores, *, already_claimed: bool) -> None:
    """What had not left is superseded: its worker may not send it, so that no two messages come at once."""
    id_ = opened(store).id
    lease = claimed(store, id_) if already_claimed else None
    overtaken, fresh = resent(store, id_).deliveries
    assert (overtaken.status, fresh.status) == (Status.SUPERSEDED, Status.QUEUED)
    if lease:
        assert not store.challenges.arm(lease, "reference", "hash", "main")
        store.challenges.release(lease)
    brought(store, id_, "fresh")
    assert seen(store, id_).live_hashes() == [(1, "fresh")]


def test_a_message_under_way_is_not_superseded_by_a_resend(store: Stores) -> None:
    """What has left keeps its code and gets its outcome, but moves nothing any more."""
    id_ = opened(store).id
    lease, reference = armed(store, id_, "first")
    resent(store, id_)
    ended(store, lease, reference, Verdict.REFUSED)
    assert [d.status for d in seen(store, id_).deliveries] == [Status.REFUSED, Status.QUEUED]
    brought(store, id_, "second")
    assert [d.status for d in seen(store, id_).deliveries] == [Status.REFUSED, Status.ACCEPTED]


@pytest.mark.parametrize("move", [Hold(), Next(1), Wait(30), GiveUp()])
def test_a_resend_is_not_lost_to_a_worker_that_decided_before_it(
    store: Stores, valkey: ValkeyServer, move: Hold | Next | Wait | GiveUp
) -> None:
    """A decision about the delivery before the newest moves nothing: the resend stays due, alone."""
    id_ = opened(store).id
    lease, reference = armed(store, id_)
    ended(store, lease, reference, Verdict.UNKNOWN)
    store.scripts.offset += WAIT
    waited = claimed(store, id_)
    assert waited.what == "waited"
    fresh = resent(store, id_).last
    store.challenges.settle(waited, move)
    assert seen(store, id_).deliveries[1:] == (fresh,)
    assert seen(store, id_).state is State.PENDING
    assert deadline(valkey, store, id_) == fresh.at


def test_the_oldest_codes_give_way_to_the_newest(store: Stores) -> None:
    """At most the plan's `live_codes` hashes are kept, the newest, also when some deliveries never left."""
    plan = replace(PLAN, max_sends=10, cooldown=(1,), ttl=600)
    id_ = opened(store, plan).id
    left = []
    for place in range(plan.max_sends):
        if place:
            resent(store, id_)
        if place not in {4, 7}:  # these are overtaken before they leave
            brought(store, id_, f"hash-{place}")
            left.append((place, f"hash-{place}"))
        assert seen(store, id_).live_hashes() == left[-plan.live_codes :]


# Claims and leases.


def test_a_due_challenge_is_leased_to_one_worker(store: Stores, valkey: ValkeyServer) -> None:
    """While a lease runs nobody else gets one; it is due again when the lease is over."""
    id_ = opened(store).id
    lease = claimed(store, id_)
    assert (lease.what, lease.challenge.last.status) == ("send", Status.CLAIMED)
    assert store.challenges.claim(id_) is None
    assert deadline(valkey, store, id_) == lease.now + CLAIM_LEASE


def test_a_challenge_that_is_not_due_is_not_leased(store: Stores) -> None:
    """A worker that comes early gets nothing and changes nothing."""
    id_ = opened(store).id
    brought(store, id_)
    before = seen(store, id_)
    assert store.challenges.claim(id_) is None
    assert seen(store, id_) == before


def test_a_worker_that_died_before_the_message_left_is_replaced(store: Stores) -> None:
    """After the lease another worker sends the same delivery; the first may not any more."""
    id_ = opened(store).id
    dead = claimed(store, id_)
    store.scripts.offset += CLAIM_LEASE
    lease = claimed(store, id_)
    assert not store.challenges.arm(dead, "first", "first", "main")
    assert store.challenges.arm(lease, "second", "second", "main")
    assert not store.challenges.arm(dead, "first", "first", "main")
    ended(store, lease, "second", Verdict.ACCEPTED)
    after = seen(store, id_)
    assert [d.status for d in after.deliveries] == [Status.ACCEPTED]
    assert after.live_hashes() == [(0, "second")]


def test_a_worker_that_died_after_the_message_left_leaves_an_unknown_outcome(store: Stores) -> None:
    """The lease of a send is longer; after it the outcome is unknown, and its step's wait runs on from the send."""
    id_ = opened(store).id
    armed(store, id_)
    store.scripts.offset += SEND_LEASE - 1000
    assert store.challenges.claim(id_) is None
    store.scripts.offset += 1000
    lease = claimed(store, id_)
    last = lease.challenge.last
    assert (lease.what, last.status, last.reason) == ("waited", Status.UNKNOWN, "worker_lost")
    assert after_wait(lease.challenge, lease.now) == Wait()
    store.challenges.settle(lease, Wait())
    store.scripts.offset += WAIT - SEND_LEASE
    lease = claimed(store, id_)
    assert after_wait(lease.challenge, lease.now) == Next(1)
    store.challenges.settle(lease, Next(1))
    follower, _ = armed(store, id_)
    assert (follower.challenge.last.step, follower.challenge.last.channel) == (1, "voice")


def test_the_last_step_is_repeated_once_after_an_unknown_outcome(store: Stores) -> None:
    """With no other channel left the same is tried once more; a second unknown outcome is not repeated."""
    id_ = opened(store, ONE_STEP).id
    for expected in (Next(0), Hold()):
        lease, reference = armed(store, id_)
        ended(store, lease, reference, Verdict.UNKNOWN)
        store.scripts.offset += WAIT
        lease = claimed(store, id_)
        assert after_wait(lease.challenge, lease.now) == expected
        store.challenges.settle(lease, after_wait(lease.challenge, lease.now))
    assert len(seen(store, id_).deliveries) == 2
    assert store.challenges.claim(id_) is None


def test_an_unknown_outcome_waits_for_its_steps_time(store: Stores, valkey: ValkeyServer) -> None:
    """After an answer that says nothing the step's wait runs, then the plan moves on."""
    id_ = opened(store).id
    lease, reference = armed(store, id_)
    ended(store, lease, reference, Verdict.UNKNOWN)
    due = deadline(valkey, store, id_)
    assert due is not None
    assert 0 < due - store.facts.time() <= WAIT
    store.scripts.offset += WAIT
    waited = claimed(store, id_)
    assert (waited.what, after_wait(waited.challenge, waited.now)) == ("waited", Next(1))


def test_a_late_outcome_of_a_lost_lease_is_kept_but_moves_nothing(
    store: Stores, valkey: ValkeyServer
) -> None:
    """Who comes back after the lease may say what became of the message; the plan is another's by now."""
    id_ = opened(store).id
    slow, reference = armed(store, id_)
    store.scripts.offset += SEND_LEASE
    other = claimed(store, id_)
    due = deadline(valkey, store, id_)
    ended(store, slow, reference, Verdict.ACCEPTED)
    after = seen(store, id_)
    assert [d.status for d in after.deliveries] == [Status.ACCEPTED]
    assert deadline(valkey, store, id_) == due
    store.challenges.settle(other, Hold())
    assert deadline(valkey, store, id_) == after.expires


@pytest.mark.parametrize("verdict", [Verdict.REFUSED, Verdict.DEFERRED, Verdict.UNKNOWN])
def test_a_lost_lease_adds_no_steps(store: Stores, verdict: Verdict) -> None:
    """Whatever the late worker would have done next, it is not done twice."""
    id_ = opened(store).id
    slow, reference = armed(store, id_)
    store.scripts.offset += SEND_LEASE
    other = claimed(store, id_)
    ended(store, slow, reference, verdict)
    store.challenges.settle(other, Next(1))
    ended(store, slow, reference, verdict)
    deliveries = seen(store, id_).deliveries
    assert [d.step for d in deliveries] == [0, 1]
    assert deliveries[1].status is Status.QUEUED


LEFT = [*overruled_by(Status.READ)[1:], Status.READ]
"""What can be heard of a message that left."""


@settings(PATIENT, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.lists(st.tuples(st.booleans(), st.sampled_from(LEFT)), min_size=1, max_size=6))
def test_news_of_a_message_may_come_in_any_order_and_often(
    store: Stores, data: st.DataObject, news: list[tuple[bool, Status]]
) -> None:
    """Receipts and answers, permuted and repeated: what is known in the end is the greatest, with its reason."""
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
    """A read message is no proof; and what has ended stays so, whatever is heard of its messages."""
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
        assert answer == ("known", None, 0)
        assert seen(store, id_) == won
    ended(store, lease, reference, Verdict.REFUSED)
    assert seen(store, id_) == won
    assert deadline(valkey, store, id_) is None


def test_a_receipt_is_matched_by_either_id(store: Stores) -> None:
    """The upstream's id goes before our reference; what matches neither is nobody's, and changes nothing."""
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
        assert none == ("none", None, 0)
    assert seen(store, id_) == before
    for upstream_id, other, place in (("up-1", second, 0), ("up-2", "", 1)):
        what, _, found = store.challenges.record_receipt(
            id_, "main", upstream_id=upstream_id, reference=other, status=Status.SENT, reason=""
        )
        assert (what, found) == ("changed", place)
    what, _, found = store.challenges.record_receipt(
        id_, "main", upstream_id="", reference=reference, status=Status.DELIVERED, reason=""
    )
    assert (what, found) == ("changed", 0)
    unknown = store.challenges.new_id()
    assert (
        store.challenges.record_receipt(
            unknown, "main", upstream_id="up-1", reference="", status=Status.READ, reason=""
        )[0]
        == "none"
    )


def test_a_receipt_is_matched_by_its_account(store: Stores) -> None:
    """Two accounts may give the same id: each tells of what left by it, first message or second."""
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
    assert third == ("none", None, 0)


def test_a_failure_is_looked_at_at_once(store: Stores, valkey: ValkeyServer) -> None:
    """Only of the newest delivery, and only while the challenge is pending; any other news waits."""
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
    """What is due stays so: nothing for a challenge that has ended, the expiry for one that is about to."""
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


def test_an_answer_after_a_receipt_is_looked_at_again(store: Stores) -> None:
    """The receipt knew more: the move that follows the answer does not count, and a worker decides anew."""
    id_ = opened(store).id
    lease, reference = armed(store, id_)
    store.challenges.record_receipt(
        id_, "main", upstream_id="", reference=reference, status=Status.DELIVERED, reason=""
    )
    ended(store, lease, reference, Verdict.REFUSED)
    assert [d.status for d in seen(store, id_).deliveries] == [Status.DELIVERED]
    again = claimed(store, id_)
    assert (again.what, after_wait(again.challenge, again.now)) == ("waited", Hold())


def test_another_account_gets_the_same_delivery_at_once(store: Stores) -> None:
    """Who could not take it is written down; after a pause all are asked again."""
    id_ = opened(store).id
    for tried in ((), ("main",), ("main", "spare")):
        lease, reference = armed(store, id_)
        assert lease.challenge.last.tried == tried
        account = ("main", "spare", "third")[len(tried)]
        move = Again(0) if account != "third" else Again(2)
        store.challenges.settle(lease, move, reference=reference, status=Status.REFUSED, account=account)
    store.scripts.offset += 2000
    lease = claimed(store, id_)
    assert (lease.challenge.last.tried, lease.challenge.last.deferrals) == ((), 1)


def test_a_delivery_leaves_by_the_step_that_could_be_taken(store: Stores) -> None:
    """The step is written down with the message; what was tried for the other is forgotten."""
    id_ = opened(store).id
    lease, reference = armed(store, id_)
    store.challenges.settle(lease, Again(0), reference=reference, status=Status.REFUSED, account="main")
    lease = claimed(store, id_)
    assert store.challenges.arm(
        replace(lease, challenge=with_step(lease.challenge, 1)), "other", "hash", "spare"
    )
    last = seen(store, id_).last
    assert (last.step, last.channel, last.upstream, last.tried) == (1, "voice", "spare", ())


# What its app is told.


def queued_event(store: Stores) -> list[str]:
    """List the events that are due."""
    return [id_ for p in store.partitions.names() for id_ in store.events_due.due(p, 100).ids]


def test_a_watched_challenge_is_due_for_its_app(store: Stores, valkey: ValkeyServer) -> None:
    """After each change, and once more when it has ended; then it needs no more attention."""
    id_ = opened(store, watched=True).id
    brought(store, id_)
    lease = claimed(store, id_)
    assert lease.what == "waited"
    store.challenges.settle(lease, Hold())
    assert store.challenges.claim(id_) is None
    store.challenges.finish(id_, "web", State.VERIFIED, 0)
    assert claimed(store, id_).what == "over"
    assert store.challenges.claim(id_) is None
    store.scripts.offset += CLAIM_LEASE
    lease = claimed(store, id_)
    assert lease.what == "over"
    store.events.put(id_, [], {}, over=lease.operation)
    assert deadline(valkey, store, id_) is None


def test_a_watched_delivery_keeps_its_pause(store: Stores, valkey: ValkeyServer) -> None:
    """What is put off stays put off: neither its own outcome nor news of an earlier message sends it sooner."""
    id_ = opened(store, watched=True).id
    lease, reference = armed(store, id_)
    store.challenges.settle(lease, Next(1), reference=reference, status=Status.ACCEPTED, upstream_id="up")
    lease, second = armed(store, id_)
    store.challenges.settle(lease, Again(20), reference=second, status=Status.REFUSED)
    due = deadline(valkey, store, id_)
    assert due is not None
    assert due > store.facts.time() + 10_000
    store.challenges.record_receipt(
        id_, "main", upstream_id="up", reference="", status=Status.SENT, reason=""
    )
    assert deadline(valkey, store, id_) == due


def test_late_news_of_an_ended_challenge_leaves_no_schedule_for_ever(
    store: Stores, valkey: ValkeyServer
) -> None:
    """The partition's schedule may be gone by then; the one that comes back ends like any other."""
    id_ = opened(store, watched=True).id
    _, reference = armed(store, id_)
    store.challenges.finish(id_, "web", State.VERIFIED, 0)
    store.events.put(id_, [], {}, over=claimed(store, id_).operation)
    store.challenges.record_receipt(
        id_, "main", upstream_id="", reference=reference, status=Status.READ, reason=""
    )
    assert claimed(store, id_).what == "over"
    with valkey.client() as client:
        assert client.ttl(f"{{{prefix_of(store)}:{id_[:2]}}}:due") > 0


@pytest.mark.parametrize("move", [Wait(20), Hold(), Next(1)])
def test_a_receipt_is_not_overwritten_by_who_was_just_deciding(
    store: Stores, valkey: ValkeyServer, move: Move
) -> None:
    """News between a worker's look and its decision ends its lease: somebody looks again at once."""
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


def test_news_of_a_challenge_that_is_being_told_is_told_too(store: Stores, valkey: ValkeyServer) -> None:
    """A receipt between the claim and the end of telling keeps the challenge due."""
    id_ = opened(store, watched=True).id
    _, reference = armed(store, id_)
    store.challenges.finish(id_, "web", State.VERIFIED, 0)
    lease = claimed(store, id_)
    store.challenges.record_receipt(
        id_, "main", upstream_id="", reference=reference, status=Status.DELIVERED, reason=""
    )
    store.events.put(id_, ["v"], {"v": {"n": 1}}, over=lease.operation)
    assert deadline(valkey, store, id_) is not None
    assert claimed(store, id_).what == "over"


def test_an_outcome_that_comes_after_the_end_is_told(store: Stores, valkey: ValkeyServer) -> None:
    """The person was quicker than the upstream's answer: its acceptance is still news."""
    id_ = opened(store, watched=True).id
    sending, reference = armed(store, id_)
    store.challenges.finish(id_, "web", State.VERIFIED, 0)
    store.events.put(id_, ["v"], {"v": {"n": 1}}, over=claimed(store, id_).operation)
    assert deadline(valkey, store, id_) is None
    store.challenges.settle(sending, Hold(), reference=reference, status=Status.ACCEPTED)
    assert claimed(store, id_).what == "over"


def test_an_event_is_due_at_once(store: Stores) -> None:
    """By the store's clock, whatever the server's says."""
    store.scripts.offset -= 60_000
    store.events.put(store.challenges.new_id(), ["v"], {"v": {"n": 1}})
    assert len(queued_event(store)) == 1


def test_an_event_is_queued_once(store: Stores) -> None:
    """Whoever comes second, or asks again, adds nothing; what was told stays with the challenge."""
    id_ = opened(store, watched=True).id
    for _ in range(2):
        store.events.put(id_, ["0s", "0d"], {"0s": {"n": 1}, "0d": {"n": 2}})
    assert len(queued_event(store)) == 2
    assert seen(store, id_).told == ("0s", "0d")
    store.events.put(id_, ["0s", "v"], {"0s": {"n": 1}, "v": {"n": 3}})  # of an older look
    assert len(queued_event(store)) == 3
    assert seen(store, id_).told == ("0s", "0d", "v")
    store.events.put(store.challenges.new_id(), [""], {"": {"n": 4}})
    assert len(queued_event(store)) == 4


def test_an_event_is_one_workers_until_its_lease_ends(store: Stores) -> None:
    """A crash leaves it for the next; each take counts; a pause is kept; an ended event is gone."""
    store.events.put(store.challenges.new_id(), [""], {"": {"app": "web"}})
    [id_] = queued_event(store)
    for tries in range(2):
        taken = store.events.claim(id_)
        assert taken is not None
        assert (taken.tries, taken.record["app"]) == (tries, "web")
        assert store.events.claim(id_) is None
        assert queued_event(store) == []
        store.scripts.offset += queue.LEASE
        assert queued_event(store) == [id_]
    store.events.finish(id_, 300)
    store.scripts.offset += 299_000
    assert store.events.claim(id_) is None
    store.scripts.offset += 1000
    assert store.events.claim(id_) is not None
    store.events.finish(id_)
    store.events.finish(id_, 5)
    store.scripts.offset += queue.LEASE
    assert (queued_event(store), store.events.claim(id_)) == ([], None)


def test_a_refusal_moves_to_the_next_step_at_once(store: Stores) -> None:
    """The next delivery is due now, over the next channel, with the request that asked for the first."""
    id_ = opened(store).id
    lease, reference = armed(store, id_)
    ended(store, lease, reference, Verdict.REFUSED)
    follower = claimed(store, id_)
    assert (follower.what, follower.challenge.last.channel) == ("send", "voice")
    assert follower.challenge.last.request_id == lease.challenge.last.request_id
    first = follower.challenge.deliveries[0]
    assert (first.status, first.reason) == (Status.REFUSED, "test")


def test_a_refusal_of_the_last_step_ends_the_challenge(store: Stores, valkey: ValkeyServer) -> None:
    """With no way left the challenge is undeliverable at once, truthfully; hashes and deadline go."""
    id_ = opened(store, ONE_STEP).id
    lease, reference = armed(store, id_)
    ended(store, lease, reference, Verdict.REFUSED)
    after = seen(store, id_)
    assert (after.state, after.last.status) == (State.UNDELIVERABLE, Status.REFUSED)
    assert after.live_hashes() == []
    assert deadline(valkey, store, id_) is None
    assert store.challenges.take_attempt(id_, "web", 6)[0] == "gone"


def test_a_refused_resend_leaves_the_code_of_the_first_message_alive(store: Stores) -> None:
    """A person who holds a code must be able to use it, though the message asked for after it was refused."""
    id_ = opened(store, ONE_STEP).id
    brought(store, id_, "first")
    resent(store, id_)
    lease, reference = armed(store, id_, "second")
    ended(store, lease, reference, Verdict.REFUSED)
    after = seen(store, id_)
    assert after.state is State.PENDING
    assert (0, "first") in after.live_hashes()
    assert store.challenges.finish(id_, "web", State.VERIFIED, 0)[1] is not None


def test_a_deferred_delivery_is_sent_again_a_few_times(store: Stores, valkey: ValkeyServer) -> None:
    """The same delivery waits longer each time, MAX_DEFERRALS times, with a new code; then it is refused."""
    id_ = opened(store, ONE_STEP).id
    for deferrals in range(MAX_DEFERRALS):
        lease, reference = armed(store, id_, f"hash-{deferrals}")
        assert lease.challenge.last.deferrals == deferrals
        ended(store, lease, reference, Verdict.DEFERRED)
        last = seen(store, id_).last
        assert (last.status, last.deferrals) == (Status.QUEUED, deferrals + 1)
        due = deadline(valkey, store, id_)
        assert due is not None
        assert store.challenges.claim(id_) is None
        assert due > store.facts.time() + 1000 * (2**deferrals - 1)
        store.scripts.offset += 1000 * 2**deferrals
    lease, reference = armed(store, id_)
    ended(store, lease, reference, Verdict.DEFERRED)
    after = seen(store, id_)
    assert (after.state, len(after.deliveries)) == (State.UNDELIVERABLE, 1)


def test_no_deadline_lies_beyond_the_expiry(store: Stores, valkey: ValkeyServer) -> None:
    """However long an upstream asks to wait, the challenge is seen to when it expires."""
    challenge = opened(store, ONE_STEP)
    for move in (Again(100_000), Wait(100_000), Hold()):
        lease = claimed(store, challenge.id)
        store.challenges.settle(lease, move)
        assert deadline(valkey, store, challenge.id) == challenge.expires
        with valkey.client() as client:
            client.zadd(f"{{{prefix_of(store)}:{challenge.id[:2]}}}:due", {challenge.id: 0})


def test_a_released_delivery_is_due_again_at_once(store: Stores, valkey: ValkeyServer) -> None:
    """What a stopping worker hands back another takes without waiting for the lease."""
    id_ = opened(store).id
    lease = claimed(store, id_)
    store.challenges.release(lease)
    due = deadline(valkey, store, id_)
    assert due is not None
    assert due <= store.facts.time()
    assert seen(store, id_).last.status is Status.QUEUED
    assert not store.challenges.arm(lease, "reference", "hash", "main")
    store.challenges.settle(lease, Hold())
    assert deadline(valkey, store, id_) == due
    assert claimed(store, id_).what == "send"


def test_only_the_holder_of_a_lease_can_hand_it_back(store: Stores) -> None:
    """A worker that lost its lease cannot take it from the one who has it now, nor after the message left."""
    id_ = opened(store).id
    old = claimed(store, id_)
    store.scripts.offset += CLAIM_LEASE
    lease = claimed(store, id_)
    store.challenges.release(old)
    assert seen(store, id_).last.status is Status.CLAIMED
    assert store.challenges.arm(lease, "reference", "hash", "main")
    for late in (old, lease):
        store.challenges.release(late)
        assert seen(store, id_).last.status is Status.SENDING
        assert store.challenges.claim(id_) is None


def test_an_ended_challenge_cannot_be_handed_back(store: Stores, valkey: ValkeyServer) -> None:
    """A worker that stops after the end changes nothing: the challenge is not scheduled anew."""
    id_ = opened(store).id
    lease = claimed(store, id_)
    store.challenges.finish(id_, "web", State.CANCELLED)
    before = seen(store, id_)
    store.challenges.release(lease)
    assert seen(store, id_) == before
    assert deadline(valkey, store, id_) is None


def test_what_the_guard_left_of_a_delivery_is_kept_with_it(store: Stores) -> None:
    """A worker that takes it up again, and whoever follows it, must know."""
    id_ = opened(store).id
    lease = claimed(store, id_)
    lease = replace(lease, challenge=limited(lease.challenge, ["voice", "rcs"]))
    assert store.challenges.arm(lease, "reference", "hash", "main")
    assert seen(store, id_).last.only == ("voice", "rcs")


def test_a_delivery_cannot_be_armed_with_another_reference(store: Stores) -> None:
    """A lease is for one message: asked again for another it is lost, and the first stays as it was."""
    id_ = opened(store).id
    lease, reference = armed(store, id_)
    assert store.challenges.arm(lease, reference, "hash", "main")
    assert not store.challenges.arm(lease, "other", "other", "main")
    last = seen(store, id_).last
    assert (last.reference, last.code_hash) == (reference, "hash")


def test_an_outcome_of_an_unknown_reference_changes_nothing(store: Stores, valkey: ValkeyServer) -> None:
    """Nothing is written or moved for a message that was never armed."""
    id_ = opened(store).id
    lease, _ = armed(store, id_)
    before, due = seen(store, id_), deadline(valkey, store, id_)
    ended(store, lease, "never-armed", Verdict.ACCEPTED)
    assert (seen(store, id_), deadline(valkey, store, id_)) == (before, due)


def test_a_forgotten_challenge_leaves_the_schedule(store: Stores, valkey: ValkeyServer) -> None:
    """A deadline whose record is gone is dropped by the first worker that comes for it."""
    id_ = opened(store).id
    lease, reference = armed(store, id_)
    with valkey.client() as client:
        client.delete(f"{{{prefix_of(store)}:{id_[:2]}}}:c:{id_[2:]}")
    ended(store, lease, reference, Verdict.ACCEPTED)
    store.challenges.release(lease)
    assert not store.challenges.arm(lease, reference, "hash", "main")
    assert store.challenges.read_challenge(id_)[1] is None
    store.scripts.offset += SEND_LEASE
    assert store.challenges.claim(id_) is None
    assert deadline(valkey, store, id_) is None


def test_an_ended_challenge_leaves_the_schedule(store: Stores, valkey: ValkeyServer) -> None:
    """Should a deadline outlive its challenge all the same, nobody is sent anything."""
    id_ = opened(store).id
    store.challenges.finish(id_, "web", State.CANCELLED)
    with valkey.client() as client:
        client.zadd(f"{{{prefix_of(store)}:{id_[:2]}}}:due", {id_: 0})
    assert store.challenges.claim(id_) is None
    assert deadline(valkey, store, id_) is None


def test_what_is_due_comes_oldest_first_and_says_when_the_next_one_is(store: Stores) -> None:
    """A partition lists what is due since when, at most as much as asked for, and the next deadline."""
    partition = store.partitions.names()[0]
    ids = []
    for _ in range(3):
        made = new_challenge(store)
        ids.append(opened(store, id=partition + made.id[2:]).id)
        store.scripts.offset += 1000
    resting = opened(store, id=partition + store.challenges.new_id()[2:])
    brought(store, resting.id)
    found = store.due.due(partition, 2)
    assert list(found.ids) == ids[:2]
    assert found.now - found.ids[ids[0]] >= 3000
    assert list(store.due.due(partition, 10).ids) == ids
    assert found.following == resting.expires
    assert store.due.due(store.partitions.names()[1], 10).following is None


# Charges, spending, workers.


def test_an_accounts_get_requests_are_spent_up_to_its_budget(store: Stores) -> None:
    """As many in any 66 s as the budget says; another account has its own."""
    assert [store.get_budget.take("main", 2) for _ in range(3)] == [True, True, False]
    assert store.get_budget.take("spare", 2)
    store.scripts.offset += 1000 * WINDOW - 1000
    assert not store.get_budget.take("main", 2)
    store.scripts.offset += 1000
    assert [store.get_budget.take("main", 2) for _ in range(3)] == [True, True, False]


def test_something_is_spent_once(store: Stores) -> None:
    """The first to spend a name gets it, nobody else."""
    assert store.facts.use_once("token", 60)
    assert not store.facts.use_once("token", 60)
    assert store.facts.use_once("other", 60)


def test_workers_are_known_while_they_beat(store: Stores) -> None:
    """The list is in order, the same for all; who stops beating or leaves drops out of it."""
    assert store.membership(store.due).beat("b", 3) == ["b"]
    assert store.membership(store.due).beat("a", 5) == ["a", "b"]
    store.scripts.offset += 3000
    assert store.membership(store.due).beat("c", 3) == ["a", "c"]
    store.membership(store.due).leave("a")
    assert store.membership(store.due).beat("c", 3) == ["c"]


# Keeping.


def test_every_key_has_a_time_to_live(valkey: ValkeyServer) -> None:
    """After any workload no key stays for ever but the policy's one."""
    with open_spine(valkey) as spine:
        store, dice = spine.store, random.Random(7)
        ids = [spine.opened(number, f"key {n}" if n % 2 else None) for n, number in enumerate(NUMBERS[:100])]
        for _ in range(300):
            id_ = dice.choice(ids)
            match dice.randrange(6):
                case 0:
                    store.challenges.take_attempt(id_, "web", 6)
                case 1:
                    store.challenges.resend(id_, "web", new_delivery())
                case 2:
                    store.challenges.finish(id_, "web", dice.choice([State.VERIFIED, State.CANCELLED]))
                case 3:
                    spine.dispatcher.dispatch(id_, lambda: dice.random() < 0.5)
                case 4 if lease := store.challenges.claim(id_):
                    store.challenges.settle(lease, dice.choice(MOVES))
                case _:
                    store.scripts.offset += dice.randrange(10_000)
        id_ = opened(store, watched=True).id
        _, reference = armed(store, id_)
        store.challenges.record_receipt(
            id_, "main", upstream_id="", reference=reference, status=Status.READ, reason=""
        )
        store.events.put(id_, ["0s"], {"0s": {"app": "web"}})
        for event_id in queued_event(store):
            store.events.claim(event_id)
            store.events.finish(event_id, 5)
        store.challenges.index_message("name", id_, 60_000)
        store.suppressions.add("name", {"by": "the person"}, 60)
        store.facts.put("open:sms:name", "1", 60)
        store.get_budget.take("main", 10)
        breakers = Breakers(spine.scripts, prefix=prefix_of(store))
        for pause in (None, 0.0):
            breakers.fault("main", "sms", pause, 5)
        assert breakers.ask("main", "sms").state == "probe"
        Conversion(spine.scripts, prefix=prefix_of(store), clock=lambda: 0).count_verified(
            1, "sms", "IN", "main", 2
        )
        policies = Policies(spine.scripts, prefix=prefix_of(store))
        policies.apply("text", author="anna", reason="a test")
        store.facts.use_once("token", 300)
        store.membership(store.due).beat("worker", 3)
        store.facts.ping()
        with valkey.client() as client:
            keys = list(client.scan_iter(f"*{prefix_of(store)}*"))
            lasting = [key for key in keys if client.ttl(key) < 0]
        assert len(keys) > 200
        assert lasting == [f"{prefix_of(store)}:policy"]  # it is configuration


def test_a_challenge_can_be_looked_at_for_a_while_after_its_end(store: Stores, valkey: ValkeyServer) -> None:
    """The record outlives the expiry by what it is kept, the schedule the record, and no step shortens either."""
    challenge = opened(store)
    key = f"{{{prefix_of(store)}:{challenge.id[:2]}}}"
    for step in (lambda: brought(store, challenge.id), lambda: resent(store, challenge.id)):
        step()
        with valkey.client() as client:
            left = client.pttl(f"{key}:c:{challenge.id[2:]}")
            whole = PLAN.ttl * 1000 + Retention().challenges
            assert whole - 10_000 < left <= whole
            assert client.pttl(f"{key}:due") > left


def cost(messages: int, steps: int) -> float:
    """Measure the bytes of a pending challenge with record, schedule, counter, idempotency key and message index."""
    count = 1000
    plan = tuple(
        StepRule(channel=channel, upstreams=("main",), wait=30)
        for channel in ("sms", "whatsapp", "voice", "rcs")[:steps]
    )
    server = ValkeyServer(options={"appendonly": "no"})
    try:
        with open_spine(server, partitions=64) as spine, server.client() as client:
            policy = replace(spine.caller.active.policy, routes=(Route(steps=plan),))
            caller = replace(spine.caller, active=replace(spine.caller.active, policy=policy))
            for n in range(count):
                brought_to(spine, caller, NUMBERS[n % len(NUMBERS)], messages)
                if n % 50 == 0:
                    forget_operations(client)
            forget_operations(client)
            return stored_bytes(client) / count
    finally:
        server.close()


def forget_operations(client: Redis) -> None:
    """Drop what is gone after seconds of the minutes that a challenge is pending."""
    for key in client.scan_iter("*:guard}:o:*", count=10_000):
        assert 0 < client.pttl(key) <= REMEMBER
        client.delete(key)


def brought_to(spine: Spine, caller: Caller, number: str, messages: int) -> None:
    """Send with an idempotency key; let so many messages be accepted, each after the one before failed."""
    store, key = spine.store, secrets.token_urlsafe(16)
    id_ = spine.send.send(caller, SendRequest(to=number), key).challenge_id
    for place in range(messages):
        challenge = seen(store, id_)
        claim = Claim(id_, challenge.purpose, "")
        reference, upstream_id = secrets.token_urlsafe(21), secrets.token_hex(19)
        lease, _ = armed(store, id_, spine.hasher.hash("123456", claim, challenge.scheme), reference)
        left = challenge.expires - lease.now
        store.challenges.index_message(secrets.token_urlsafe(16), id_, left)
        is_last = place == messages - 1
        store.challenges.settle(
            lease,
            Wait(27) if is_last else Next((place + 1) % len(challenge.plan.steps)),
            reference=reference,
            status=Status.ACCEPTED if is_last else Status.REFUSED,
            reason="" if is_last else "no_credits",
            upstream_id=upstream_id,
        )


def test_a_pending_challenge_costs_at_most_a_kib() -> None:
    """All that is kept for one whose first message was accepted, with its share of the store's tables."""
    assert 512 < cost(messages=1, steps=1) <= 1024
