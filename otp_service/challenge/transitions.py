"""What comes next for a challenge, decided as values.

Pure: takes a challenge, what happened and the store's time, gives a move. Must not know where challenges are kept or
what an upstream says beyond a verdict. All times are milliseconds of the store's clock, pauses are seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from otp_service.challenge.model import FAILED, Challenge, Status, Step
from otp_service.upstream.faults import ACCOUNT_FAULTS
from otp_service.upstream.port import Outcome, Verdict

MAX_DEFERRALS = 3
"""How often one delivery is tried again after every account said "not now"."""
LEAST_USE = 10_000
"""Milliseconds that must be left of a challenge for another message to be of use."""
_SUCCESS = {
    "accepted": {Status.ACCEPTED, Status.SENT, Status.DELIVERED, Status.READ},
    "sent": {Status.SENT, Status.DELIVERED, Status.READ},
    "delivered": {Status.DELIVERED, Status.READ},
    "read": {Status.READ},
}
"""What ends a step in success, by its `until`."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing more to do before the challenge expires."""


@dataclass(frozen=True, slots=True)
class Wait:
    """See again after `seconds`, or None for when the step's wait is over."""

    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """Send the same delivery once more after `seconds`, with a new code; 0 is at once, by another account."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Next:
    """Start a new delivery with the step of this place in the plan."""

    step: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No way is left to bring the code."""


Move = Hold | Wait | Again | Next | GiveUp


def after_outcome(challenge: Challenge, outcome: Outcome, account: str, now: int) -> Move:
    """Say what follows the end of the newest delivery's send by `account`."""
    delivery, step = challenge.last, challenge.step
    further = _next_step(challenge, now)
    if outcome.verdict is Verdict.ACCEPTED:
        if step.until == "accepted" or not further:
            return Hold()
        return Wait(_look_at(step.wait))
    if outcome.verdict is Verdict.UNKNOWN:
        return Wait()
    accounts_left = set(step.upstreams) - {*delivery.tried, account}
    if accounts_left and (outcome.verdict is Verdict.DEFERRED or outcome.reason in ACCOUNT_FAULTS):
        return Again(0)
    if outcome.verdict is Verdict.DEFERRED and delivery.deferrals < MAX_DEFERRALS:
        pause = max(outcome.retry_after or 0, 2.0**delivery.deferrals)
        if _is_in_time(challenge, now + 1000 * pause) and (pause <= step.wait or not further):
            return Again(pause)
    return further or _end(challenge)


def candidates(challenge: Challenge) -> list[int]:
    """List the steps that the newest delivery may take: its own, else one of those that nobody tried yet."""
    own, steps = challenge.last.step, challenge.plan.steps
    return [*([own] if _is_left(steps[own], challenge.last.only) else []), *_untried(challenge)]


def limited(challenge: Challenge, channels: Sequence[str]) -> Challenge:
    """Give a challenge whose newest delivery, and what follows it by itself, may take some channels only."""
    return replace(
        challenge, deliveries=(*challenge.deliveries[:-1], replace(challenge.last, only=tuple(channels)))
    )


def charged(challenge: Challenge) -> int:
    """Give the place of the delivery whose charge the newest one spends.

    It is its own, but where it stands in for a message that an upstream refused: that one never left.
    """
    place = len(challenge.deliveries) - 1
    while challenge.deliveries[place].automatic and challenge.deliveries[place - 1].status is Status.REFUSED:
        place -= 1
    return place


def is_to_be_charged(challenge: Challenge) -> bool:
    """Say whether the newest delivery is a message more than was asked for, and was not charged yet."""
    last = challenge.last
    is_first_try = not last.tried and not last.deferrals
    return last.automatic and is_first_try and charged(challenge) == len(challenge.deliveries) - 1


def with_step(challenge: Challenge, place: int) -> Challenge:
    """Give the newest delivery, which has not left, another step."""
    if place == challenge.last.step:
        return challenge
    step = challenge.plan.steps[place]
    moved = replace(challenge.last, step=place, channel=step.channel, tried=(), deferrals=0)
    return replace(challenge, deliveries=(*challenge.deliveries[:-1], moved))


def after_none(challenge: Challenge, now: int, pause: float | None) -> Move:
    """Say what follows when none of the steps can be taken now.

    `pause` is in how many seconds one may be again; None for never.
    """
    if pause is not None and _is_in_time(challenge, now + 1000 * pause):
        return Again(max(1.0, pause))
    return _end(challenge)


def after_wait(challenge: Challenge, now: int) -> Move:
    """Say what follows when a delivery is looked at again: news came, or its step's time is over.

    An outcome that stayed unknown moves on to the next step; where no other is left it is tried once more on the
    same one, as the first message may never have left. A second unknown is not repeated.
    """
    delivery, step = challenge.last, challenge.step
    further = _next_step(challenge, now)
    if delivery.status in FAILED:
        return further or _end(challenge)
    if delivery.status in _SUCCESS[step.until]:
        return Hold()
    if delivery.ends is not None and now < delivery.ends:
        return _rest(challenge, now) if further or delivery.status is Status.UNKNOWN else Hold()
    if further:
        return further
    if delivery.status is not Status.UNKNOWN:
        return Hold()
    repeats = sum(d.step == delivery.step and d.status is Status.UNKNOWN for d in challenge.deliveries)
    may_repeat = repeats == 1 and challenge.sends_left and _is_in_time(challenge, now)
    return Next(delivery.step) if may_repeat else Hold()


def _rest(challenge: Challenge, now: int) -> Wait:
    """Wait until the upstream is to be asked, or for the rest of the step."""
    before = _look_moment(challenge) - now
    return Wait(before / 1000) if challenge.last.status is Status.ACCEPTED and before > 0 else Wait()


def is_worth_asking(challenge: Challenge, now: int) -> bool:
    """Say whether the upstream should be asked what became of the newest delivery, as nothing was heard of it.

    Only while something hangs on it: a step that waits, with another one after it.
    """
    delivery = challenge.last
    return (
        delivery.status is Status.ACCEPTED
        and challenge.step.until in {"sent", "delivered"}
        and delivery.ends is not None
        and now < delivery.ends
        and now >= _look_moment(challenge)
        and _next_step(challenge, now) is not None
    )


def _look_moment(challenge: Challenge) -> float:
    wait = challenge.step.wait
    return (challenge.last.ends or 0) - 1000 * (wait - _look_at(wait))


def _look_at(wait: int) -> float:
    """Give when in a wait to ask the upstream: late, as receipts come by themselves, but in time for the answer."""
    return wait - min(3.0, wait / 3)


def resend_step(challenge: Challenge, channel: str | None, only: Sequence[str] = ()) -> int | None:
    """Choose the step of a resend: the named channel's first, else the one after the newest, else the last again.

    Of those that take one of some channels, if `only` names any.
    """
    places = [place for place, step in enumerate(challenge.plan.steps) if _is_left(step, only)]
    if channel is None:
        return next((place for place in places if place > challenge.last.step), next(reversed(places), None))
    return next((place for place in places if challenge.plan.steps[place].channel == channel), None)


def _is_left(step: Step, only: Sequence[str]) -> bool:
    return not only or step.channel in only


def _next_step(challenge: Challenge, now: int) -> Next | None:
    place = _untried(challenge)
    if not place or not challenge.sends_left or not _is_in_time(challenge, now):
        return None
    return Next(place[0])


def _untried(challenge: Challenge) -> list[int]:
    """List the steps that the system may still take by itself: those after the newest's first."""
    if challenge.last.chosen and challenge.plan.after_choice == "stop":
        return []
    tried = {d.step for d in challenge.deliveries if d.status is not Status.SUPERSEDED}
    only = challenge.last.only
    left = [
        place
        for place, step in enumerate(challenge.plan.steps)
        if place not in tried and _is_left(step, only)
    ]
    return sorted(left, key=lambda place: place < challenge.last.step)


def _is_in_time(challenge: Challenge, moment: float) -> bool:
    return moment <= challenge.expires - LEAST_USE


def _end(challenge: Challenge) -> Move:
    """End a challenge without hope; an earlier code may still come back, or the person choose another channel."""
    may_choose = challenge.last.chosen and challenge.plan.after_choice == "stop" and challenge.sends_left
    return Hold() if challenge.was_sent or may_choose else GiveUp()
