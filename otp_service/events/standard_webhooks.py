"""Events for apps: their body, their signature, and when to try again, as Standard Webhooks 1.0.0 says.

Knows the specification. Must not know where an endpoint is, how a request travels or what waits in a queue.
"""

import base64
import hashlib
import hmac
import json
import secrets as dice
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from otp_service.durations import HOUR, MINUTE
from otp_service.net.public_only import Answer

PREFIX = "whsec_"
MIN_SECRET, MAX_SECRET = 24, 64
"""Bytes of a secret."""
DRAWN_SECRET = 32
"""Bytes of a secret that we draw: as many as the hash gives (RFC 2104, section 3)."""
MAX_BODY = 20_000
"""Bytes; the specification wants bodies smaller than 20 kB."""
RETRIES = (5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR)
"""Seconds to wait after the first try, the second, and so on: the specification's own schedule, three days."""
LONGEST_RETRY_AFTER = 24 * HOUR
JITTER = 0.2
"""How far a wait may lie from the schedule, as a part of it: receivers that failed together must not be hit so."""
_SUCCESS = 2
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Type(StrEnum):
    """What can happen to a challenge that its app wants to know."""

    SENT = "challenge.sent"
    DELIVERED = "challenge.delivered"
    FELL_BACK = "challenge.fell_back"
    VERIFIED = "challenge.verified"
    FAILED = "challenge.failed"
    BLOCKED = "challenge.blocked"


@dataclass(frozen=True, slots=True)
class Done:
    """The receiver has it."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The same event is to be sent again after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Disable:
    """The receiver wants no event any more: its endpoint is to be switched off."""


@dataclass(frozen=True, slots=True)
class GaveUp:
    """Every try failed; only a person sends this event again."""


def secret(text: str) -> bytes:
    """Read a secret: `whsec_` and base64 of 24 to 64 bytes. Raises ValueError with the rule."""
    try:
        raw = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except ValueError:
        raw = b""
    if not text.startswith(PREFIX) or not MIN_SECRET <= len(raw) <= MAX_SECRET:
        raise ValueError(f"must be {PREFIX} followed by the base64 of {MIN_SECRET} to {MAX_SECRET} bytes")
    return raw


def draw() -> str:
    """Draw a secret for one endpoint; two endpoints must never share one."""
    return PREFIX + base64.b64encode(dice.token_bytes(DRAWN_SECRET)).decode()


def body(type_: Type, at_ms: int, data: Mapping[str, Any]) -> bytes:
    """Write an event that happened at `at_ms` (milliseconds since 1970). Raises ValueError above 20 kB."""
    at = (_EPOCH + timedelta(milliseconds=at_ms)).isoformat(timespec="milliseconds")
    event = {"type": type_, "timestamp": at.replace("+00:00", "Z"), "data": data}
    written = json.dumps(event, separators=(",", ":"), allow_nan=False).encode()
    if len(written) >= MAX_BODY:
        raise ValueError(f"an event must have less than {MAX_BODY} bytes")
    return written


def headers(event_id: str, now_seconds: int, body: bytes, secrets: Sequence[bytes]) -> dict[str, str]:
    """Sign one try of an event, made at `now_seconds` (since 1970), with each secret; the newest comes first.

    The id stays the same in every try, so that receivers know a repetition. It must hold no full stop, which is
    what parts it from the time in the text that is signed.
    """
    signed = f"{event_id}.{now_seconds}.".encode() + body
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(now_seconds),
        "webhook-signature": " ".join(_signature(key, signed) for key in secrets),
    }


def _signature(key: bytes, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def following(tries: int, answer: Answer, random: Callable[[], float]) -> Done | Retry | Disable | GaveUp:
    """Say what follows the answer to the last of so many tries (from 1); `random` gives from 0 to below 1.

    Only 2xx is success, and a redirect is none. A Retry-After makes the wait longer, never shorter, and is
    worth a day at most.
    """
    if answer.status is not None and answer.status // 100 == _SUCCESS:
        return Done()
    if answer.status == HTTPStatus.GONE:
        return Disable()
    if tries > len(RETRIES):
        return GaveUp()
    scheduled = RETRIES[tries - 1] * (1 + JITTER * (2 * random() - 1))
    return Retry(max(scheduled, min(answer.retry_after or 0, LONGEST_RETRY_AFTER)))
