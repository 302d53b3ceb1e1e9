"""What a request says: its body as strict JSON, and its Idempotency-Key.

Knows the limits of a body and of its JSON. Must not know what is done with the values.
"""

import codecs
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any, Never

from flask import request
from marshmallow import Schema, ValidationError
from marshmallow.exceptions import SCHEMA

from otp_service import errors
from otp_service.http.server import refusals
from otp_service.telemetry.logs import redact

MAX_BODY = 16 * 1024
"""Bytes that a request's body may have; a longer one is refused unread."""
MAX_POLICY = 512 * 1024
"""Bytes that a body with a policy, or with a batch of reports, may have."""


def load(schema: type[Schema], *, optional: bool = False) -> dict[str, Any]:
    """Read the body as strict JSON (RFC 8259, I-JSON of RFC 7493) and check it.

    Raises UnsupportedMediaType, BodyTooLarge, MalformedJson, MalformedRequest or Invalid.
    """
    raw = read_body()
    empty = optional and not raw
    if request.mimetype != "application/json" and not (empty and not request.mimetype):
        raise errors.UnsupportedMediaType
    if empty:
        return {}
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise _encoded()
    try:
        loaded: dict[str, Any] = _instance(schema).load(_strict_json(raw))
    except ValidationError as error:
        raise errors.Invalid(field_rules(error.normalized_messages())) from None  # type: ignore[no-untyped-call]
    return loaded


def _where(raw: bytes, error: json.JSONDecodeError) -> str:
    """Say where a text stops being JSON, without a word of it: it may hold a number or a code."""
    if not raw.strip():
        return "The body is empty. Send a JSON object."
    return f"The body is not valid JSON in UTF-8: see line {error.lineno}, column {error.colno}."


def _encoded() -> errors.UnsupportedMediaType:
    error = errors.UnsupportedMediaType(
        "The body has a Content-Encoding, such as gzip. Send it as plain JSON."
    )
    error.broken = ("Content-Encoding", "must be omitted or identity")
    return error


def read_body() -> bytes:
    """Read the body, with a stated length or in chunks. Raises BodyTooLarge, MalformedJson or MalformedRequest."""
    if request.headers.get("Transfer-Encoding", "chunked").strip().lower() != "chunked":
        raise refusals.unknown_transfer_coding()
    if request.content_length is not None or "Transfer-Encoding" not in request.headers:
        return request.get_data()
    most = request.max_content_length or MAX_BODY
    try:
        raw: bytes = request.input_stream.read(most + 1)
    except Exception:  # noqa: BLE001 - malformed chunks; each server raises errors of its own for them
        raise errors.MalformedJson("The chunks of the body are malformed (RFC 9112, section 7.1).") from None
    if len(raw) > most:
        raise errors.BodyTooLarge(most)
    return raw


@cache
def _instance(schema: type[Schema]) -> Schema:
    """Make a schema once: making one costs more than using it."""
    return schema()


def _strict_json(raw: bytes) -> dict[str, Any]:
    if raw.startswith(_BYTE_ORDER_MARKS):
        raise errors.MalformedJson("The body begins with a byte order mark. Send JSON in UTF-8 without one.")
    try:
        body = json.loads(raw.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
        # A lone surrogate, written as an escape, cannot be encoded, so it could not be hashed or stored.
        json.dumps(body, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        raise errors.MalformedJson(_where(raw, error)) from None
    except (ValueError, RecursionError):
        raise errors.MalformedJson from None
    if not isinstance(body, dict):
        raise errors.Invalid({"body": ["must be a JSON object"]})
    return body


_BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        counted = Counter(name for name, _ in pairs)
        duplicates = {_safe_name(name) for name, count in counted.items() if count > 1}
        raise errors.Invalid({name: ["must not be given twice"] for name in sorted(duplicates)})
    return members


def _no_constant(_: str) -> Never:
    raise errors.Invalid({"body": ["must not contain NaN or Infinity, which are not JSON"]})


def field_rules(messages: Mapping[str, Any]) -> dict[str, list[str]]:
    """Write marshmallow's messages by field; an entry of a list is `origins[0]`."""
    rules: dict[str, list[str]] = {}
    for name, found in messages.items():
        for place, broken in _places(_safe_name(name), found):
            rules.setdefault(place, []).extend(_RULES.get(rule, rule) for rule in broken)
    return rules


def _places(place: str, found: Any) -> Iterator[tuple[str, list[str]]]:  # noqa: ANN401 - marshmallow nests freely
    """List what is broken in a field, of many entries only the first."""
    if not isinstance(found, Mapping):
        yield place, found
        return
    for inner, broken in islice(found.items(), _MOST_ENTRIES):
        if inner == SCHEMA:  # the field itself, not one of its members
            yield place, broken
            continue
        below = f"{place}[{inner}]" if isinstance(inner, int) else f"{place}.{_safe_name(str(inner))}"
        yield from _places(below, broken)


_MOST_ENTRIES = 10
_RULES = {
    "Missing data for required field.": "is required",
    "Field may not be null.": "must not be null",
    "Not a valid list.": "must be a list",
}


def _safe_name(name: str) -> str:
    """Return a field's name, or a placeholder if the client put something else there, such as a key."""
    return name if re.fullmatch(r"[A-Za-z_-]{1,40}", name) and redact(name) == name else "(another field)"


_IDEMPOTENCY_KEY = re.compile(r'"([\x20\x21\x23-\x5b\x5d-\x7e]{1,128})"|([\x21\x23-\x7e]{1,128})')


def idempotency_key() -> str | None:
    """Read Idempotency-Key: a string as structured fields write it (RFC 8941), or a bare one. Raises Invalid."""
    value = request.headers.get("Idempotency-Key")
    if value is None:
        return None
    match = _IDEMPOTENCY_KEY.fullmatch(value.strip())
    if not match:
        raise errors.Invalid({"Idempotency-Key": ["must be 1 to 128 visible ASCII characters"]})
    return match[1] or match[2]
