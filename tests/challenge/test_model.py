"""Where a challenge stands, and what is known of its messages."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.challenge.model import State, Status, overruled_by
from tests.support.challenge_values import EXPIRES, OPENED, a_challenge, a_delivery
from tests.support.examples import PATIENT

KNOWN = [*overruled_by(Status.READ), Status.READ]


IN_PARTS = [*overruled_by(Status.READ, in_parts=True), Status.READ]


def joined(statuses: Sequence[Status], *, in_parts: bool = False) -> Status:
    """Apply statuses one after the other, as the scripts do."""
    now = Status.SENDING
    for status in statuses:
        now = status if now in overruled_by(status, in_parts=in_parts) else now
    return now


@pytest.mark.parametrize(
    ("now", "status", "expected"),
    [
        (EXPIRES - 1, Status.ACCEPTED, State.PENDING),
        (EXPIRES, Status.ACCEPTED, State.EXPIRED),
        (EXPIRES - 1, Status.UNKNOWN, State.PENDING),
        (EXPIRES, Status.UNKNOWN, State.EXPIRED),
        (EXPIRES, Status.QUEUED, State.UNDELIVERABLE),
        (EXPIRES + 600_000, Status.REFUSED, State.UNDELIVERABLE),
    ],
)
def test_time_ends_a_challenge_to_the_millisecond(now: int, status: Status, expected: State) -> None:
    """The state is right before the store records it: expired only if an upstream took a message."""
    assert a_challenge(a_delivery(status)).status(now) is expected


def test_guesses_end_a_challenge() -> None:
    """After the last guess it is exhausted, even when it has expired."""
    assert a_challenge(attempts=4).status(OPENED) is State.PENDING
    assert a_challenge(attempts=5).status(OPENED) is State.EXHAUSTED
    assert a_challenge(attempts=5).status(EXPIRES) is State.EXHAUSTED


@pytest.mark.parametrize("state", [state for state in State if state is not State.PENDING])
def test_a_final_state_stays(state: State) -> None:
    """Neither time nor guesses change a state that was stored."""
    assert a_challenge(state=state, attempts=5).status(EXPIRES + 1) is state


def test_the_ladder_of_cooldowns_grows_and_stays_at_its_top() -> None:
    """Each message has its own wait, and the last wait repeats."""
    waits = [a_challenge(*[a_delivery(at=OPENED)] * count).resend_at() - OPENED for count in range(1, 5)]
    assert waits == [30_000, 60_000, 60_000, 60_000]


def test_codes_count_that_have_a_hash() -> None:
    """Each hash comes with the place of its delivery."""
    challenge = a_challenge(a_delivery(code_hash="a"), a_delivery(), a_delivery(code_hash="c"))
    assert challenge.live_hashes() == [(0, "a"), (2, "c")]


@PATIENT
@given(st.data(), st.lists(st.sampled_from(KNOWN), min_size=1, max_size=6))
def test_answers_and_receipts_may_come_in_any_order_and_often(
    data: st.DataObject, news: list[Status]
) -> None:
    """Every permutation, with duplicates, gives the same status: the greatest one."""
    again = data.draw(st.lists(st.sampled_from(news), max_size=4))
    other = data.draw(st.permutations(news + again))
    assert joined(news) == joined(other) == max(news, key=KNOWN.index)


@PATIENT
@given(st.data(), st.lists(st.sampled_from(KNOWN), min_size=1, max_size=6))
def test_reports_of_parts_may_come_in_any_order_and_often(data: st.DataObject, news: list[Status]) -> None:
    """The same holds for them, but a failure is greater than a delivery."""
    again = data.draw(st.lists(st.sampled_from(news), max_size=4))
    other = data.draw(st.permutations(news + again))
    expected = max(news, key=IN_PARTS.index)
    assert joined(news, in_parts=True) == joined(other, in_parts=True) == expected
    assert set(IN_PARTS) == set(KNOWN)


def test_one_part_that_failed_makes_a_message_fail() -> None:
    """However many parts were delivered: half a message may lack its code."""
    assert joined([Status.DELIVERED, Status.FAILED, Status.DELIVERED], in_parts=True) is Status.FAILED
    assert joined([Status.DELIVERED, Status.FAILED, Status.DELIVERED]) is Status.DELIVERED


def test_later_statuses_overrule_earlier_ones() -> None:
    """Delivered overrules failed. No status overrules itself or a greater one."""
    assert Status.FAILED in overruled_by(Status.DELIVERED)
    assert Status.ACCEPTED in overruled_by(Status.REFUSED)
    for place, status in enumerate(KNOWN):
        assert overruled_by(status) == tuple(KNOWN[:place])
    assert {Status.QUEUED, Status.CLAIMED, Status.SUPERSEDED, Status.NOT_SENT}.isdisjoint(KNOWN)
