"""POST /otp/verify: the way through, wrong codes, and what a code is tied to."""

from collections.abc import Callable
from typing import Any

import pytest
from marshmallow import Schema

from otp_service.http.schemas.challenge import ChallengeSchema, DeliverySchema, VerifiedSchema
from otp_service.http.schemas.tokens import ClaimsSchema
from tests.conftest import OPS, OTHER_SECRET, SECRET
from tests.support.http_api import (
    NO_ID,
    NUMBER,
    UPSTREAM_TOKEN,
    Api,
    has_code,
    wrong,
)
from tests.support.http_calls import PAYMENT, members, problem_of

pytest_plugins = ["tests.support.http_fixtures"]


def test_a_typed_code_proves_the_number_once(live: Api) -> None:
    """Send, deliver, verify, redeem: the token names the number; a second redemption is refused."""
    challenge_id, code = live.sent()
    won = live.verify(challenge_id, code)
    assert (won.status_code, members(won)["status"]) == (200, "verified")
    claims = live.redeem(members(won)["token"])
    assert claims.status_code == 200
    assert members(claims)["phone_number"] == NUMBER
    assert members(claims)["phone_number_verified"] is True
    assert (members(claims)["aud"], members(claims)["iss"]) == ("web", "https://otp.example.com")
    assert members(claims)["amr"] == ["otp", "sms"]
    assert problem_of(live.redeem(members(won)["token"])) == (409, "token_spent")


@pytest.mark.parametrize(
    "typed",
    [
        lambda code: code.translate(str.maketrans("0123456789", "०१२३४५६७८९")),
        lambda code: code.translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")),
        lambda code: "".join(chr(0xFF10 + int(digit)) for digit in code),
        lambda code: f" {code[:3]} {code[3:]}\n",
        lambda code: f"{code[:3]}-{code[3:]}",
        lambda code: f"{code[:2]}\u2011{code[2:4]}\u2212{code[4:]}",
        lambda code: f"\u2068{code}\u2069\ufeff",
        lambda code: "".join(f"{digit}\ufe0f\u20e3" for digit in code),
        lambda code: code[:3] + "".join(chr(0x0966 + int(digit)) for digit in code[3:]),
        lambda code: "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(digit)] for digit in code),
        lambda code: "".join("⓪①②③④⑤⑥⑦⑧⑨"[int(digit)] for digit in code),
        lambda code: "".join(chr(0x1D7CE + int(digit)) for digit in code),
        lambda code: f"\t{code[0]}\u3000{code[1:]}\u00ad\u2028",
    ],
)
def test_a_code_is_right_however_the_keyboard_spells_it(live: Api, typed: Callable[[str], str]) -> None:
    """Digits of any script count; spaces, dashes and what cannot be seen do not."""
    challenge_id, code = live.sent()
    assert live.verify(challenge_id, typed(code)).status_code == 200


def test_a_code_of_another_length_is_not_counted_as_an_attempt(live: Api) -> None:
    """Whatever is typed around it: what remains must have exactly the code's length."""
    challenge_id, code = live.sent()
    apart = (code[:5] + "\u200b", f"{code}-1", f"{code} \u0967", f"{code}①", f"{code}²", f"{code[:5]}½")
    no_digits = (
        f"{code[:5]}Ⅷ",
        f"{code[:5]}{code[5]}\u0301",
        f"{code[:5]}八",
        f"{code[:5]}⒈",
        f"{code[:5]}፩",
    )
    for typed in (*apart, *no_digits):
        assert live.verify(challenge_id, typed).status_code == 422
    assert members(live.verify(challenge_id, wrong(code)))["checks_left"] == 4


def test_no_answer_contains_the_code_the_number_or_a_key(live: Api) -> None:
    """The number appears only in the claims of a redeemed token."""
    challenge_id, code = live.sent()
    live.verify(challenge_id, wrong(code))
    live.status(challenge_id)
    live.later(30)
    live.resend(challenge_id)
    live.dispatch(challenge_id)
    newest = live.code()
    live.verify(challenge_id, newest)
    live.status(challenge_id)
    live.call("GET", "/metrics", key=OPS)
    texts = [f"{answer.text}{answer.headers}" for answer in live.answers]
    assert len(texts) == 7
    for secret in (NUMBER, NUMBER[1:], SECRET, UPSTREAM_TOKEN):
        assert not [text for text in texts if secret in text]
    assert not [text for text in texts if has_code(text, code) or has_code(text, newest)]


def shape(schema: type[Schema], *, reference: bool = False) -> set[str]:
    """Return the members that an answer of this schema has."""
    return (
        set(schema().fields)
        - {"device_token", "session"}
        - (set() if reference else {"reference", "binding"})
    )


@pytest.mark.parametrize("reference", [False, True])
def test_answers_have_the_members_of_their_schema_and_no_other(live: Api, *, reference: bool) -> None:
    """Exactly the schema's fields; `reference`, `binding` and `session` only if they were given."""
    given = {"reference": "r-1", "binding": "b"} if reference else {}
    sent = live.send(**given)
    challenge_id = members(sent)["challenge_id"]
    live.dispatch(challenge_id)
    seen = live.status(challenge_id)
    live.later(30)
    resent = live.resend(challenge_id)
    live.dispatch(challenge_id)
    verified = live.verify(challenge_id, live.code())
    redeemed = live.redeem(members(verified)["token"])
    cancelled = live.cancel(live.opened("+12025550101", **given))
    of_challenge = shape(ChallengeSchema, reference=reference)
    assert [set(members(a)) for a in (sent, seen, resent, cancelled)] == [of_challenge] * 4
    assert set(members(verified)) == shape(VerifiedSchema, reference=reference)
    assert set(members(redeemed)) == shape(ClaimsSchema, reference=reference)
    assert [set(one) for one in members(seen)["deliveries"]] == [shape(DeliverySchema)]


def test_sending_is_answered_202_and_everything_else_200(live: Api) -> None:
    """A send is only accepted, not yet done."""
    challenge_id, code = live.sent()
    live.later(30)
    resent = live.resend(challenge_id)
    verified = live.verify(challenge_id, code)
    assert (live.answers[0].status_code, resent.status_code, verified.status_code) == (202, 202, 200)


def test_wrong_codes_count_down_until_even_the_right_one_is_too_late(live: Api) -> None:
    """Five attempts and no more; each wrong one says how many are left."""
    challenge_id, code = live.sent()
    left = []
    for _ in range(5):
        answer = live.verify(challenge_id, wrong(code))
        assert problem_of(answer) == (400, "wrong_code")
        left.append(members(answer)["checks_left"])
    assert left == [4, 3, 2, 1, 0]
    assert problem_of(live.verify(challenge_id, code)) == (410, "no_attempts_left")
    assert members(live.status(challenge_id))["status"] == "exhausted"


def test_the_code_of_an_earlier_message_is_still_valid(live: Api) -> None:
    """A late first SMS is as good as the second one."""
    challenge_id, first = live.sent()
    live.later(30)
    live.resend(challenge_id)
    live.dispatch(challenge_id)
    assert live.verify(challenge_id, first).status_code == 200


def test_unknown_expired_used_cancelled_and_foreign_challenges_get_one_answer(live: Api) -> None:
    """On verify all get the same bytes, except for the request id."""
    used, code = live.sent("+12025550100")
    live.verify(used, code)
    cancelled, cancelled_code = live.sent("+12025550101")
    live.cancel(cancelled)
    foreign, foreign_code = live.sent("+12025550102")
    unknown = live.verify(NO_ID, "123456")
    answers = [
        unknown,
        live.verify("x", "123456"),
        live.verify(used, code),
        live.verify(cancelled, cancelled_code),
        live.verify(foreign, foreign_code, key=OTHER_SECRET),
    ]
    live.later(300)
    answers.append(live.verify(foreign, foreign_code))
    found = {a.data.replace(a.headers["X-Request-Id"].encode(), b"-") for a in answers}
    assert len(found) == 1
    assert {problem_of(a) for a in answers} == {(404, "challenge_not_found")}
    assert len({tuple(h for h in a.headers if h[0] != "X-Request-Id") for a in answers}) == 1


@pytest.mark.parametrize("binding", ["order 4711", PAYMENT, {"ä": "€ \U0001f600"}])
def test_the_token_carries_the_binding_as_it_was_given(live: Api, binding: object) -> None:
    """A binding, a line or an object, is returned unchanged; verify may repeat or omit it."""
    repeated: list[dict[str, Any]] = [{}, {"binding": binding}]
    for given in repeated:
        live.later(60)
        challenge_id, code = live.sent(binding=binding)
        won = live.verify(challenge_id, code, **given)
        assert members(live.redeem(members(won)["token"]))["binding"] == binding


def test_the_order_of_a_bindings_parts_is_ignored(live: Api) -> None:
    """Equal objects are the same binding."""
    challenge_id, code = live.sent(binding=PAYMENT)
    assert live.verify(challenge_id, code, binding=dict(reversed(PAYMENT.items()))).status_code == 200


@pytest.mark.parametrize(
    ("sent", "checked"),
    [
        (PAYMENT, PAYMENT | {"amount": "1200.00 EUR"}),
        (PAYMENT, PAYMENT | {"more": "1"}),
        (PAYMENT, "12.00 EUR"),
        ("order 4711", "order 4712"),
        ("order 4711", "order 4711 "),
        (None, "order 4711"),
    ],
)
def test_another_binding_makes_the_right_code_wrong(live: Api, sent: object, checked: object) -> None:
    """A change of what is confirmed voids the code (PSD2 RTS article 5) and counts as an attempt."""
    given: dict[str, Any] = {"binding": sent} if sent else {}
    challenge_id, code = live.sent(**given)
    answer = live.verify(challenge_id, code, binding=checked)
    assert problem_of(answer) == (400, "wrong_code")
    assert members(answer)["checks_left"] == 4


def test_answers_and_token_repeat_purpose_and_reference(live: Api) -> None:
    """The caller finds its own names in everything about the challenge."""
    won = live.won(purpose="payment.sepa", reference="signup-4711")
    claims = members(live.redeem(won["token"]))
    for answer in (members(live.answers[0]), won, claims):
        assert (answer["purpose"], answer["reference"]) == ("payment.sepa", "signup-4711")


@pytest.mark.parametrize(
    ("sent", "checked"),
    [
        ("Caf\u00e9", "Cafe\u0301"),
        ({"payee": "Cafe\u0301"}, {"payee": "Caf\u00e9"}),
        ({"B\u00e9n\u00e9ficiaire": "x"}, {"Be\u0301ne\u0301ficiaire": "x"}),
    ],
)
def test_a_binding_may_be_spelled_in_any_normal_form(live: Api, sent: object, checked: object) -> None:
    """A page and a server may compose the same letters differently."""
    challenge_id, code = live.sent(binding=sent)
    assert live.verify(challenge_id, code, binding=checked).status_code == 200
