"""Guesses with an Idempotency-Key: what the store remembers of them, and who may go on with one."""

from collections.abc import Iterator

import pytest

from otp_service.bootstrap.stores import Stores
from otp_service.challenge.guess import LEASE, MOST_REPEATS, Guess, TokenId
from otp_service.challenge.model import Answer, Challenge, State
from tests.support.spine import PLAN, brought, new_delivery, opened, seen, stand_still
from tests.support.valkey_server import ValkeyServer

NAMES = ("newest", "older")
LIFE = 300_000


def guess(*names: str, device: bool = False, schemes: str | None = None, seals: str | None = None) -> Guess:
    """Make a guess with the names of a key."""
    return Guess(names=names, device=device, schemes=schemes, seals=seals)


def take(store: Stores, id_: str, made: Guess, digits: int = 6) -> str:
    """Take an attempt. Return what became of it."""
    return store.challenges.take_attempt(id_, "web", digits, made)[0]


def win(store: Stores, id_: str, name: str, via: int = 0) -> Challenge:
    """Verify a challenge for a guess with this name, by the code of delivery `via`."""
    token = TokenId(jti="jti", kid="s1", life=LIFE, name=name)
    won = store.challenges.finish(id_, "web", State.VERIFIED, via, token)[1]
    assert won is not None
    return won


@pytest.fixture
def id_(store: Stores) -> str:
    """Open a challenge and deliver a code."""
    made = opened(store).id
    brought(store, made)
    return made


def test_a_guess_is_counted_once_for_each_name(store: Stores, id_: str) -> None:
    """A wrong guess that was answered is given back with its answer, under any of its names."""
    first = guess(*NAMES[1:])
    assert take(store, id_, first) == "counted"
    store.challenges.record_answer(id_, first, "wrong", 4, "digest")
    what, _, challenge = store.challenges.take_attempt(id_, "web", 6, guess(*NAMES))
    assert challenge is not None
    assert (what, challenge.attempts) == ("wrong", 1)
    assert challenge.answers == (Answer("older", 4, "digest"),)
    assert take(store, id_, guess("another")) == "counted"


def test_a_guess_is_checked_by_one_request_at_a_time(store: Stores, id_: str) -> None:
    """The others wait for its answer. When its process has failed, a repetition is another guess."""
    assert take(store, id_, guess(*NAMES)) == "counted"
    began = store.facts.time()
    for _ in range(PLAN.max_attempts):
        stand_still(store, began)
        assert take(store, id_, guess(*NAMES)) == "running"
    store.scripts.offset += LEASE
    assert take(store, id_, guess(*NAMES)) == "counted"
    assert seen(store, id_).attempts == 2
    assert take(store, id_, guess(*NAMES)) == "running"


def test_a_guess_that_was_not_checked_is_taken_over_and_not_counted_again(store: Stores, id_: str) -> None:
    """Its process could not go on and said so. One request takes it over, also when no guess is left."""
    first = guess(*NAMES)
    assert take(store, id_, first) == "counted"
    for _ in range(PLAN.max_attempts - 1):
        take(store, id_, guess())
    store.challenges.record_answer(id_, first, "unchecked")
    assert take(store, id_, guess()) == "exhausted"
    assert [take(store, id_, guess(*NAMES)) for _ in range(3)] == ["counted", "running", "running"]
    assert seen(store, id_).attempts == PLAN.max_attempts


def test_only_the_request_that_holds_a_guess_answers_it(store: Stores, id_: str) -> None:
    """A process that was thought dead changes nothing any more."""
    late, newer = guess(*NAMES), guess(*NAMES)
    take(store, id_, late)
    store.scripts.offset += LEASE
    take(store, id_, newer)
    store.challenges.record_answer(id_, late, "wrong", 4, "late")
    store.challenges.record_answer(id_, late, "unchecked")
    assert take(store, id_, guess(*NAMES)) == "running"
    store.challenges.record_answer(id_, newer, "wrong", 3, "newer")
    assert seen(store, id_).answers == (Answer("newest", 3, "newer"),)


def test_the_winner_may_ask_again_until_its_token_expires(store: Stores, id_: str) -> None:
    """The hash of its code stays for that long; the token's times are whole seconds."""
    take(store, id_, guess(*NAMES))
    won = win(store, id_, NAMES[0])
    assert won.proof is not None
    assert (won.proof.jti, won.proof.kid, won.proof.ends % 1000) == ("jti", "s1", 0)
    assert won.live_hashes() == [(0, "hash")]
    now = store.facts.time()
    assert LIFE - 5000 < won.proof.ends - now <= LIFE
    assert take(store, id_, guess("another")) == "gone"
    store.scripts.offset += won.proof.ends - store.facts.time() - 2000
    assert take(store, id_, guess(*NAMES)) == "won"
    store.scripts.offset += 2000
    assert take(store, id_, guess(*NAMES)) == "gone"


@pytest.mark.parametrize("via", [0, 1])
def test_only_the_code_that_won_keeps_its_hash(store: Stores, id_: str, via: int) -> None:
    """Other live codes are forgotten, and all of them when the winner has no key."""
    store.scripts.offset += 60_000
    store.challenges.resend(id_, "web", new_delivery())
    brought(store, id_, "second")
    take(store, id_, guess(*NAMES))
    assert win(store, id_, NAMES[0], via).live_hashes() == [(via, ("hash", "second")[via])]
    other = opened(store).id
    brought(store, other)
    assert win(store, other, "").live_hashes() == []
    assert take(store, other, guess(*NAMES)) == "gone"


@pytest.mark.parametrize("life", [LIFE, 100 * LIFE])
def test_a_record_lives_on_for_as_long_as_its_token(
    store: Stores, id_: str, valkey: ValkeyServer, life: int
) -> None:
    """A token that outlives the record keeps it; a shorter one takes nothing from it."""
    with valkey.client() as client:
        [key] = client.scan_iter(f"*:c:{id_[2:]}")
        before = client.pttl(key)
        store.challenges.finish(
            id_, "web", State.VERIFIED, 0, TokenId(jti="jti", kid="s1", life=life, name=NAMES[0])
        )
        after = client.pttl(key)
    assert LIFE < after <= max(before, life)
    assert (after > before) is (life > before)


def test_repetitions_of_the_winner_count_until_they_are_found_to_be_the_same(store: Stores, id_: str) -> None:
    """As many other codes as guesses may be tried with its key, however many repetitions were right."""
    take(store, id_, guess(*NAMES))
    win(store, id_, NAMES[0])
    for _ in range(2 * PLAN.max_attempts):
        right = guess(*NAMES)
        assert take(store, id_, right) == "won"
        store.challenges.record_answer(id_, right, "same")
    others = [guess(*NAMES) for _ in range(PLAN.max_attempts)]
    assert {take(store, id_, other) for other in others} == {"won"}
    began = store.facts.time()
    assert {take(store, id_, other) for other in others} == {"won"}
    stand_still(store, began)
    assert take(store, id_, guess(*NAMES)) == "running"
    for other in others[1:]:
        store.challenges.record_answer(id_, other, "other")
    stand_still(store, began)
    assert take(store, id_, guess(*NAMES)) == "running", "the first may still be the same"
    store.challenges.record_answer(id_, others[0], "same")
    last = guess(*NAMES)
    assert take(store, id_, last) == "won"
    store.scripts.offset += LEASE
    assert take(store, id_, guess(*NAMES)) == "reused", "its process has failed, so it counts"
    store.challenges.record_answer(id_, last, "same")
    assert take(store, id_, guess(*NAMES)) == "won"


def answered(store: Stores, id_: str) -> Iterator[Guess]:
    """Yield a guess that was answered as wrong, then one that won."""
    wrong = guess("wrong", device=True)
    take(store, id_, wrong)
    store.challenges.record_answer(id_, wrong, "wrong", 4, "digest")
    yield wrong
    right = guess("right", device=True)
    take(store, id_, right)
    win(store, id_, "right")
    yield right


@pytest.mark.parametrize("what", ["wrong", "won"])
def test_repetitions_have_a_limit(store: Stores, id_: str, what: str) -> None:
    """It is the challenge's, whichever guess is repeated. A call that runs twice is one repetition."""
    guesses = {"wrong": guess("wrong", device=True), "won": guess("right", device=True)}
    assert len([*answered(store, id_)]) == len(guesses)
    for _ in range(MOST_REPEATS - 1):
        again = guess(*guesses[what].names, device=True)
        assert [take(store, id_, again) for _ in range(2)] == [what] * 2
        store.challenges.record_answer(id_, again, "same")
    last = guess("wrong", device=True)
    assert [take(store, id_, last) for _ in range(2)] == ["wrong"] * 2
    assert [take(store, id_, guess(*one.names, device=True)) for one in guesses.values()] == ["gone"] * 2


def test_another_body_is_told_from_a_repetition(store: Stores, id_: str) -> None:
    """By the length of its code, and by whether it asks for a device token."""
    for first in answered(store, id_):
        assert take(store, id_, guess(*first.names)) == "reused"
        assert take(store, id_, guess(*first.names, device=True), digits=7) == "reused"
    assert seen(store, id_).attempts == 2


def test_a_wrong_guess_is_remembered_beyond_the_end(store: Stores, id_: str) -> None:
    """Its answer does not change because the challenge was verified or has expired."""
    made = guess("wrong")
    take(store, id_, made)
    store.challenges.record_answer(id_, made, "wrong", 4, "digest")
    store.challenges.finish(id_, "web", State.CANCELLED)
    assert take(store, id_, guess("wrong")) == "wrong"
    store.scripts.offset += PLAN.ttl * 1000
    assert take(store, id_, guess("wrong")) == "wrong"
    assert store.challenges.take_attempt(id_, "other", 6, guess("wrong"))[0] == "gone"
    assert take(store, id_, guess("new")) == "gone"


@pytest.mark.parametrize(
    ("schemes", "seals", "what"),
    [
        (",testing.p1,", ",n1,", "counted"),
        (",fast.p0,testing.p1,", ",n0,n1,", "counted"),
        (",testing.p10,", ",n1,", "unreadable"),
        (",testing.p1,", ",n11,", "unreadable"),
        (",", ",n1,", "unreadable"),
    ],
)
def test_a_guess_is_counted_only_where_it_can_be_checked(
    store: Stores, id_: str, schemes: str, seals: str, what: str
) -> None:
    """A process that lacks the challenge's pepper or seal key leaves the guess to another one."""
    assert take(store, id_, guess(schemes=schemes, seals=seals)) == what
    assert seen(store, id_).attempts == (what == "counted")


def test_a_process_without_the_keys_does_not_repeat_an_answer(store: Stores, id_: str) -> None:
    """It could not compare the code."""
    for first in answered(store, id_):
        assert take(store, id_, guess(*first.names, device=True, schemes=",testing.p0,")) == "unreadable"
    assert take(store, id_, guess("right", device=True)) == "won"


def test_an_unknown_challenge_remembers_nothing(store: Stores) -> None:
    """An answer that comes after the record has gone is dropped."""
    id_ = store.challenges.new_id()
    store.challenges.record_answer(id_, guess("a"), "wrong", 4, "digest")
    assert store.challenges.read_challenge(id_)[1] is None


def test_other_codes_with_the_winners_key_are_refused_from_the_last_one_on(store: Stores, id_: str) -> None:
    """Nothing is being compared any more that could still be the same, so no repetition waits."""
    take(store, id_, guess(*NAMES))
    win(store, id_, NAMES[0])
    for _ in range(PLAN.max_attempts):
        other = guess(*NAMES)
        assert take(store, id_, other) == "won"
        store.challenges.record_answer(id_, other, "other")
    assert take(store, id_, guess(*NAMES)) == "reused"


@pytest.mark.parametrize("what", ["same", "unchecked"])
def test_a_repetition_frees_its_own_place_and_no_others(store: Stores, id_: str, what: str) -> None:
    """Also when its answer is recorded twice, after a lost reply."""
    take(store, id_, guess(*NAMES))
    win(store, id_, NAMES[0])
    first, second = guess(*NAMES), guess(*NAMES)
    assert [take(store, id_, first), take(store, id_, second)] == ["won", "won"]
    for _ in range(2):
        store.challenges.record_answer(id_, second, what)
    places = [take(store, id_, guess(*NAMES)) for _ in range(PLAN.max_attempts)]
    assert places == ["won"] * (PLAN.max_attempts - 1) + ["running"]
