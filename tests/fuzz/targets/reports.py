"""Delivery reports and replies as anybody may push them: content type, query, names of fields, then the body."""

import math
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from otp_service.upstream.mobtexting import receipts
from otp_service.upstream.port import Receipt, Reply, Stage

GUIDED = (
    "otp_service.upstream.mobtexting.receipts",
    "otp_service.upstream.mobtexting.words",
    "otp_service.upstream.mobtexting.values",
)
_FORM = "application/x-www-form-urlencoded"
SEEDS = tuple(
    text.encode()
    for text in (
        'application/json\n\n\n{"id": "a-1", "status": "DELIVRD", "custom": "ref", "units": "2"}',
        'application/json\n\n\n{"event": "sms:status", "payload": [{"id": 1, "status": "READ"}, {"status": 7}]}',
        'application/json\n\n\n[{"mid": "m", "status": "ANSWER", "duration": "01:02:03"}, {}]',
        (
            'application/json\n\n\n{"mid": "m", "bridge": "b", "status": "BUSY", "start_at": "2026-01-01T00:00:00", '
            '"end_at": "2026-01-01T00:00:09"}'
        ),
        (
            'application/json\n\n\n{"event": "whatsapp:message:in", "payload": {"recipient": {"from": "12025550100"}, '
            '"message": {"payload": {"text": "STOP"}}}}'
        ),
        'application/json\n\n\n{"event": "sms:unsubscription", "payload": {"receiver": "12025550100"}}',
        'application/json\n\n\n{"status": "Unsubscriber created successfully", "value": "12025550100"}',
        'application/json\n\n\n{"data": [{"status": "Subscriber deleted"}, {"status": "sent", "cid": "c"}]}',
        'application/json\ntoken=k\n\n{"validation_key": "k", "challenge": "echo"}',
        f"{_FORM}\n\n\nid=a-2&status=FAILED&channel=rcs&custom=%41",
        f"{_FORM}\n\nstate=state\nstate=sent&id=1&id=2",
        "\nid=a-3&status=QUEUED\n\n",
        (
            'multipart/form-data; boundary=b\n\n\n--b\r\nContent-Disposition: form-data; name="id"\r\n\r\nx\r\n'
            '--b\r\nContent-Disposition: form-data; name="status"\r\n\r\nSENT\r\n--b--\r\n'
        ),
        'text/plain\nstatus=SENT\nref,who\n\ufeff{"ref": 3, "status": true, "who": [1]}',
    )
)
WORDS = (
    *('"event"', '"payload"', '"data"', '"status"', '"id"', '"mid"', '"custom"', '"cid"', '"foreign_id"'),
    *('"duration"', '"units"', '"channel"', '"recipient"', '"from"', '"message"', '"receiver"', '"value"'),
    *(
        '"challenge"',
        '"validation_key"',
        '"start_at"',
        '"end_at"',
        '"DELIVRD"',
        '"REJ-MULTIPART"',
        "viber:in",
    ),
    *(
        "NaN",
        "1e999",
        "-1",
        "null",
        "true",
        "[]",
        "{}",
        "--b",
        "boundary=",
        "name=",
        "%00",
        "multipart/mixed",
    ),
)
_REFUSALS: Final = {"empty", "too_many", "not_an_object", "no_status", "no_id", "no_sender", "unreadable"}
_CHANNELS: Final = {"sms", "whatsapp", "voice", "rcs", "mip", "viber"}
Found = list[Receipt | Reply] | str


def check(raw: bytes) -> None:
    """Read a push: one of the documented refusals, or reports whose every part is small, plain and finite."""
    head, query, names, body = (*raw.split(b"\n", 3), b"", b"", b"")[:4]
    content_type = head.decode("latin-1")
    asked = dict(parse_qsl(query.decode("utf-8", "replace"), keep_blank_values=True))
    fields = _fields(names.decode("utf-8", "replace"))
    found = _read(content_type, body, asked, fields)
    assert _read(content_type, body, asked, fields) == found
    assert not receipts.signed(body, content_type, "webhook"), "nobody knows this key"
    if isinstance(found, str):
        assert found in _REFUSALS
        return
    for one in found:
        if isinstance(one, Receipt):
            _check_receipt(one)
        else:
            _check_reply(one)


def _fields(names: str) -> receipts.Fields:
    usual, own = receipts.DEFAULT, tuple(name for name in names.split(",") if name)
    return receipts.Fields(
        upstream_id=(*own[:1], *usual.upstream_id),
        status=(*own[1:2], *usual.status),
        reference=(*own[2:3], *usual.reference),
    )


def _read(content_type: str, body: bytes, query: Mapping[str, str], fields: receipts.Fields) -> Found:
    try:
        content = receipts.content_of(content_type, body, query)
        echo = receipts.handshake(query, content)
        assert echo is None or (0 < len(echo) <= 512 and echo.isprintable())
        return receipts.parse_content(content, fields)
    except receipts.ReceiptError as error:
        return error.word


def _check_receipt(one: Receipt) -> None:
    assert one.channel in _CHANNELS
    assert one.stage in Stage
    assert one.upstream_id or one.reference
    for named in (one.upstream_id, one.reference, *one.other_references):
        assert named is None or (0 < len(named) <= 128 and named.isprintable())
    assert len({one.reference, *one.other_references}) == 1 + len(one.other_references)
    assert re.fullmatch(r"[a-z_]{2,20}", one.reason)
    assert one.word is None or re.fullmatch(r"[A-Z][A-Z-]{0,39}", one.word)
    assert one.seconds is None or (math.isfinite(one.seconds) and one.seconds >= 0)


def _check_reply(one: Reply) -> None:
    assert one.channel in _CHANNELS
    assert 0 < len(one.sender) <= 64
    assert len(one.text) <= 4096
