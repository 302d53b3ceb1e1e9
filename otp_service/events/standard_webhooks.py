"""Standard Webhooks 1.0.0: the body of an event, its signature, and when to retry.

Knows the specification. Must not know endpoints, how a request travels, or the queue.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from otp_service.durations import HOUR, MINUTE
from otp_service.net.public_only import PostResult

MAX_BODY = 20_000
"""Bytes; the specification requires bodies smaller than 20 kB."""
RETRIES = (5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR)
"""Seconds to wait after each try, from the first: the schedule of the specification, three days in total."""
LONGEST_RETRY_AFTER = 24 * HOUR
JITTER = 0.2
"""Random variation of a wait, as a fraction, so that events that failed together are not retried together."""
_SUCCESS = 2
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class EventType(StrEnum):
    """The types of events that an app can receive."""

    SENT = "challenge.sent"
    DELIVERED = "challenge.delivered"
    FELL_BACK = "challenge.fell_back"
    VERIFIED = "challenge.verified"
    FAILED = "challenge.failed"
    BLOCKED = "challenge.blocked"


@dataclass(frozen=True, slots=True)
class Done:
    """The receiver accepted the event."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Send the same event again after `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Disable:
    """The receiver wants no more events: switch its endpoint off."""


@dataclass(frozen=True, slots=True)
class GaveUp:
    """Every try failed; the event is not sent again automatically."""


def write_body(type_: str, at_ms: int, data: Mapping[str, Any]) -> bytes:
    """Write an event that happened at `at_ms` (milliseconds since 1970). Raises ValueError above 20 kB."""
    at = (_EPOCH + timedelta(milliseconds=at_ms)).isoformat(timespec="milliseconds")
    event = {"type": type_, "timestamp": at.replace("+00:00", "Z"), "data": data}
    written = json.dumps(event, separators=(",", ":"), allow_nan=False).encode()
    if len(written) >= MAX_BODY:
        raise ValueError(f"an event must have fewer than {MAX_BODY} bytes")
    return written


def sign(event_id: str, now_seconds: int, body: bytes, keys: Sequence[bytes]) -> dict[str, str]:
    """Sign one try of an event with each of `keys`, the newest first, and return the headers.

    `now_seconds` is the time of the try (since 1970). The id is the same in every try, so that receivers recognize a
    repetition. It must not contain a full stop, which separates id and time in the signed text.
    """
    signed = f"{event_id}.{now_seconds}.".encode() + body
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(now_seconds),
        "webhook-signature": " ".join(_signature(key, signed) for key in keys),
    }


def _signature(key: bytes, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def after_answer(
    tries: int, answer: PostResult, random: Callable[[], float]
) -> Done | Retry | Disable | GaveUp:
    """Decide what follows the answer to try number `tries` (from 1); `random` gives 0 <= x < 1.

    Only 2xx is success; a redirect is a failure. A Retry-After can make the wait longer but not shorter, and counts
    for a day at most.
    """
    if answer.status is not None and answer.status // 100 == _SUCCESS:
        return Done()
    if answer.status == HTTPStatus.GONE:
        return Disable()
    if tries > len(RETRIES):
        return GaveUp()
    scheduled = RETRIES[tries - 1] * (1 + JITTER * (2 * random() - 1))
    return Retry(max(scheduled, min(answer.retry_after or 0, LONGEST_RETRY_AFTER)))
