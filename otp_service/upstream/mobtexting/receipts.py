"""Reads what the upstream pushes: delivery reports and replies, in all their formats (documentation, v2/.../webhook).

Knows formats, field names and the names of the upstream's pushes; status words are in the table. Must not know this
service's requests, and must not trust what it reads: times are in unknown zones, so order is by stage. Pure.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import Message
from email.parser import BytesHeaderParser
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from otp_service.upstream.mobtexting.values import identifier, number, parse_json, scalar
from otp_service.upstream.mobtexting.words import PART_LOST, meaning_of
from otp_service.upstream.port import Receipt, Reply

Content = Mapping[str, Any]
Pushed = Receipt | Reply
T = TypeVar("T")

_CHANNELS: Final[Mapping[str, str]] = {
    "sms": "sms",
    "vmn": "sms",  # a number that receives SMS
    "whatsapp": "whatsapp",
    "voice": "voice",
    "outgoing": "voice",
    "rcs": "rcs",
    "mip": "mip",
    "ip_message": "mip",
    "viber": "viber",
}
"""The channel for each of the upstream's names."""
_EVENT: Final = re.compile(r"([a-z_]{1,20}):(?:message:)?(status|out|in|unsubscription)")
_SENTENCE: Final = re.compile(r"(contact|subscriber|unsubscriber|group)\b.*\b(\w+ed)\b", re.IGNORECASE)
"""What a push about an address book says in place of a status word."""
_CLOCK: Final = re.compile(r"(?:(\d{1,2}):)?(\d{1,3}):(\d{2})")
_MOST_ENTRIES: Final = 1000
_MOST_FIELDS: Final = 200
_MAX_ECHO: Final = 512
_MAX_SENDER: Final = 64
_LEAST_DIGITS: Final = 5  # of a number; an id or a name beside it has fewer, or none
_MAX_TEXT: Final = 4096  # characters, the longest text of any channel


class ReceiptError(ValueError):
    """The content is not a report. `word` is a stable word of this service for the reason."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """The names that each field of a report may have; the first one that is present counts.

    A custom webhook can use any names. `otherwise` is the channel of a report that names none.
    """

    upstream_id: Sequence[str] = ("mid", "id")
    status: Sequence[str] = ("status",)
    reference: Sequence[str] = ("custom", "cid", "foreign_id")
    seconds: Sequence[str] = ("duration",)
    parts: Sequence[str] = ("units",)
    channel: Sequence[str] = ("channel",)
    otherwise: str = "sms"


DEFAULT: Final = Fields()


def parse(content: Content, fields: Fields = DEFAULT) -> list[Pushed]:
    """Read one pushed object: a flat report, a report in an envelope, or several of one kind.

    Pushes of other kinds are skipped. Of several reports, those that can be read are returned. Raises ReceiptError if
    none can: `empty`, `too_many`, `not_an_object`, `no_status`, `no_id`, `no_sender`.
    """
    event = content.get("event")
    if not isinstance(event, str):
        return _flat(_each(_bodies(content, "data"), lambda body: _unnamed(body, fields)))
    channel, kind = _known(event)
    if not channel:
        return []
    if kind == "unsubscription":
        return _flat(_each(_bodies(content, "payload"), lambda body: _opt_out(body, channel)))
    read = _reply if kind == "in" else _receipt
    return _each(_bodies(content, "payload"), lambda body: read(body, channel, fields))


def content_of(content_type: str, raw: bytes, query: Mapping[str, str]) -> object:
    """Decode a pushed request: JSON, a form of either kind, the query, or both together.

    A composed webhook may have fields in its URL and others in its body; a field of the body counts more, unless it is
    empty. Raises ReceiptError `unreadable`.
    """
    if not raw.strip():
        return query
    try:
        body = _decoded(content_type, raw)
    except (ValueError, RecursionError):
        raise ReceiptError("unreadable") from None
    if not isinstance(body, Mapping):
        return body
    return {**query, **{name: value for name, value in body.items() if value or name not in query}}


def parse_content(content: object, fields: Fields = DEFAULT) -> list[Pushed]:
    """Read the content of a pushed request, an object or a list. Raises ReceiptError as `parse` does."""
    if isinstance(content, list):
        return [entry for entries in _each(content, lambda one: parse(one, fields)) for entry in entries]
    if not isinstance(content, Mapping):
        raise ReceiptError("not_an_object")
    return parse(content, fields)


def parse_rows(channel: str, rows: Sequence[Content], upstream_id: str) -> list[Receipt]:
    """Read the rows of a status query for one message. Raises ReceiptError if none can be read."""
    return _each(rows, lambda row: _receipt({"id": upstream_id, **row}, channel, DEFAULT)) if rows else []


def handshake(query: Mapping[str, str], content: object) -> str | None:
    """Return the value to echo as JSON `{"challenge": ...}` when a webhook is registered; None if this is no handshake.

    Documented (help, verify webhook): the key is in the query as `token` and in the body, beside the value. A query
    without a key is accepted, as the answer reveals nothing.
    """
    if not isinstance(content, Mapping):
        return None
    key, echo = scalar(content.get("validation_key")), content.get("challenge")
    if not key or query.get("token", key) != key or not isinstance(echo, str):
        return None
    return echo if 0 < len(echo) <= _MAX_ECHO and echo.isprintable() else None


def signed(raw: bytes, signature: str, webhook_id: str) -> bool:
    """Check the `Signature` of a webhook in constant time.

    Inferred from the library that the upstream's documentation describes: the hex HMAC-SHA256 of the raw body, with the
    webhook's id as key.
    """
    expected = hmac.new(webhook_id.encode(), raw, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.strip().lower().encode("utf-8", "replace"))


def _known(event: str) -> tuple[str | None, str]:
    found = _EVENT.fullmatch(event.strip().lower())
    return (_CHANNELS.get(found[1]), found[2]) if found else (None, "")


def _bodies(content: Content, inner: str) -> Sequence[object]:
    """List the objects inside an object, or the object itself."""
    found = content.get(inner)
    if isinstance(found, list):
        return found
    return [found if isinstance(found, dict) else content]


def _each(bodies: Sequence[object], read: Callable[[Content], T]) -> list[T]:
    """Read each body and skip those that are broken. Raises ReceiptError if all are."""
    if not bodies:
        raise ReceiptError("empty")
    if len(bodies) > _MOST_ENTRIES:
        raise ReceiptError("too_many")
    found, broken = [], ReceiptError("not_an_object")
    for body in bodies:
        if isinstance(body, Mapping):
            try:
                found.append(read(body))
            except ReceiptError as error:
                broken = error
    if not found:
        raise broken
    return found


def _receipt(body: Content, channel: str | None, fields: Fields) -> Receipt:
    status = _first(body, fields.status)
    if scalar(status) is None:
        raise ReceiptError("no_status")
    upstream_id = identifier(_first(body, fields.upstream_id))
    references = dict.fromkeys(filter(None, (identifier(body.get(name)) for name in fields.reference)))
    reference, *others = references or [None]
    if not upstream_id and not reference:
        raise ReceiptError("no_id")
    meaning = meaning_of(status)
    return Receipt(
        channel=channel or _channel(body, fields),
        stage=meaning.stage,
        reason=meaning.reason,
        upstream_id=upstream_id,
        reference=reference,
        other_references=tuple(filter(None, others)),
        word=meaning.new_word,
        said=meaning.said,
        seconds=_length(body, fields),
        in_parts=meaning.reason == PART_LOST or (number(_first(body, fields.parts)) or 1) > 1,
    )


def _unnamed(body: Content, fields: Fields) -> list[Pushed]:
    """Read a push that names no event: a report, an opt-out, or news of an address book, which is nothing.

    An opt-out by link or in the portal looks so: `receiver`, `value`, `status: "Unsubscriber created successfully"`.
    """
    said = _SENTENCE.match((scalar(_first(body, fields.status)) or "").strip())
    if not said:
        return [_receipt(body, None, fields)]
    if said[1].lower() != "unsubscriber":
        return []
    word = "START" if said[2].lower() in {"deleted", "removed"} else "STOP"
    return _opt_out(body, _channel(body, fields), word)


def _opt_out(body: Content, channel: str, word: str = "STOP") -> list[Pushed]:
    """Read whom an opt-out names; an opt-out without a number is nothing."""
    found = (_sender(body.get(name)) for name in ("receiver", "value", "number"))
    sender = next((one for one in found if sum(map(str.isdigit, one)) >= _LEAST_DIGITS), None)
    return [Reply(channel=channel, sender=sender, text=word, written=False)] if sender else []


def _sender(value: object) -> str:
    """Read whom a push names, in whatever spelling; empty if it names none."""
    return (scalar(value) or "")[:_MAX_SENDER].strip()


def _flat(found: list[list[T]]) -> list[T]:
    return [one for several in found for one in several]


def _length(body: Content, fields: Fields) -> float | None:
    """Return the seconds of a call; None if the report does not tell, or says that it ended before it began."""
    seconds = _said_length(body, fields)
    return seconds if seconds is not None and seconds >= 0 else None


def _said_length(body: Content, fields: Fields) -> float | None:
    """Read the seconds of a call from its `duration` or its two times; None if it has neither."""
    told = scalar(_first(body, fields.seconds)) or ""
    clock = _CLOCK.fullmatch(told.strip())
    if clock:
        hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        return float(hours * 3600 + minutes * 60 + seconds)
    if told:
        return number(told)
    try:
        start, end = (datetime.fromisoformat(str(body.get(name))) for name in ("start_at", "end_at"))
        return (end - start).total_seconds()
    except (ValueError, TypeError):  # one has a zone and the other has none
        return None


def _channel(body: Content, fields: Fields) -> str:
    """Find the channel of a flat report. Only the report of a call has the fields `mid` and `bridge`."""
    named = scalar(_first(body, fields.channel)) or ""
    call = "voice" if body.keys() & {"mid", "bridge"} else fields.otherwise
    return _CHANNELS.get(named.strip().lower(), call)


def _reply(body: Content, channel: str, _: Fields) -> Reply:
    recipient, message = _object(body.get("recipient")), _object(body.get("message"))
    sender = _sender(recipient.get("from"))
    if not sender:
        raise ReceiptError("no_sender")
    payload = _object(message.get("payload"))
    text = scalar(_first(payload, ("text", "caption"))) or ""
    return Reply(channel=channel, sender=sender, text=text[:_MAX_TEXT])


def _first(body: Content, names: Sequence[str]) -> object:
    """Return the first of these fields that is not empty, else an empty one, else None."""
    held = [body[name] for name in names if body.get(name) is not None]
    return next((value for value in held if value != ""), held[0] if held else None)


def _object(value: object) -> Content:
    return value if isinstance(value, Mapping) else {}


def _decoded(content_type: str, raw: bytes) -> object:
    """Decode a body. Raises ValueError, also if a field occurs twice and is therefore ambiguous."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        text = raw.decode("utf-8", "replace")
        return _without_duplicates(parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    if kind == "multipart/form-data":
        return _without_duplicates(list(_parts(content_type, raw)))
    return parse_json(raw)


def _without_duplicates(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a field occurs twice")
    return dict(pairs)


def _parts(content_type: str, raw: bytes) -> Iterator[tuple[str, str]]:
    """Read a multipart form (RFC 7578). Raises ValueError if parts are nested (4.3), or there are too many."""
    boundary = _headers(f"Content-Type: {content_type}".encode("ascii", "replace")).get_boundary()
    if not boundary:
        raise ValueError("a form without a boundary")
    delimiter = rb"\r?\n--" + re.escape(boundary.encode("ascii", "replace"))
    _, *sections = re.split(delimiter, b"\n" + raw, maxsplit=_MOST_FIELDS + 1)
    if len(sections) > _MOST_FIELDS:
        raise ValueError("too many parts")
    for section in sections:
        if section.startswith(b"--"):
            return
        part = _headers(section.partition(b"\n")[2])
        if part.get_content_maintype() in {"multipart", "message"}:
            raise ValueError("a part that has parts")
        name, value = part.get_param("name", header="Content-Disposition"), part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(value, bytes):
            yield name, value.decode("utf-8", "replace")


def _headers(raw: bytes) -> Message:
    """Read headers; what follows them is one text, whatever they say."""
    return BytesHeaderParser().parsebytes(raw)
