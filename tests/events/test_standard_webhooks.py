"""The body of events, their signature and when they are retried, checked by the specification's own library."""

import base64
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from otp_service.events import signing_secrets, standard_webhooks
from otp_service.events.standard_webhooks import Disable, Done, EventType, GaveUp, Retry
from otp_service.net.public_only import PostResult

IDS = st.from_regex(r"evt_[A-Za-z0-9_-]{1,40}", fullmatch=True)
KEYS = st.binary(min_size=24, max_size=64)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
DATA = st.dictionaries(st.text(max_size=8), JSON, max_size=4)
AT = 1_674_087_231_042
DAY = 86400


def answer(status: int | None, retry_after: float | None = None) -> PostResult:
    """Make an answer; its reason decides nothing."""
    return PostResult(status, retry_after, "answered" if status else "timeout")


def middle() -> float:
    """Draw the value that leaves a wait as scheduled."""
    return 0.5


# Signatures.


def test_the_specifications_own_vector() -> None:
    """The expected values are from the reference library's tests, for a fixed secret, id, time and body."""
    key = signing_secrets.read_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = standard_webhooks.sign(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', [key]
    )
    assert signed == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@given(IDS, DATA, st.sampled_from(EventType), st.lists(KEYS, min_size=1, max_size=3, unique=True))
def test_every_secret_alone_verifies_an_event(
    event_id: str, data: dict[str, object], kind: EventType, keys: list[bytes]
) -> None:
    """While secrets rotate, a receiver with any of them accepts the event and reads its content."""
    written = standard_webhooks.write_body(kind, AT, data)
    signed = standard_webhooks.sign(event_id, int(time.time()), written, keys)
    for key in keys:
        assert Webhook(key).verify(written, signed) == {
            "type": kind.value,
            "timestamp": "2023-01-19T00:13:51.042Z",
            "data": data,
        }


@given(IDS, KEYS, KEYS, st.data())
def test_nothing_else_verifies(event_id: str, key: bytes, other: bytes, drawn: st.DataObject) -> None:
    """A receiver refuses another secret, id, time or body."""
    now = int(time.time())
    written = standard_webhooks.write_body(EventType.SENT, AT, {})
    signed = standard_webhooks.sign(event_id, now, written, [key])
    place = drawn.draw(st.integers(0, len(written) - 1))
    changed = written[:place] + bytes([written[place] ^ 1]) + written[place + 1 :]
    refused = [
        (key, changed, signed),
        (key, written, signed | {"webhook-id": event_id + "x"}),
        (key, written, signed | {"webhook-timestamp": str(now - 1)}),
    ]
    if other != key:
        refused.append((other, written, signed))
    for held, read, sent in refused:
        with pytest.raises(WebhookVerificationError, match="No matching signature"):
            Webhook(held).verify(read, sent)


@pytest.mark.parametrize("shift", [-301, 360])
def test_a_try_of_another_time_is_stale(shift: int) -> None:
    """Each try is signed with its own time, so that a copy is valid for five minutes at most."""
    key, written = b"k" * 32, standard_webhooks.write_body(EventType.SENT, AT, {})
    with pytest.raises(WebhookVerificationError, match="timestamp too"):
        Webhook(key).verify(
            written, standard_webhooks.sign("evt_1", int(time.time()) + shift, written, [key])
        )


def test_the_newest_secret_signs_first() -> None:
    """The order of the secrets is the order of the signatures."""
    new, old = b"n" * 32, b"o" * 32
    alone = [standard_webhooks.sign("evt_1", 1, b"{}", [key])["webhook-signature"] for key in (new, old)]
    assert standard_webhooks.sign("evt_1", 1, b"{}", [new, old])["webhook-signature"] == " ".join(alone)


# Secrets.


@given(KEYS)
def test_a_secret_is_read(key: bytes) -> None:
    """24 to 64 bytes, in the form that receivers use in their settings."""
    text = "whsec_" + base64.b64encode(key).decode()
    assert signing_secrets.read_secret(text) == key
    assert Webhook(text).verify(b"1", standard_webhooks.sign("e", int(time.time()), b"1", [key])) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        base64.b64encode(b"k" * 32).decode(),
        "whsec_" + base64.b64encode(b"k" * 23).decode(),
        "whsec_" + base64.b64encode(b"k" * 65).decode(),
        "whsec_" + base64.b64encode(b"\xff" * 33).decode().replace("/", "_"),
        "whsec_" + base64.b64encode(b"k" * 32).decode().rstrip("="),
        "whsec_" + base64.b64encode(b"k" * 32).decode() + "\n",
        "WHSEC_" + base64.b64encode(b"k" * 32).decode(),
        "whsec_é" + "A" * 40,
    ],
)
def test_a_bad_secret_is_refused_with_the_rule(text: str) -> None:
    """Too short, too long, not base64, or without the prefix: the error shows the rule, not the secret."""
    with pytest.raises(ValueError, match=r"^must be whsec_ followed by the base64 of 24 to 64 bytes$"):
        signing_secrets.read_secret(text)


def test_drawn_secrets_are_valid_and_new() -> None:
    """Each drawn secret can be read, and no two are equal."""
    drawn = {signing_secrets.draw_secret() for _ in range(100)}
    assert len(drawn) == 100
    assert {len(signing_secrets.read_secret(text)) for text in drawn} == {32}


# Bodies.


def test_the_six_types_are_the_contract() -> None:
    """Receivers compare these words."""
    assert [*EventType] == [
        "challenge.sent",
        "challenge.delivered",
        "challenge.fell_back",
        "challenge.verified",
        "challenge.failed",
        "challenge.blocked",
    ]


def test_a_body_is_compact_json() -> None:
    """These exact bytes are signed and sent."""
    assert standard_webhooks.write_body(EventType.SENT, AT, {"id": "c1", "to": "•••71"}) == (
        b'{"type":"challenge.sent","timestamp":"2023-01-19T00:13:51.042Z",'
        b'"data":{"id":"c1","to":"\\u2022\\u2022\\u202271"}}'
    )


@given(st.integers(0, 253_402_300_799_999))
def test_every_millisecond_is_written_exactly(at: int) -> None:
    """The time is written with three decimals, in UTC, and reads back as the same time."""
    text = json.loads(standard_webhooks.write_body(EventType.SENT, at, {}))["timestamp"]
    assert len(text) == len("2023-01-19T00:13:51.042Z")
    moment = datetime.fromisoformat(text)
    assert (moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1) == at


def test_a_body_stays_below_20_kb() -> None:
    """A larger body is a bug, and is reported before anything is sent."""
    room = standard_webhooks.MAX_BODY - 1 - len(standard_webhooks.write_body(EventType.SENT, AT, {"x": ""}))
    assert len(standard_webhooks.write_body(EventType.SENT, AT, {"x": "a" * room})) == 19_999
    with pytest.raises(ValueError, match="fewer than 20000 bytes"):
        standard_webhooks.write_body(EventType.SENT, AT, {"x": "a" * (room + 1)})


def test_a_body_holds_no_number_that_json_lacks() -> None:
    """Strict parsers refuse NaN."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        standard_webhooks.write_body(EventType.SENT, AT, {"x": float("nan")})


# Retries.


def test_the_schedule_is_the_specifications_own() -> None:
    """Ten tries: at once, after 5 s, 5 min, 30 min, 2, 5, 10, 14, 20 and 24 h; then no more."""
    waits = [standard_webhooks.after_answer(tries, answer(500), middle) for tries in range(1, 11)]
    seconds = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
    assert waits == [*map(Retry, seconds), GaveUp()]


@given(st.integers(1, 20), st.integers(200, 299), st.floats(0, 1, exclude_max=True))
def test_any_2xx_is_success(tries: int, status: int, drawn: float) -> None:
    """Any 2xx status, at the first try or the last."""
    assert standard_webhooks.after_answer(tries, answer(status), lambda: drawn) == Done()


@given(st.integers(1, 20))
def test_gone_switches_the_endpoint_off(tries: int) -> None:
    """410 means that the receiver wants no more events, at the first try or the last."""
    assert standard_webhooks.after_answer(tries, answer(410, 60), middle) == Disable()


FAILED = st.none() | st.integers(100, 599).filter(lambda status: status // 100 != 2 and status != 410)


@given(st.integers(1, 9), FAILED, st.none() | st.floats(0, 10 * DAY), st.floats(0, 1, exclude_max=True))
def test_everything_else_is_retried_near_the_schedule(
    tries: int, status: int | None, retry_after: float | None, drawn: float
) -> None:
    """After a redirect, a refusal, a fault or no answer: within a fifth of the schedule, or later if asked to."""
    found = standard_webhooks.after_answer(tries, answer(status, retry_after), lambda: drawn)
    assert isinstance(found, Retry)
    scheduled, asked = standard_webhooks.RETRIES[tries - 1], min(retry_after or 0, DAY)
    assert found.seconds >= max(0.8 * scheduled, asked)
    assert found.seconds <= max(1.2 * scheduled, asked)


@given(st.integers(10, 20), FAILED, st.none() | st.floats(0, DAY))
def test_there_is_no_retry_after_the_last_try(
    tries: int, status: int | None, retry_after: float | None
) -> None:
    """Even a Retry-After causes no eleventh try."""
    assert standard_webhooks.after_answer(tries, answer(status, retry_after), middle) == GaveUp()


@pytest.mark.parametrize(("drawn", "seconds"), [(lambda: 0.0, 240), (lambda: 0.5, 300), (lambda: 0.75, 330)])
def test_the_jitter_spreads_both_ways(drawn: Callable[[], float], seconds: float) -> None:
    """A draw of 0 is a fifth sooner; the middle is the schedule."""
    found = standard_webhooks.after_answer(2, answer(500), drawn)
    assert isinstance(found, Retry)
    assert found.seconds == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("retry_after", "seconds"), [(0, 300), (299, 300), (301, 301), (DAY, DAY), (DAY + 1, DAY), (1e12, DAY)]
)
def test_a_retry_after_is_honoured_within_a_day(retry_after: float, seconds: float) -> None:
    """Never sooner than the schedule, never later than a day."""
    assert standard_webhooks.after_answer(2, answer(429, retry_after), middle) == Retry(seconds)
