"""The forced outcomes: how a send ends for certain numbers and channels.

Knows the table, and what was added to it while the sandbox runs. Must not know how an outcome looks on the wire.

Every number in the table is valid E.164 and belongs to no subscriber: the North American numbering plan reserves
+1 202 555 01xx for fiction, and the Australian regulator reserves +61 491 57x xxx. Messages to all other numbers are
delivered.
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
    DLT_REJECTED = "dlt_rejected"
    REJ_MULTIPART = "rej_multipart"
    DLT_INV_TMID = "dlt_inv_tmid"
    DLT_INV_ENTITY = "dlt_inv_entity"
    DLT_INV_TM_ID = "dlt_inv_tm_id"
    DLT_TM_VAR_EXECEED = "dlt_tm_var_execeed"
    DLT_ENTITY_NOT_FOUND = "dlt_entity_not_found"
    DLT_TM_BLACKLST = "dlt_tm_blacklst"
    DLT_ENTITY_BLACKLST = "dlt_entity_blacklst"
    DLT_HEADER_INACTIVE = "dlt_header_inactive"
    DLT_TM_INACTIVE = "dlt_tm_inactive"
    DLT_SENDER_NOT_REG_TM = "dlt_sender_not_reg_tm"
    INV_PROVISION = "inv_provision"
    INV_SERVICE = "inv_service"
    INV_SCHEDULE = "inv_schedule"
    PROMO_TMOUT = "promo_tmout"
    SILENT = "silent"
    ACCEPTED = "accepted"
    ACCEPTED_EMPTY = "accepted_empty"
    REFUSED = "refused"
    REFUSED_RECIPIENT = "refused_recipient"
    NO_CREDITS = "no_credits"
    BAD_REQUEST = "bad_request"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
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


def reported_word(outcome: Outcome) -> str:
    """Return the word of a report that has the name of its outcome."""
    return outcome.upper().replace("_", "-")


DLT = tuple(outcome for outcome in Outcome if outcome.startswith(("dlt_", "rej_", "inv_")))
"""What India's registry of senders and texts refuses, by the vendor's words (documentation, v2/sms/smpp)."""

MEANING = {
    Outcome.DELIVERED: "Accepted, then a report DELIVRD, delivered or ANSWER. Also every number not listed.",
    Outcome.READ: "Accepted, delivered, and then read.",
    Outcome.UNDELIVERED: "Accepted, then a report of failure: UNDELIV, failed or CHANUNAVAIL.",
    Outcome.EXPIRED: "Accepted, then a report that it expired: EXPIRED or expired.",
    Outcome.REJECTED: "Accepted, then a report REJECTED or rejected.",
    Outcome.BLACKLISTED: "Accepted, then a report BLACKLST or blacklist.",
    Outcome.OFFLINE: "Accepted, then a report offline.",
    Outcome.NO_ANSWER: "A call that is accepted, then a report NOANSWER.",
    Outcome.BUSY: "A call that is accepted, then a report BUSY.",
    Outcome.CONGESTION: "A call that is accepted, then a report CONGESTION.",
    Outcome.CANCELLED: "A call that is accepted, then a report CANCEL.",
    Outcome.HANGUP: "A call that is answered and ends after a second: ANSWER with a duration of 1.",
    **{outcome: f"Accepted, then a report {reported_word(outcome)}." for outcome in DLT},
    Outcome.PROMO_TMOUT: "Accepted, then a report PROMO-TMOUT: promotional traffic at night.",
    Outcome.SILENT: "Accepted, then no report.",
    Outcome.ACCEPTED: "Accepted with HTTP 202 and the code 202 in its answer, then delivered.",
    Outcome.ACCEPTED_EMPTY: "Accepted with HTTP 202 and no body, then delivered.",
    Outcome.REFUSED: 'Refused at once: HTTP 200 with "status": "ERROR" and a message.',
    Outcome.REFUSED_RECIPIENT: "HTTP 200 and overall success, but the recipient's own status is NOTALLOWED.",
    Outcome.NO_CREDITS: "HTTP 200 and overall success, but the recipient's own status is NO-CREDITS.",
    Outcome.BAD_REQUEST: "Refused at once: HTTP 400.",
    Outcome.FORBIDDEN: "Refused at once: HTTP 403.",
    Outcome.NOT_FOUND: "Refused at once: HTTP 404 as for a phone without RCS.",
    Outcome.CONFLICT: "Refused at once: HTTP 409.",
    Outcome.INVALID: "Refused at once: HTTP 422 with a map of errors.",
    Outcome.SLOW: "Accepted with a late answer, then delivered.",
    Outcome.TIMEOUT_AFTER_ACCEPT: "Accepted and delivered, but the answer does not come in time.",
    Outcome.RATE_LIMITED: "HTTP 429 with Retry-After.",
    Outcome.HTML: "HTTP 200 with the HTML login page. Nothing is sent.",
    Outcome.GARBAGE: "Accepted and delivered, but the JSON of the answer is cut in half.",
    Outcome.SERVER_ERROR: "HTTP 500. Nothing is sent.",
    Outcome.UNAVAILABLE: "HTTP 503 with Retry-After. Nothing is sent.",
    Outcome.UNAVAILABLE_ONCE: "HTTP 503 on the first send, accepted on the second, and so on alternately.",
    Outcome.UNAUTHENTICATED: "HTTP 401 as for a bad token. Nothing is sent.",
    Outcome.LANDLINE: "A lookup that finds a fixed line: SUCCESS without a mobile network.",
    Outcome.PORTED: "A lookup of a number that was ported to another network.",
    Outcome.ROAMING: "A lookup of a phone that is abroad.",
    Outcome.LOOKUP_FAILED: "A lookup that finds nothing: FAILED.",
}

_CALLS = ("voice",)
_MESSAGES = (*EVENT_CHANNELS, "voice")
_EVERYWHERE = ("sms", *_MESSAGES)
_SENDS = (*_EVERYWHERE, ANY)
_SOME_CHANNELS = {
    **dict.fromkeys((*DLT, Outcome.PROMO_TMOUT), ("sms",)),
    Outcome.UNDELIVERED: _SENDS,
    Outcome.SILENT: _SENDS,
    Outcome.ACCEPTED: _SENDS,
    Outcome.ACCEPTED_EMPTY: _SENDS,
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
"""The channels of outcomes that not every channel has."""


def fits(outcome: Outcome, channel: str) -> bool:
    """Return whether `channel`, which may be `ANY`, has this outcome."""
    return channel in _SOME_CHANNELS.get(outcome, (*CHANNELS, ANY))


@dataclass(frozen=True, slots=True)
class Forced:
    """A row of `count` consecutive numbers with one outcome on one channel; digits only."""

    first: int
    count: int
    channel: str
    outcome: Outcome

    def numbers(self) -> Iterator[str]:
        """Yield the numbers of the row as digits."""
        return map(str, range(self.first, self.first + self.count))


_ELSEWHERE = (
    # One outcome per number, on every channel but SMS.
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
    (61491578888, Outcome.ACCEPTED, _EVERYWHERE),
    (61491579212, Outcome.ACCEPTED_EMPTY, _EVERYWHERE),
    (61491579760, Outcome.BAD_REQUEST, _EVERYWHERE),
    (61491579455, Outcome.FORBIDDEN, _EVERYWHERE),
    (61491570156, Outcome.NOT_FOUND, _EVERYWHERE),
    (61491570110, Outcome.CONFLICT, _EVERYWHERE),
    # An outcome that depends on the channel.
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
    # No channel works.
    (61491578957, Outcome.UNAVAILABLE, _EVERYWHERE),
    (61491578148, Outcome.UNAUTHENTICATED, _EVERYWHERE),
    (61491570157, Outcome.UNDELIVERED, EVENT_CHANNELS),
    (61491570157, Outcome.NO_ANSWER, _CALLS),
    (61491570158, Outcome.REFUSED, _MESSAGES),
    (61491570159, Outcome.NO_CREDITS, _MESSAGES),
    # Results of a lookup.
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
    Forced(12025550175, 4, "sms", Outcome.DELIVERED),
    Forced(12025550179, 1, "sms", Outcome.PROMO_TMOUT),
    Forced(12025550180, 4, "sms", Outcome.DELIVERED),
    *(Forced(12025550184 + place, 1, "sms", outcome) for place, outcome in enumerate(DLT)),
    Forced(12025550199, 1, "sms", Outcome.DELIVERED),
    Forced(61491570006, 1, "sms", Outcome.DELIVERED),
    Forced(61491570157, 1, "sms", Outcome.UNDELIVERED),
    Forced(61491570158, 1, "sms", Outcome.REFUSED),
    Forced(61491570159, 1, "sms", Outcome.NO_CREDITS),
    *(
        Forced(number, 1, channel, outcome)
        for number, outcome, channels in _ELSEWHERE
        for channel in channels
    ),
)

_BY_NUMBER = {(number, row.channel): row.outcome for row in FORCED for number in row.numbers()}


@dataclass(frozen=True, slots=True)
class Selection:
    """The sends to force: by number, channel and account, each of which may be `ANY`."""

    number: str
    channel: str
    account: str = ANY


class Outcomes:
    """The table and the outcomes that were forced on top of it; many threads may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Replaced as a whole and never changed, so that a send can read it without the lock.
        self._forced: dict[Selection, Outcome] = {}

    def of(self, number: str, channel: str, account: str) -> Outcome:
        """Return the outcome of a send to `number` (digits): the most specific forced one, or else the table's."""
        forced = self._forced
        if forced:
            for numbers, channels, accounts in product((number, ANY), (channel, ANY), (account, ANY)):
                outcome = forced.get(Selection(numbers, channels, accounts))
                if outcome is not None:
                    return outcome
        return _BY_NUMBER.get((number, channel), Outcome.DELIVERED)

    def force(self, selection: Selection, outcome: Outcome) -> None:
        """Make the selected sends end in `outcome` until it is released."""
        with self._lock:
            self._forced = {**self._forced, selection: outcome}

    def release(self, selection: Selection | None = None) -> None:
        """Remove what was forced for one selection, or everything."""
        with self._lock:
            self._forced = {
                other: end for other, end in self._forced.items() if selection not in (None, other)
            }

    def rows(self) -> Iterator[tuple[Selection, Outcome]]:
        """Yield what was forced, then the rest of the table."""
        forced = self._forced
        yield from forced.items()
        for (number, channel), outcome in _BY_NUMBER.items():
            selection = Selection(number, channel)
            if selection not in forced:
                yield selection, outcome
