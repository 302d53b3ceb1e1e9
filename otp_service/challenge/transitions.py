"""What follows for a challenge: from a challenge, what happened and the time, to a move.

Knows the rules of fallback. Must not know where challenges are stored, or what an upstream says beyond a verdict: it is
pure. Times are milliseconds of the store's clock; waits and pauses are seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from otp_service.challenge.model import FAILED, Challenge, Status, Step
from otp_service.upstream.faults import ACCOUNT_FAULTS
from otp_service.upstream.port import Outcome, Verdict

MAX_DEFERRALS = 3
"""How often one delivery is tried again after all accounts answered "not now"."""
MIN_TIME_LEFT = 10_000
"""Milliseconds that must be left of a challenge for another message to be useful."""
TOO_LATE = "too_late"
"""The reason of a delivery that was dropped, as it would have left too little time to type its code."""
_SUCCESS = {
    "accepted": {Status.ACCEPTED, Status.SENT, Status.DELIVERED, Status.READ},
    "sent": {Status.SENT, Status.DELIVERED, Status.READ},
    "delivered": {Status.DELIVERED, Status.READ},
    "read": {Status.READ},
}
"""The statuses with which a step succeeds, by its `until`."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Do nothing more before the challenge expires."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Decide again after `seconds`; None means when the step's wait is over."""

    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """Send the same delivery again after `seconds`, with a new code; 0 means at once, by another account."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Next:
    """Start a new delivery with the step at this place in the plan."""

    step: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """End the challenge: no step is left to deliver a code."""


Move = Hold | Wait | Again | Next | GiveUp


def pause_after(deferrals: int) -> float:
    """Return the seconds until a delivery that did not leave is tried again, after so many earlier deferrals."""
    return 2.0**deferrals


def after_outcome(challenge: Challenge, outcome: Outcome, account: str, now: int) -> Move:
    """Decide what follows when `account` has answered for the newest delivery."""
    delivery, step = challenge.last, challenge.step
    next_step = _next_step(challenge, now)
    if outcome.verdict is Verdict.ACCEPTED:
        if step.until == "accepted" or not next_step:
            return Hold()
        return Wait(_asking_delay(step.wait))
    if outcome.verdict is Verdict.UNKNOWN:
        return Wait()
    accounts_left = set(step.upstreams) - {*delivery.tried, account}
    if accounts_left and (outcome.verdict is Verdict.DEFERRED or outcome.reason in ACCOUNT_FAULTS):
        return Again(0)
    if outcome.verdict is Verdict.DEFERRED and delivery.deferrals < MAX_DEFERRALS:
        pause = max(outcome.retry_after or 0, pause_after(delivery.deferrals))
        if _is_in_time(challenge, now + 1000 * pause) and (pause <= step.wait or not next_step):
            return Again(pause)
    return next_step or _end(challenge)


def candidates(challenge: Challenge) -> list[int]:
    """List the steps that the newest delivery may take: its own first, then those that were not tried yet."""
    own, steps = challenge.last.step, challenge.plan.steps
    return [*([own] if _is_allowed(steps[own], challenge.last.only) else []), *_untried(challenge)]


def limited_to(challenge: Challenge, channels: Sequence[str]) -> Challenge:
    """Limit the newest delivery, and those that follow it automatically, to some channels."""
    return replace(
        challenge, deliveries=(*challenge.deliveries[:-1], replace(challenge.last, only=tuple(channels)))
    )


def charged_place(challenge: Challenge) -> int:
    """Return the place of the delivery with the charge that covers the newest one.

    That is its own place, unless it replaces a message that an upstream refused: that message was never sent.
    """
    place = len(challenge.deliveries) - 1
    while challenge.deliveries[place].automatic and challenge.deliveries[place - 1].status is Status.REFUSED:
        place -= 1
    return place


def charged_at(challenge: Challenge) -> list[int]:
    """List when the messages of a challenge were charged, roughly, as far as their charges were not given back.

    A fallback that never left, as the guard had no room for it, was not charged, nor was one that replaced a refused
    message. The charge of one that was dropped as too late is given back.
    """
    before = [None, *challenge.deliveries]
    return [
        one.at
        for one, last in zip(challenge.deliveries, before, strict=False)
        if one.reason != TOO_LATE
        and not (one.automatic and (not one.reference or (last and last.status is Status.REFUSED)))
    ]


def needs_charge(challenge: Challenge) -> bool:
    """Say whether the newest delivery adds a message that the guard has not charged yet."""
    last = challenge.last
    is_first_try = not last.tried and not last.deferrals
    return last.automatic and is_first_try and charged_place(challenge) == len(challenge.deliveries) - 1


def with_step(challenge: Challenge, place: int) -> Challenge:
    """Give the newest delivery another step, before it is sent."""
    if place == challenge.last.step:
        return challenge
    step = challenge.plan.steps[place]
    moved = replace(challenge.last, step=place, channel=step.channel, tried=(), deferrals=0)
    return replace(challenge, deliveries=(*challenge.deliveries[:-1], moved))


def after_no_step(challenge: Challenge, now: int, pause: float | None) -> Move:
    """Decide what follows when no step can be taken now.

    `pause` is the seconds until one can be taken, None for never.
    """
    if pause is not None and _is_in_time(challenge, now + 1000 * pause):
        return Again(max(1.0, pause))
    return _end(challenge)


def after_wait(challenge: Challenge, now: int) -> Move:
    """Decide what follows when a receipt has arrived, or the wait of the newest delivery's step is over.

    After an unknown outcome the next step follows. If no step is left, the same step is tried once more, because the
    first message may never have been sent. A second unknown outcome is not repeated.
    """
    delivery, step = challenge.last, challenge.step
    next_step = _next_step(challenge, now)
    if delivery.status in FAILED:
        return next_step or _end(challenge)
    if delivery.status in _SUCCESS[step.until]:
        return Hold()
    if delivery.ends is not None and now < delivery.ends:
        return (
            _rest(challenge, delivery.ends, now) if next_step or delivery.status is Status.UNKNOWN else Hold()
        )
    if next_step:
        return next_step
    if delivery.status is not Status.UNKNOWN:
        return Hold()
    repeats = sum(d.step == delivery.step and d.status is Status.UNKNOWN for d in challenge.deliveries)
    may_repeat = repeats == 1 and challenge.sends_left and _is_in_time(challenge, now)
    return Next(delivery.step) if may_repeat else Hold()


def _rest(challenge: Challenge, ends: int, now: int) -> Wait:
    """Wait until it is time to ask the upstream, or until the step's wait `ends`."""
    left = _asking_time(ends, challenge.step.wait) - now
    return Wait(left / 1000) if challenge.last.status is Status.ACCEPTED and left > 0 else Wait()


def is_worth_asking(challenge: Challenge, now: int) -> bool:
    """Say whether to ask the upstream about the newest delivery, because no receipt has arrived.

    It is worth asking only while the answer matters: another step follows if this one fails.
    """
    delivery = challenge.last
    return (
        delivery.status is Status.ACCEPTED
        and challenge.step.until in {"sent", "delivered"}
        and delivery.ends is not None
        and now < delivery.ends
        and now >= _asking_time(delivery.ends, challenge.step.wait)
        and _next_step(challenge, now) is not None
    )


def _asking_time(ends: int, wait: int) -> float:
    return ends - 1000 * (wait - _asking_delay(wait))


def _asking_delay(wait: int) -> float:
    """Return how many seconds into a wait to ask the upstream: late, as receipts usually arrive, but in time."""
    return wait - min(3.0, wait / 3)


def resend_step(challenge: Challenge, channel: str | None, only: Sequence[str] = ()) -> int | None:
    """Choose the step of a resend: the first of the named channel, else the one after the newest, else the last.

    `only` limits the choice to some channels, if it names any. Return None if there is no such step.
    """
    places = [place for place, step in enumerate(challenge.plan.steps) if _is_allowed(step, only)]
    if channel is None:
        return next((place for place in places if place > challenge.last.step), next(reversed(places), None))
    return next((place for place in places if challenge.plan.steps[place].channel == channel), None)


def _is_allowed(step: Step, only: Sequence[str]) -> bool:
    return not only or step.channel in only


def _next_step(challenge: Challenge, now: int) -> Next | None:
    place = _untried(challenge)
    if not place or not challenge.sends_left or not _is_in_time(challenge, now):
        return None
    return Next(place[0])


def _untried(challenge: Challenge) -> list[int]:
    """List the steps that may follow automatically, those after the newest delivery's step first."""
    if challenge.last.chosen and challenge.plan.after_choice == "stop":
        return []
    tried = {d.step for d in challenge.deliveries if d.status is not Status.SUPERSEDED}
    only = challenge.last.only
    left = [
        place
        for place, step in enumerate(challenge.plan.steps)
        if place not in tried and _is_allowed(step, only)
    ]
    return sorted(left, key=lambda place: place < challenge.last.step)


def _is_in_time(challenge: Challenge, moment: float) -> bool:
    return moment <= challenge.expires - MIN_TIME_LEFT


def _end(challenge: Challenge) -> Move:
    """Give up, unless an earlier code may still be entered or the person may choose another channel."""
    may_choose = challenge.last.chosen and challenge.plan.after_choice == "stop" and challenge.sends_left
    return Hold() if challenge.was_sent or may_choose else GiveUp()
