"""The client against the running service: it proves a number, also if answers get lost on the way."""

import random
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from urllib.parse import urlsplit

import pytest

from otp_client import Challenge, Option, OtpClient, problems
from tests.support.demo_process import Demo
from tests.support.fault_proxy import FaultProxy
from tests.support.numbers import crowd
from tests.support.patience import PATIENCE, until

pytest_plugins = ("tests.support.demo_fixtures",)
NUMBERS = islice(crowd(), 5000, None)
"""Not those of other tests on the demo of this process."""
TO_NOBODY = "+12025550101"


def client_of(demo: Demo, port: int | None = None, key: str = "secret_key") -> OtpClient:
    """Make a client of the demo, or of what stands before it."""
    url = demo.keys["api"] if port is None else f"http://127.0.0.1:{port}"
    return OtpClient(url, demo.keys[key], timeout=10 * PATIENCE, issuer=demo.keys["api"])


@pytest.fixture
def client(demo: Demo) -> Iterator[OtpClient]:
    """Call the demo with its secret key."""
    with client_of(demo) as made:
        yield made


def wrong(code: str) -> str:
    """Return another code."""
    return f"{(int(code) + 1) % 10**6:06d}"


def test_a_number_is_proven(client: OtpClient, demo: Demo) -> None:
    """Send, a wrong guess, the right one, a check offline, the token redeemed, once."""
    to = next(NUMBERS)
    challenge = client.send(to, purpose="signup", reference="order-1", address="192.0.2.1")
    assert (challenge.status, challenge.purpose, challenge.reference) == ("pending", "signup", "order-1")
    code = demo.code(to)
    with pytest.raises(problems.WrongCode) as guess:
        client.verify(challenge.challenge_id, wrong(code))
    assert guess.value.checks_left == challenge.checks_left - 1
    verified = client.verify(challenge.challenge_id, f" {code[:3]}-{code[3:]} ", remember_device=True)
    assert verified.device_token
    assert client.status(challenge.challenge_id).status == "verified"
    offline = client.check_token(verified.token, app="demo", purpose="signup", reference="order-1")
    with pytest.raises(problems.TokenMismatch) as mismatch:
        client.redeem(verified.token, purpose="login")
    assert mismatch.value.unmet == ("purpose",)
    assert client.redeem(verified.token, purpose="signup", reference="order-1") == offline
    assert offline.phone_number == to
    with pytest.raises(problems.TokenSpent):
        client.redeem(verified.token)


def test_the_channels_of_a_number_are_told_before_a_send(client: OtpClient) -> None:
    """In the order of its route."""
    first, *others = client.options("(202) 555-0100", country="US", purpose="login", address="192.0.2.1")
    assert first == Option(channel="sms", first=True)
    assert others
    assert not any(one.first for one in others)
    with pytest.raises(problems.InvalidNumber):
        client.options("+1 202")


def test_a_challenge_is_resent_and_cancelled(client: OtpClient, demo: Demo) -> None:
    """By the channel that the person chose."""
    to = next(NUMBERS)
    challenge = client.send(to)
    until(lambda: is_too_early(client, challenge.challenge_id))
    demo.code(to)
    until(lambda: client.status(challenge.challenge_id).resend_in == 0)
    assert client.resend(challenge.challenge_id, channel="voice").channel == "voice"
    assert client.cancel(challenge.challenge_id).status == "cancelled"
    with pytest.raises(problems.ChallengeNotFound):
        client.verify(challenge.challenge_id, "000000")


def is_too_early(client: OtpClient, challenge_id: str) -> bool:
    """Ask for a resend and tell whether it is refused.

    It is not if a slow machine has spent the cooldown; the next one is longer.
    """
    try:
        client.resend(challenge_id)
    except problems.ResendTooEarly as early:
        return early.retry_after > 0
    return False


def test_a_publishable_key_redeems_nothing(demo: Demo) -> None:
    """The error names the reason."""
    with client_of(demo, key="publishable_key") as page, pytest.raises(problems.KeyNotAllowed):
        page.redeem("a.b.c")


@pytest.fixture
def proxy(demo: Demo) -> Iterator[FaultProxy]:
    """Stand between client and service."""
    with FaultProxy(urlsplit(demo.keys["api"]).port or 0) as made:
        yield made


def test_a_person_gets_in_although_each_answer_is_lost_once(demo: Demo, proxy: FaultProxy) -> None:
    """With one message for the send, one for the resend, one counted guess and one spent token."""
    to = next(NUMBERS)

    def losing(needle: bytes, act: Callable[[], Challenge]) -> Challenge:
        before = proxy.lost
        proxy.lose_reply(needle)
        done = act()
        assert proxy.lost == before + 1
        return done

    with client_of(demo, proxy.port) as client:
        challenge = losing(b"POST /otp/send", lambda: client.send(to))
        id_ = challenge.challenge_id
        code = demo.code(to)
        until(lambda: client.status(id_).resend_in == 0)
        losing(b"/resend", lambda: client.resend(id_))
        demo.code(to, 2)
        proxy.lose_reply(b"POST /otp/verify")
        with pytest.raises(problems.WrongCode) as guess:
            client.verify(id_, wrong(code))
        assert guess.value.checks_left == challenge.checks_left - 1
        assert losing(b"GET /otp/", lambda: client.status(id_)).checks_left == challenge.checks_left - 1
        proxy.lose_reply(b"POST /otp/verify")
        verified = client.verify(id_, code)
        proxy.lose_reply(b"POST /otp/token/redeem")
        assert client.redeem(verified.token).phone_number == to
        other = client.send(next(NUMBERS))
        assert losing(b"DELETE", lambda: client.cancel(other.challenge_id)).status == "cancelled"
    assert proxy.lost == 7
    assert len(demo.inbox(to)) == 2


class Losses:
    """Loses the answers to about one request of three, in an order that the seed of a test tells."""

    def __init__(self) -> None:
        self._seed = secrets.randbits(32)
        self._random = random.Random(self._seed)
        self._lock = threading.Lock()

    def __call__(self, command: bytes) -> bool:
        """Pick a request by its first line; what follows of it is not asked about again."""
        with self._lock:
            return command.startswith(b"POST /otp/send") and self._random.random() < 1 / 3

    def __repr__(self) -> str:
        return f"Losses(seed={self._seed})"


@pytest.mark.slow
def test_a_thousand_sends_with_lost_answers_are_a_thousand_messages(demo: Demo) -> None:
    """The service has done each send whose answer gets lost; the repetition gets the same challenge."""
    numbers = list(islice(crowd(), 2_000, 3_000))
    losses = Losses()
    with (
        FaultProxy(urlsplit(demo.keys["api"]).port or 0, loses=losses) as proxy,
        client_of(demo, proxy.port) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        challenges = list(pool.map(client.send, numbers))
        assert proxy.lost > 200, losses
    assert len({one.challenge_id for one in challenges}) == 1000
    came: dict[str, int] = {}

    def all_came() -> bool:
        came.clear()
        for message in demo.inbox():
            if message["channel"] != "sms":
                continue  # a fallback of one whose report came late
            came[message["to"]] = came.get(message["to"], 0) + 1
        return all(number in came for number in numbers)

    until(all_came, progress=lambda: sum(map(came.__contains__, numbers)), pause=0.5)
    with client_of(demo) as client:
        until(lambda: all(client.status(one.challenge_id).deliveries for one in challenges[:3]))
    assert {number: came[number] for number in numbers} == dict.fromkeys(numbers, 1), losses
