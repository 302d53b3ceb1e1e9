"""Many clients at once on a real server: the counts are exact in any order."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from itertools import pairwise

import pytest

from otp_service.challenge.model import State, Status
from otp_service.challenge.send_store import CLAIM_LEASE, SEND_LEASE, Lease
from otp_service.challenge.view import View
from otp_service.errors import Busy, NoAttemptsLeft, ResendTooEarly, TooManyRequests, WrongCode
from otp_service.policy import Budget, Window
from otp_service.upstream.port import Verdict
from otp_service.verification.proof import Verification
from otp_service.verification.send import SendRequest
from tests.support.spine import (
    NUMBERS,
    OPEN,
    PLAN,
    PatientScripts,
    Spine,
    armed,
    claimed,
    ended,
    make_spine,
    new_challenge,
    new_delivery,
    open_spine,
    opened,
    prefix_of,
    seen,
    together,
)
from tests.support.valkey_server import ValkeyServer

CROWD = 200
HALF_CROWD = 100
RIGHT, WRONG = "123456", "654321"


@pytest.fixture
def spine(valkey: ValkeyServer) -> Iterator[Spine]:
    """Give the use cases, with a connection for each thread."""
    with open_spine(valkey, connections=CROWD) as made:
        yield made


@pytest.fixture
def still_spine(valkey: ValkeyServer) -> Iterator[Spine]:
    """Give the use cases with a clock that stands: a guess that takes too long may be taken over otherwise."""
    with closing(PatientScripts(valkey, CROWD, still=True)) as scripts:
        yield make_spine(scripts)


def counted(results: list[object]) -> Counter[str]:
    """Count results by their type."""
    return Counter(type(result).__name__ for result in results)


def sent(spine: Spine) -> str:
    """Open a challenge and deliver the right code."""
    id_ = spine.opened()
    spine.code_for(id_, RIGHT)
    return id_


def charged(spine: Spine, valkey: ValkeyServer) -> int:
    """Count the charges of the only number."""
    with valkey.client() as client:
        [counter] = client.scan_iter(f"{{{prefix_of(spine.store)}:guard}}:number:*", count=10_000)
        fields = client.hgetall(counter)
        return sum(int(figure) for name, figure in fields.items() if name.startswith("n"))


def test_parallel_wrong_guesses_are_evaluated_up_to_the_limit(spine: Spine) -> None:
    """Of 200 wrong codes exactly `max_attempts` are compared. The others are told that no guess is left."""
    id_ = sent(spine)
    results = together(CROWD, lambda _: spine.check.verify(spine.caller, id_, WRONG))
    assert counted([*results]) == {
        WrongCode.__name__: PLAN.max_attempts,
        NoAttemptsLeft.__name__: CROWD - PLAN.max_attempts,
    }
    left = sorted(result.checks_left for result in results if isinstance(result, WrongCode))
    assert left == list(range(PLAN.max_attempts))
    with pytest.raises(NoAttemptsLeft):
        spine.check.verify(spine.caller, id_, RIGHT)


def test_parallel_right_guesses_have_one_winner(spine: Spine) -> None:
    """Of 200 right codes exactly one is proof, and none is called wrong."""
    id_ = sent(spine)
    results = together(CROWD, lambda _: spine.check.verify(spine.caller, id_, RIGHT))
    found = counted([*results])
    assert found[Verification.__name__] == 1
    assert set(found) <= {"Verification", "ChallengeNotFound", "NoAttemptsLeft"}
    assert seen(spine.store, id_).state is State.VERIFIED


def test_mixed_guesses_have_at_most_one_winner_and_no_guess_too_many(spine: Spine) -> None:
    """With right codes among wrong ones, in any order, the guesses that are compared stay within the limit."""
    id_ = sent(spine)
    results = together(CROWD, lambda n: spine.check.verify(spine.caller, id_, WRONG if n % 10 else RIGHT))
    found = counted([*results])
    assert set(found) <= {"Verification", "WrongCode", "ChallengeNotFound", "NoAttemptsLeft"}
    assert found["Verification"] <= 1
    assert found["Verification"] + found["WrongCode"] <= PLAN.max_attempts
    after = seen(spine.store, id_)
    assert after.attempts <= PLAN.max_attempts
    assert (after.state is State.VERIFIED) == (found["Verification"] == 1)
    if not found["Verification"]:
        assert found["WrongCode"] == PLAN.max_attempts


def test_codes_of_several_deliveries_have_one_winner_in_all(spine: Spine) -> None:
    """Any live code may win, and exactly one does."""
    id_ = sent(spine)
    spine.store.scripts.offset += 60_000
    spine.resend.resend(spine.caller, id_)
    spine.code_for(id_, WRONG)
    codes = (RIGHT, WRONG)
    results = together(HALF_CROWD, lambda n: spine.check.verify(spine.caller, id_, codes[n % 2]))
    found = counted([*results])
    assert found["Verification"] == 1
    assert "WrongCode" not in found


def test_parallel_sends_with_one_key_make_one_challenge(spine: Spine, valkey: ValkeyServer) -> None:
    """100 sends with one idempotency key: one challenge, one scheduled delivery, one charge, one answer."""
    views = together(
        HALF_CROWD, lambda _: spine.send.send(spine.caller, SendRequest(to=NUMBERS[0]), "the-key")
    )
    assert all(isinstance(view, View) for view in views)
    assert len({view.challenge_id for view in views if isinstance(view, View)}) == 1
    due = [id_ for p in spine.store.partitions.names() for id_ in spine.store.due.due([p], 1000)[p].ids]
    assert len(due) == 1
    with valkey.client() as client:
        assert len(list(client.scan_iter(f"{{{prefix_of(spine.store)}:*}}:c:*", count=10_000))) == 1
    assert charged(spine, valkey) == 1


def test_parallel_resends_add_one_delivery_and_one_charge(spine: Spine, valkey: ValkeyServer) -> None:
    """100 resends at once add one message. The others are refused and their charges are refunded."""
    id_ = sent(spine)
    spine.store.scripts.offset += 60_000
    results = together(HALF_CROWD, lambda _: spine.resend.resend(spine.caller, id_))
    assert counted([*results]) == {View.__name__: 1, ResendTooEarly.__name__: HALF_CROWD - 1}
    assert len(seen(spine.store, id_).deliveries) == 2
    assert charged(spine, valkey) == 2


def test_parallel_resends_with_one_key_are_one(spine: Spine, valkey: ValkeyServer) -> None:
    """100 resends with one idempotency key add one message and one charge, and all get the same answer."""
    id_ = sent(spine)
    spine.store.scripts.offset += 60_000
    results = together(
        HALF_CROWD, lambda _: spine.resend.resend(spine.caller, id_, idempotency_key="the-key")
    )
    assert counted([*results]) == {View.__name__: HALF_CROWD}
    assert len(seen(spine.store, id_).deliveries) == 2
    assert charged(spine, valkey) == 2


def test_the_guard_admits_exactly_its_limit(valkey: ValkeyServer) -> None:
    """Of 100 sends to one number at once as many as the limit are stored. The others are refused."""
    guard = replace(OPEN, number=Budget(refuse=(Window(7, 60), Window(20, 3600))))
    with open_spine(valkey, connections=HALF_CROWD, guard=guard) as spine:
        results = together(HALF_CROWD, lambda _: spine.send.send(spine.caller, SendRequest(to=NUMBERS[0])))
        assert counted([*results]) == {View.__name__: 7, TooManyRequests.__name__: HALF_CROWD - 7}
        assert sum(len(spine.store.due.due([p], 1000)[p].ids) for p in spine.store.partitions.names()) == 7


def test_parallel_spenders_have_one_winner(spine: Spine) -> None:
    """A token is redeemed once."""
    assert together(CROWD, lambda _: spine.store.facts.use_once("token", 60)).count(True) == 1


@pytest.mark.parametrize("state", ["first", "after a claim", "after a send"])
def test_parallel_claims_give_one_lease(spine: Spine, state: str) -> None:
    """One worker at a time gets a challenge, however it became due."""
    id_ = opened(spine.store).id
    if state == "after a claim":
        claimed(spine.store, id_)
        spine.store.scripts.offset += CLAIM_LEASE
    if state == "after a send":
        armed(spine.store, id_)
        spine.store.scripts.offset += SEND_LEASE
    results = together(CROWD, lambda _: spine.store.challenges.claim(id_))
    leases = [result for result in results if isinstance(result, Lease)]
    assert results.count(None) == CROWD - len(leases)
    times = sorted(lease.now for lease in leases)  # on a slow machine the first may end before all have tried
    assert times
    assert all(later - earlier >= CLAIM_LEASE for earlier, later in pairwise(times))


def test_a_challenge_is_opened_once_however_often_it_is_asked_for(spine: Spine) -> None:
    """The same id that many open at once is one challenge with one delivery."""
    made = new_challenge(spine.store)
    results = together(HALF_CROWD, lambda _: spine.store.challenges.open(made).challenge)
    assert results == [seen(spine.store, made.id)] * HALF_CROWD


def test_a_challenge_is_either_verified_or_cancelled(spine: Spine) -> None:
    """Of many ends at once one wins, and the state is the winner's."""
    states = (State.VERIFIED, State.CANCELLED)
    for _ in range(10):
        id_ = opened(spine.store).id
        results = together(20, lambda n, id_=id_: spine.store.challenges.finish(id_, "web", states[n % 2])[1])  # type: ignore[misc]
        [winner] = [n for n, result in enumerate(results) if result is not None]
        assert seen(spine.store, id_).state is states[winner % 2]


def test_a_message_is_armed_by_one_of_two_workers(spine: Spine) -> None:
    """Of a worker that lost its lease and the one that holds it now, one sends the message."""
    id_ = opened(spine.store).id
    leases = [claimed(spine.store, id_)]
    spine.store.scripts.offset += CLAIM_LEASE
    leases.append(claimed(spine.store, id_))
    results = together(2, lambda n: spine.store.challenges.arm(leases[n], f"reference-{n}", "hash", "main"))
    assert results == [False, True]


def test_a_message_leaves_or_is_superseded(spine: Spine) -> None:
    """If a resend and the arming of the earlier delivery race, that delivery was sent before or is never sent."""
    store = spine.store
    for _ in range(20):
        id_ = opened(store).id
        store.scripts.offset += 60_000
        lease = claimed(store, id_)
        left = together(
            2,
            lambda n, id_=id_, lease=lease: (  # type: ignore[misc]
                store.challenges.arm(lease, "reference", "hash", "main")
                if n
                else store.challenges.resend(id_, "web", new_delivery())
            ),
        )[1]
        assert seen(store, id_).deliveries[0].status is (Status.SENDING if left else Status.SUPERSEDED)
        assert len(seen(store, id_).deliveries) == 2


def test_an_end_and_an_outcome_at_once_are_both_kept(spine: Spine) -> None:
    """A verify and a worker's settle never overwrite each other."""
    for _ in range(20):
        id_ = opened(spine.store).id
        lease, reference = armed(spine.store, id_)
        together(
            2,
            lambda n, id_=id_, lease=lease, reference=reference: (  # type: ignore[misc]
                ended(spine.store, lease, reference, Verdict.ACCEPTED)
                if n
                else spine.store.challenges.finish(id_, "web", State.VERIFIED, 0)
            ),
        )
        after = seen(spine.store, id_)
        assert (after.state, after.last.status) == (State.VERIFIED, Status.ACCEPTED)
        assert spine.store.challenges.claim(id_) is None


def test_a_crowd_with_one_key_gets_one_answer(still_spine: Spine) -> None:
    """60 right codes at once with the same Idempotency-Key: one is counted, and all get the same token."""
    id_ = sent(still_spine)

    def verify(_: int) -> str:
        for _ in range(20):
            with suppress(Busy):  # the guess is still being checked
                return still_spine.check.verify(still_spine.caller, id_, RIGHT, idempotency_key="one").token
        raise Busy

    tokens = together(60, verify)
    assert len({*tokens}) == 1, tokens
    assert isinstance(tokens[0], str)
    assert seen(still_spine.store, id_).attempts == 1


def test_a_crowd_with_its_own_keys_has_one_winner(spine: Spine) -> None:
    """60 right codes at once, each with another Idempotency-Key: a code still succeeds once."""
    id_ = sent(spine)
    results = together(60, lambda n: spine.check.verify(spine.caller, id_, RIGHT, idempotency_key=f"key {n}"))
    assert counted([*results])[Verification.__name__] == 1
    assert seen(spine.store, id_).attempts <= PLAN.max_attempts


def test_one_key_gives_no_more_guesses(still_spine: Spine) -> None:
    """60 different codes at once with the same key: one is compared."""
    id_ = sent(still_spine)
    results = together(
        60,
        lambda n: still_spine.check.verify(still_spine.caller, id_, f"{200_000 + n}", idempotency_key="one"),
    )
    found = counted([*results])
    assert found[WrongCode.__name__] == 1
    assert set(found) <= {"WrongCode", "IdempotencyKeyReused", "Busy"}
    assert seen(still_spine.store, id_).attempts == 1
