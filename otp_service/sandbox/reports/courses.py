"""The course of an accepted message: its status words and their times.

Knows the words of every channel. Must not know which reports follow.
"""

from collections.abc import Mapping

from otp_service.sandbox.outcomes import DLT, Outcome, reported_word

Course = tuple[tuple[float, str], ...]
"""Status words, each with its seconds after acceptance."""

SMS_WORDS = {
    Outcome.UNDELIVERED: "UNDELIV",
    Outcome.EXPIRED: "EXPIRED",
    Outcome.REJECTED: "REJECTED",
    Outcome.BLACKLISTED: "BLACKLST",
    **{outcome: reported_word(outcome) for outcome in (*DLT, Outcome.PROMO_TMOUT)},
}
CALL_WORDS = {
    Outcome.UNDELIVERED: "CHANUNAVAIL",
    Outcome.NO_ANSWER: "NOANSWER",
    Outcome.BUSY: "BUSY",
    Outcome.CONGESTION: "CONGESTION",
    Outcome.CANCELLED: "CANCEL",
}
EVENT_WORDS = {
    Outcome.UNDELIVERED: "failed",
    Outcome.OFFLINE: "offline",
    Outcome.REJECTED: "rejected",
    Outcome.EXPIRED: "expired",
    Outcome.BLACKLISTED: "blacklist",
}
SENT, READ = 0.5, 2.0
"""Times of `sent` and `read`, relative to the time of delivery."""


def first_word(channel: str) -> str:
    """Return the first status of an accepted message."""
    return "AWAITING-DLR" if channel == "sms" else "queued"


def course_of(channel: str, outcome: Outcome, *, delay: float, slow: float, ttl: int | None) -> Course:
    """Return the course of a message that is delivered after `delay` seconds, or `slow` seconds later if it is slow.

    A message that would arrive after its `ttl` (seconds) expires instead.
    """
    if outcome is Outcome.SILENT:
        return ()
    late = slow if outcome is Outcome.SLOW else 0
    stages = tuple((late + at * delay, word) for at, word in _stages(channel, outcome))
    if ttl is None or all(at <= ttl for at, _ in stages):
        return stages
    in_time = tuple((at, word) for at, word in stages if at <= ttl)
    if any(word in _ARRIVED for _, word in in_time):
        return in_time
    return (*in_time, (ttl, "EXPIRED" if channel == "sms" else "expired"))


def _stages(channel: str, outcome: Outcome) -> Course:
    match channel:
        case "sms":
            return ((1, _end(SMS_WORDS, outcome, "DELIVRD")),)
        case "voice":
            return ((1, _end(CALL_WORDS, outcome, "ANSWER")),)
    course = ((SENT, "sent"), (1, _end(EVENT_WORDS, outcome, "delivered")))
    return (*course, (READ, "read")) if outcome is Outcome.READ else course


def _end(words: Mapping[Outcome, str], outcome: Outcome, delivered: str) -> str:
    return words.get(outcome, delivered)


_ARRIVED = {"DELIVRD", "delivered"}
