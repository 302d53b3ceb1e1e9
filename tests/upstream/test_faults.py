"""What the outcome of a send says about its account."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.upstream import faults
from otp_service.upstream.faults import (
    ACCOUNT_FAULTS,
    ALARMS,
    LONGEST_PAUSE,
    WHOLE_ACCOUNT,
    Signal,
    signal_of,
)
from otp_service.upstream.port import Outcome, Verdict

WELL, ILL = Signal(healthy=True), Signal(healthy=False)
NOT_ACCEPTED = [verdict for verdict in Verdict if verdict is not Verdict.ACCEPTED]


@pytest.mark.parametrize(
    ("verdict", "reason", "signal"),
    [
        (Verdict.ACCEPTED, "accepted", WELL),
        (Verdict.REFUSED, "invalid_number", WELL),
        (Verdict.REFUSED, "not_allowed", WELL),
        (Verdict.REFUSED, "undelivered", WELL),
        (Verdict.REFUSED, "a_word_of_tomorrow", WELL),
        (Verdict.REFUSED, "bad_token", ILL),
        (Verdict.REFUSED, "no_credits", ILL),
        (Verdict.REFUSED, "invalid_template", ILL),
        (Verdict.DEFERRED, "connect_failed", ILL),
        (Verdict.DEFERRED, "throttled", ILL),
        (Verdict.DEFERRED, "unavailable", ILL),
        (Verdict.DEFERRED, "a_word_of_tomorrow", None),
        (Verdict.UNKNOWN, "timeout", ILL),
        (Verdict.UNKNOWN, "server_error", ILL),
        (Verdict.UNKNOWN, "connection_lost", ILL),
        (Verdict.UNKNOWN, "unreadable", None),
    ],
)
def test_each_outcome_gives_its_signal(verdict: Verdict, reason: str, signal: Signal | None) -> None:
    """An answer about the number is healthy; an absent account or a refusal of ours is not; the rest says nothing."""
    assert signal_of(Outcome(verdict, reason)) == signal


@given(st.sampled_from(sorted(ACCOUNT_FAULTS)), st.sampled_from(NOT_ACCEPTED))
def test_every_fault_of_an_account_counts_against_it(reason: str, verdict: Verdict) -> None:
    """Whatever the verdict, unless the message was accepted."""
    assert signal_of(Outcome(verdict, reason)) == ILL
    assert signal_of(Outcome(Verdict.ACCEPTED, reason)) == WELL


@given(
    st.sampled_from(NOT_ACCEPTED),
    st.text(max_size=20).filter(lambda reason: reason not in ACCOUNT_FAULTS),
    st.none() | st.floats(0, 1e9, exclude_min=True),
)
def test_an_account_is_paused_for_as_long_as_it_asks(
    verdict: Verdict, reason: str, retry_after: float | None
) -> None:
    """But not for longer than the longest pause, and only after a fault of its own."""
    signal = signal_of(Outcome(verdict, reason, retry_after=retry_after))
    assert signal == (WELL if verdict is Verdict.REFUSED else None)
    pause = retry_after and min(retry_after, LONGEST_PAUSE)
    signal = signal_of(Outcome(verdict, "throttled", retry_after=retry_after))
    assert signal == Signal(healthy=False, pause=pause, at_once=pause is not None)
    signal = signal_of(Outcome(verdict, "unavailable", retry_after=retry_after))
    assert signal == Signal(healthy=False, pause=pause)


def test_a_retry_after_of_zero_is_no_pause() -> None:
    """The number of faults decides then."""
    assert signal_of(Outcome(Verdict.DEFERRED, "throttled", retry_after=0.0)) == ILL


def test_what_all_channels_share_and_what_needs_an_operator_are_faults() -> None:
    """Otherwise those tables would have no effect."""
    assert WHOLE_ACCOUNT <= ACCOUNT_FAULTS
    assert ALARMS <= ACCOUNT_FAULTS


def test_pauses_grow_to_the_longest() -> None:
    """Doubling reaches the longest pause within a few probes."""
    assert 0 < faults.FIRST_PAUSE < LONGEST_PAUSE
    assert math.log2(LONGEST_PAUSE / faults.FIRST_PAUSE) < 6
