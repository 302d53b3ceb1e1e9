"""Bad input: a problem document with the field and the rule; nothing is sent, charged or counted."""

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.conftest import OPS, ORIGIN, OTHER_SECRET, PUBLISHABLE, SECRET
from tests.support.http_api import NO_ID, NUMBER, Api, wrong
from tests.support.http_calls import problem

pytest_plugins = ["tests.support.http_fixtures"]

NUMBERS_RULES = (
    "must be a phone number",
    "must be a number that is known in its country",
    "must be written in digits, not letters",
    "must start with + and a country code, or come with 'country'",
    "must have no extension, because a message cannot reach one",
    "must have all digits of a number of its country",
    "must have no more digits than a number of its country",
)
ANY_TEXT = "must be a string"
TO, REQUIRED, NULL = "must be 3 to 40 characters", "is required", "must not be null"
BINDING = (
    "must be a string of 1 to 256 visible characters, or an object of up to 8 strings "
    "of 1 to 64 visible characters"
)
CHANNEL = "must be one of sms, whatsapp, voice, rcs, mip"
PURPOSE = "must be 1 to 32 lower-case letters, digits, '.', '-' or '_'"
REFERENCE = "must be 1 to 64 visible ASCII characters"
APP_HASH = "must be the 11 characters that Android's SMS Retriever expects"
LOCALE = "must be a language tag such as en or pt-BR"
COUNTRY = "must be the two letters of a country (ISO 3166)"
CODE = "must be a string of 6 to 10 digits"
ID = "must be an id from POST /otp/send"
UNKNOWN = "is not a field of this request"

SENDS: list[tuple[dict[str, Any], str, str, str]] = [
    # body, code, field, rule
    ({}, "invalid_request", "to", REQUIRED),
    ({"to": "hello"}, "invalid_number", "to", NUMBERS_RULES[2]),
    ({"to": "---"}, "invalid_number", "to", NUMBERS_RULES[0]),
    ({"to": "\u2603\u2603\u2603"}, "invalid_number", "to", NUMBERS_RULES[0]),
    ({"to": "1-800-FLOWERS", "country": "US"}, "invalid_number", "to", NUMBERS_RULES[2]),
    ({"to": "2025550100"}, "invalid_number", "to", NUMBERS_RULES[3]),
    ({"to": "+999 1234567"}, "invalid_number", "to", NUMBERS_RULES[3]),
    ({"to": "+1 555 010 1234"}, "invalid_number", "to", NUMBERS_RULES[1]),
    ({"to": "+49 1"}, "invalid_number", "to", NUMBERS_RULES[5]),
    ({"to": "12345", "country": "DE"}, "invalid_number", "to", NUMBERS_RULES[1]),
    ({"to": "+1202555010000000"}, "invalid_number", "to", NUMBERS_RULES[6]),
    ({"to": "+1" * 21}, "invalid_request", "to", TO),
    ({"to": ""}, "invalid_request", "to", TO),
    ({"to": f"{NUMBER}\r\nX: y"}, "invalid_number", "to", NUMBERS_RULES[2]),
    ({"to": f"{NUMBER}" + "\u200b" * 160}, "invalid_request", "to", TO),
    ({"to": f"{NUMBER} ext. 7"}, "invalid_number", "to", NUMBERS_RULES[4]),
    ({"to": f"{NUMBER}\uff5812"}, "invalid_number", "to", NUMBERS_RULES[4]),
    ({"to": f"{NUMBER}\x00"}, "invalid_request", "to", TO),
    ({"to": 12025550100}, "invalid_request", "to", ANY_TEXT),
    ({"to": None}, "invalid_request", "to", NULL),
    ({"to": True}, "invalid_request", "to", ANY_TEXT),
    ({"to": [NUMBER]}, "invalid_request", "to", ANY_TEXT),
    ({"to": {"number": NUMBER}}, "invalid_request", "to", ANY_TEXT),
    ({"to": NUMBER, "phone": NUMBER}, "invalid_request", "phone", UNKNOWN),
    ({"to": NUMBER, "challenge_id": NO_ID}, "invalid_request", "challenge_id", UNKNOWN),
    ({"to": NUMBER, "country": "USA"}, "invalid_request", "country", COUNTRY),
    ({"to": NUMBER, "country": "XX"}, "invalid_request", "country", COUNTRY),
    ({"to": NUMBER, "country": "US\n"}, "invalid_request", "country", COUNTRY),
    ({"to": NUMBER, "country": 1}, "invalid_request", "country", ANY_TEXT),
    ({"to": NUMBER, "channel": "pigeon"}, "invalid_request", "channel", CHANNEL),
    ({"to": NUMBER, "channel": "SMS"}, "invalid_request", "channel", CHANNEL),
    ({"to": NUMBER, "channel": ["sms"]}, "invalid_request", "channel", ANY_TEXT),
    ({"to": NUMBER, "channel": None}, "invalid_request", "channel", NULL),
    (
        {"to": NUMBER, "channel": "voice"},
        "channel_not_available",
        "channel",
        "must be one of sms",
    ),
    ({"to": NUMBER, "purpose": ""}, "invalid_request", "purpose", PURPOSE),
    ({"to": NUMBER, "purpose": "Login"}, "invalid_request", "purpose", PURPOSE),
    ({"to": NUMBER, "purpose": "p" * 33}, "invalid_request", "purpose", PURPOSE),
    ({"to": NUMBER, "purpose": "login\n"}, "invalid_request", "purpose", PURPOSE),
    ({"to": NUMBER, "locale": "english"}, "invalid_request", "locale", LOCALE),
    ({"to": NUMBER, "locale": "en_US"}, "invalid_request", "locale", LOCALE),
    ({"to": NUMBER, "locale": ""}, "invalid_request", "locale", LOCALE),
    ({"to": NUMBER, "reference": "r" * 65}, "invalid_request", "reference", REFERENCE),
    ({"to": NUMBER, "reference": "a b"}, "invalid_request", "reference", REFERENCE),
    ({"to": NUMBER, "reference": "\xe9"}, "invalid_request", "reference", REFERENCE),
    ({"to": NUMBER, "reference": ""}, "invalid_request", "reference", REFERENCE),
    ({"to": NUMBER, "app_hash": "FA+9qCX9VS"}, "invalid_request", "app_hash", APP_HASH),
    ({"to": NUMBER, "app_hash": "FA+9qCX9VSu "}, "invalid_request", "app_hash", APP_HASH),
    ({"to": NUMBER, "binding": ""}, "invalid_request", "binding", BINDING),
    ({"to": NUMBER, "binding": "b" * 257}, "invalid_request", "binding", BINDING),
    *(
        ({"to": NUMBER, "binding": text}, "invalid_request", "binding", BINDING)
        for mark in (
            "\n",
            "\x00",
            "\x85",
            "\xad",
            "\u200b",
            "\u202e",
            "\u2028",
            "\u2066",
            "\ufeff",
            "\U000e0041",
        )
        for text in (f"a{mark}b", {"payee": f"a{mark}b"}, {f"a{mark}b": "payee"})
    ),
    ({"to": NUMBER, "binding": {"\xe9": "1", "e\u0301": "2"}}, "invalid_request", "binding", BINDING),
    ({"to": NUMBER, "binding": {}}, "invalid_request", "binding", BINDING),
    ({"to": NUMBER, "binding": {"amount": 12}}, "invalid_request", "binding", BINDING),
    ({"to": NUMBER, "binding": {"a": {"b": "c"}}}, "invalid_request", "binding", BINDING),
    ({"to": NUMBER, "binding": {"": "x"}}, "invalid_request", "binding", BINDING),
    ({"to": NUMBER, "binding": {"a" * 65: "x"}}, "invalid_request", "binding", BINDING),
    ({"to": NUMBER, "binding": {"a": "x" * 65}}, "invalid_request", "binding", BINDING),
    ({"to": NUMBER, "binding": {str(n): "x" for n in range(9)}}, "invalid_request", "binding", BINDING),
    ({"to": NUMBER, "binding": ["a"]}, "invalid_request", "binding", BINDING),
    ({"to": NUMBER, "binding": 12}, "invalid_request", "binding", BINDING),
    ({"to": NUMBER, "binding": None}, "invalid_request", "binding", NULL),
]


@pytest.mark.parametrize(("body", "code", "field", "rule"), SENDS)
def test_a_bad_send_names_the_field_and_the_rule_and_stores_nothing(
    api: Api, body: dict[str, Any], code: str, field: str, rule: str
) -> None:
    """422 with exactly one field error; no challenge, no schedule, no charge, no idempotency record."""
    answer = api.call("POST", "/otp/send", body=body, headers={"Idempotency-Key": "k"})
    found = problem(answer, 422, code)
    assert found["errors"] == [{"field": field, "rule": rule}]
    assert code == "channel_not_available" or found["detail"].endswith(f"'{field}' {rule}.")
    assert api.kept() == {}


@pytest.mark.parametrize("country", ["US", "us", "Us"])
def test_a_country_is_known_in_any_case(api: Api, country: str) -> None:
    """A page may have it from a list in small letters."""
    assert api.send("(202) 555-0100", country=country).status_code == 202


def test_a_channel_that_is_not_available_says_which_are(api: Api) -> None:
    """A page that shows only the detail still tells the person what to choose."""
    found = problem(api.send(channel="voice"), 422, "channel_not_available")
    assert found["detail"] == "This channel is not available for this number. Available: sms."


def test_the_detail_is_the_sentence_of_the_first_field(api: Api) -> None:
    """A page that shows only the detail is understood."""
    found = problem(api.call("POST", "/otp/verify", body={"challenge_id": NO_ID}), 422, "invalid_request")
    assert found["detail"] == "'code' is required."
    found = problem(api.send("hello"), 422, "invalid_number")
    assert found["detail"].endswith(" 'to' must be written in digits, not letters.")


def test_the_detail_of_a_policy_names_its_first_mistake(api: Api) -> None:
    """An operator's page may show only the detail, too."""
    answer = api.call("POST", "/ops/policy/check", key=OPS, body={"text": "[app]\nx = 1\n"})
    found = problem(answer, 422, "policy_invalid")
    assert found["detail"] == f"The policy is not valid. {found['errors'][0]['rule'].removesuffix('.')}."


def test_all_bad_fields_are_named_at_once(api: Api) -> None:
    """One request shows all five mistakes."""
    found = problem(
        api.call("POST", "/otp/send", body={"purpose": "X", "channel": 1, "extra": 1, "locale": "!"}),
        422,
        "invalid_request",
    )
    assert {error["field"] for error in found["errors"]} == {"to", "purpose", "channel", "extra", "locale"}


Break = Callable[[str], tuple[str, str, dict[str, Any]]]
VERIFY_BODIES: list[tuple[dict[str, Any], str, str]] = [
    ({"code": "12345"}, "code", CODE),
    ({"code": "12345678901"}, "code", CODE),
    ({"code": ""}, "code", CODE),
    ({"code": "12345a"}, "code", CODE),
    ({"code": "12345\u200b"}, "code", CODE),
    ({"code": "123.456"}, "code", CODE),
    ({"code": "123456\x00"}, "code", CODE),
    ({"code": "½23456"}, "code", CODE),
    ({"code": "1 2 3 4 5 6" + " " * 64}, "code", CODE),
    ({"code": 123456}, "code", ANY_TEXT),
    ({"code": 123456.0}, "code", ANY_TEXT),
    ({"code": True}, "code", ANY_TEXT),
    ({"code": None}, "code", NULL),
    ({"code": ["000000", "000001"]}, "code", ANY_TEXT),
    ({"code": {"$ne": ""}}, "code", ANY_TEXT),
    ({"code": "1234567"}, "code", "must have as many digits as the code that was sent, see code_length"),
    ({"challenge_id": ""}, "challenge_id", ID),
    ({"challenge_id": "A" * 65}, "challenge_id", ID),
    ({"challenge_id": "../" + "A" * 21}, "challenge_id", ID),
    ({"challenge_id": 12}, "challenge_id", ANY_TEXT),
    ({"challenge_id": ["x"]}, "challenge_id", ANY_TEXT),
    ({"to": NUMBER}, "to", UNKNOWN),
    ({"binding": ""}, "binding", BINDING),
]


@pytest.mark.parametrize(("change", "field", "rule"), VERIFY_BODIES)
def test_a_malformed_verify_is_not_counted_as_an_attempt(
    live: Api, change: dict[str, Any], field: str, rule: str
) -> None:
    """A malformed code names its rule and costs no attempt; the right code still works."""
    challenge_id, code = live.sent()
    before = live.kept()
    body = {"challenge_id": challenge_id, "code": wrong(code)} | change
    found = problem(live.call("POST", "/otp/verify", body=body), 422, "invalid_request")
    assert found["errors"] == [{"field": field, "rule": rule}]
    assert live.kept() == before
    assert (live.status(challenge_id).json or {})["checks_left"] == 5
    assert live.verify(challenge_id, code).status_code == 200


@pytest.mark.parametrize("missing", ["challenge_id", "code"])
def test_a_verify_without_a_required_field_names_it(api: Api, missing: str) -> None:
    """Both fields are required."""
    body = {"challenge_id": NO_ID, "code": "123456"}
    del body[missing]
    found = problem(api.call("POST", "/otp/verify", body=body), 422, "invalid_request")
    assert found["errors"] == [{"field": missing, "rule": REQUIRED}]


@pytest.mark.parametrize(
    ("body", "code", "field", "rule"),
    [
        ({"channel": "pigeon"}, "invalid_request", "channel", CHANNEL),
        ({"channel": None}, "invalid_request", "channel", NULL),
        ({"to": NUMBER}, "invalid_request", "to", UNKNOWN),
        (
            {"channel": "voice"},
            "channel_not_available",
            "channel",
            "must be one of sms",
        ),
    ],
)
def test_a_bad_resend_sends_and_charges_nothing(
    api: Api, body: dict[str, Any], code: str, field: str, rule: str
) -> None:
    """After the cooldown a valid resend would pass; an invalid one changes nothing."""
    challenge_id = api.opened()
    api.later(60)
    before = api.kept()
    found = problem(api.resend(challenge_id, body=body), 422, code)
    assert found["errors"] == [{"field": field, "rule": rule}]
    assert api.kept() == before


@pytest.mark.parametrize(
    ("token", "rule"),
    [
        ("", "must be a verification token"),
        ("a.b", "must be a verification token"),
        ("a.b.c.d", "must be a verification token"),
        ("a.b.c\n", "must be a verification token"),
        (f"{'a' * 12001}.b.c", "must be a verification token"),
        (None, NULL),
        (["a.b.c"], ANY_TEXT),
    ],
)
def test_a_bad_token_names_the_rule(api: Api, token: object, rule: str) -> None:
    """A malformed token is refused before anything is spent."""
    found = problem(api.call("POST", "/otp/token/redeem", body={"token": token}), 422, "invalid_request")
    assert found["errors"] == [{"field": "token", "rule": rule}]
    assert api.kept() == {}


@pytest.mark.parametrize(
    "key", ["", '""', '"open', "a b", 'a"b', "k" * 129, f'"{"k" * 129}"', "\x7f", "\xe9"]
)
@pytest.mark.parametrize("path", ["/otp/send", "/otp/{id}/resend"])
def test_a_bad_idempotency_key_is_refused(api: Api, key: str, path: str) -> None:
    """It must be 1 to 128 visible characters, quoted or bare; otherwise nothing happens."""
    challenge_id = api.opened("+12025550101")
    api.later(60)
    before = api.kept()
    body = {"to": NUMBER} if path == "/otp/send" else {}
    answer = api.call("POST", path.format(id=challenge_id), body=body, headers={"Idempotency-Key": key})
    assert problem(answer, 422, "invalid_request")["errors"] == [
        {"field": "Idempotency-Key", "rule": "must be 1 to 128 visible ASCII characters"}
    ]
    assert api.kept() == before


@pytest.mark.parametrize("key", ["k" * 128, f'"{"k" * 128}"', '" "', "a\\b"])
def test_an_idempotency_key_at_the_limit_is_taken(api: Api, key: str) -> None:
    """128 characters pass, with or without quotes."""
    answer = api.call("POST", "/otp/send", body={"to": NUMBER}, headers={"Idempotency-Key": key})
    assert answer.status_code == 202


# Keys, origins, challenges.


def good_send(api: Api, **options: Any) -> TestResponse:  # noqa: ANN401 - those of `call`
    """Send what would be fine with the right key."""
    return api.call("POST", "/otp/send", body={"to": NUMBER}, **options)


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"key": None}, 401, "missing_key"),
        ({"key": "sk_nobody"}, 401, "unknown_key"),
        ({"key": OPS}, 403, "key_not_allowed"),
        ({"key": PUBLISHABLE, "origin": "https://evil.example"}, 403, "origin_not_allowed"),
        ({"key": PUBLISHABLE, "origin": "null"}, 403, "origin_not_allowed"),
    ],
)
def test_a_refused_caller_sends_and_charges_nothing(
    api: Api, options: dict[str, Any], status: int, code: str
) -> None:
    """A missing, unknown or wrong kind of key, or a page of another origin, leaves no trace."""
    problem(good_send(api, **options), status, code)
    assert api.kept() == {}


def test_another_apps_key_finds_no_challenge_and_counts_no_attempt(live: Api) -> None:
    """Even with the right code, the challenge is unknown to another app."""
    challenge_id, code = live.sent()
    before = live.kept()
    problem(live.verify(challenge_id, code, key=OTHER_SECRET), 404, "challenge_not_found")
    assert live.kept() == before


def test_an_ended_challenge_records_no_attempt(live: Api) -> None:
    """Whether used, cancelled or expired: the answer is the same and nothing is written."""
    used, code = live.sent()
    live.verify(used, code)
    before = live.kept()
    problem(live.verify(used, code), 404, "challenge_not_found")
    assert live.kept() == before
    expired, code = live.sent("+12025550101")
    live.later(300)
    before = live.kept()
    problem(live.verify(expired, code), 404, "challenge_not_found")
    assert live.kept() == before


def test_a_wrong_code_is_counted_and_charges_nothing(live: Api) -> None:
    """The challenge's record and the counters of failures change; no send is charged."""
    challenge_id, code = live.sent()
    before = live.kept()
    assert problem(live.verify(challenge_id, wrong(code)), 400, "wrong_code")["checks_left"] == 4
    after = live.kept()
    changed = {key for key in after if before.get(key) != after[key]}
    [challenge] = [key for key in before if ":c:" in key]
    [number] = [key for key in before if ":guard}:number:" in key]
    [streak] = [key for key in after if ":guard}:streak:" in key]
    assert {key for key in changed if ":guard}:o:" not in key} == {challenge, number, streak} | {
        key for key in after if key.endswith(":guard}:guesses:")
    }
    counted = [dict(kept[number]) for kept in (before, after)]  # type: ignore[call-overload]  # a hash
    sends = [{name: figure for name, figure in one.items() if name[0] in "ln"} for one in counted]
    assert sends[0] == sends[1] != {}


def test_an_attempt_too_many_changes_nothing(live: Api) -> None:
    """Once the attempts are used up, there is nothing left to count."""
    challenge_id, code = live.sent()
    for _ in range(5):
        live.verify(challenge_id, wrong(code))
    before = live.kept()
    problem(live.verify(challenge_id, code), 410, "no_attempts_left")
    assert live.kept() == before


def test_a_resend_too_early_charges_nothing(live: Api) -> None:
    """The wait is in whole seconds, rounded up; nothing is scheduled."""
    challenge_id, _ = live.sent()
    live.later(0.5)
    before = live.kept()
    then, challenge = live.core.store.challenges.read_challenge(challenge_id)
    found = problem(live.resend(challenge_id), 429, "resend_too_early")
    assert challenge
    left = [challenge.resend_at() - now for now in (then, live.core.store.facts.time())]
    assert challenge.resend_at() - challenge.last.at == 30_000
    assert math.ceil(left[1] / 1000) <= found["retry_after"] <= math.ceil(left[0] / 1000) <= 30
    assert live.kept() == before


def test_a_send_over_the_limit_stores_nothing(api: Api) -> None:
    """The refusal says when to try again; apart from its own record, nothing changes."""
    api.opened()
    before = api.kept()
    found = problem(api.send(), 429, "too_many_requests")
    assert 1 <= found["retry_after"] <= 30
    assert "errors" not in found
    after = api.kept()
    assert {key for key in after if before.get(key) != after[key]} == {
        key for key in after if key.endswith(":guard}:blocks") or ":guard}:number:" in key
    }


# What a stranger wrote never comes back.

CANARIES = [
    "+12025559876",
    "12025559876",
    "sk_live_supersecretvalue",
    "pk_live_supersecretvalue",
    "ops_live_supersecretvalue",
    "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.c2ln",
    "<script>alert(1)</script>",
    "e" * 41,
]


@pytest.mark.parametrize("canary", CANARIES)
def test_an_error_repeats_no_name_or_value_from_the_request(api: Api, canary: str) -> None:
    """Field names that look like a number or a key, and all values, stay out of the answer."""
    odd = f"{canary} \u2603\x00"
    answers = [
        api.call("POST", "/otp/send", body={"to": NUMBER, canary: "x"}),
        api.call(
            "POST",
            "/otp/send",
            raw=json.dumps({"to": NUMBER}).encode()[:-1]
            + b', "%s": 1}' % (f'{canary}": 1, "{canary}'.encode()),
        ),
        *(
            api.call("POST", "/otp/send", body={"to": NUMBER, name: odd})
            for name in ("to", "country", "purpose", "channel", "locale", "reference", "app_hash")
        ),
        api.call("POST", "/otp/send", body={"to": NUMBER, "binding": {canary: 1}}),
        api.call("POST", "/otp/verify", body={"challenge_id": odd, "code": odd}),
        api.call("POST", "/otp/token/redeem", body={"token": odd}),
        api.call("POST", "/otp/send", body={"to": NUMBER}, headers={"Idempotency-Key": f'"{canary}'}),
        api.call("POST", "/otp/send", key=f"{canary}.", body={}),
        api.call("POST", f"/{canary}", body={}),
        api.call("GET", f"/otp/{canary}"),
    ]
    for answer in answers:
        assert 400 <= answer.status_code < 500
        assert canary not in f"{answer.text}{answer.headers}"


def test_the_name_of_an_unknown_field_is_repeated(api: Api) -> None:
    """A typing mistake is easier to find if the answer names it."""
    found = problem(
        api.call("POST", "/otp/send", body={"to": NUMBER, "chanel": "sms"}), 422, "invalid_request"
    )
    assert found["errors"] == [{"field": "chanel", "rule": UNKNOWN}]


@pytest.mark.parametrize("key", [SECRET, PUBLISHABLE])
def test_good_input_is_accepted(api: Api, key: str) -> None:
    """The bad requests in this file differ from a good one only in what each test says."""
    options: dict[str, Any] = {"origin": ORIGIN} if key == PUBLISHABLE else {}
    body = {
        "to": "(202) 555-0100",
        "country": "US",
        "purpose": "login",
        "channel": "sms",
        "locale": "en",
        "reference": "r" * 64,
        "app_hash": "FA+9qCX9VSu",
        "binding": {str(n): "x" * 64 for n in range(8)},
    }
    assert api.call("POST", "/otp/send", key=key, body=body, **options).status_code == 202
    assert len(api.kept()) >= 3
