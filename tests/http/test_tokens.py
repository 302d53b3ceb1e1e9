"""POST /otp/token/redeem and the published keys."""

import base64

import jwt

from tests.conftest import OTHER_SECRET
from tests.support.http_api import (
    NUMBER,
    Api,
)
from tests.support.http_calls import members, problem_of

pytest_plugins = ["tests.support.http_fixtures"]


def test_a_token_belongs_to_its_app_and_expires_after_five_minutes(live: Api) -> None:
    """Another app's key cannot redeem it, and its own cannot after 300 seconds of the store's clock."""
    token = live.won()["token"]
    assert problem_of(live.redeem(token, key=OTHER_SECRET)) == (400, "token_invalid")
    live.later(300)
    assert problem_of(live.redeem(token)) == (400, "token_invalid")


def test_a_token_redeemed_in_its_last_second_counts(live: Api) -> None:
    """A refusal for another app does not use it up; 299 seconds later its own app still gets the claims."""
    token = live.won()["token"]
    live.redeem(token, key=OTHER_SECRET)
    live.later(298)
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
