"""What an answer of the upstream means, as tables.

Knows the upstream's words and codes; they die here. Must not know how an answer is fetched. Pure: an unknown
word or a broken answer is a reason like any other, never an exception.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from otp_service.delivery import Outcome, Verdict
from otp_service.mobtexting.transport import Answer

ACCEPTED: Final = "accepted"
UNREADABLE: Final = "unreadable"
UNKNOWN_WORD: Final = "unknown_word"

VERDICTS: Final[Mapping[str, Verdict]] = {
    ACCEPTED: Verdict.ACCEPTED,
    # Nothing left: no connection came about.
    "dns_failed": Verdict.DEFERRED,
    "connect_failed": Verdict.DEFERRED,
    "connect_timeout": Verdict.DEFERRED,
    "tls_failed": Verdict.DEFERRED,
    # "Not now": the upstream says that it did not act and that a repetition may succeed.
    "throttled": Verdict.DEFERRED,
    "request_timeout": Verdict.DEFERRED,  # 408: it did not get the whole request (RFC 9110, 15.5.9)
    "unavailable": Verdict.DEFERRED,  # 503 with Retry-After: a door deliberately shut (RFC 9110, 15.6.4)
    # It may have acted.
    "timeout": Verdict.UNKNOWN,
    "connection_lost": Verdict.UNKNOWN,
    "truncated": Verdict.UNKNOWN,
    "too_large": Verdict.UNKNOWN,
    UNREADABLE: Verdict.UNKNOWN,
    "no_recipient": Verdict.UNKNOWN,
    UNKNOWN_WORD: Verdict.UNKNOWN,  # a word not listed below may be a new name for success
    "server_error": Verdict.UNKNOWN,  # it broke at an unknown point; a gateway's 502, 503, 504 knows no more
    "no_receipt": Verdict.UNKNOWN,  # the operator did not say in time
    # It did not act, and would not for the same request: the account's side.
    "bad_token": Verdict.REFUSED,
    "forbidden": Verdict.REFUSED,  # for instance a token bound to other addresses
    "not_found": Verdict.REFUSED,  # a wrong base URL or path
    "redirected": Verdict.REFUSED,  # as above; not followed, as the token would travel along
    "conflict": Verdict.REFUSED,  # each reference is sent once, so it cannot be the echo of our own first try
    "rejected": Verdict.REFUSED,
    "no_account": Verdict.REFUSED,
    "no_credits": Verdict.REFUSED,
    "invalid_sender": Verdict.REFUSED,
    "invalid_service": Verdict.REFUSED,
    "invalid_entity": Verdict.REFUSED,
    "invalid_template": Verdict.REFUSED,
    "invalid_schedule": Verdict.REFUSED,
    "too_many_parts": Verdict.REFUSED,
    "dlt_rejected": Verdict.REFUSED,
    "spam": Verdict.REFUSED,
    "duplicate": Verdict.REFUSED,  # the same text to the same number within the operator's time
    "outside_hours": Verdict.REFUSED,  # promotional traffic at night
    "upstream_failed": Verdict.REFUSED,  # final for this message; another channel is faster than a repetition
    # ... and the number's side.
    "invalid_number": Verdict.REFUSED,
    "not_allowed": Verdict.REFUSED,
    "blocked": Verdict.REFUSED,
    "do_not_disturb": Verdict.REFUSED,
    "opted_out": Verdict.REFUSED,
    "unreachable": Verdict.REFUSED,
    "undelivered": Verdict.REFUSED,
}
"""Each reason, and the verdict that it stands for. Every word below leads to one of these."""

STATUSES: Final[Mapping[str, str]] = {
    # Spellings of success inside a body (documentation, v2, common rules); all else is a failure.
    "200": ACCEPTED,
    "OK": ACCEPTED,
    "ERROR": "rejected",
    # HTTP statuses, which occur inside a body too.
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
    # The rest of each class; 400, 412 and 422 name a field that the upstream does not like.
    "3XX": "redirected",
    "4XX": "rejected",
    "5XX": "server_error",
}
"""HTTP statuses and the `status` or `code` of a body, and their reasons."""

WORDS: Final[Mapping[str, str]] = {
    "": ACCEPTED,
    "AWAITING-DLR": ACCEPTED,
    "QUEUED": ACCEPTED,
    "DELIVRD": ACCEPTED,
    "TIMEOUT-DLR": "no_receipt",
    # The subscriber, the handset, the network.
    "INVALID-SUB": "invalid_number",
    "ABSENT-SUB": "unreachable",
    "HANDSET-ERR": "unreachable",
    "HANDSET-BUSY": "unreachable",
    "MEMEXEC": "unreachable",
    "MOB-OFF": "unreachable",
    "NET-ERR": "unreachable",
    "BARRED": "blocked",
    "SERIES-BLK": "blocked",
    "EXPIRED": "undelivered",
    "FAILED": "undelivered",
    "UNDELIV": "undelivered",
    # The platform.
    "SERIES-BLOCK": "blocked",
    "BLACKLST": "blocked",
    "DNDNUMB": "do_not_disturb",
    "NOT-OPTIN": "opted_out",
    "OPTOUT-REJ": "opted_out",
    "NOTALLOWED": "not_allowed",
    "INV-NUMBER": "invalid_number",
    "NO-CREDITS": "no_credits",
    "NO-ACCOUNT": "no_account",
    "SERVER-ERR": "upstream_failed",
    "SPAM": "spam",
    "SNDR-BLOCK": "invalid_sender",
    "INV-SENDER": "invalid_sender",
    "TEMPLATE-NOT-FOUND": "invalid_template",
    "INV-TEMPLATE": "invalid_template",
    "INV-PROVISION": "invalid_service",
    "INV-SERVICE": "invalid_service",
    "INV-SCHEDULE": "invalid_schedule",
    "PROMO-TMOUT": "outside_hours",
    "REJECTED": "rejected",
    "DUPLICATE": "duplicate",
    "THROTTLED": "throttled",
    # DLT, India's register of senders and texts.
    "DLT-REJECTED": "dlt_rejected",
    "REJ-MULTIPART": "too_many_parts",
    "DLT-INV-TMID": "invalid_template",
    "DLT-INV-TM-ID": "invalid_template",
    "INV-TMID": "invalid_template",
    "DLT-TM-VAR-EXECEED": "invalid_template",  # the upstream's spelling
    "DLT-TM-BLACKLST": "invalid_template",
    "DLT-TM-INACTIVE": "invalid_template",
    "DLT-INV-ENTITY": "invalid_entity",
    "DLT-ENTITY-NOT-FOUND": "invalid_entity",
    "DLT-ENTITY-BLACKLST": "invalid_entity",
    "INV-ENTITY": "invalid_entity",
    "INV-PEID": "invalid_entity",
    "DLT-HEADER-INACTIVE": "invalid_sender",
    "DLT-SENDER-NOT-REG-TM": "invalid_sender",
}
"""The `status` of a recipient's row (documentation, v2/sms, status words), and its reason."""

_MAX_ID: Final = 128  # documented ids have some 40 characters
_MAX_WAIT: Final = 86_400.0  # seconds; a longer Retry-After says no more than this
_WORD_LIKE: Final = re.compile(r"[A-Z][A-Z-]{0,39}")  # holds no digits, so no number and no code


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer in our words. `new_word` is a word that the tables lack, where it is fit to be shown."""

    reason: str
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)
    row: Mapping[str, Any] = field(default_factory=dict, repr=False)
    new_word: str | None = None


def outcome_of(reading: Reading, answer: Answer, now: datetime) -> Outcome:
    """Give the verdict on a send. `now` is what a Retry-After with a date is measured from."""
    reason = reading.reason
    if reason == ACCEPTED and not reading.row:
        reason = "no_recipient"  # "0 numbers accepted for delivery." is a success, too
    verdict = VERDICTS[reason]
    return Outcome(
        verdict,
        reason,
        upstream_id=_id_of(reading.row.get("id")),
        retry_after=_seconds(answer.retry_after, now) if verdict is Verdict.DEFERRED else None,
        charges=number(reading.row.get("charges")),
    )


def read(answer: Answer) -> Reading:
    """Say what an answer means, from the outside in: HTTP status, body, its `status`, the recipient's row.

    Outside the 2xx the HTTP status alone decides: a refusal stands even if its page is cut short.
    """
    if answer.status // 100 != 2:  # noqa: PLR2004 - the class of success
        return Reading(_status_reason(str(answer.status), retry_after=bool(answer.retry_after)) or UNREADABLE)
    if answer.fault:
        return Reading(answer.fault)
    body = _object(answer.body)
    if body is None:
        return Reading("bad_token" if _is_login_page(answer.body) else UNREADABLE)
    return _read_body(body)


def number(value: object) -> float | None:
    """Read a figure that the upstream writes as a number or as text; None if it is no finite figure."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        figure = float(value)
    except (ValueError, OverflowError):
        return None
    return figure if math.isfinite(figure) else None


def _status_reason(word: str, *, retry_after: bool = False) -> str | None:
    exact = [f"{word} RETRY-AFTER", word] if retry_after else [word]
    wider = [f"{word[0]}XX"] if re.fullmatch("[1-9][0-9]{2}", word) else []
    return next((STATUSES[spelling] for spelling in exact + wider if spelling in STATUSES), None)


def _read_body(body: Mapping[str, Any]) -> Reading:
    row = _first_row(body.get("data"))
    word, row_word = _spelling(body.get("status")), _spelling(row.get("status"))
    if not word:
        return Reading(UNREADABLE, body, row)
    reason = _status_reason(word) or UNKNOWN_WORD
    if reason == ACCEPTED:
        word, reason = row_word, WORDS.get(row_word, UNKNOWN_WORD)
    elif reason == "rejected":
        reason = _finer(_spelling(body.get("code")), row_word) or reason
    shown = word if reason == UNKNOWN_WORD and _WORD_LIKE.fullmatch(word) else None
    return Reading(reason, body, row, shown)


def _finer(code: str, row_word: str) -> str | None:
    """Find what an ERROR leaves out: the optional `code`, else the word of the recipient's row."""
    found = (_status_reason(code), WORDS.get(row_word))
    return next((reason for reason in found if reason and reason != ACCEPTED), None)


def _first_row(data: object) -> Mapping[str, Any]:
    """Pick the row of the recipient; there is one, as each send has one."""
    first = data[0] if isinstance(data, list) and data else data
    return first if isinstance(first, dict) else {}


def _spelling(value: object) -> str:
    """Write a status in the tables' way, whatever its type, case and separators."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return "?"
    return re.sub(r"[\s_]+", "-", str(value).strip().upper()).removesuffix(".0")


def _object(body: bytes) -> dict[str, Any] | None:
    """Parse a JSON object; None if it is anything else.

    Bytes that are no UTF-8 become replacement characters: they may spoil a message text, never the ASCII
    words that count. PHP likes to put a byte order mark first.
    """
    try:
        found = json.loads(
            body.decode("utf-8-sig", errors="replace"),
            object_pairs_hook=_without_twins,
            parse_constant=_no_constant,
        )
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _without_twins(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key stands twice, so the object says two things")
    return dict(pairs)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _is_login_page(body: bytes) -> bool:
    """Know the portal's login page, which a wrong token gets in place of JSON, even with HTTP 200."""
    return body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") and b"/login" in body.lower()


def _id_of(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value)
    return text if 0 < len(text) <= _MAX_ID and text.isprintable() else None


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
