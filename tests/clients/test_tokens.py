"""Tokens are checked offline as the service would check them."""

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from otp_client import problems
from otp_client.tokens import ASK_AT_MOST_EVERY, KEYS_LIVE, TokenChecker
from otp_service.crypto.lifetimes import TOKEN_LIFETIME
from otp_service.crypto.tokens import Issue, Signer, new_jti
from tests.support.patience import PATIENCE, until

THREADS = 5
ISSUER, APP = "https://otp.example.com", "web"
SEEDS = {"s2": bytes(range(32)), "s1": bytes(range(32, 64))}
DEVICES = {"d1": bytes(range(64, 96))}
CLAIMS = {
    "sub": "p0Yk5c1nS0a7",
    "phone_number": "+12025550100",
    "phone_number_verified": True,
    "purpose": "payment",
    "set_by": "server",
    "amr": ["otp", "sms"],
    "channel": "sms",
    "binding": {"amount": "12.00 EUR", "payee": "Acme"},
    "reference": "order-1",
}


class Service:
    """A key set that counts its readings, and a clock."""

    def __init__(self, seeds: Mapping[str, bytes] = SEEDS) -> None:
        self.signer = Signer(seeds, DEVICES, ISSUER)
        self.readings = 0
        self.now = 0.0
        self.checker = TokenChecker(self._read, ISSUER, clock=lambda: self.now)

    def _read(self) -> Mapping[str, Any]:
        self.readings += 1
        return self.signer.key_set()

    def token(self, *, kid: str = "s2", age: int = 0, app: str = APP, **changes: object) -> str:
        """Sign a token that is `age` seconds old."""
        issue = Issue(new_jti(), int(time.time()) - age, kid)
        return self.signer.sign({**CLAIMS, **changes}, issue, audience=app)

    def check(self, token: str, leeway: float = 10, /, **expect: object) -> str:
        """Check a token and return the number that it proves."""
        return self.checker.check(token, APP, expect, leeway).phone_number


@pytest.fixture
def service() -> Service:
    """Give a service with two signing keys."""
    return Service()


@pytest.mark.parametrize("kid", ["s1", "s2"])
def test_a_token_of_each_key_is_good(service: Service, kid: str) -> None:
    """The newest and the one before it; the key set is read once."""
    for _ in range(3):
        assert service.check(service.token(kid=kid)) == "+12025550100"
    assert service.readings == 1


@pytest.mark.parametrize(
    ("age", "leeway", "good"),
    [
        (TOKEN_LIFETIME - 60, 0, True),
        (TOKEN_LIFETIME + 5, 0, False),
        (TOKEN_LIFETIME + 5, 65, True),
        (-60, 0, False),
        (-5, 10, True),
        (-60, 10, False),
    ],
)
def test_leeway_is_for_clocks_that_differ(service: Service, age: int, leeway: float, *, good: bool) -> None:
    """After the token's end, and before its beginning."""
    if good:
        assert service.check(service.token(age=age), leeway)
        return
    with pytest.raises(problems.TokenInvalid):
        service.check(service.token(age=age), leeway)


def test_who_waits_for_a_key_set_that_does_not_come_waits_once() -> None:
    """While the service is away, many threads end with the first one's reading, not one after the other."""
    away = threading.Event()
    asked: list[str] = []
    readings: list[str] = []

    def now() -> float:
        asked.append("clock")
        return float(len(asked))

    def read() -> Mapping[str, Any]:
        readings.append("reading")
        away.wait(PATIENCE)
        raise problems.NoAnswer("No answer came in time")

    checker = TokenChecker(read, ISSUER, clock=now)
    token = Service().token()

    def check() -> str:
        with pytest.raises(problems.NoAnswer) as caught:
            checker.check(token, APP, {}, 10)
        return str(caught.value)

    with ThreadPoolExecutor(THREADS) as pool:
        checks = [pool.submit(check) for _ in range(THREADS)]
        until(lambda: len(asked) == THREADS)  # each began to wait
        away.set()
        assert {one.result(PATIENCE) for one in checks} == {"No answer came in time"}
    assert readings == ["reading"]


def forged(header: dict[str, Any], key: Any, algorithm: str = "EdDSA", **changes: object) -> str:  # noqa: ANN401
    """Sign the usual claims in a way of one's own."""
    now = int(time.time())
    times = {"iat": now, "exp": now + 300, "jti": new_jti()}
    return jwt.encode(
        {**CLAIMS, "iss": ISSUER, "aud": APP, **times, **changes}, key, algorithm, headers=header
    )


GOOD_HEADER = {"typ": "otp-verification+jwt", "kid": "s2"}
OWN = Ed25519PrivateKey.from_private_bytes(SEEDS["s2"])
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(32))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a",
        "a.b.c",
        "é.é.é",
        forged(GOOD_HEADER, STRANGER),
        forged(GOOD_HEADER | {"kid": "s9"}, STRANGER),
        forged({"typ": "otp-verification+jwt"}, OWN),
        forged(GOOD_HEADER | {"typ": "JWT"}, OWN),
        forged(GOOD_HEADER | {"typ": "otp-device+jwt"}, OWN),
        forged(GOOD_HEADER, None, "none"),
        forged(GOOD_HEADER, b"x" * 64, "HS256"),
        forged(GOOD_HEADER, OWN, iss="https://other.example.com"),
        forged(GOOD_HEADER, OWN, aud="other"),
        forged(GOOD_HEADER, OWN, exp="soon"),
        forged(GOOD_HEADER, OWN, amr=None),
    ],
)
def test_nothing_else_passes(service: Service, token: str) -> None:
    """Forged, of another kind, for another app, of another service, or with claims of another form."""
    with pytest.raises(problems.TokenInvalid):
        service.check(token)


def test_the_forgery_of_these_tests_is_good_but_for_its_fault(service: Service) -> None:
    """So the cases above fail for the reason that they name."""
    assert service.check(forged(GOOD_HEADER, OWN))


def test_a_device_token_proves_nothing(service: Service) -> None:
    """It lives for long and is on a phone."""
    token = service.signer.sign_device("p0Yk5c1nS0a7", Issue(new_jti(), int(time.time()), "d1"), audience=APP)
    with pytest.raises(problems.TokenInvalid):
        service.check(token)


@pytest.mark.parametrize(
    ("expect", "unmet"),
    [
        ({"purpose": "payment", "reference": "order-1"}, ()),
        ({"binding": {"payee": "Acme", "amount": "12.00 EUR"}}, ()),
        ({"purpose": "login"}, ("purpose",)),
        ({"binding": {"amount": "99.00 EUR", "payee": "Acme"}}, ("binding",)),
        ({"binding": "12.00 EUR", "reference": "order-2"}, ("binding", "reference")),
    ],
)
def test_a_token_for_something_else_is_told(
    service: Service, expect: dict[str, object], unmet: tuple[str, ...]
) -> None:
    """Purpose, binding and reference, as redeeming does."""
    if not unmet:
        assert service.check(service.token(), **expect)
        return
    with pytest.raises(problems.TokenMismatch) as caught:
        service.check(service.token(), **expect)
    assert caught.value.unmet == unmet


def test_a_new_signing_key_is_learned(service: Service) -> None:
    """A token that names it has the key set read again."""
    service.check(service.token())
    service.signer = Signer({"s3": bytes(32), **SEEDS}, DEVICES, ISSUER)
    service.now += ASK_AT_MOST_EVERY + 1
    assert service.check(service.token(kid="s3"))
    assert service.readings == 2


def test_forged_tokens_do_not_make_the_client_ask_and_ask(service: Service) -> None:
    """A thousand unknown keys within a moment cost one reading."""
    service.check(service.token())
    service.now += ASK_AT_MOST_EVERY + 1
    for number in range(1000):
        with pytest.raises(problems.TokenInvalid):
            service.check(forged(GOOD_HEADER | {"kid": f"x{number}"}, STRANGER))
    assert service.readings == 2


def test_a_key_that_was_withdrawn_is_forgotten(service: Service) -> None:
    """Within the time for which the service lets its keys be kept."""
    old = service.token(kid="s1")
    service.check(old)
    service.signer = Signer({"s2": SEEDS["s2"]}, DEVICES, ISSUER)
    service.now += KEYS_LIVE + 1
    with pytest.raises(problems.TokenInvalid):
        service.check(old)
