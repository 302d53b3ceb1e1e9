"""The rules of a challenge: where it stands, what comes next, what a screen sees."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.challenge import (
    MAX_DEFERRALS,
    Again,
    Challenge,
    Delivery,
    GiveUp,
    Hold,
    Move,
    Next,
    Plan,
    State,
    Status,
    Step,
    Wait,
    after_outcome,
    after_wait,
    resend_step,
    view,
)
from otp_service.delivery import Outcome, Verdict
from tests.spine import PATIENT

OPENED, TTL = 1_700_000_000_000, 300
EXPIRES = OPENED + TTL * 1000
STEPS = (Step("sms", "main", 20), Step("whatsapp", "main", 30), Step("voice", "spare", 40))
PLAN = Plan(STEPS, 6, TTL, max_attempts=5, max_sends=4, cooldown=(30, 60))
MASKED = "+1*********71"


def a_delivery(status: Status = Status.QUEUED, step: int = 0, at: int = OPENED, **more: object) -> Delivery:
    """Make a delivery."""
    made = Delivery(step, STEPS[step].channel, status, at, "operation", "request")
    return replace(made, **more)  # type: ignore[arg-type]  # names and types are the test's business


def a_challenge(*deliveries: Delivery, plan: Plan = PLAN, **more: object) -> Challenge:
    """Make a pending challenge."""
    tried = deliveries or (a_delivery(),)
    made = Challenge("00id", "web", "login", "sealed", "testing.p1", State.PENDING, EXPIRES, plan, tried)
    return replace(made, **more)  # type: ignore[arg-type]  # as above


def ended(verdict: Verdict, retry_after: float | None = None) -> Outcome:
    """Make the end of a send."""
    return Outcome(verdict, "test", retry_after=retry_after)


# Where it stands.


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
    """Before anybody writes it down, and truthfully: expired only if an upstream took a message."""
    assert a_challenge(a_delivery(status)).status(now) is expected


def test_guesses_end_a_challenge() -> None:
    """With the last guess it is exhausted, and stays so when its time is over too."""
    assert a_challenge(attempts=4).status(OPENED) is State.PENDING
    assert a_challenge(attempts=5).status(OPENED) is State.EXHAUSTED
    assert a_challenge(attempts=5).status(EXPIRES) is State.EXHAUSTED


@pytest.mark.parametrize("state", [state for state in State if state is not State.PENDING])
def test_a_final_state_stays(state: State) -> None:
    """Neither time nor guesses change what was written down."""
    assert a_challenge(state=state, attempts=5).status(EXPIRES + 1) is state


def test_the_ladder_of_cooldowns_grows_and_stays_at_its_top() -> None:
    """Each message waits for its rung after the one before."""
    waits = [a_challenge(*[a_delivery(at=OPENED)] * count).resend_at() - OPENED for count in range(1, 5)]
    assert waits == [30_000, 60_000, 60_000, 60_000]


def test_codes_count_that_have_a_hash() -> None:
    """Each live hash comes with its delivery's place."""
    challenge = a_challenge(a_delivery(code_hash="a"), a_delivery(), a_delivery(code_hash="c"))
    assert challenge.live_hashes() == [(0, "a"), (2, "c")]


# What comes next.


@pytest.mark.parametrize(
    ("step", "outcome", "expected"),
    [
        (0, ended(Verdict.ACCEPTED), Hold()),
        (0, ended(Verdict.UNKNOWN), Wait(20)),
        (2, ended(Verdict.UNKNOWN), Wait(40)),
        (0, ended(Verdict.REFUSED), Next(1)),
        (1, ended(Verdict.REFUSED), Next(2)),
        (2, ended(Verdict.REFUSED), GiveUp()),
        (0, ended(Verdict.DEFERRED), Again(1)),
        (0, ended(Verdict.DEFERRED, 20), Again(20)),
        (0, ended(Verdict.DEFERRED, 21), Next(1)),
        (2, ended(Verdict.DEFERRED, 41), Again(41)),
        (0, ended(Verdict.DEFERRED, 0.1), Again(1)),
    ],
)
def test_an_outcome_decides_what_follows(step: int, outcome: Outcome, expected: Move) -> None:
    """Accepted rests, unknown waits, refused moves on, deferred tries again unless another way is sooner."""
    assert after_outcome(a_challenge(a_delivery(Status.CLAIMED, step)), outcome) == expected


@pytest.mark.parametrize(("deferrals", "pause"), [(0, 1), (1, 2), (2, 4)])
def test_deferrals_wait_longer_each_time(deferrals: int, pause: int) -> None:
    """The pause doubles."""
    challenge = a_challenge(a_delivery(Status.CLAIMED, deferrals=deferrals))
    assert after_outcome(challenge, ended(Verdict.DEFERRED)) == Again(pause)


def test_a_delivery_is_deferred_a_few_times_only() -> None:
    """Then it counts as refused."""
    for step, expected in ((0, Next(1)), (2, GiveUp())):
        challenge = a_challenge(a_delivery(Status.CLAIMED, step, deferrals=MAX_DEFERRALS))
        assert after_outcome(challenge, ended(Verdict.DEFERRED)) == expected


def test_no_more_messages_are_caused_than_the_plan_allows() -> None:
    """With all sends used a refusal has nowhere to go, a wait neither."""
    used = [a_delivery(Status.REFUSED)] * 3
    assert after_outcome(a_challenge(*used, a_delivery(Status.CLAIMED)), ended(Verdict.REFUSED)) == GiveUp()
    assert after_wait(a_challenge(*used, a_delivery(Status.UNKNOWN))) == Hold()


@pytest.mark.parametrize("earlier", [Status.ACCEPTED, Status.UNKNOWN, Status.SENDING])
def test_a_challenge_is_not_given_up_while_a_code_may_be_in_somebodys_hands(earlier: Status) -> None:
    """A refused resend leaves the earlier message's code as good as it was."""
    challenge = a_challenge(a_delivery(earlier, 2), a_delivery(Status.CLAIMED, 2))
    assert after_outcome(challenge, ended(Verdict.REFUSED)) == Hold()


@pytest.mark.parametrize("earlier", [Status.REFUSED, Status.SUPERSEDED])
def test_a_challenge_without_any_message_is_given_up(earlier: Status) -> None:
    """When nothing has left and nothing can, it says so at once."""
    challenge = a_challenge(a_delivery(earlier, 2), a_delivery(Status.CLAIMED, 2))
    assert after_outcome(challenge, ended(Verdict.REFUSED)) == GiveUp()


@pytest.mark.parametrize(
    ("deliveries", "expected"),
    [
        ([(Status.UNKNOWN, 0)], Next(1)),
        ([(Status.UNKNOWN, 1)], Next(2)),
        ([(Status.UNKNOWN, 2)], Next(2)),
        ([(Status.UNKNOWN, 2), (Status.UNKNOWN, 2)], Hold()),
        ([(Status.UNKNOWN, 0), (Status.UNKNOWN, 1), (Status.UNKNOWN, 2)], Next(2)),
        ([(Status.REFUSED, 2), (Status.UNKNOWN, 2)], Next(2)),
        ([(Status.ACCEPTED, 0)], Hold()),
        ([(Status.REFUSED, 0)], Hold()),
    ],
)
def test_a_wait_that_is_over_moves_an_unknown_outcome_on(
    deliveries: list[tuple[Status, int]], expected: Move
) -> None:
    """To the next channel; where none is left, once more on the same; never a third time."""
    assert after_wait(a_challenge(*[a_delivery(status, step) for status, step in deliveries])) == expected


@pytest.mark.parametrize(
    ("step", "channel", "expected"),
    [
        (0, None, 1),
        (1, None, 2),
        (2, None, 2),
        (2, "sms", 0),
        (0, "voice", 2),
        (0, "sms", 0),
        (0, "rcs", None),
        (0, "", None),
    ],
)
def test_a_resend_takes_the_named_channel_or_the_next(
    step: int, channel: str | None, expected: int | None
) -> None:
    """The last step is taken again when there is no further one; an unknown channel is nobody's."""
    assert resend_step(a_challenge(a_delivery(step=step)), channel) == expected


STATUSES = st.lists(st.tuples(st.sampled_from(Status), st.integers(0, 2)), min_size=1, max_size=4)


@PATIENT
@given(STATUSES, st.sampled_from(Verdict), st.integers(0, 5), st.none() | st.floats(0, 1000))
def test_every_move_is_possible(
    deliveries: list[tuple[Status, int]], verdict: Verdict, deferrals: int, retry_after: float | None
) -> None:
    """A next step lies within the plan and its sends; no pause is negative; nothing hopeful is given up."""
    made = [a_delivery(status, step) for status, step in deliveries]
    challenge = a_challenge(*made[:-1], replace(made[-1], deferrals=deferrals))
    for move in (after_outcome(challenge, ended(verdict, retry_after)), after_wait(challenge)):
        match move:
            case Next(step):
                assert 0 <= step < len(STEPS)
                assert challenge.sends_left
            case Wait(seconds) | Again(seconds):
                assert seconds > 0
            case GiveUp():
                assert not challenge.was_sent


# What a screen sees.


def test_a_screen_sees_what_it_needs() -> None:
    """All figures of a pending challenge, whole seconds rounded up."""
    challenge = a_challenge(
        a_delivery(Status.REFUSED),
        a_delivery(Status.CLAIMED, 1, OPENED + 30_000),
        attempts=2,
        reference="order 7",
    )
    shown = view(challenge, OPENED + 30_001, MASKED)
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
    """No time, sends, checks or channels are left; the channel shown is the one that won."""
    challenge = a_challenge(
        a_delivery(Status.ACCEPTED), a_delivery(Status.ACCEPTED, 1), state=State.VERIFIED, via=0
    )
    shown = view(challenge, OPENED, MASKED)
    assert (shown.status, shown.channel) == (State.VERIFIED, "sms")
    assert (shown.expires_in, shown.resend_in, shown.sends_left, shown.checks_left) == (0, 0, 0, 0)
    assert shown.channels_left == []
    assert shown.reference is None


def test_channels_are_named_once() -> None:
    """Two steps over one channel are one choice for a person."""
    plan = replace(PLAN, steps=(STEPS[0], STEPS[2], replace(STEPS[0], upstream="spare")))
    assert view(a_challenge(plan=plan), OPENED, MASKED).channels_left == ["sms", "voice"]


def test_nothing_more_can_be_sent_when_all_sends_are_used() -> None:
    """Then there is no time to wait for either."""
    shown = view(a_challenge(*[a_delivery(Status.ACCEPTED)] * 4), OPENED, MASKED)
    assert (shown.sends_left, shown.resend_in, shown.channels_left) == (0, 0, [])


@PATIENT
@given(st.integers(OPENED, EXPIRES + 10_000), st.integers(0, 6), STATUSES)
def test_waiting_as_long_as_the_screen_says_is_enough(
    now: int, attempts: int, deliveries: list[tuple[Status, int]]
) -> None:
    """After `resend_in` seconds a resend is allowed, after `expires_in` it is over; no figure is negative."""
    challenge = a_challenge(*[a_delivery(status, step) for status, step in deliveries], attempts=attempts)
    shown = view(challenge, now, MASKED)
    figures = (shown.expires_in, shown.resend_in, shown.sends_left, shown.checks_left)
    assert min(figures) >= 0
    if shown.status is State.PENDING:
        assert now + shown.expires_in * 1000 >= EXPIRES
        assert not shown.sends_left or now + shown.resend_in * 1000 >= challenge.resend_at()
    else:
        assert figures == (0, 0, 0, 0)
