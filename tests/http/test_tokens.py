"""POST /otp/token/redeem and the published keys."""

import base64
from typing import Any

import jwt
import pytest

from tests.conftest import OTHER_SECRET, PUBLISHABLE, SECRET
from tests.support.http_api import (
    NUMBER,
    Api,
)
from tests.support.http_calls import PAYMENT, members, problem, problem_of
from tests.support.patience import PATIENCE

pytest_plugins = ["tests.support.http_fixtures"]

KEY, OTHER_KEY = "8e03978e-40d5-43e8-bc93-6894a57f9324", "0b8e4f5e-7a4c-4d0f-9a55-9c4b1d1f7a10"


def test_a_token_belongs_to_its_app_and_expires_after_five_minutes(live: Api) -> None:
    """Another app's key cannot redeem it, and its own cannot after 300 seconds of the store's clock."""
    token = live.won()["token"]
    assert problem_of(live.redeem(token, key=OTHER_SECRET)) == (400, "token_invalid")
    live.later(300)
    assert problem_of(live.redeem(token)) == (400, "token_invalid")


def test_a_token_redeemed_in_its_last_minute_counts(live: Api) -> None:
    """A refusal for another app does not use it up; minutes later its own app still gets the claims."""
    token = live.won()["token"]
    live.redeem(token, key=OTHER_SECRET)
    live.later(300 - PATIENCE)
    assert live.redeem(token).status_code == 200


def test_a_forged_token_is_refused_with_a_problem(live: Api) -> None:
    """Deeply nested JSON, an unhashable key id, `none`: each is just an invalid token."""
    won = live.won()["token"].split(".")

    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).decode().rstrip("=")

    for header in (b"[" * 1400, b'{"alg":"EdDSA","kid":["s1"]}', b'{"alg":"none"}', b"\xff", b"[]"):
        assert problem_of(live.redeem(".".join([part(header), *won[1:]]))) == (400, "token_invalid")


def test_the_published_keys_are_all_that_a_backend_needs(live: Api) -> None:
    """PyJWT, with only the JWKS, accepts the token for the right audience."""
    token = live.won()["token"]
    answer = live.call("GET", "/.well-known/jwks.json", key=None)
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    keys = jwt.PyJWKSet.from_dict(members(answer))
    claims = jwt.decode(
        token, keys[jwt.get_unverified_header(token)["kid"]], algorithms=["EdDSA"], audience="web"
    )
    assert claims["phone_number"] == NUMBER
    assert jwt.get_unverified_header(token)["typ"] == "otp-verification+jwt"
    assert "d" not in members(answer)["keys"][0]


def claims_of(token: str) -> dict[str, Any]:
    """Read a token's claims, as anybody can."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def test_a_lost_redemption_is_answered_again(live: Api) -> None:
    """The same key and body get the same claims while the token lives; another key or none meets a spent token."""
    token = live.won()["token"]
    first = live.redeem(token, once=KEY)
    live.later(300 - PATIENCE)
    assert members(live.redeem(token, once=KEY)) == members(first)
    for once in (OTHER_KEY, None):
        assert problem_of(live.redeem(token, once=once)) == (409, "token_spent")
    live.later(PATIENCE + 1)
    assert problem_of(live.redeem(token, once=KEY)) == (400, "token_invalid")


def test_a_key_redeems_one_body(live: Api) -> None:
    """With another token, or other expectations, it is refused, and the other token is not spent."""
    token = live.won()["token"]
    live.later(60)
    other = live.won()["token"]
    assert live.redeem(token, once=KEY).status_code == 200
    assert problem_of(live.redeem(other, once=KEY)) == (422, "idempotency_key_reused")
    for more in ({"expect": {"purpose": "login"}}, {"accept_review": True}):
        assert problem_of(live.redeem(token, once=KEY, **more)) == (422, "idempotency_key_reused")
    assert live.redeem(other, once=OTHER_KEY).status_code == 200


def test_what_a_token_is_not_for_says_nothing_of_earlier_calls(live: Api) -> None:
    """A call that spent the token may have come before, so that only this one is known not to have spent it."""
    token = live.won()["token"]
    assert live.redeem(token).status_code == 200
    told = problem(live.redeem(token, expect={"purpose": "payment"}), 409, "token_mismatch")
    assert told["detail"].endswith("This call did not spend it.")


def test_a_key_belongs_to_its_app(live: Api) -> None:
    """Another app's key of the same name is another one."""
    token = live.won()["token"]
    assert live.redeem(token, once=KEY).status_code == 200
    assert problem_of(live.redeem(token, once=KEY, key=OTHER_SECRET)) == (400, "token_invalid")


@pytest.mark.parametrize(("key", "set_by"), [(PUBLISHABLE, "page"), (SECRET, "server")])
def test_a_token_says_who_set_what_it_is_for(live: Api, key: str, set_by: str) -> None:
    """A page, which a person can change, or a server; whoever checks the code changes nothing."""
    challenge_id, code = live.sent(key=key, purpose="payment.sepa", reference="r", binding=PAYMENT)
    checker = SECRET if key == PUBLISHABLE else PUBLISHABLE
    answer = live.verify(challenge_id, code, key=checker)
    assert members(live.redeem(members(answer)["token"]))["set_by"] == set_by


WANTED = {"purpose": "payment.sepa", "reference": "r-1", "binding": PAYMENT, "session": "session-1"}
OTHERS = {
    "purpose": "login",
    "reference": "r-2",
    "binding": PAYMENT | {"amount": "1200.00 EUR"},
    "session": "session-2",
}


@pytest.mark.parametrize("wrong", [["purpose"], ["binding"], ["reference"], ["session"], list(WANTED)])
def test_a_token_for_something_else_is_refused_and_not_spent(live: Api, wrong: list[str]) -> None:
    """The problem names each expectation that it does not meet. With the right ones it is redeemed."""
    token = live.won(**WANTED)["token"]
    for once in (KEY, None):
        answer = live.redeem(token, once=once, expect=WANTED | {name: OTHERS[name] for name in wrong})
        assert problem_of(answer) == (409, "token_mismatch")
        named = {error["field"] for error in members(answer)["errors"]}
        assert named == {f"expect.{name}" for name in wrong}
    assert live.redeem(token, once=KEY, expect=WANTED).status_code == 200
    assert problem_of(live.redeem(token, expect=WANTED)) == (409, "token_spent")


@pytest.mark.parametrize("name", ["binding", "reference", "session"])
def test_a_token_without_what_is_expected_is_refused(live: Api, name: str) -> None:
    """It was issued without a binding, reference or session."""
    token = live.won()["token"]
    assert problem_of(live.redeem(token, expect={name: WANTED[name]})) == (409, "token_mismatch")
    assert live.redeem(token, expect={"purpose": "login"}).status_code == 200


def test_a_session_is_expected_by_its_name_and_shown_to_no_page(live: Api) -> None:
    """The token passes through the browser, so it has an opaque id of the session, which differs between apps."""
    token = live.won(session="session-1")["token"]
    claims = claims_of(token)
    assert "session-1" not in str(claims)
    assert problem_of(live.redeem(token, expect={"session": claims["session"]})) == (409, "token_mismatch")
    assert live.redeem(token, expect={"session": "session-1"}).status_code == 200


@pytest.mark.parametrize(
    ("binding", "expected"),
    [(PAYMENT, dict(reversed(PAYMENT.items()))), ("Caf\u00e9", "Cafe\u0301"), ("order 1", "order 1")],
)
def test_an_equal_binding_is_expected_in_any_spelling(live: Api, binding: Any, expected: Any) -> None:  # noqa: ANN401 - JSON
    """As in a check: the order of its parts and the composition of its letters are ignored."""
    token = live.won(binding=binding)["token"]
    assert live.redeem(token, expect={"binding": expected}).status_code == 200


@pytest.mark.parametrize(
    ("expect", "field"),
    [
        ("login", "expect"),
        (None, "expect"),
        ([], "expect"),
        ({"purpose": 1}, "expect.purpose"),
        ({"reference": ""}, "expect.reference"),
        ({"binding": {}}, "expect.binding"),
        ({"session": None}, "expect.session"),
        ({"phone_number": NUMBER}, "expect.phone_number"),
    ],
)
def test_a_malformed_expectation_is_refused_by_its_place(live: Api, expect: object, field: str) -> None:
    """It is never ignored, so that no app trusts a check that did not take place."""
    token = live.won()["token"]
    answer = live.redeem(token, expect=expect)
    assert problem_of(answer) == (422, "invalid_request")
    assert [error["field"] for error in members(answer)["errors"]] == [field]
    assert live.redeem(token).status_code == 200


def test_what_is_stored_of_a_redemption_is_hmacs(live: Api) -> None:
    """Neither the key nor the token is in the store."""
    token = live.won()["token"]
    live.redeem(token, once=KEY)
    kept = str(live.kept())
    assert KEY not in kept
    assert token not in kept
