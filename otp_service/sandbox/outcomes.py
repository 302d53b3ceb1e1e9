"""The forced outcomes: which number makes a send end in which way.

Knows the one table. Every number in it is valid to an E.164 parser and belongs to nobody: +1 202 555 01xx is
kept for fiction by the North American numbering plan, the +61 491 570 xxx by the Australian regulator. A
number that is not in the table is delivered. Must not know how an outcome looks on the wire.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How a send to a number ends."""

    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
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
    UNAVAILABLE_ONCE = "unavailable_once"


MEANING = {
    Outcome.DELIVERED: "Accepted, then a report DELIVRD. Also every number that is not listed.",
    Outcome.UNDELIVERED: "Accepted, then a report UNDELIV.",
    Outcome.SILENT: "Accepted, then no report ever.",
    Outcome.REFUSED: 'Refused at once: HTTP 200 with "status": "ERROR" and a message.',
    Outcome.REFUSED_RECIPIENT: "HTTP 200 and overall success, but the recipient's own status is NOTALLOWED.",
    Outcome.NO_CREDITS: "HTTP 200 and overall success, but the recipient's own status is NO-CREDITS.",
    Outcome.INVALID: "Refused at once: HTTP 422 with a map of errors.",
    Outcome.SLOW: "Accepted, answered late, then a report DELIVRD.",
    Outcome.TIMEOUT_AFTER_ACCEPT: "Accepted and delivered, but the answer does not come in time.",
    Outcome.RATE_LIMITED: "HTTP 429 with Retry-After.",
    Outcome.HTML: "HTTP 200 with the HTML login page. Nothing is sent.",
    Outcome.GARBAGE: "Accepted and delivered, but the JSON of the answer is cut in half.",
    Outcome.SERVER_ERROR: "HTTP 500. Nothing is sent.",
    Outcome.UNAVAILABLE_ONCE: "HTTP 503 on the first send, accepted on the second, and so on in turn.",
}


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
)

_BY_NUMBER = {(number, row.channel): row.outcome for row in FORCED for number in row.numbers()}


def outcome_for(number: str, channel: str) -> Outcome:
    """Tell how a send to `number` (digits) over `channel` ends."""
    return _BY_NUMBER.get((number, channel), Outcome.DELIVERED)
