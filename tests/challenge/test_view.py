"""What a caller sees of a challenge."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from otp_service.challenge import view
from otp_service.challenge.model import State, Status
from tests.support.challenge_values import EXPIRES, OPENED, PLAN, STEPS, a_challenge, a_delivery
from tests.support.examples import PATIENT

MASKED = "+1*********71"


STATUSES = st.lists(st.tuples(st.sampled_from(Status), st.integers(0, 2)), min_size=1, max_size=4)


def test_a_screen_sees_what_it_needs() -> None:
    """It sees all values of a pending challenge, with seconds rounded up."""
    challenge = a_challenge(
        a_delivery(Status.REFUSED),
        a_delivery(Status.CLAIMED, 1, OPENED + 30_000),
        attempts=2,
        reference="order 7",
    )
    shown = view.of(challenge, OPENED + 30_001, MASKED)
    assert (shown.challenge_id, shown.status, shown.to) == ("00id", State.PENDING, MASKED)
    assert (shown.channel, shown.purpose, shown.reference) == ("whatsapp", "login", "order 7")
    assert (shown.expires_in, shown.resend_in) == (270, 60)
    assert (shown.sends_left, shown.checks_left, shown.code_length) == (2, 3, 6)
    assert shown.channels_left == ["sms", "whatsapp", "voice"]
    assert shown.deliveries == [
        {"channel": "sms", "status": "refused"},
        {"channel": "whatsapp", "status": "queued"},
    ]


def test_an_ended_challenge_offers_nothing() -> None:
    """No time, sends, checks or channels are left. The channel is the one that won."""
    challenge = a_challenge(
        a_delivery(Status.ACCEPTED), a_delivery(Status.ACCEPTED, 1), state=State.VERIFIED, via=0
    )
    shown = view.of(challenge, OPENED, MASKED)
    assert (shown.status, shown.channel) == (State.VERIFIED, "sms")
    assert (shown.expires_in, shown.resend_in, shown.sends_left, shown.checks_left) == (0, 0, 0, 0)
    assert shown.channels_left == []
    assert shown.reference is None


def test_channels_are_named_once() -> None:
    """Two steps over one channel are one choice for a person."""
    plan = replace(PLAN, steps=(STEPS[0], STEPS[2], replace(STEPS[0], upstreams=("spare",))))
    assert view.of(a_challenge(plan=plan), OPENED, MASKED).channels_left == ["sms", "voice"]


def test_nothing_more_can_be_sent_when_all_sends_are_used() -> None:
    """There is nothing to wait for, either."""
    shown = view.of(a_challenge(*[a_delivery(Status.ACCEPTED)] * 4), OPENED, MASKED)
    assert (shown.sends_left, shown.resend_in, shown.channels_left) == (0, 0, [])


@PATIENT
@given(st.integers(OPENED, EXPIRES + 10_000), st.integers(0, 6), STATUSES)
def test_waiting_as_long_as_the_screen_says_is_enough(
    now: int, attempts: int, deliveries: list[tuple[Status, int]]
) -> None:
    """After `resend_in` seconds a resend is allowed. After `expires_in` the challenge is over. No value is negative."""
    challenge = a_challenge(*[a_delivery(status, step) for status, step in deliveries], attempts=attempts)
    shown = view.of(challenge, now, MASKED)
    figures = (shown.expires_in, shown.resend_in, shown.sends_left, shown.checks_left)
    assert min(figures) >= 0
    if shown.status is State.PENDING:
        assert now + shown.expires_in * 1000 >= EXPIRES
        assert not shown.sends_left or now + shown.resend_in * 1000 >= challenge.resend_at()
    else:
        assert figures == (0, 0, 0, 0)
