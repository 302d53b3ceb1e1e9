"""No key outlives its stated window: each kind of key has a row here, and a time to live within it."""

import re
from dataclasses import replace
from itertools import islice

import pytest
from redis import Redis

from otp_service.alerts.teller import EVERY
from otp_service.bootstrap.operations import BLOCKS_KEPT
from otp_service.delivery.low_balances import LowBalances
from otp_service.verification.caller import Caller
from otp_service.verification.options import OptionsRequest
from otp_service.verification.send import SendRequest
from tests.support.fault_server import FaultServer
from tests.support.furnished import House, open_house
from tests.support.journeys import TTL, Upstream
from tests.support.numbers import crowd
from tests.support.valkey_server import ValkeyServer

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
RETENTION = {
    "keep_challenges": 300,
    "keep_idempotency": 7200,
    "keep_events": 10_800,
    "keep_history": 7 * 86_400,
}
LIFE = TTL * SECOND + RETENTION["keep_challenges"] * SECOND
EVENTS = RETENTION["keep_events"] * SECOND
HISTORY = RETENTION["keep_history"] * SECOND + 3 * HOUR
COUNTED = DAY + DAY // 10 + BLOCKS_KEPT
"""The longest window that a rule may have, until the last part of it has left, and a block that began at its end."""
PART = r"\{P:[0-9a-f]{2}\}"
NAME = "[A-Za-z0-9_-]{22}"
WINDOWS = {
    rf"{PART}:c:{NAME}": LIFE,
    rf"{PART}:due": 2 * LIFE,  # ids alone
    rf"{PART}:e:{NAME}": EVENTS,
    rf"{PART}:evt": 2 * EVENTS,  # ids alone
    rf"{PART}:i:{NAME}": RETENTION["keep_idempotency"] * SECOND,
    rf"P:u:{NAME}": LIFE,
    rf"P:k:open:[a-z]+:{NAME}": DAY,
    rf"P:k:mobile:{NAME}": DAY,
    r"P:s:blocked:[a-z_:]+": MINUTE,  # an app and a rule; nothing of a number
    rf"P:s:token:{NAME}": 5 * MINUTE,
    rf"{PART}:h:{NAME}": HISTORY,
    rf"{PART}:hl:[cr][0-9]{{6}}": HISTORY,  # ids alone
    rf"{PART}:hx:[0-9a-f]{{1,3}}": HISTORY,  # parts of HMACs, and ids
    rf"{PART}:hb": HISTORY,  # bytes by the hour; nothing of a number
    rf"P:ht:{NAME}": 5 * MINUTE,  # an HMAC of a token's id, and a challenge's id
    rf"\{{P:guard\}}:r:{NAME}": 90 * DAY,
    rf"\{{P:guard\}}:k:{NAME}": 180 * DAY,  # HMACs of sessions
    rf"\{{P:guard\}}:number:{NAME}": COUNTED,
    rf"\{{P:guard\}}:streak:{NAME}": 365
    * DAY,  # wrong codes in a row have no window (NIST SP 800-63B-4 3.2.2)
    rf"\{{P:guard\}}:(address|session|prefix|app|country|country-codes|unproven):{NAME}": COUNTED,
    r"\{P:guard\}:(all|guesses):": COUNTED,
    r"\{P:guard\}:blocks": 2 * DAY,
    r"\{P:guard\}:o:[A-Za-z0-9_.-]+": MINUTE,
    rf"\{{P:guard\}}:x:{NAME}": 10 * 365 * DAY,  # until START, or an operator lifts it
    r"\{P:b:main\}:sms": HOUR,  # a breaker; nothing of a number
    r"P:awaited": 7 * DAY,  # messages without reports by account and channel; nothing of a number
    r"P:k:low:main": DAY,  # a low balance
    r"P:k:alerts": 7 * DAY,  # what operators were told; nothing of a number
    r"P:s:alerts:look": MINUTE,
    rf"P:asked:{NAME}": MINUTE,  # an HMAC of an address
    r"P:audit": 400 * DAY,  # operators' acts; numbers are masked
    r"\{P:f:hour[0-9]+\}": 49 * HOUR,  # figures; nothing of a number
    r"\{P:f:day[0-9]+\}": 36 * DAY,
    r"\{P:f:(hour|day)[0-9]+\}:[0-9a-f]{16}": DAY,  # the number of a process's last batch
}
"""The longest that a key of each kind may live, in milliseconds; P is the prefix."""
GONE = -2
"""The time to live of a key that ended after it was listed."""
FOR_GOOD = {"P:policy", "P:layout", "{P:guard}:pins"}
"""What has no TTL: operators write it, and take it away."""


def every_trace(house: House) -> None:
    """Let numbers do everything that leaves a trace."""
    core = house.core
    for number in islice(crowd(), 3):
        house.live(number)
    fine = next(islice(crowd(), 10, None))
    active = core.active()
    caller = Caller(app=active.policy.apps["web"], active=active, request_id="r" * 16)
    id_ = core.send.send(caller, SendRequest(to=fine, session="s")).challenge_id
    core.dispatcher.dispatch(id_, lambda: False)
    proof = core.check.verify(caller, id_, house.upstream.codes["sms"])
    core.redeem.redeem(caller, proof.token)
    core.journal.hand_over()
    core.breakers.record_fault("main", "sms", None, 5)
    core.options.read(replace(caller, address="192.0.2.1"), OptionsRequest(to=fine))
    core.policies.apply("", author="a test", reason="a test")
    LowBalances(core.store.facts).write("main", [])
    core.teller.queue_news()


@pytest.fixture(scope="module")
def lives(valkey: ValkeyServer) -> dict[str, int]:
    """Return the milliseconds that each key has left, by its name with P for the prefix."""
    upstream = Upstream()
    with FaultServer() as server:
        server.respond(upstream)
        house = open_house(valkey.url, [valkey], upstream, server.url, **RETENTION)
        every_trace(house)
        prefix = house.core.settings.redis_prefix
        with valkey.client() as client:
            found = {key.replace(prefix, "P"): int(client.pttl(key)) for key in house.kept()}
            found |= life_of_a_turn(house, client)
        house.core.close()
    return found


def life_of_a_turn(house: House, client: Redis) -> dict[str, int]:
    """Return what a turn to look for alerts has left: it ends in seconds, maybe before all keys are listed."""
    key = f"{house.core.settings.redis_prefix}:s:alerts:look"
    house.core.store.facts.use_once("alerts:look", EVERY)
    return {"P:s:alerts:look": int(client.pttl(key))}


def row(key: str) -> str | None:
    """Find the row of a key."""
    return next((pattern for pattern in WINDOWS if re.fullmatch(pattern, key)), None)


def test_every_key_has_a_window_and_keeps_it(lives: dict[str, int]) -> None:
    """A new kind of key fails until its window is stated. So does a key that would live longer."""
    for key, left in lives.items():
        if key in FOR_GOOD:
            continue
        kind = row(key)
        assert kind is not None, f"{key} has no row"
        assert left == GONE or 0 < left <= WINDOWS[kind], f"{key} lives for {left} ms"


def test_every_row_is_of_a_key_that_exists(lives: dict[str, int]) -> None:
    """Each kind of key was created and checked."""
    assert {row(key) for key in lives} - {None} == set(WINDOWS)


@pytest.mark.parametrize("kind", [rf"{PART}:c:{NAME}", rf"{PART}:e:{NAME}", rf"{PART}:i:{NAME}"])
def test_what_is_kept_is_kept_as_long_as_the_settings_say(lives: dict[str, int], kind: str) -> None:
    """Challenges, idempotency keys and events do not end sooner, either."""
    assert max(left for key, left in lives.items() if row(key) == kind) > WINDOWS[kind] - MINUTE
