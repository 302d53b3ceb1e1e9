"""The HTTP API as its callers meet it: each call, its answer, and each way it ends."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import replace
from typing import Any

import jwt
import pytest
from marshmallow import Schema
from werkzeug.test import TestResponse

from otp_service import errors
from otp_service.access.api_keys import digest
from otp_service.crypto.code_hashes import Hasher
from otp_service.crypto.sealing import Seal
from otp_service.events.outbox import Outbox
from otp_service.http import app as http_app
from otp_service.http.problems import STATUS
from otp_service.http.schemas.challenge import ChallengeSchema, DeliverySchema, VerifiedSchema
from otp_service.http.schemas.tokens import ClaimsSchema
from otp_service.upstream.port import Inbound
from otp_service.verification.check import Check
from tests.conftest import OPS, OTHER_SECRET, POLICY, PUBLISHABLE, SECRET, make_core
from tests.support.http_api import (
    NO_ID,
    NOBODY,
    NUMBER,
    UPSTREAM_TOKEN,
    Api,
    call_failing,
    close,
    make_api,
    wrong,
)
from tests.support.valkey_server import ValkeyServer

pytest_plugins = ["tests.support.http_fixtures"]

AWAY = "unix:///nowhere/valkey"
WEBHOOK = "whs_test-webhook-secret"
APP_HASH = "FA+9qCX9VSu"


def members(answer: TestResponse) -> dict[str, Any]:
    """Return the members of a JSON answer."""
    found: dict[str, Any] = answer.json or {}
    return found


def told(answer: TestResponse) -> tuple[int, str]:
    """Return the status and the stable code of a problem."""
    assert answer.mimetype == "application/problem+json", answer.text
    return answer.status_code, members(answer)["code"]


# The way through.


def test_a_code_that_is_typed_back_proves_the_number_once(live: Api) -> None:
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
    assert told(live.redeem(members(won)["token"])) == (409, "token_spent")


def test_the_first_answer_tells_all_that_a_screen_counts_down(api: Api) -> None:
    """A fresh challenge shows its figures, a masked number and one queued message."""
    shown = members(api.send())
    assert shown.pop("challenge_id")
    assert shown == {
        "status": "pending",
        "to": "+1********00",
        "channel": "sms",
        "purpose": "login",
        "expires_in": 300,
        "resend_in": 30,
        "sends_left": 2,
        "checks_left": 5,
        "code_length": 6,
        "channels_left": ["sms"],
        "deliveries": [{"channel": "sms", "status": "queued"}],
    }


def test_status_tells_what_became_of_the_message(live: Api) -> None:
    """After the upstream took it the delivery is accepted; the figures run down with the store's clock."""
    challenge_id, _ = live.sent()
    live.later(12)
    shown = members(live.status(challenge_id))
    assert shown["deliveries"] == [{"channel": "sms", "status": "accepted"}]
    assert (shown["expires_in"], shown["resend_in"]) == (288, 18)
    live.later(288)
    ended = members(live.status(challenge_id))
    assert (ended["status"], ended["expires_in"], ended["checks_left"]) == ("expired", 0, 0)
    assert ended["channels_left"] == []


def test_a_message_that_nobody_takes_is_told_as_undeliverable(live: Api) -> None:
    """A refused send ends the challenge truthfully; verify then knows it no more."""
    challenge_id = live.opened("+12025550120")
    live.dispatch(challenge_id)
    shown = members(live.status(challenge_id))
    assert (shown["status"], shown["deliveries"]) == (
        "undeliverable",
        [{"channel": "sms", "status": "refused"}],
    )
    assert told(live.verify(challenge_id, "000000")) == (404, "challenge_not_found")


def test_no_answer_ever_holds_the_code_the_number_or_a_key(live: Api) -> None:
    """Codes and keys stay out of all answers; the number appears only among a redeemed token's claims."""
    challenge_id, code = live.sent()
    live.verify(challenge_id, wrong(code))
    live.status(challenge_id)
    live.later(30)
    live.resend(challenge_id)
    live.dispatch(challenge_id)
    newest = live.code()
    live.verify(challenge_id, newest)
    live.status(challenge_id)
    live.call("GET", "/metrics", key=None)
    texts = [f"{answer.text}{answer.headers}" for answer in live.answers]
    assert len(texts) == 7
    for secret in (code, newest, NUMBER, NUMBER[1:], SECRET, UPSTREAM_TOKEN):
        assert not [text for text in texts if secret in text]


# Shapes.


def shape(schema: type[Schema], *, reference: bool = False) -> set[str]:
    """Return the members that an answer of this schema has."""
    return set(schema().fields) - {"device_token"} - (set() if reference else {"reference", "binding"})


@pytest.mark.parametrize("reference", [False, True])
def test_answers_have_the_members_of_their_schema_and_no_other(live: Api, *, reference: bool) -> None:
    """No more and no less than the schema's fields; `reference` and `binding` only where they were given."""
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
    """What is only accepted, not done, says so by its status."""
    challenge_id, code = live.sent()
    live.later(30)
    resent = live.resend(challenge_id)
    verified = live.verify(challenge_id, code)
    assert (live.answers[0].status_code, resent.status_code, verified.status_code) == (202, 202, 200)


# Wrong guesses.


def test_wrong_codes_count_down_until_even_the_right_one_is_too_late(live: Api) -> None:
    """Five guesses and no more; each wrong one says how many are left."""
    challenge_id, code = live.sent()
    left = []
    for _ in range(5):
        answer = live.verify(challenge_id, wrong(code))
        assert told(answer) == (400, "wrong_code")
        left.append(members(answer)["checks_left"])
    assert left == [4, 3, 2, 1, 0]
    assert told(live.verify(challenge_id, code)) == (410, "no_attempts_left")
    assert members(live.status(challenge_id))["status"] == "exhausted"


def test_a_resend_gives_no_guesses_back(live: Api) -> None:
    """Attempts are the challenge's, not the code's."""
    challenge_id, code = live.sent()
    live.verify(challenge_id, wrong(code))
    live.later(30)
    assert members(live.resend(challenge_id))["checks_left"] == 4
    live.dispatch(challenge_id)
    assert members(live.verify(challenge_id, wrong(live.code())))["checks_left"] == 3


def test_the_code_of_an_earlier_message_still_counts(live: Api) -> None:
    """A late first SMS is as good as the second one."""
    challenge_id, first = live.sent()
    live.later(30)
    live.resend(challenge_id)
    live.dispatch(challenge_id)
    assert live.verify(challenge_id, first).status_code == 200


def test_nothing_tells_unknown_expired_used_cancelled_and_foreign_challenges_apart(live: Api) -> None:
    """On verify all of them get the same bytes, but for the request id."""
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
    assert {told(a) for a in answers} == {(404, "challenge_not_found")}
    assert len({tuple(h for h in a.headers if h[0] != "X-Request-Id") for a in answers}) == 1


@pytest.mark.parametrize("act", ["status", "resend", "cancel"])
def test_another_apps_challenge_is_as_good_as_none(api: Api, act: str) -> None:
    """A foreign id is answered as an unknown one by every call, and nothing of it changes."""
    challenge_id = api.opened()
    before = api.kept()
    answers = [getattr(api, act)(id_, key=OTHER_SECRET) for id_ in (challenge_id, NO_ID, "x")]
    bodies = {a.data.replace(a.headers["X-Request-Id"].encode(), b"-") for a in answers}
    assert len(bodies) == 1
    assert {told(a) for a in answers} == {(404, "challenge_not_found")}
    assert api.kept() == before


# What the code is tied to.

PAYMENT = {"amount": "12.00 EUR", "payee": "Acme"}


@pytest.mark.parametrize("binding", ["order 4711", PAYMENT, {"ä": "€ \n \U0001f600"}])
def test_the_token_carries_the_binding_as_it_was_given(live: Api, binding: object) -> None:
    """A binding, a line or an object, comes back whole; the verify may repeat it or leave it out."""
    repeated: list[dict[str, Any]] = [{}, {"binding": binding}]
    for given in repeated:
        live.later(60)
        challenge_id, code = live.sent(binding=binding)
        won = live.verify(challenge_id, code, **given)
        assert members(live.redeem(members(won)["token"]))["binding"] == binding


def test_the_order_of_a_bindings_parts_means_nothing(live: Api) -> None:
    """Equal objects are one binding, however they are written."""
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
    """A change of what is confirmed voids the code (PSD2 RTS article 5) and counts as a guess."""
    given: dict[str, Any] = {"binding": sent} if sent else {}
    challenge_id, code = live.sent(**given)
    answer = live.verify(challenge_id, code, binding=checked)
    assert told(answer) == (400, "wrong_code")
    assert members(answer)["checks_left"] == 4


def test_purpose_and_reference_come_back_in_answers_and_token(live: Api) -> None:
    """What the caller calls the act is found again in all that tells of it."""
    won = live.won(purpose="payment.sepa", reference="signup-4711")
    claims = members(live.redeem(won["token"]))
    for answer in (members(live.answers[0]), won, claims):
        assert (answer["purpose"], answer["reference"]) == ("payment.sepa", "signup-4711")


# The message.


@pytest.mark.parametrize(
    ("to", "fields", "words"),
    [
        ("+12025550100", {}, "is your Acme code"),
        ("+12025550100", {"locale": "de"}, "ist Ihr Code für Acme"),
        ("+12025550100", {"locale": "pt-BR"}, "o seu PIN de Acme"),
        ("+12025550100", {"locale": "xx"}, "is your Acme code"),
        ("+4915123456789", {}, "ist Ihr Code für Acme"),
        ("+4915123456789", {"locale": "en-GB"}, "is your Acme code"),
        ("030 901820", {"country": "DE"}, "ist Ihr Code für Acme"),
    ],
)
def test_the_message_speaks_the_locale_or_guesses_it_from_the_number(
    live: Api, to: str, fields: dict[str, str], words: str
) -> None:
    """The caller's locale comes before the country's language; English is for all else."""
    live.sent(to, **fields)
    assert words in live.messages()[0]


def test_the_message_ends_with_the_line_for_the_page_that_asked(live: Api) -> None:
    """The code is bound to the host of the app's origin; an Android app finds its hash on a line before."""
    _, code = live.sent(app_hash=APP_HASH)
    assert live.messages()[0].split("\n")[-2:] == [APP_HASH, f"@app.example.com #{code}"]


def test_an_app_without_a_page_gets_no_line_for_one(live: Api) -> None:
    """Where no origin is known nothing is bound to one."""
    live.sent(key=OTHER_SECRET)
    assert "@" not in live.messages()[0]


# Again with the same key.


def keyed(key: str) -> dict[str, str]:
    """Return the header that names an idempotency key."""
    return {"Idempotency-Key": key}


def test_a_repeated_send_starts_one_challenge(api: Api) -> None:
    """The same key with the same body gives the same challenge, whether the key is quoted or bare."""
    body = {"to": NUMBER, "binding": PAYMENT}
    first = api.call("POST", "/otp/send", body=body, headers=keyed('"8e03 978e"'))
    kept = api.kept()
    again = api.call("POST", "/otp/send", body=body, headers=keyed('"8e03 978e"'))
    assert (again.status_code, again.json) == (202, first.json)
    assert api.kept() == kept
    bare = api.call("POST", "/otp/send", body={"to": "+12025550101"}, headers=keyed("plain-1"))
    quoted = api.call("POST", "/otp/send", body={"to": "+12025550101"}, headers=keyed(' "plain-1" '))
    assert quoted.json == bare.json


@pytest.mark.parametrize(
    "other", [{"to": "+12025550101"}, {"to": NUMBER, "purpose": "signup"}, {"to": NUMBER, "binding": "x"}]
)
def test_a_key_does_not_carry_over_to_another_body(api: Api, other: dict[str, str]) -> None:
    """Reuse with another body is refused and changes nothing."""
    api.call("POST", "/otp/send", body={"to": NUMBER}, headers=keyed("k"))
    before = api.kept()
    answer = api.call("POST", "/otp/send", body=other, headers=keyed("k"))
    assert told(answer) == (422, "idempotency_key_reused")
    assert members(answer)["errors"] == [
        {"field": "Idempotency-Key", "rule": "must be new for each new body"}
    ]
    assert api.kept() == before


def test_two_apps_may_use_the_same_key(api: Api) -> None:
    """Keys belong to their app."""
    found = [
        members(api.call("POST", "/otp/send", key=key, body={"to": to}, headers=keyed("same")))[
            "challenge_id"
        ]
        for key, to in ((SECRET, NUMBER), (OTHER_SECRET, "+12025550101"))
    ]
    assert len(set(found)) == 2


def test_a_repeated_send_shows_the_challenge_as_it_is_now(live: Api) -> None:
    """A replay after the win says verified; it starts nothing."""
    body = {"to": NUMBER}
    challenge_id = members(live.call("POST", "/otp/send", body=body, headers=keyed("k")))["challenge_id"]
    live.dispatch(challenge_id)
    live.verify(challenge_id, live.code())
    again = members(live.call("POST", "/otp/send", body=body, headers=keyed("k")))
    assert (again["challenge_id"], again["status"]) == (challenge_id, "verified")
    assert len(live.messages()) == 1


def test_a_repeated_resend_sends_one_message(live: Api) -> None:
    """The same key does the work once, also within the cooldown that it started; another body is refused."""
    challenge_id, _ = live.sent()
    live.later(30)
    first = live.resend(challenge_id, headers=keyed("k"))
    again = live.resend(challenge_id, headers=keyed('"k"'))
    assert (first.status_code, again.status_code) == (202, 202)
    assert len(members(again)["deliveries"]) == 2
    live.dispatch(challenge_id)
    live.dispatch(challenge_id)
    assert len(live.messages()) == 2
    reused = live.resend(challenge_id, body={"channel": "sms"}, headers=keyed("k"))
    assert told(reused) == (422, "idempotency_key_reused")


# Resend and cancel.


def test_a_resend_waits_for_the_cooldown_and_brings_another_code(live: Api) -> None:
    """Until then it is 429 with the seconds to wait; afterwards a second message leaves."""
    challenge_id, first = live.sent()
    early = live.resend(challenge_id)
    assert told(early) == (429, "resend_too_early")
    assert (members(early)["retry_after"], early.headers["Retry-After"]) == (30, "30")
    live.later(30)
    resent = members(live.resend(challenge_id, body={"channel": "sms"}))
    assert (resent["resend_in"], resent["sends_left"]) == (60, 1)
    live.dispatch(challenge_id)
    assert len(live.messages()) == 2
    assert first not in live.messages()[0]


def test_the_messages_of_a_challenge_run_out(valkey: ValkeyServer) -> None:
    """After `max_sends` messages there is no more, however long one waits."""
    text = POLICY + '[challenge]\nmax_sends = 2\ncooldown = ["1s"]\n[guard.cooldown]\nladder = ["1s"]\n'
    api = make_api(valkey, text=text)
    challenge_id = api.opened()
    api.later(1)
    assert members(api.resend(challenge_id))["sends_left"] == 0
    api.later(1)
    assert told(api.resend(challenge_id)) == (409, "no_sends_left")
    close(api)


def test_a_cancelled_challenge_takes_no_code_and_may_be_cancelled_again(live: Api) -> None:
    """No code counts any more; cancelling twice is the same."""
    challenge_id, code = live.sent()
    assert members(live.cancel(challenge_id))["status"] == "cancelled"
    assert members(live.cancel(challenge_id))["status"] == "cancelled"
    assert told(live.verify(challenge_id, code)) == (404, "challenge_not_found")
    assert told(live.resend(challenge_id)) == (404, "challenge_not_found")


def test_a_won_challenge_cannot_be_cancelled(live: Api) -> None:
    """What is proven stays proven."""
    won = live.won()
    assert told(live.cancel(won["challenge_id"])) == (404, "challenge_not_found")
    assert members(live.status(won["challenge_id"]))["status"] == "verified"


# Keys.

CALLS = {
    "send": ("POST", "/otp/send", {"to": NUMBER}),
    "verify": ("POST", "/otp/verify", {"challenge_id": NO_ID, "code": "000000"}),
    "status": ("GET", f"/otp/{NO_ID}", None),
    "resend": ("POST", f"/otp/{NO_ID}/resend", {}),
    "cancel": ("DELETE", f"/otp/{NO_ID}", None),
    "redeem": ("POST", "/otp/token/redeem", {"token": "a.b.c"}),
    "upstreams": ("GET", "/ops/upstreams", None),
}
ALLOWED = {
    PUBLISHABLE: {"send", "verify", "status", "resend", "cancel"},
    SECRET: {"send", "verify", "status", "resend", "cancel", "redeem"},
    OPS: {"upstreams"},
}


def ask(api: Api, name: str, key: str | None, headers: Mapping[str, str] | None = None) -> TestResponse:
    """Make one of the calls that need a key."""
    method, path, body = CALLS[name]
    given: dict[str, Any] = {} if body is None else {"body": body}
    return api.call(method, path, key=key, headers=headers, **given)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("key", ALLOWED, ids=["publishable", "secret", "ops"])
def test_a_key_opens_the_calls_of_its_kind_only(api: Api, name: str, key: str) -> None:
    """Browsers' keys cannot redeem, apps' keys cannot operate, operators' keys cannot send."""
    answer = ask(api, name, key)
    if name in ALLOWED[key]:
        assert answer.status_code not in {401, 403}
    else:
        assert told(answer) == (403, "key_not_allowed")
        assert api.kept() == {}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "missing_key"),
        ({"Authorization": ""}, "missing_key"),
        ({"Authorization": "Bearer"}, "missing_key"),
        ({"Authorization": "Bearer  "}, "missing_key"),
        ({"Authorization": f"Basic {SECRET}"}, "missing_key"),
        ({"Authorization": SECRET}, "missing_key"),
        ({"Authorization": f"Bearer {SECRET}x"}, "unknown_key"),
        ({"Authorization": f"Bearer {SECRET[:-1]}"}, "unknown_key"),
        ({"Authorization": f"Bearer {SECRET.upper()}"}, "unknown_key"),
        ({"Authorization": "Bearer \xff\xfe"}, "unknown_key"),
    ],
)
def test_a_call_without_a_known_key_gets_nowhere(
    api: Api, name: str, headers: dict[str, str], code: str
) -> None:
    """401 says how to bring a key; nothing is kept."""
    answer = ask(api, name, None, headers)
    assert told(answer) == (401, code)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert api.kept() == {}


def test_the_scheme_of_the_authorization_is_read_in_any_case(api: Api) -> None:
    """RFC 9110: schemes have no case."""
    assert ask(api, "send", None, {"Authorization": f"bearer {SECRET}"}).status_code == 202


def test_a_token_belongs_to_its_app_and_lives_five_minutes(live: Api) -> None:
    """Another app's key cannot redeem it; neither can its own after 300 seconds of the store's clock."""
    token = live.won()["token"]
    assert told(live.redeem(token, key=OTHER_SECRET)) == (400, "token_invalid")
    live.later(300)
    assert told(live.redeem(token)) == (400, "token_invalid")


def test_a_token_redeemed_in_its_last_second_counts(live: Api) -> None:
    """A refusal for another app spends nothing; 299 seconds later the right app still gets its claims."""
    token = live.won()["token"]
    live.redeem(token, key=OTHER_SECRET)
    live.later(298)
    assert live.redeem(token).status_code == 200


def test_a_forged_token_is_refused_with_a_problem(live: Api) -> None:
    """Nested JSON without end, an unhashable key id, `none`: each is just an invalid token."""
    won = live.won()["token"].split(".")

    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).decode().rstrip("=")

    for header in (b"[" * 1400, b'{"alg":"EdDSA","kid":["s1"]}', b'{"alg":"none"}', b"\xff", b"[]"):
        assert told(live.redeem(".".join([part(header), *won[1:]]))) == (400, "token_invalid")


def test_the_published_keys_are_all_that_a_backend_needs(live: Api) -> None:
    """PyJWT, given only the JWKS, accepts the token for the right audience."""
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


# Every error.

Reach = Callable[[Api], TestResponse]
REACHED: dict[type[errors.OtpError], Reach] = {}


def reaches(kind: type[errors.OtpError]) -> Callable[[Reach], Reach]:
    """Mark a function as the one that brings an error about."""

    def keep(reach: Reach) -> Reach:
        REACHED[kind] = reach
        return reach

    return keep


reaches(errors.MalformedJson)(lambda api: api.call("POST", "/otp/send", raw=b"{"))
reaches(errors.MissingKey)(lambda api: api.call("POST", "/otp/send", key=None, body={}))
reaches(errors.UnknownKey)(lambda api: api.call("POST", "/otp/send", key="sk_nobody", body={}))
reaches(errors.KeyNotAllowed)(lambda api: api.call("POST", "/otp/send", key=OPS, body={}))
reaches(errors.OriginNotAllowed)(
    lambda api: api.call("POST", "/otp/send", key=PUBLISHABLE, origin="https://evil.example", body={})
)
reaches(errors.ChallengeNotFound)(lambda api: api.status(NO_ID))
reaches(errors.NotFound)(lambda api: api.call("GET", "/nowhere"))
reaches(errors.MethodNotAllowed)(lambda api: api.call("PUT", "/otp/send"))
reaches(errors.BodyTooLarge)(lambda api: api.call("POST", "/otp/send", raw=b" " * 16385))
reaches(errors.UnsupportedMediaType)(
    lambda api: api.call("POST", "/otp/send", raw=b"to=1", headers={"Content-Type": "text/plain"})
)
reaches(errors.Invalid)(lambda api: api.send(purpose="NO"))
reaches(errors.InvalidNumber)(lambda api: api.send("+1 555"))
reaches(errors.NoRoute)(lambda api: api.send(purpose="elsewhere"))
reaches(errors.ChannelNotAvailable)(lambda api: api.send(channel="voice"))
reaches(errors.ResendTooEarly)(lambda api: api.resend(api.opened()))
reaches(errors.TokenInvalid)(lambda api: api.redeem("a.b.c"))


@reaches(errors.WrongCode)
def _(api: Api) -> TestResponse:
    return api.verify(api.opened(), "000000")


@reaches(errors.NoAttemptsLeft)
def _(api: Api) -> TestResponse:
    challenge_id = api.opened()
    return [api.verify(challenge_id, "000000") for _ in range(6)][-1]


@reaches(errors.NoSendsLeft)
def _(api: Api) -> TestResponse:
    challenge_id = api.opened()
    for cooldown in (30, 60, 120):
        api.later(cooldown)
        api.resend(challenge_id)
    return api.resend(challenge_id)


@reaches(errors.TooManyRequests)
def _(api: Api) -> TestResponse:
    api.opened()
    return api.send()


@reaches(errors.IdempotencyKeyReused)
def _(api: Api) -> TestResponse:
    api.call("POST", "/otp/send", body={"to": NUMBER}, headers=keyed("k"))
    return api.call("POST", "/otp/send", body={"to": NUMBER, "locale": "de"}, headers=keyed("k"))


@reaches(errors.IdempotencyKeySpent)
def _(api: Api) -> TestResponse:
    started = api.call("POST", "/otp/send", body={"to": NUMBER}, headers=keyed("k"))
    api.forget(members(started)["challenge_id"])
    return api.call("POST", "/otp/send", body={"to": NUMBER}, headers=keyed("k"))


@reaches(errors.TokenSpent)
def _(api: Api) -> TestResponse:
    now = api.core.store.facts.time() // 1000
    token = api.core.signer.sign({"sub": "s", "phone_number": NUMBER}, audience="web", now=now)
    api.core.store.facts.use_once(
        f"token:{jwt.decode(token, options={'verify_signature': False})['jti']}", 60
    )
    return api.redeem(token)


@reaches(errors.InternalError)
def _(api: Api) -> TestResponse:
    return call_failing(api, f"the number is {NUMBER}")


@reaches(errors.Busy)
def _(api: Api) -> TestResponse:
    core, read = api.core, api.core.settings
    hasher = Hasher(read.peppers, read.hash_profile, slots=1)
    check = Check(
        challenges=core.store.challenges,
        conversion=core.conversion,
        hasher=hasher,
        seal=Seal(read.number_keys, read.lookup_keys, read.subject_key),
        signer=core.signer,
        admission=core.admission,
        outbox=Outbox(
            active=core.active,
            challenges=core.store.challenges,
            queue=core.store.events,
            facts=core.store.facts,
        ),
        metrics=core.metrics,
    )
    challenge_id = api.opened()
    with hasher.slot():
        busy = copy(core)
        busy.check = check
        answer = replace(api, flask=http_app.web(busy)).verify(challenge_id, "000000")
    assert members(api.status(challenge_id))["checks_left"] == 5
    return answer


def checked(api: Api, **more: str) -> TestResponse:
    """Send for as many numbers as one address may without a check, and then once more."""
    for last in range(6):
        assert api.send(f"+1415555010{last}", key=PUBLISHABLE).status_code == 202
    return api.send("+14155550109", key=PUBLISHABLE, **more)


@reaches(errors.HumanCheckRequired)
def _(api: Api) -> TestResponse:
    return checked(api)


@reaches(errors.HumanCheckFailed)
def _(api: Api) -> TestResponse:
    return checked(api, human_proof="bm9uZQ==")


@reaches(errors.HumanCheckUnavailable)
def _(api: Api) -> TestResponse:
    text = POLICY.replace("UPSTREAM/", f"{NOBODY}/")
    text += f'[guard.human_check]\nkind = "siteverify"\nurl = "{NOBODY}"\n'
    core = make_core(api.core.settings.redis_url, NOBODY, text=text, captcha_secret="unused")
    return checked(replace(api, core=core, flask=http_app.web(core)), human_proof="token")


@reaches(errors.NumberOptedOut)
def _(api: Api) -> TestResponse:
    api.core.replies.record_reply("main", Inbound(channel="sms", sender=NUMBER, text="STOP"))
    return api.send()


@reaches(errors.ReceiptUnreadable)
def _(api: Api) -> TestResponse:
    return api.call("POST", "/webhooks/mobtexting/main", key=WEBHOOK, raw=b"[]")


@reaches(errors.PolicyInvalid)
def _(api: Api) -> TestResponse:
    return api.call("PUT", "/ops/policy", key=OPS, body={"text": "", "reason": "test"})


@reaches(errors.PolicyConflict)
def _(api: Api) -> TestResponse:
    body = {"text": CHOOSY.replace("UPSTREAM/", f"{NOBODY}/"), "reason": "test", "expected": 7}
    return api.call("PUT", "/ops/policy", key=OPS, body=body)


@reaches(errors.RoleNotAllowed)
def _(api: Api) -> TestResponse:
    key, _ = api.core.keyring.issue("ops", "ben", by="a test", role="read")
    api.core.live_keys.refresh()
    return api.call("POST", "/ops/policy/rollback", key=key, body={"reason": "test"})


@reaches(errors.KeyConflict)
def _(api: Api) -> TestResponse:
    _, record = api.core.keyring.issue("ops", "ben", by="a test", role="read")
    api.core.keyring.revoke(record.id, by="a test", reason="test")
    return api.call("POST", f"/ops/keys/{record.id}/revoke", key=OPS, body={"reason": "test"})


@reaches(errors.StoreUnavailable)
def _(api: Api) -> TestResponse:
    core = make_core(AWAY, NOBODY)
    return replace(api, core=core, flask=http_app.web(core)).send()


CHOOSY = POLICY.replace("[[route]]", '[[route]]\nmatch = { purpose = ["login", "signup"] }')
CHOOSY += f"""
[guard.number]
refuse = ["1/30s", "9/10m"]

[upstream.main.receipts]
secrets = ["{digest(WEBHOOK)}"]
"""
FIELDS_OF_422 = {
    errors.Invalid: "purpose",
    errors.InvalidNumber: "to",
    errors.NoRoute: "to",
    errors.ChannelNotAvailable: "channel",
    errors.IdempotencyKeyReused: "Idempotency-Key",
    errors.NumberOptedOut: "to",
    errors.HumanCheckFailed: "human_proof",
    errors.PolicyInvalid: "policy",
    errors.ReceiptUnreadable: "body",
}


@pytest.fixture
def choosy(valkey: ValkeyServer) -> Iterator[Api]:
    """Build an application that serves two purposes only."""
    made = make_api(valkey, text=CHOOSY)
    yield made
    close(made)


BELOW = {errors.MalformedRequest, errors.UriTooLong, errors.HeadersTooLarge}
"""What the server refuses before there is a request; test_demo brings these about."""


@pytest.mark.parametrize("kind", [kind for kind in STATUS if kind not in BELOW], ids=lambda kind: kind.code)
def test_every_error_is_a_problem_document_with_its_status(choosy: Api, kind: type[errors.OtpError]) -> None:
    """Each error class can be brought about, and is told as RFC 9457 asks, with a stable code."""
    answer = REACHED[kind](choosy)
    problem = members(answer)
    assert told(answer) == (STATUS[kind], kind.code)
    assert problem["type"] == f"urn:otp-service:problem:{kind.code}"
    assert problem["status"] == answer.status_code
    assert problem["title"].replace(" ", "_").lower() == kind.code
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    assert problem["detail"].endswith(".")
    assert ("checks_left" in problem) == (kind is errors.WrongCode)
    assert ("retry_after" in problem) == (answer.status_code in {429, 503})
    assert answer.headers.get("Retry-After") == (
        str(problem["retry_after"]) if "retry_after" in problem else None
    )
    assert {error["field"] for error in problem.get("errors", [])} == (
        {FIELDS_OF_422[kind]} if kind in FIELDS_OF_422 else {kind.broken[0]} if kind.broken else set()
    )


def test_every_error_class_has_a_status() -> None:
    """The table at the edge misses none of the tree, and the codes are all different."""

    def below(kind: type[errors.OtpError]) -> Iterator[type[errors.OtpError]]:
        for child in kind.__subclasses__():
            yield child
            yield from below(child)

    ours = [kind for kind in below(errors.OtpError) if kind.__module__ == "otp_service.errors"]
    assert set(ours) == set(STATUS)
    assert len({kind.code for kind in ours}) == len(ours)


def test_an_unexpected_error_tells_nothing_of_itself(api: Api) -> None:
    """A fault of ours is a fixed text and an id to ask with."""
    answer = REACHED[errors.InternalError](api)
    assert members(answer)["detail"] == errors.InternalError.detail
    assert NUMBER not in answer.text
    assert "RuntimeError" not in answer.text


# Without the store.


@pytest.fixture
def away(valkey: ValkeyServer) -> Iterator[Api]:
    """Build an application whose store cannot be reached."""
    core = make_core(AWAY, NOBODY)
    made = Api(core, http_app.web(core), valkey.client())
    yield made
    close(made)


@pytest.mark.parametrize("name", ["send", "verify", "status", "resend", "cancel", "redeem"])
def test_without_its_store_the_service_says_so_and_does_nothing(away: Api, name: str) -> None:
    """Every call that needs the store fails closed, with the seconds to wait."""
    answer = ask(away, name, SECRET)
    assert told(answer) == (503, "store_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1


# Probes.


def test_a_process_is_alive_whatever_else_is_not(away: Api) -> None:
    """Liveness asks nobody; restarting would help nothing."""
    answer = away.call("GET", "/healthz", key=None)
    assert (answer.status_code, answer.json) == (200, {"status": "ok"})


def test_a_process_is_ready_while_its_store_takes_writes(api: Api, away: Api) -> None:
    """Readiness pings the parts; without the store it is 503 and says which part and when to ask again."""
    ready, unready = (one.call("GET", "/readyz", key=None) for one in (api, away))
    assert (ready.status_code, ready.json) == (200, {"status": "ok", "parts": {"store": "ok"}})
    assert "Retry-After" not in ready.headers
    assert (unready.status_code, unready.json) == (
        503,
        {"status": "unavailable", "parts": {"store": "store_unavailable"}},
    )
    assert unready.headers["Retry-After"] == "2"


@pytest.fixture
def replica() -> Iterator[Api]:
    """Build an application on a server that takes no writes."""
    server = ValkeyServer(options={"replicaof": "127.0.0.1 9"})
    made = make_api(server)
    yield made
    close(made)
    server.close()


def test_a_store_that_takes_no_writes_is_not_ready(replica: Api) -> None:
    """A read-only replica answers every ping, but no challenge could be kept there."""
    assert replica.call("GET", "/readyz", key=None).status_code == 503
    assert told(replica.send()) == (503, "store_unavailable")


def test_metrics_count_what_was_asked_and_how_it_ended(live: Api) -> None:
    """Prometheus text with the routes as rules, so that no challenge's id becomes a label."""
    challenge_id, code = live.sent()
    live.verify(challenge_id, wrong(code))
    live.verify(challenge_id, code)
    live.status(challenge_id)
    answer = live.call("GET", "/metrics", key=None)
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    for line in (
        'otp_http_requests_total{route="/otp/send",status="202"} 1.0',
        'otp_http_requests_total{route="/otp/<challenge_id>",status="200"} 1.0',
        'otp_checks_total{app="web",result="wrong_code"} 1.0',
        'otp_checks_total{app="web",result="verified"} 1.0',
        'otp_challenges_total{app="web",result="opened"} 1.0',
        'otp_verified_codes_total{channel="sms",upstream="main"} 1.0',
        'otp_deliveries_total{channel="sms",reason="accepted",upstream="main",verdict="accepted"} 1.0',
    ):
        assert line in answer.text.splitlines()
    assert challenge_id not in answer.text


# Operators.


def test_operators_see_what_is_left_at_each_upstream(live: Api) -> None:
    """A live balance, one row for each of the upstream's services."""
    answer = live.call("GET", "/ops/upstreams", key=OPS)
    (main,) = members(answer)["upstreams"]
    assert (main["name"], main["status"]) == ("main", "ok")
    assert {row["service"] for row in main["balance"]} >= {"T", "P"}
    assert all(row["credits"] > 0 for row in main["balance"])


def test_operators_see_what_is_wrong_with_an_upstream(api: Api) -> None:
    """An account that gives no answer is shown as such; the call itself succeeds."""
    answer = api.call("GET", "/ops/upstreams", key=OPS)
    (main,) = members(answer)["upstreams"]
    assert (answer.status_code, main["balance"]) == (200, [])
    assert main["status"].startswith("The upstream account main gave no usable answer")


def test_the_sandbox_is_reached_over_a_real_wire(live: Api) -> None:
    """The upstream sees our reference, never the challenge's id, and the number as it wants it."""
    challenge_id, _ = live.sent()
    (row,) = json.loads(live.flask.extensions["test_sandbox"].test_client().get("/inbox").data)
    assert row["to"].lstrip("+") == NUMBER[1:]
    assert challenge_id not in json.dumps(row)
