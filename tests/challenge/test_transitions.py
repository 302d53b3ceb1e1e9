"""What follows for a challenge: the next step, another try, a wait or the end."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.challenge.model import FAILED, Status
from otp_service.challenge.transitions import (
    MAX_DEFERRALS,
    MIN_TIME_LEFT,
    TOO_LATE,
    Again,
    GiveUp,
    Hold,
    Move,
    Next,
    Wait,
    after_no_step,
    after_outcome,
    after_wait,
    candidates,
    charged_at,
    charged_place,
    is_worth_asking,
    limited_to,
    needs_charge,
    resend_step,
    with_step,
)
from otp_service.upstream.port import Outcome, Verdict
from tests.support.challenge_values import EXPIRES, OPENED, PLAN, STEPS, a_challenge, a_delivery
from tests.support.examples import PATIENT


def ended(verdict: Verdict, retry_after: float | None = None) -> Outcome:
    """Make the end of a send."""
    return Outcome(verdict, "test", retry_after=retry_after)


def after(step: int, outcome: Outcome, now: int = OPENED, *, deferrals: int = 0) -> Move:
    """Decide what follows a send over a step that is the first of its challenge."""
    challenge = a_challenge(a_delivery(Status.CLAIMED, step, deferrals=deferrals))
    return after_outcome(challenge, outcome, STEPS[step].upstreams[0], now)


LATE = EXPIRES - MIN_TIME_LEFT


ENDS = OPENED + 20_000


STATUSES = st.lists(st.tuples(st.sampled_from(Status), st.integers(0, 2)), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("step", "outcome", "expected"),
    [
        (0, ended(Verdict.ACCEPTED), Wait(17)),
        (1, ended(Verdict.ACCEPTED), Wait(27)),
        (0, ended(Verdict.UNKNOWN), Wait()),
        (2, ended(Verdict.UNKNOWN), Wait()),
        (0, ended(Verdict.REFUSED), Next(1)),
        (1, ended(Verdict.REFUSED), Next(2)),
        (2, ended(Verdict.REFUSED), Next(0)),
        (0, ended(Verdict.DEFERRED), Again(1)),
        (0, ended(Verdict.DEFERRED, 20), Again(20)),
        (0, ended(Verdict.DEFERRED, 21), Next(1)),
        (2, ended(Verdict.DEFERRED, 41), Next(0)),
        (0, ended(Verdict.DEFERRED, 0.1), Again(1)),
    ],
)
def test_an_outcome_decides_what_follows(step: int, outcome: Outcome, expected: Move) -> None:
    """Accepted and unknown wait, refused moves on, and deferred tries again unless another step comes sooner."""
    assert after(step, outcome) == expected


@pytest.mark.parametrize("outcome", [ended(Verdict.REFUSED), ended(Verdict.DEFERRED, 1000)])
def test_the_only_step_has_nowhere_to_go(outcome: Outcome) -> None:
    """A refusal, or a pause longer than the challenge, ends it. A shorter pause is waited for."""
    one = a_challenge(a_delivery(Status.CLAIMED), plan=replace(PLAN, steps=STEPS[:1]))
    assert after_outcome(one, outcome, "main", OPENED) == GiveUp()
    assert after_outcome(one, ended(Verdict.DEFERRED, 100), "main", OPENED) == Again(100)


@pytest.mark.parametrize(
    ("until", "expected"), [("accepted", Hold()), ("sent", Wait(17)), ("read", Wait(17))]
)
def test_acceptance_is_enough_where_the_step_says_so(until: str, expected: Move) -> None:
    """Otherwise the rest of the wait decides. If no step follows, nothing has to be decided."""
    steps = (replace(STEPS[0], until=until), STEPS[1])
    made = a_challenge(a_delivery(Status.CLAIMED), plan=replace(PLAN, steps=steps))
    assert after_outcome(made, ended(Verdict.ACCEPTED), "main", OPENED) == expected
    alone = replace(made, plan=replace(PLAN, steps=steps[:1]))
    assert after_outcome(alone, ended(Verdict.ACCEPTED), "main", OPENED) == Hold()


@pytest.mark.parametrize(
    ("outcome", "tried", "expected"),
    [
        (Outcome(Verdict.DEFERRED, "throttled", retry_after=60), (), Again(0)),
        (Outcome(Verdict.DEFERRED, "whatever"), (), Again(0)),
        (Outcome(Verdict.REFUSED, "no_credits"), (), Again(0)),
        (Outcome(Verdict.REFUSED, "no_credits"), ("spare",), Next(1)),
        (Outcome(Verdict.DEFERRED, "throttled"), ("spare",), Again(1)),
        (Outcome(Verdict.REFUSED, "invalid_number"), (), Next(1)),
        (Outcome(Verdict.UNKNOWN, "timeout"), (), Wait()),
    ],
)
def test_a_fault_of_the_account_gives_the_next_account_its_turn(
    outcome: Outcome, tried: tuple[str, ...], expected: Move
) -> None:
    """It follows at once, over the same channel, unless the message may have been sent or the number is at fault."""
    plan = replace(PLAN, steps=(replace(STEPS[0], upstreams=("main", "spare")), STEPS[1]))
    challenge = a_challenge(a_delivery(Status.CLAIMED, tried=tried), plan=plan)
    assert after_outcome(challenge, outcome, "main", OPENED) == expected


@pytest.mark.parametrize(("deferrals", "pause"), [(0, 1), (1, 2), (2, 4)])
def test_deferrals_wait_longer_each_time(deferrals: int, pause: int) -> None:
    """The pause doubles."""
    assert after(0, ended(Verdict.DEFERRED), deferrals=deferrals) == Again(pause)


def test_a_delivery_is_deferred_a_few_times_only() -> None:
    """After that it counts as refused."""
    assert after(0, ended(Verdict.DEFERRED), deferrals=MAX_DEFERRALS) == Next(1)
    one = a_challenge(
        a_delivery(Status.CLAIMED, deferrals=MAX_DEFERRALS), plan=replace(PLAN, steps=STEPS[:1])
    )
    assert after_outcome(one, ended(Verdict.DEFERRED), "main", OPENED) == GiveUp()


def test_no_more_messages_are_caused_than_the_plan_allows() -> None:
    """When all sends are used, neither a refusal nor the end of a wait leads to another."""
    used = [a_delivery(Status.REFUSED)] * 3
    claimed = a_challenge(*used, a_delivery(Status.CLAIMED))
    assert after_outcome(claimed, ended(Verdict.REFUSED), "main", OPENED) == GiveUp()
    assert after_wait(a_challenge(*used, a_delivery(Status.UNKNOWN)), OPENED) == Hold()


@pytest.mark.parametrize(("now", "in_time"), [(LATE, True), (LATE + 1, False)])
def test_the_plan_ends_before_the_challenge(now: int, *, in_time: bool) -> None:
    """A message that could not be used is not sent: no next step, repetition or pause ends too late."""
    assert after(0, ended(Verdict.REFUSED), now=now) == (Next(1) if in_time else GiveUp())
    assert after(0, ended(Verdict.ACCEPTED), now=now) == (Wait(17) if in_time else Hold())
    assert after(0, ended(Verdict.DEFERRED), now=now - 1000) == (Again(1) if in_time else Next(1))
    assert after_wait(a_challenge(a_delivery(Status.ACCEPTED)), now) == (Next(1) if in_time else Hold())
    one = replace(PLAN, steps=STEPS[:1])
    assert after_wait(a_challenge(a_delivery(Status.UNKNOWN), plan=one), now) == (
        Next(0) if in_time else Hold()
    )
    assert after_no_step(a_challenge(), now - 5000, 5) == (Again(5) if in_time else GiveUp())


@pytest.mark.parametrize(
    "earlier", [Status.ACCEPTED, Status.UNKNOWN, Status.SENDING, Status.SENT, Status.READ]
)
def test_a_challenge_is_not_given_up_while_a_code_may_have_arrived(earlier: Status) -> None:
    """A refused resend does not affect the code of an earlier message."""
    one = replace(PLAN, steps=STEPS[:1])
    challenge = a_challenge(a_delivery(earlier), a_delivery(Status.CLAIMED), plan=one)
    assert after_outcome(challenge, ended(Verdict.REFUSED), "main", OPENED) == Hold()
    assert after_no_step(challenge, OPENED, None) == Hold()
    assert after_wait(a_challenge(a_delivery(earlier), a_delivery(Status.FAILED), plan=one), OPENED) == Hold()


@pytest.mark.parametrize("earlier", [Status.REFUSED, Status.FAILED, Status.SUPERSEDED])
def test_a_challenge_without_any_message_is_given_up(earlier: Status) -> None:
    """If nothing was sent and nothing can be, the challenge ends at once."""
    one = replace(PLAN, steps=STEPS[:1])
    challenge = a_challenge(a_delivery(earlier), a_delivery(Status.CLAIMED), plan=one)
    assert after_outcome(challenge, ended(Verdict.REFUSED), "main", OPENED) == GiveUp()
    assert after_no_step(challenge, OPENED, None) == GiveUp()
    failed = a_challenge(a_delivery(earlier), a_delivery(Status.FAILED), plan=one)
    assert after_wait(failed, OPENED) == GiveUp()


@pytest.mark.parametrize(("choice", "expected"), [("continue", Next(1)), ("stop", Hold())])
@pytest.mark.parametrize("chosen", [True, False])
def test_a_chosen_channel_may_be_the_only_one(choice: str, expected: Move, *, chosen: bool) -> None:
    """With `stop`, no other channel follows automatically. The person may choose again while sends are left."""
    plan = replace(PLAN, after_choice=choice)
    wanted = expected if chosen else Next(1)
    claimed = a_challenge(a_delivery(Status.CLAIMED, chosen=chosen), plan=plan)
    assert after_outcome(claimed, ended(Verdict.REFUSED), "main", OPENED) == wanted
    for status in (Status.FAILED, Status.ACCEPTED):
        over = a_challenge(a_delivery(status, chosen=chosen), plan=plan)
        assert after_wait(over, OPENED) == wanted
    assert candidates(claimed) == ([0] if wanted == Hold() else [0, 1, 2])
    spent = replace(claimed, plan=replace(plan, max_sends=1))
    assert after_outcome(spent, ended(Verdict.REFUSED), "main", OPENED) == GiveUp()


@pytest.mark.parametrize(
    ("deliveries", "expected"),
    [
        ([(Status.UNKNOWN, 0)], Next(1)),
        ([(Status.UNKNOWN, 1)], Next(2)),
        ([(Status.UNKNOWN, 2)], Next(0)),
        ([(Status.UNKNOWN, 0), (Status.UNKNOWN, 1), (Status.UNKNOWN, 2)], Next(2)),
        ([(Status.UNKNOWN, 0), (Status.UNKNOWN, 1), (Status.ACCEPTED, 2)], Hold()),
        ([(Status.REFUSED, 0), (Status.UNKNOWN, 2), (Status.UNKNOWN, 2)], Next(1)),
        ([(Status.SUPERSEDED, 0), (Status.ACCEPTED, 1)], Next(2)),
        ([(Status.SUPERSEDED, 0), (Status.ACCEPTED, 1), (Status.ACCEPTED, 2)], Next(0)),
        ([(Status.ACCEPTED, 0)], Next(1)),
        ([(Status.SENT, 0)], Next(1)),
        ([(Status.REFUSED, 0)], Next(1)),
        ([(Status.FAILED, 0)], Next(1)),
        ([(Status.DELIVERED, 0)], Hold()),
        ([(Status.READ, 0)], Hold()),
    ],
)
def test_a_wait_that_is_over_moves_on(deliveries: list[tuple[Status, int]], expected: Move) -> None:
    """The next step that was not tried follows. If none is left, a step with an unknown outcome is tried once more."""
    challenge = a_challenge(*[a_delivery(status, step) for status, step in deliveries])
    assert after_wait(challenge, OPENED) == expected


def test_an_unknown_outcome_is_repeated_once() -> None:
    """This holds if no other step is left. A second unknown outcome is not repeated."""
    one = replace(PLAN, steps=STEPS[:1])
    assert after_wait(a_challenge(a_delivery(Status.UNKNOWN), plan=one), OPENED) == Next(0)
    twice = a_challenge(a_delivery(Status.UNKNOWN), a_delivery(Status.UNKNOWN), plan=one)
    assert after_wait(twice, OPENED) == Hold()


@pytest.mark.parametrize(
    ("status", "now", "expected", "asks"),
    [
        (Status.ACCEPTED, OPENED, Wait(17), False),
        (Status.ACCEPTED, ENDS - 3001, Wait(0.001), False),
        (Status.ACCEPTED, ENDS - 3000, Wait(), True),
        (Status.ACCEPTED, ENDS - 1, Wait(), True),
        (Status.ACCEPTED, ENDS, Next(1), False),
        (Status.SENT, ENDS - 1, Wait(), False),
        (Status.UNKNOWN, ENDS - 1, Wait(), False),
        (Status.UNKNOWN, ENDS, Next(1), False),
        (Status.FAILED, OPENED, Next(1), False),
        (Status.DELIVERED, OPENED, Hold(), False),
    ],
)
def test_news_before_the_wait_is_over(status: Status, now: int, expected: Move, *, asks: bool) -> None:
    """A failure moves on at once, success holds, and without news the upstream is asked shortly before the end."""
    challenge = a_challenge(a_delivery(status, ends=ENDS))
    assert after_wait(challenge, now) == expected
    assert is_worth_asking(challenge, now) is asks


@pytest.mark.parametrize(("wait", "asked_after"), [(30, 27), (9, 6), (6, 4), (3, 2)])
def test_an_upstream_is_asked_late_in_a_wait_but_in_time(wait: int, asked_after: int) -> None:
    """Three seconds before its end, or with a third of a short wait left."""
    steps = (replace(STEPS[0], wait=wait), STEPS[1])
    sent = a_challenge(
        a_delivery(Status.ACCEPTED, ends=OPENED + 1000 * wait), plan=replace(PLAN, steps=steps)
    )
    assert after_outcome(sent, ended(Verdict.ACCEPTED), "main", OPENED) == Wait(asked_after)
    assert after_wait(sent, OPENED) == Wait(asked_after)
    times = [OPENED + 1000 * asked_after + late for late in (-1, 0)]
    assert [is_worth_asking(sent, now) for now in times] == [False, True]


@pytest.mark.parametrize(
    ("until", "asks"), [("accepted", False), ("sent", True), ("delivered", True), ("read", False)]
)
def test_an_upstream_is_asked_what_a_report_can_tell(until: str, *, asks: bool) -> None:
    """Whether a message was sent or delivered; acceptance is known, and nobody reports later that it was read."""
    steps = (replace(STEPS[0], until=until), STEPS[1])
    sent = a_challenge(a_delivery(Status.ACCEPTED, ends=ENDS), plan=replace(PLAN, steps=steps))
    assert is_worth_asking(sent, ENDS - 1) is asks
    assert not is_worth_asking(replace(sent, deliveries=(replace(sent.last, ends=None),)), ENDS - 1)


def test_an_upstream_is_asked_only_if_the_answer_matters() -> None:
    """If no step follows, or the step waits for what no upstream can tell, nothing happens before the wait is over."""
    ends = a_delivery(Status.ACCEPTED, ends=ENDS)
    alone = a_challenge(ends, plan=replace(PLAN, steps=STEPS[:1]))
    assert not is_worth_asking(alone, ENDS - 1)
    assert after_wait(alone, ENDS - 1) == Hold()
    for until in ("accepted", "read"):
        steps = (replace(STEPS[0], until=until), STEPS[1])
        assert not is_worth_asking(a_challenge(ends, plan=replace(PLAN, steps=steps)), ENDS - 1)


def test_a_delivery_takes_the_first_step_that_can_be_taken() -> None:
    """Its own step comes first, then those after it that were not tried, then those before it."""
    assert candidates(a_challenge(a_delivery(Status.CLAIMED, 1))) == [1, 2, 0]
    assert candidates(a_challenge(a_delivery(Status.REFUSED), a_delivery(Status.CLAIMED, 2))) == [2, 1]
    assert candidates(a_challenge(a_delivery(Status.SUPERSEDED), a_delivery(Status.CLAIMED, 2))) == [2, 0, 1]


def test_another_step_begins_anew() -> None:
    """The channel is the new step's, and earlier tries and deferrals are dropped. The same step changes nothing."""
    challenge = a_challenge(a_delivery(Status.CLAIMED, tried=("main",), deferrals=2))
    assert with_step(challenge, 0) == challenge
    moved = with_step(challenge, 2)
    assert (moved.last.step, moved.last.channel, moved.step) == (2, "voice", STEPS[2])
    assert (moved.last.tried, moved.last.deferrals) == ((), 0)
    again = a_challenge(a_delivery(Status.UNKNOWN), a_delivery(Status.REFUSED, 1), a_delivery(Status.CLAIMED))
    assert with_step(again, 2).deliveries[:-1] == again.deliveries[:-1]


def test_a_limit_to_channels_is_the_newest_deliverys_only() -> None:
    """What was sent before stays as it was."""
    challenge = a_challenge(
        a_delivery(Status.UNKNOWN), a_delivery(Status.REFUSED, 1), a_delivery(Status.CLAIMED, 2)
    )
    limited = limited_to(challenge, ["sms", "voice"])
    assert limited.deliveries[:-1] == challenge.deliveries[:-1]
    assert limited.last == replace(challenge.last, only=("sms", "voice"))


def test_a_message_that_replaces_a_refused_one_is_not_charged_again() -> None:
    """What an upstream refused was never sent. A fallback from any other message, and a resend, cost one each."""
    tried = [
        a_delivery(Status.REFUSED, 0, at=1),
        a_delivery(Status.REFUSED, 1, at=2, automatic=True),
        a_delivery(Status.UNKNOWN, 2, at=3, automatic=True),
        a_delivery(Status.REFUSED, 0, at=4, automatic=True, reference="left"),
        a_delivery(Status.ACCEPTED, 0, at=5),
    ]
    assert charged_at(a_challenge(*tried)) == [1, 4, 5]
    places = [charged_place(a_challenge(*tried[: end + 1])) for end in range(len(tried))]
    assert places == [0, 0, 0, 3, 4]


@pytest.mark.parametrize("status", [Status.REFUSED, Status.SUPERSEDED, Status.NOT_SENT, Status.CLAIMED])
def test_a_fallback_that_never_left_was_not_charged(status: Status) -> None:
    """The guard had no room for it, or something else came first. What a person asked for was charged at once."""
    sent = a_delivery(Status.ACCEPTED, at=1, reference="left")
    assert charged_at(a_challenge(sent, a_delivery(status, 1, at=2, automatic=True))) == [1]
    assert charged_at(a_challenge(sent, a_delivery(status, 1, at=2))) == [1, 2]


@pytest.mark.parametrize("automatic", [False, True])
def test_a_message_that_was_dropped_has_its_charge_back_already(*, automatic: bool) -> None:
    """It was too late to be sent, though an earlier code may still be typed."""
    dropped = a_delivery(Status.NOT_SENT, 1, at=2, automatic=automatic, reference="deferred", reason=TOO_LATE)
    assert charged_at(a_challenge(a_delivery(Status.ACCEPTED, at=1, reference="left"), dropped)) == [1]


@pytest.mark.parametrize(
    ("pause", "expected"), [(None, GiveUp()), (0.2, Again(1)), (7, Again(7)), (400, GiveUp())]
)
def test_when_no_step_can_be_taken_the_first_pause_is_waited_for(pause: float | None, expected: Move) -> None:
    """The pause is at least a second, so that workers do not spin, and must end in time."""
    assert after_no_step(a_challenge(), OPENED, pause) == expected


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
    """The last step is taken again if none follows. An unknown channel has no step."""
    assert resend_step(a_challenge(a_delivery(step=step)), channel) == expected


@PATIENT
@given(
    STATUSES,
    st.sampled_from(Verdict),
    st.integers(0, 5),
    st.none() | st.floats(0, 1000),
    st.integers(OPENED, EXPIRES - 1),
    st.sampled_from(["continue", "stop"]),
    st.booleans(),
)
def test_every_move_is_possible(
    deliveries: list[tuple[Status, int]],
    verdict: Verdict,
    deferrals: int,
    retry_after: float | None,
    now: int,
    choice: str,
    chosen: bool,  # noqa: FBT001 - as above
) -> None:
    """A next step is within plan, sends and time. No pause is negative, and no live challenge is given up."""
    made = [a_delivery(status, step, ends=ENDS) for status, step in deliveries]
    last = replace(made[-1], deferrals=deferrals, chosen=chosen)
    challenge = a_challenge(*made[:-1], last, plan=replace(PLAN, after_choice=choice))
    outcome = ended(verdict, retry_after)
    for move in (
        after_outcome(challenge, outcome, challenge.step.upstreams[0], now),
        after_wait(challenge, now),
        after_no_step(challenge, now, retry_after),
    ):
        match move:
            case Next(step):
                assert 0 <= step < len(STEPS)
                assert challenge.sends_left
                assert now <= LATE
                assert step == last.step or not (chosen and choice == "stop")
            case Wait(seconds):
                assert seconds is None or seconds > 0
            case Again(seconds):
                assert seconds >= 1
                assert now + 1000 * seconds <= LATE
            case GiveUp():
                assert not challenge.was_sent
                assert all(d.status in FAILED or not d.reference for d in challenge.deliveries)


def test_a_limit_to_channels_applies_to_what_follows() -> None:
    """The delivery's own step is allowed only if its channel is."""
    first = limited_to(a_challenge(), ["voice", "rcs"])
    assert (first.last.only, candidates(first)) == (("voice", "rcs"), [2])
    assert candidates(limited_to(a_challenge(a_delivery(step=1)), ["whatsapp"])) == [1]
    assert candidates(limited_to(a_challenge(), ["rcs"])) == []
    failed = a_challenge(a_delivery(Status.FAILED, only=("voice",)))
    assert after_wait(failed, OPENED) == Next(2)
    assert after_wait(a_challenge(a_delivery(Status.FAILED, only=("sms",))), OPENED) == GiveUp()


@pytest.mark.parametrize(
    ("channel", "only", "step", "expected"),
    [
        (None, ("voice",), 0, 2),
        (None, ("sms", "voice"), 0, 2),
        (None, ("sms",), 1, 0),
        (None, ("rcs",), 0, None),
        ("sms", ("voice",), 0, None),
        ("voice", ("voice",), 0, 2),
    ],
)
def test_a_resend_takes_an_allowed_channel(
    channel: str | None, only: tuple[str, ...], step: int, expected: int | None
) -> None:
    """It takes the next step with an allowed channel, else the last one."""
    assert resend_step(a_challenge(a_delivery(step=step)), channel, only) == expected


@pytest.mark.parametrize(
    ("before", "automatic", "place"),
    [
        ([], False, 0),
        ([Status.ACCEPTED], False, 1),
        ([Status.REFUSED], False, 1),
        ([Status.ACCEPTED], True, 1),
        ([Status.FAILED], True, 1),
        ([Status.UNKNOWN], True, 1),
        ([Status.REFUSED], True, 0),
        ([Status.ACCEPTED, Status.REFUSED], True, 1),
        ([Status.REFUSED, Status.REFUSED], True, 0),
    ],
)
def test_a_message_that_was_sent_is_charged_and_one_that_was_refused_is_not(
    before: list[Status], place: int, *, automatic: bool
) -> None:
    """A replacement for a refused message uses its charge. Every other automatic message has its own."""
    deliveries = [a_delivery(status, automatic=bool(n)) for n, status in enumerate(before)]
    sending = a_challenge(*deliveries, a_delivery(Status.CLAIMED, automatic=automatic))
    assert charged_place(sending) == place
    assert needs_charge(sending) == (automatic and place == len(before))


@pytest.mark.parametrize("tried", [{"tried": ("main",)}, {"deferrals": 1}])
def test_a_message_that_is_tried_again_is_charged_once(tried: dict[str, Any]) -> None:
    """This holds for a try by another account and for a later one."""
    before = a_delivery(Status.ACCEPTED)
    assert not needs_charge(a_challenge(before, a_delivery(Status.CLAIMED, automatic=True, **tried)))
