"""Answers of the upstream: HTTP status and what is wrong with the transfer, Retry-After, then the body."""

import math
import re
from datetime import UTC, datetime
from typing import Final

from otp_service.upstream.mobtexting import outcomes
from otp_service.upstream.mobtexting.balance import balances
from otp_service.upstream.mobtexting.lookup import lookup_of
from otp_service.upstream.mobtexting.receipts import ReceiptError, parse_rows
from otp_service.upstream.mobtexting.sms import rows_of
from otp_service.upstream.mobtexting.transport import Answer
from otp_service.upstream.port import Message, Outcome, Verdict

GUIDED = (
    "otp_service.upstream.mobtexting.outcomes",
    "otp_service.upstream.mobtexting.words",
    "otp_service.upstream.mobtexting.values",
    "otp_service.upstream.mobtexting.balance",
    "otp_service.upstream.mobtexting.lookup",
    "otp_service.upstream.mobtexting.sms",
    "otp_service.upstream.mobtexting.receipts",
)
SEEDS = tuple(
    text.encode()
    for text in (
        '200\n\n{"status": "OK", "data": [{"id": "a", "status": "AWAITING-DLR", "charges": "0.2", "customid": "r1"}]}',
        '200\n\n{"status": 200, "data": {"data": [{"id": 1, "status": "NO-CREDITS", "custom": "r2"}]}}',
        '200\n\n{"status": "ERROR", "code": 402, "message": "x", "data": {"status": "INV-NUMBER"}}',
        '202\n\n{"code": "Accepted", "data": [{"credits": 1, "mobile": "12025550100"}, {}]}',
        "202\n\n",
        '404\n\n{"status": "ERROR", "message": "entity not found"}',
        '404\n\n{"message": "template not found", "code": 404}',
        "429\n120\n{}",
        "503\nWed, 21 Oct 2026 07:28:00 GMT\n<html>",
        '200\n\n\ufeff<!doctype html><a href="/login">',
        "200 truncated\n\n{",
        '302\n\n{"status": true}',
        '200\n\n{"status": "SUCCESS", "imsi": "1", "ported": "yes", "ported_network": {"network_name": "Acme"}}',
        '200\n\n{"data": [{"service": "T", "name": "SMS", "credits": "10.5", "postpaid": 1}, {"name": "voice"}]}',
    )
)
WORDS = (
    *(
        '"status"',
        '"code"',
        '"data"',
        '"message"',
        '"id"',
        '"charges"',
        '"credits"',
        '"customid"',
        '"custom"',
    ),
    *('"mobile"', '"OK"', '"ERROR"', '"Accepted"', '"THROTTLED"', '"PENDING"', '"5XX"', "503 RETRY-AFTER"),
    *("NaN", "1e308", "-1", "-0.5", "null", "true", "[]", "{}", "entity", "agent", "truncated", "too_large"),
    *("/login", '"network_name"', '"postpaid"', '"service"', '"imsi"', "Fri, 31 Dec 9999 23:59:59 -2359"),
)
NOW: Final = datetime(2026, 11, 28, tzinfo=UTC)
_FAULTS: Final = {"truncated", "too_large", "timeout", "connection_lost", "unreadable"}
SENT: Final = [
    Message(to=f"+1202555010{at}", reference=f"r{at}", code="123456", text="text", language="en", seconds=99)
    for at in (1, 2)
]


def check(raw: bytes) -> None:
    """Read an answer in all ways that the client does: never an exception, and never more than was said."""
    head, retry_after, body = (*raw.split(b"\n", 2), b"", b"")[:3]
    status, _, fault = head.decode("latin-1").partition(" ")
    answer = Answer(
        status=int(status) if re.fullmatch("[1-5][0-9]{2}", status) else 200,
        body=body,
        fault=fault if fault in _FAULTS else "",
        retry_after=retry_after.decode("latin-1") or None,
    )
    reading = outcomes.read(answer)
    assert outcomes.read(answer) == reading
    listed = outcomes.rows(reading)
    for whole in (reading, outcomes.for_rcs(reading)):
        assert whole.reason in outcomes.VERDICTS
        for row in (None, *listed[:1], *rows_of(SENT, listed)):
            one = outcomes.for_recipient(whole, row)
            check_outcome(answer, one, outcomes.outcome_of(one, NOW))
    _check_others(reading)


def check_outcome(answer: Answer, reading: outcomes.Reading, outcome: Outcome) -> None:
    """Hold an outcome against what was said."""
    assert outcome.verdict is outcomes.VERDICTS[outcome.reason]
    if outcome.verdict is Verdict.ACCEPTED:
        assert 200 <= answer.status < 300, "only a success accepts"
        assert reading.row or reading.queued, "a message that the answer does not name"
        assert not answer.fault
    wait = outcome.retry_after
    assert wait is None or (0 <= wait <= 86_400 and outcome.verdict is Verdict.DEFERRED)
    charges = outcome.charges
    assert charges is None or 0 <= charges <= outcomes.MOST_CHARGED, "a price that is none"
    named = outcome.upstream_id
    assert named is None or (0 < len(named) <= 128 and named.isprintable())
    assert reading.new_word is None or re.fullmatch(r"[A-Z][A-Z-]{0,39}", reading.new_word)


def _check_others(reading: outcomes.Reading) -> None:
    """Read the same answer as a balance, as a lookup and as a report that was fetched."""
    for balance in balances(reading.body) or ():
        assert math.isfinite(balance.credits)
    for row in (reading.body, *outcomes.rows(reading)):
        found = lookup_of(row)
        assert found.network is None or found.network.isprintable()
    try:
        fetched = parse_rows("sms", outcomes.rows(reading), "m-1")
    except ReceiptError:
        return
    assert all(one.upstream_id for one in fetched)
