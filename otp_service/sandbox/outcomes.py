"""The forced outcomes: which number makes a send end in which way on which channel.

Knows the one table, and what was added to it while the sandbox runs. Every number in the table is valid to an
E.164 parser and belongs to nobody: +1 202 555 01xx is kept for fiction by the North American numbering plan, the
+61 491 57x xxx by the Australian regulator. A number that is not in the table is delivered. Must not know how an
outcome looks on the wire.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import product

ANY = "*"
"""Stands for every number, channel or account."""
EVENT_CHANNELS = ("whatsapp", "rcs", "mip")
CHANNELS = ("sms", *EVENT_CHANNELS, "voice", "lookup")


class Outcome(StrEnum):
    """How a send to a number ends."""

    DELIVERED = "delivered"
    READ = "read"
    UNDELIVERED = "undelivered"
    EXPIRED = "expired"
    REJECTED = "rejected"
    BLACKLISTED = "blacklisted"
    OFFLINE = "offline"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    CONGESTION = "congestion"
    CANCELLED = "cancelled"
    HANGUP = "hangup"
    SILENT = "silent"
    REFUSED = "refused"
    REFUSED_RECIPIENT = "refused_recipient"
    NO_CREDITS = "no_credits"
    INVALID = "invalid"
    SLOW = "slow"
    TIMEOUT_AFTER_ACCEPT = "timeout_after_accept"
    RATE_LIMITED = "rate_limited"
    HTML = "html"
    GARBAGE = "garbage"
    SERVER_ERROR = "server_error"
    UNAVAILABLE = "unavailable"
    UNAVAILABLE_ONCE = "unavailable_once"
    UNAUTHENTICATED = "unauthenticated"
    LANDLINE = "landline"
    PORTED = "ported"
    ROAMING = "roaming"
    LOOKUP_FAILED = "lookup_failed"


MEANING = {
    Outcome.DELIVERED: "Accepted, then a report DELIVRD, delivered or ANSWER. Also every number not listed.",
    Outcome.READ: "Accepted, delivered, and then read.",
    Outcome.UNDELIVERED: "Accepted, then a report of failure: UNDELIV, failed or CHANUNAVAIL.",
    Outcome.EXPIRED: "Accepted, then a report that its time ran out: EXPIRED or expired.",
    Outcome.REJECTED: "Accepted, then a report REJECTED or rejected.",
    Outcome.BLACKLISTED: "Accepted, then a report BLACKLST or blacklist.",
    Outcome.OFFLINE: "Accepted, then a report offline.",
    Outcome.NO_ANSWER: "A call that is accepted, then a report NOANSWER.",
    Outcome.BUSY: "A call that is accepted, then a report BUSY.",
    Outcome.CONGESTION: "A call that is accepted, then a report CONGESTION.",
    Outcome.CANCELLED: "A call that is accepted, then a report CANCEL.",
    Outcome.HANGUP: "A call that is answered and hung up after a second: ANSWER with a duration of 1.",
    Outcome.SILENT: "Accepted, then no report ever.",
    Outcome.REFUSED: 'Refused at once: HTTP 200 with "status": "ERROR" and a message.',
    Outcome.REFUSED_RECIPIENT: "HTTP 200 and overall success, but the recipient's own status is NOTALLOWED.",
    Outcome.NO_CREDITS: "HTTP 200 and overall success, but the recipient's own status is NO-CREDITS.",
    Outcome.INVALID: "Refused at once: HTTP 422 with a map of errors.",
    Outcome.SLOW: "Accepted, answered late, then delivered.",
    Outcome.TIMEOUT_AFTER_ACCEPT: "Accepted and delivered, but the answer does not come in time.",
    Outcome.RATE_LIMITED: "HTTP 429 with Retry-After.",
    Outcome.HTML: "HTTP 200 with the HTML login page. Nothing is sent.",
    Outcome.GARBAGE: "Accepted and delivered, but the JSON of the answer is cut in half.",
    Outcome.SERVER_ERROR: "HTTP 500. Nothing is sent.",
    Outcome.UNAVAILABLE: "HTTP 503 with Retry-After. Nothing is sent.",
    Outcome.UNAVAILABLE_ONCE: "HTTP 503 on the first send, accepted on the second, and so on in turn.",
    Outcome.UNAUTHENTICATED: "HTTP 401 as for a bad token. Nothing is sent.",
    Outcome.LANDLINE: "A lookup that finds a fixed line: SUCCESS without a mobile network.",
    Outcome.PORTED: "A lookup that finds a number moved to another network.",
    Outcome.ROAMING: "A lookup that finds a phone abroad.",
    Outcome.LOOKUP_FAILED: "A lookup that finds nothing: FAILED.",
}

_CALLS = ("voice",)
_MESSAGES = (*EVENT_CHANNELS, "voice")
_EVERYWHERE = ("sms", *_MESSAGES)
_SENDS = (*_EVERYWHERE, ANY)
_SOME_CHANNELS = {
    Outcome.UNDELIVERED: _SENDS,
    Outcome.SILENT: _SENDS,
    Outcome.REFUSED_RECIPIENT: _SENDS,
    Outcome.NO_CREDITS: _SENDS,
    Outcome.READ: EVENT_CHANNELS,
    Outcome.EXPIRED: ("sms", "rcs", "mip"),
    Outcome.REJECTED: ("sms", "rcs", "mip"),
    Outcome.BLACKLISTED: ("sms", "rcs", "mip"),
    Outcome.OFFLINE: ("rcs", "mip"),
    Outcome.NO_ANSWER: _CALLS,
    Outcome.BUSY: _CALLS,
    Outcome.CONGESTION: _CALLS,
    Outcome.CANCELLED: _CALLS,
    Outcome.HANGUP: _CALLS,
    Outcome.LANDLINE: ("lookup",),
    Outcome.PORTED: ("lookup",),
    Outcome.ROAMING: ("lookup",),
    Outcome.LOOKUP_FAILED: ("lookup",),
}
"""The outcomes that not every channel has."""


def fits(outcome: Outcome, channel: str) -> bool:
    """Tell whether `channel`, which may be `ANY`, has such an outcome."""
    return channel in _SOME_CHANNELS.get(outcome, (*CHANNELS, ANY))


@dataclass(frozen=True, slots=True)
class Forced:
    """So many consecutive numbers, digits only, that end one way on one channel."""

    first: int
    count: int
    channel: str
    outcome: Outcome

    def numbers(self) -> Iterator[str]:
        """Yield the numbers of the row as digits."""
        return map(str, range(self.first, self.first + self.count))


_ELSEWHERE = (
    # One number, one outcome, on every channel but SMS.
    (61491570313, Outcome.UNDELIVERED, _MESSAGES),
    (61491570737, Outcome.SILENT, _MESSAGES),
    (61491571266, Outcome.REFUSED, _MESSAGES),
    (61491571491, Outcome.REFUSED_RECIPIENT, _MESSAGES),
    (61491571804, Outcome.NO_CREDITS, _MESSAGES),
    (61491572549, Outcome.INVALID, _MESSAGES),
    (61491572665, Outcome.SLOW, _MESSAGES),
    (61491572983, Outcome.TIMEOUT_AFTER_ACCEPT, _MESSAGES),
    (61491573770, Outcome.RATE_LIMITED, _MESSAGES),
    (61491573087, Outcome.HTML, _MESSAGES),
    (61491574118, Outcome.GARBAGE, _MESSAGES),
    (61491574632, Outcome.SERVER_ERROR, _MESSAGES),
    (61491575254, Outcome.UNAVAILABLE_ONCE, _MESSAGES),
    # One number, what its channel has for it.
    (61491575789, Outcome.READ, EVENT_CHANNELS),
    (61491575789, Outcome.HANGUP, _CALLS),
    (61491576398, Outcome.OFFLINE, ("rcs", "mip")),
    (61491576398, Outcome.NO_ANSWER, _CALLS),
    (61491576801, Outcome.REJECTED, ("sms", "rcs", "mip")),
    (61491576801, Outcome.BUSY, _CALLS),
    (61491577426, Outcome.EXPIRED, ("sms", "rcs", "mip")),
    (61491577426, Outcome.CONGESTION, _CALLS),
    (61491577644, Outcome.BLACKLISTED, ("sms", "rcs", "mip")),
    (61491577644, Outcome.CANCELLED, _CALLS),
    # No channel is left.
    (61491578957, Outcome.UNAVAILABLE, _EVERYWHERE),
    (61491578148, Outcome.UNAUTHENTICATED, _EVERYWHERE),
    (61491570157, Outcome.UNDELIVERED, EVENT_CHANNELS),
    (61491570157, Outcome.NO_ANSWER, _CALLS),
    (61491570158, Outcome.REFUSED, _MESSAGES),
    (61491570159, Outcome.NO_CREDITS, _MESSAGES),
    # What a lookup finds.
    (61491578888, Outcome.LANDLINE, ("lookup",)),
    (61491579212, Outcome.PORTED, ("lookup",)),
    (61491579760, Outcome.ROAMING, ("lookup",)),
    (61491579455, Outcome.LOOKUP_FAILED, ("lookup",)),
)

FORCED = (
    Forced(12025550100, 10, "sms", Outcome.DELIVERED),
    Forced(12025550110, 5, "sms", Outcome.UNDELIVERED),
    Forced(12025550115, 5, "sms", Outcome.SILENT),
    Forced(12025550120, 5, "sms", Outcome.REFUSED),
    Forced(12025550125, 5, "sms", Outcome.REFUSED_RECIPIENT),
    Forced(12025550130, 5, "sms", Outcome.NO_CREDITS),
    Forced(12025550135, 5, "sms", Outcome.INVALID),
    Forced(12025550140, 5, "sms", Outcome.SLOW),
    Forced(12025550145, 5, "sms", Outcome.TIMEOUT_AFTER_ACCEPT),
    Forced(12025550150, 5, "sms", Outcome.RATE_LIMITED),
    Forced(12025550155, 5, "sms", Outcome.HTML),
    Forced(12025550160, 5, "sms", Outcome.GARBAGE),
    Forced(12025550165, 5, "sms", Outcome.SERVER_ERROR),
    Forced(12025550170, 5, "sms", Outcome.UNAVAILABLE_ONCE),
    Forced(12025550175, 25, "sms", Outcome.DELIVERED),
    Forced(61491570006, 1, "sms", Outcome.DELIVERED),
    Forced(61491570156, 1, "sms", Outcome.DELIVERED),
    Forced(61491570157, 1, "sms", Outcome.UNDELIVERED),
    Forced(61491570158, 1, "sms", Outcome.REFUSED),
    Forced(61491570159, 1, "sms", Outcome.NO_CREDITS),
    Forced(61491570110, 1, "sms", Outcome.SLOW),
    *(
        Forced(number, 1, channel, outcome)
        for number, outcome, channels in _ELSEWHERE
        for channel in channels
    ),
)

_BY_NUMBER = {(number, row.channel): row.outcome for row in FORCED for number in row.numbers()}


@dataclass(frozen=True, slots=True)
class Wish:
    """Whose send to which number over which channel; each may be `ANY`."""

    number: str
    channel: str
    account: str = ANY


class Outcomes:
    """The table, and what was wished for on top of it; safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Replaced as a whole, never altered, so that a send reads it without the lock.
        self._wished: dict[Wish, Outcome] = {}

    def of(self, number: str, channel: str, account: str) -> Outcome:
        """Tell how a send to `number` (digits) ends; the closest wish wins, then the table."""
        wished = self._wished
        if wished:
            for numbers, channels, accounts in product((number, ANY), (channel, ANY), (account, ANY)):
                outcome = wished.get(Wish(numbers, channels, accounts))
                if outcome is not None:
                    return outcome
        return _BY_NUMBER.get((number, channel), Outcome.DELIVERED)

    def force(self, wish: Wish, outcome: Outcome) -> None:
        """Have such sends end in `outcome` until told otherwise."""
        with self._lock:
            self._wished = {**self._wished, wish: outcome}

    def release(self, wish: Wish | None = None) -> None:
        """Take back one wish, or all."""
        with self._lock:
            self._wished = {other: end for other, end in self._wished.items() if wish not in (None, other)}

    def rows(self) -> Iterator[tuple[Wish, Outcome]]:
        """Yield the wishes, then what they leave of the table."""
        wished = self._wished
        yield from wished.items()
        for (number, channel), outcome in _BY_NUMBER.items():
            wish = Wish(number, channel)
            if wish not in wished:
                yield wish, outcome
