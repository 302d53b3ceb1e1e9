"""Tables of what the upstream's answers mean.

Knows the upstream's codes and the shape of its answers. Must not know how an answer is fetched. Pure: an unknown word
or a broken answer becomes a reason, never an exception.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final

from otp_service.upstream.mobtexting.transport import Answer
from otp_service.upstream.mobtexting.values import identifier, number, parse_json, scalar
from otp_service.upstream.mobtexting.words import PART_LOST, UNKNOWN_WORD, meaning_of, shown
from otp_service.upstream.port import Outcome, Stage, Verdict

ACCEPTED: Final = "accepted"
UNREADABLE: Final = "unreadable"
NO_RECIPIENT: Final = "no_recipient"
ABANDONED: Final = "abandoned"

VERDICTS: Final[Mapping[str, Verdict]] = {
    ACCEPTED: Verdict.ACCEPTED,
    # Nothing left: there was no connection.
    "dns_failed": Verdict.DEFERRED,
    "connect_failed": Verdict.DEFERRED,
    "connect_timeout": Verdict.DEFERRED,
    "tls_failed": Verdict.DEFERRED,
    # "Not now": the upstream says that it did nothing and that a repetition may succeed.
    "throttled": Verdict.DEFERRED,
    "request_timeout": Verdict.DEFERRED,  # 408: it did not get the whole request (RFC 9110, 15.5.9)
    "unavailable": Verdict.DEFERRED,  # 503 with Retry-After: a deliberate refusal (RFC 9110, 15.6.4)
    # It may have sent the message.
    "timeout": Verdict.UNKNOWN,
    "connection_lost": Verdict.UNKNOWN,
    "truncated": Verdict.UNKNOWN,
    "too_large": Verdict.UNKNOWN,
    UNREADABLE: Verdict.UNKNOWN,
    NO_RECIPIENT: Verdict.UNKNOWN,
    ABANDONED: Verdict.UNKNOWN,  # the caller that sent the batch failed
    UNKNOWN_WORD: Verdict.UNKNOWN,  # a word that is not in the table may be a new word for success
    "server_error": Verdict.UNKNOWN,  # it failed at an unknown point; so did a gateway's 502, 503 or 504
    "no_receipt": Verdict.UNKNOWN,
    # It did nothing, and would do nothing for the same request: faults of the account.
    "bad_token": Verdict.REFUSED,
    "forbidden": Verdict.REFUSED,  # for example a token that is bound to other addresses
    "not_found": Verdict.REFUSED,  # a wrong base URL or path
    "redirected": Verdict.REFUSED,  # as above; not followed, because the token would be sent along
    "conflict": Verdict.REFUSED,  # each reference is sent once, so this is not an earlier try of this message
    "rejected": Verdict.REFUSED,
    "no_account": Verdict.REFUSED,
    "no_credits": Verdict.REFUSED,
    "invalid_sender": Verdict.REFUSED,
    "invalid_service": Verdict.REFUSED,
    "invalid_entity": Verdict.REFUSED,
    "invalid_template": Verdict.REFUSED,
    "invalid_schedule": Verdict.REFUSED,
    "dlt_rejected": Verdict.REFUSED,
    "spam": Verdict.REFUSED,
    "duplicate": Verdict.REFUSED,  # the same text to the same number within the operator's time limit
    "outside_hours": Verdict.REFUSED,  # promotional traffic at night
    "upstream_failed": Verdict.REFUSED,  # final for this message; another channel is faster than a repetition
    # Faults of the number.
    "invalid_number": Verdict.REFUSED,
    "not_allowed": Verdict.REFUSED,
    "blocked": Verdict.REFUSED,
    "do_not_disturb": Verdict.REFUSED,
    "opted_out": Verdict.REFUSED,
    "unreachable": Verdict.REFUSED,
    "undelivered": Verdict.REFUSED,
    PART_LOST: Verdict.REFUSED,
    "busy": Verdict.REFUSED,
    "no_answer": Verdict.REFUSED,
    "cancelled": Verdict.REFUSED,
}
"""The verdict of each reason. Every status, and every word for a failure, leads to one of these reasons."""

STATUSES: Final[Mapping[str, str]] = {
    # Spellings of success in a body (documentation, v2, common rules; 202 in v2/rcs).
    "200": ACCEPTED,
    "201": ACCEPTED,
    "202": ACCEPTED,
    "SUCCESS": ACCEPTED,
    "TRUE": ACCEPTED,
    # Spellings of failure in a body (v2/rcs, v2/verify and the vendor's own clients).
    "ERROR": "rejected",
    "FAILED": "rejected",
    "FAILURE": "rejected",
    "FAIL": "rejected",
    "FALSE": "rejected",
    "INVALID": "rejected",
    "UNAUTHENTICATED": "bad_token",
    # HTTP statuses, which also occur in a body.
    "401": "bad_token",
    "402": "no_credits",
    "403": "forbidden",
    "404": "not_found",
    "405": "not_found",
    "408": "request_timeout",
    "409": "conflict",
    "410": "not_found",
    "429": "throttled",
    "503 RETRY-AFTER": "unavailable",
    # The rest of each class; 400, 412 and 422 name a field that the upstream rejects.
    "3XX": "redirected",
    "4XX": "rejected",
    "5XX": "server_error",
}
"""The reason of each HTTP status, and of the `status` or `code` of a body."""

_PHRASES: Final = {status.phrase.upper(): str(status.value) for status in HTTPStatus}
"""The number of each HTTP status that a body may spell out, such as "OK" or "Not Found"."""
_NOT_THE_PHONE: Final = re.compile(
    r"\b(route|path|page|url|endpoint|method|api|agent|bot|sender|template|account|service)s?\b",
    re.IGNORECASE,
)
"""What a 404 may name that is no fault of the phone."""
_NO_ENTITY: Final = re.compile(r"\bentity\b", re.IGNORECASE)
_ON_ITS_WAY: Final = {Stage.PENDING, Stage.SENT, Stage.DELIVERED, Stage.READ}
_MAX_WAIT: Final = 86_400.0  # seconds; a longer Retry-After is cut to this
MOST_CHARGED: Final = 100_000
"""What one message may cost, in the upstream's unit, in currencies with large figures, too."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer means, as a whole or for one recipient.

    `row` is the recipient's row, empty if there is none. `said` is the status word if it is safe to show, `new_word`
    the same if it is new. `retry_after` is the header as received. A `queued` answer (202) accepts without naming
    recipients.
    """

    reason: str
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)
    row: Mapping[str, Any] = field(default_factory=dict, repr=False)
    new_word: str | None = None
    said: str | None = None
    retry_after: str | None = None
    queued: bool = False

    def wait(self, now: datetime) -> float | None:
        """Return the seconds to wait, if the upstream said "not now" and for how long."""
        return _seconds(self.retry_after, now) if VERDICTS[self.reason] is Verdict.DEFERRED else None


def read(answer: Answer) -> Reading:
    """Read an answer as a whole, from the outside in: HTTP status, body, its `status` and `code`.

    For an HTTP status other than 2xx, the status alone decides: a refusal counts even if its body is truncated.
    """
    body = _object_of(answer)
    if answer.status // 100 != 2:  # noqa: PLR2004 - the class of success
        reason = _status_reason(str(answer.status), retry_after=bool(answer.retry_after))
        return Reading(reason or UNREADABLE, body or {}, retry_after=answer.retry_after)
    if answer.fault:
        return Reading(answer.fault)
    queued = answer.status == HTTPStatus.ACCEPTED
    if queued and not answer.body.strip():
        return Reading(ACCEPTED, queued=True)
    if body is None:
        return Reading("bad_token" if _is_login_page(answer.body) else UNREADABLE)
    return replace(_read_body(body, queued=queued), retry_after=answer.retry_after)


def for_rcs(reading: Reading) -> Reading:
    """Tell a phone without RCS from a wrong path, agent or template: all are 404.

    Documented (v2/rcs): "entity not found", with a `status` and a `code`, which the answer to a wrong path lacks. A
    phone without RCS is a fault of the number, so it must not count against the account.
    """
    body = reading.body
    said = f"{body.get('message')} {body.get('data')}"
    answered = bool(body.get("status") or body.get("code") or _NO_ENTITY.search(said))
    if reading.reason != "not_found" or not answered or _NOT_THE_PHONE.search(said):
        return reading
    return replace(reading, reason="unreachable")


def rows(reading: Reading) -> list[Mapping[str, Any]]:
    """List the rows of an answer: `data`, one level deeper if it is paged, or a single row without a list."""
    data = reading.body.get("data")
    if isinstance(data, dict) and isinstance(data.get("data"), list):
        data = data["data"]
    return [row for row in (data if isinstance(data, list) else [data]) if row and isinstance(row, dict)]


def for_recipient(reading: Reading, row: Mapping[str, Any] | None) -> Reading:
    """Read what an answer means for one recipient, whose row is below an OK or an ERROR.

    Below an OK the row decides, and a missing row makes the outcome unknown, unless the answer is `queued` and has no
    rows. Below a plain ERROR the row may give the reason.
    """
    if row is None:
        lost = reading.reason == ACCEPTED and not (reading.queued and not rows(reading))
        return replace(reading, reason=NO_RECIPIENT) if lost else reading
    meaning = meaning_of(row.get("status"))
    if reading.reason == ACCEPTED:
        reason = ACCEPTED if meaning.stage in _ON_ITS_WAY else meaning.reason
        return replace(reading, reason=reason, row=row, new_word=meaning.new_word, said=meaning.said)
    finer = reading.reason == "rejected" and meaning.stage is Stage.FAILED
    said = meaning.said if finer else reading.said
    return replace(reading, reason=meaning.reason if finer else reading.reason, row=row, said=said)


def outcome_of(reading: Reading, now: datetime) -> Outcome:
    """Return the outcome of a send. `now` is the start of a wait until a Retry-After with a date.

    The price in a row is `charges` or, in the format of the newer channels, `credits`. What is below 0 or above
    MOST_CHARGED is no price: budgets of money must neither grow by it nor be used up by it.
    """
    row = reading.row
    return Outcome(
        VERDICTS[reading.reason],
        reading.reason,
        upstream_id=identifier(row.get("id")),
        retry_after=reading.wait(now),
        charges=_price(row.get("charges", row.get("credits"))),
        said=reading.said,
    )


def _price(value: object) -> float | None:
    figure = number(value)
    return figure if figure is not None and 0 <= figure <= MOST_CHARGED else None


def _status_reason(word: str, *, retry_after: bool = False) -> str | None:
    exact = [f"{word} RETRY-AFTER", word] if retry_after else [word]
    wider = [f"{word[0]}XX"] if re.fullmatch("[1-9][0-9]{2}", word) else []
    return next((STATUSES[spelling] for spelling in exact + wider if spelling in STATUSES), None)


def _object_of(answer: Answer) -> Mapping[str, Any] | None:
    """Return the JSON object of an answer; None if its body is broken or something else."""
    try:
        body = None if answer.fault else parse_json(answer.body)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _read_body(body: Mapping[str, Any], *, queued: bool) -> Reading:
    """Read `status` and `code`: a failure in either counts, and a `code` is the finer reason of a plain ERROR."""
    status, code = _spelling(body.get("status")), _spelling(body.get("code"))
    queued = queued or "202" in (status, code)
    if not status:
        status = code or ("202" if queued else "")
    if not status:
        return Reading(UNREADABLE, body)
    reason, of_code = _word_reason(status, queued=queued), _status_reason(code)
    if reason in {ACCEPTED, "rejected"} and of_code and of_code != ACCEPTED:
        reason = of_code
    said = shown(status)
    new_word = said if reason == UNKNOWN_WORD else None
    return Reading(reason, body, new_word=new_word, said=said, queued=queued)


def _word_reason(status: str, *, queued: bool) -> str:
    """Find the reason of a body's status: an HTTP status, or a word that also occurs in a recipient's row."""
    if reason := _status_reason(status):
        return reason
    meaning = meaning_of(status)
    if meaning.stage is Stage.FAILED:
        return meaning.reason
    return ACCEPTED if queued and meaning.stage in _ON_ITS_WAY else UNKNOWN_WORD


def _spelling(value: object) -> str:
    """Write a status as the table spells it, whatever its type and case; "" if there is none."""
    text = str(value) if isinstance(value, bool) else scalar(value)
    if text is None:
        return "" if value is None else "?"
    word = text.strip().upper().removesuffix(".0")
    return _PHRASES.get(word, word)


def _is_login_page(body: bytes) -> bool:
    """Recognize the portal's login page: the answer to a wrong token, in place of JSON, even with HTTP 200."""
    return body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") and b"/login" in body.lower()


def _seconds(retry_after: str | None, now: datetime) -> float | None:
    """Read a Retry-After of either form (RFC 9110, 10.2.3): seconds, or a date."""
    if retry_after is None:
        return None
    if re.fullmatch("[0-9]+", retry_after):
        return min(float(retry_after), _MAX_WAIT)
    try:
        date = parsedate_to_datetime(retry_after)
        wait = (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds()
    except (ValueError, OverflowError):
        return None
    return min(max(wait, 0.0), _MAX_WAIT)
