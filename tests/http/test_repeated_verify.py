"""POST /otp/verify again with the same Idempotency-Key: an answer that was lost is given again."""

from collections.abc import Iterator
from typing import Any

import jwt
import pytest

from otp_service.challenge.guess import MOST_REPEATS
from tests.conftest import PUBLISHABLE
from tests.support.http_api import NUMBER, Api, has_code, wrong
from tests.support.http_calls import PAYMENT, members, problem_of
from tests.support.patience import PATIENCE

pytest_plugins = ["tests.support.http_fixtures"]

KEY, OTHER_KEY = "8e03978e-40d5-43e8-bc93-6894a57f9324", "0b8e4f5e-7a4c-4d0f-9a55-9c4b1d1f7a10"


JWT = dict[str, object]


def checks_left(api: Api, challenge_id: str) -> int:
    """Return how many guesses a challenge has left."""
    left: int = members(api.status(challenge_id))["checks_left"]
    return left


def hashes_of(api: Api) -> float | None:
    """Return how many codes were hashed."""
    return api.core.metrics.registry.get_sample_value("otp_hash_seconds_count")


@pytest.mark.parametrize("key", ["pk", "sk"])
def test_a_lost_success_is_answered_again(live: Api, key: str) -> None:
    """The same key and body get the same token, byte by byte, although the challenge has ended."""
    caller = {"key": PUBLISHABLE} if key == "pk" else {}
    challenge_id, code = live.sent(binding=PAYMENT, reference="r-1")
    first = members(live.verify(challenge_id, code, once=KEY, **caller))
    again = members(live.verify(challenge_id, code, once=KEY, **caller))
    assert again == first | {"token_expires_in": again["token_expires_in"]}
    assert members(live.redeem(first["token"]))["phone_number"] == NUMBER
    assert problem_of(live.redeem(again["token"])) == (409, "token_spent")


def test_a_lost_success_is_answered_for_as_long_as_its_token_lives(live: Api) -> None:
    """In the token's last minute the answer says how long it has; when it has expired, the challenge is gone."""
    challenge_id, code = live.sent()
    token = members(live.verify(challenge_id, code, once=KEY))["token"]
    live.later(300 - PATIENCE)
    again = members(live.verify(challenge_id, code, once=KEY))
    assert again["token"] == token
    assert 0 < again["token_expires_in"] <= PATIENCE
    live.later(PATIENCE + 1)
    assert problem_of(live.verify(challenge_id, code, once=KEY)) == (404, "challenge_not_found")


def test_an_answer_is_remembered_longer_than_a_challenge_is_kept(live: Api) -> None:
    """A code that is typed in its last second, when ended challenges are kept for a minute only."""
    challenge_id, code = live.sent()
    name = f"{{{live.core.settings.redis_prefix}:{challenge_id[:2]}}}:c:{challenge_id[2:]}"
    live.store.pexpire(name, 100_000)
    live.verify(challenge_id, code, once=KEY)
    assert 200_000 < live.store.pttl(name) <= 300_000


@pytest.mark.parametrize("once", [OTHER_KEY, None])
def test_another_key_gets_what_a_used_code_gets(live: Api, once: str | None) -> None:
    """A code works once (ASVS 6.5.1): a repetition is no second use."""
    challenge_id, code = live.sent()
    live.verify(challenge_id, code, once=KEY)
    assert problem_of(live.verify(challenge_id, code, once=once)) == (404, "challenge_not_found")


def test_a_page_cannot_take_the_answer_of_a_servers_key(live: Api) -> None:
    """The kind of caller belongs to the name of the key, as does the app."""
    challenge_id, code = live.sent()
    live.verify(challenge_id, code, once=KEY)
    assert problem_of(live.verify(challenge_id, code, once=KEY, key=PUBLISHABLE)) == (
        404,
        "challenge_not_found",
    )


def test_a_check_without_a_key_is_not_repeated(live: Api) -> None:
    """Nothing of its token is stored."""
    challenge_id, code = live.sent()
    live.verify(challenge_id, code)
    assert problem_of(live.verify(challenge_id, code)) == (404, "challenge_not_found")
    assert "proof" not in str(live.kept())


def test_a_repeated_wrong_guess_gets_its_first_answer_and_is_not_counted(live: Api) -> None:
    """Not even after other guesses, when the challenge is exhausted, or when it was verified."""
    challenge_id, code = live.sent()
    first = live.verify(challenge_id, wrong(code), once=KEY)
    assert (problem_of(first), members(first)["checks_left"]) == ((400, "wrong_code"), 4)
    live.verify(challenge_id, wrong(code), once=OTHER_KEY)
    for _ in range(9):
        again = live.verify(challenge_id, wrong(code), once=KEY)
        assert (problem_of(again), members(again)["checks_left"]) == ((400, "wrong_code"), 4)
    assert checks_left(live, challenge_id) == 3
    assert live.verify(challenge_id, code, once="k" * 22).status_code == 200
    assert problem_of(live.verify(challenge_id, wrong(code), once=KEY)) == (400, "wrong_code")


@pytest.mark.parametrize("guess", ["right", "wrong"])
@pytest.mark.parametrize("change", ["code", "length", "binding", "device"])
def test_a_key_with_another_body_is_refused_and_not_evaluated(live: Api, guess: str, change: str) -> None:
    """Neither the guess nor the answer changes."""
    challenge_id, code = live.sent(binding="order 1")
    typed = code if guess == "right" else wrong(code)
    first = live.verify(challenge_id, typed, once=KEY)
    code_of = {"code": wrong(typed), "length": f"{typed}0"}
    fields: dict[str, dict[str, Any]] = {
        "binding": {"binding": "order 2"},
        "device": {"remember_device": True},
    }
    for _ in range(3):
        answer = live.verify(challenge_id, code_of.get(change, typed), once=KEY, **fields.get(change, {}))
        assert problem_of(answer) == (422, "idempotency_key_reused")
    again = live.verify(challenge_id, typed, once=KEY)
    assert again.status_code == first.status_code
    assert members(again).get("token") == members(first).get("token")
    assert members(again).get("checks_left") == members(first).get("checks_left")


def test_the_right_code_cannot_be_tried_out_with_the_key_of_a_wrong_one(live: Api) -> None:
    """It is another body."""
    challenge_id, code = live.sent()
    live.verify(challenge_id, wrong(code), once=KEY)
    assert problem_of(live.verify(challenge_id, code, once=KEY)) == (422, "idempotency_key_reused")
    assert checks_left(live, challenge_id) == 4


def test_the_used_code_cannot_be_tried_out_with_the_key_of_the_winner(live: Api) -> None:
    """Its holder may try as many other codes as a challenge allows guesses. Then not even the right one helps."""
    challenge_id, code = live.sent()
    live.verify(challenge_id, code, once=KEY)
    for step in range(1, 6):
        guess = f"{(int(code) + step) % 10**6:06d}"
        assert problem_of(live.verify(challenge_id, guess, once=KEY)) == (422, "idempotency_key_reused")
    assert problem_of(live.verify(challenge_id, code, once=KEY)) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("guess", ["right", "wrong"])
def test_no_challenge_keeps_the_cores_busy_by_repetitions(live: Api, guess: str) -> None:
    """Each is hashed as a guess is, but costs no message. After a hundred, the key gets what an unknown one gets."""
    challenge_id, code = live.sent()
    typed = code if guess == "right" else wrong(code)
    first = live.verify(challenge_id, typed, once=KEY)
    for _ in range(MOST_REPEATS):
        assert live.verify(challenge_id, typed, once=KEY).status_code == first.status_code
    hashed = hashes_of(live)
    for _ in range(2):
        assert problem_of(live.verify(challenge_id, typed, once=KEY)) == (404, "challenge_not_found")
    assert hashes_of(live) == hashed


def test_the_device_token_is_the_same_as_well(live: Api) -> None:
    """Both tokens of an answer are signed again."""
    challenge_id, code = live.sent()
    answers = [live.verify(challenge_id, code, once=KEY, remember_device=True) for _ in range(2)]
    assert members(answers[0])["device_token"] == members(answers[1])["device_token"]


def test_a_refused_length_uses_no_key(live: Api) -> None:
    """What was not counted was not answered: the key is free for the right code."""
    challenge_id, code = live.sent()
    assert problem_of(live.verify(challenge_id, code[:5], once=KEY)) == (422, "invalid_request")
    assert live.verify(challenge_id, code, once=KEY).status_code == 200


def test_what_is_stored_of_a_key_is_its_hmac(live: Api) -> None:
    """Neither the key nor the token nor the code: only the hashes of the delivery and of the wrong code stay."""
    challenge_id, code = live.sent()
    live.verify(challenge_id, wrong(code), once="a-key-that-a-server-chose")
    token = members(live.verify(challenge_id, code, once=KEY))["token"]
    kept = str(live.kept())
    for secret in ("a-key-that-a-server-chose", KEY, token, NUMBER):
        assert secret not in kept
    assert not has_code(kept, code)
    assert not has_code(kept, wrong(code))
    assert kept.count('"hash":"') == 2


def replayed(api: Api, challenge_id: str, code: str) -> Iterator[JWT]:
    """Yield the header and the claims of a check and of its repetition."""
    for _ in range(2):
        token = members(api.verify(challenge_id, code, once=KEY))["token"]
        yield jwt.get_unverified_header(token) | jwt.decode(token, options={"verify_signature": False})


def test_the_record_fixes_what_is_drawn_for_a_token(live: Api) -> None:
    """Id, times and key are those of the first answer, also when the clock has moved."""
    challenge_id, code = live.sent()
    claims = replayed(live, challenge_id, code)
    first = next(claims)
    live.later(100)
    assert next(claims) == first
