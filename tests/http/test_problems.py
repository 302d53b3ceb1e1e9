"""Each error as a problem document."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from copy import copy
from dataclasses import replace

import pytest
from werkzeug.test import TestResponse

from otp_service import errors
from otp_service.access.api_keys import digest
from otp_service.crypto.code_hashes import TICKETS_PER_SLOT, Hasher
from otp_service.crypto.sealing import Seal
from otp_service.crypto.tokens import Issue
from otp_service.events.outbox import Outbox
from otp_service.http import app as http_app
from otp_service.http.origins import SecretKeyInPage
from otp_service.http.problems import STATUS
from otp_service.http.server import refusals
from otp_service.upstream.port import Reply
from otp_service.verification.check import Check
from tests.conftest import OPS, POLICY, PUBLISHABLE, SECRET, make_core
from tests.support.http_api import (
    NO_ID,
    NOBODY,
    NUMBER,
    Api,
    call_failing,
    close,
    make_api,
)
from tests.support.http_calls import AWAY, call_named, members, problem_of, with_idempotency_key
from tests.support.valkey_server import ValkeyServer

pytest_plugins = ["tests.support.http_fixtures"]


PAYMENTS_SECRET = "sk_payments"
WEBHOOK = "whs_test-webhook-secret"

Reach = Callable[[Api], TestResponse]

REACHED: dict[type[errors.OtpError], Reach] = {}


def reaches(kind: type[errors.OtpError]) -> Callable[[Reach], Reach]:
    """Mark a function as the one that brings an error about."""

    def record(reach: Reach) -> Reach:
        REACHED[kind] = reach
        return reach

    return record


reaches(errors.MalformedJson)(lambda api: api.call("POST", "/otp/send", raw=b"{"))

reaches(errors.MissingKey)(lambda api: api.call("POST", "/otp/send", key=None, body={}))

reaches(errors.UnknownKey)(lambda api: api.call("POST", "/otp/send", key="sk_nobody", body={}))

reaches(errors.KeyNotAllowed)(lambda api: api.call("POST", "/otp/send", key=OPS, body={}))

reaches(errors.OriginNotAllowed)(
    lambda api: api.call("POST", "/otp/send", key=PUBLISHABLE, origin="https://evil.example", body={})
)

reaches(SecretKeyInPage)(
    lambda api: api.call(
        "POST",
        "/otp/send",
        origin="https://app.example.com",
        body={},
        headers={"Sec-Fetch-Site": "same-site"},
    )
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

reaches(errors.BindingIncomplete)(lambda api: api.send(key=PAYMENTS_SECRET, binding="12.00 EUR to Acme"))

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
    api.call("POST", "/otp/send", body={"to": NUMBER}, headers=with_idempotency_key("k"))
    return api.call(
        "POST", "/otp/send", body={"to": NUMBER, "locale": "de"}, headers=with_idempotency_key("k")
    )


@reaches(errors.IdempotencyKeySpent)
def _(api: Api) -> TestResponse:
    started = api.call("POST", "/otp/send", body={"to": NUMBER}, headers=with_idempotency_key("k"))
    api.forget(members(started)["challenge_id"])
    return api.call("POST", "/otp/send", body={"to": NUMBER}, headers=with_idempotency_key("k"))


@reaches(errors.TokenSpent)
def _(api: Api) -> TestResponse:
    now = api.core.store.facts.time() // 1000
    issue = Issue("spent", now, api.core.signer.kid)
    token = api.core.signer.sign({"sub": "s", "phone_number": NUMBER}, issue, audience="web")
    api.core.store.facts.use_once("token:spent", 60)
    return api.redeem(token)


@reaches(errors.TokenMismatch)
def _(api: Api) -> TestResponse:
    issue = Issue("mismatch", api.core.store.facts.time() // 1000, api.core.signer.kid)
    claims = {"sub": "s", "phone_number": NUMBER, "purpose": "login"}
    token = api.core.signer.sign(claims, issue, audience="web")
    return api.redeem(token, expect={"purpose": "payment"})


@reaches(errors.InternalError)
def _(api: Api) -> TestResponse:
    return call_failing(api, f"the number is {NUMBER}")


@reaches(errors.Busy)
def _(api: Api) -> TestResponse:
    core, read = api.core, api.core.settings
    hasher = Hasher(read.peppers, read.hash_profile, slots=1)
    check = Check(
        challenges=core.store.challenges,
        hasher=hasher,
        seal=Seal(read.number_keys, read.lookup_keys, read.subject_key),
        signer=core.signer,
        admission=core.admission,
        outbox=Outbox(
            active=core.active,
            challenges=core.store.challenges,
            queue=core.store.events,
            facts=core.store.facts,
            journal=core.journal,
        ),
        journal=core.journal,
        metrics=core.metrics,
    )
    challenge_id = api.opened()
    with ExitStack() as held:
        for _ in range(TICKETS_PER_SLOT):
            held.enter_context(hasher.ticket(0))
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
    url = api.core.settings.redis_url
    with closing(make_core(url, NOBODY, text=text, captcha_secret="unused")) as core:
        return checked(replace(api, core=core, flask=http_app.web(core)), human_proof="token")


@reaches(errors.NumberOptedOut)
def _(api: Api) -> TestResponse:
    api.core.replies.record_reply("main", Reply(channel="sms", sender=NUMBER, text="STOP"))
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


@reaches(errors.OperatorLimited)
def _(api: Api) -> TestResponse:
    key, _ = api.core.keyring.issue("ops", "ben", by="a test", role="read", limited_to=["web"])
    api.core.live_keys.refresh()
    return api.call("GET", "/ops/upstreams", key=key)


@reaches(errors.ReviewToken)
def _(api: Api) -> TestResponse:
    issue = Issue("review", api.core.store.facts.time() // 1000, api.core.signer.kid)
    claims = {"sub": "s", "phone_number": NUMBER}
    return api.redeem(api.core.signer.sign_review(claims, issue, audience="web"))


@reaches(errors.KeyConflict)
def _(api: Api) -> TestResponse:
    _, record = api.core.keyring.issue("ops", "ben", by="a test", role="read")
    api.core.keyring.revoke(record.id, by="a test", reason="test")
    return api.call("POST", f"/ops/keys/{record.id}/revoke", key=OPS, body={"reason": "test"})


@reaches(errors.StoreUnavailable)
def _(api: Api) -> TestResponse:
    with closing(make_core(AWAY, NOBODY)) as core:
        return replace(api, core=core, flask=http_app.web(core)).send()


@reaches(errors.NoWorker)
def _(api: Api) -> TestResponse:
    api.lose_workers()
    return api.send()


CHOOSY = POLICY.replace("[[route]]", '[[route]]\nmatch = { purpose = ["login", "signup"] }')

CHOOSY += f"""
[guard.number]
refuse = ["1/30s", "9/10m"]

[app.pay]
brand = "Pay"
binding = "in_message"
secret_keys = ["{digest(PAYMENTS_SECRET)}"]

[upstream.main.receipts]
secrets = ["{digest(WEBHOOK)}"]
"""

FIELDS = {
    errors.TokenMismatch: "expect.purpose",
    errors.Invalid: "purpose",
    errors.InvalidNumber: "to",
    errors.NoRoute: "to",
    errors.ChannelNotAvailable: "channel",
    errors.BindingIncomplete: "binding",
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


BELOW = {refusals.MalformedRequest, refusals.UriTooLong, refusals.HeadersTooLarge, refusals.RequestTimeout}
"""What the server refuses before there is a request; test_demo brings these about."""


@pytest.mark.parametrize("kind", [kind for kind in STATUS if kind not in BELOW], ids=lambda kind: kind.code)
def test_every_error_is_a_problem_document_with_its_status(choosy: Api, kind: type[errors.OtpError]) -> None:
    """Each error can be caused, has the form of RFC 9457 and a stable code."""
    answer = REACHED[kind](choosy)
    problem = members(answer)
    assert problem_of(answer) == (STATUS[kind], kind.code)
    assert problem["type"] == f"/errors#{kind.code}"
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
        {FIELDS[kind]} if kind in FIELDS else {kind.broken[0]} if kind.broken else set()
    )


def test_a_title_writes_abbreviations_in_capitals(api: Api) -> None:
    """A title is the code in words."""
    assert members(REACHED[errors.MalformedJson](api))["title"] == "Malformed JSON"
    assert members(REACHED[errors.MissingKey](api))["title"] == "Missing key"


def test_every_error_class_has_a_status() -> None:
    """The table of statuses has every error of the tree, and all codes differ."""

    def below(kind: type[errors.OtpError]) -> Iterator[type[errors.OtpError]]:
        for child in kind.__subclasses__():
            yield child
            yield from below(child)

    ours = [kind for kind in below(errors.OtpError) if kind.__module__.startswith("otp_service.")]
    assert set(ours) == set(STATUS)
    assert len({kind.code for kind in ours}) == len(ours)


def test_an_unexpected_error_reveals_nothing(api: Api) -> None:
    """The answer is a fixed text and a request id."""
    answer = REACHED[errors.InternalError](api)
    assert members(answer)["detail"] == errors.InternalError.detail
    assert NUMBER not in answer.text
    assert "RuntimeError" not in answer.text


@pytest.mark.parametrize("name", ["send", "verify", "status", "resend", "cancel"])
def test_without_its_store_the_service_says_so_and_does_nothing(away: Api, name: str) -> None:
    """Every call that needs the store is refused, with the seconds to wait."""
    answer = call_named(away, name, SECRET)
    assert problem_of(answer) == (503, "store_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1


def test_without_its_store_the_service_tells_forged_tokens_from_its_own(away: Api) -> None:
    """A forged one is refused for good; whether a signed one is spent, only the store knows."""
    signed = away.core.signer.sign(
        {"sub": "s", "phone_number": NUMBER},
        Issue("jti", int(time.time()), away.core.signer.kid),
        audience="web",
    )
    assert problem_of(away.redeem(signed)) == (503, "store_unavailable")
    assert problem_of(away.redeem("a.b.c")) == (400, "token_invalid")


@pytest.mark.parametrize(
    ("to", "detail"),
    [
        (
            "+12025550100 ext. 5",
            "This number has an extension. 'to' must have no extension, because a message cannot reach one.",
        ),
        ("+1 800 FLOWERS", "This number has letters. 'to' must be written in digits, not letters."),
        (
            "+1 555",
            "This number is too short for +1. 'to' must have all digits of a number of its country.",
        ),
    ],
)
def test_a_wrong_number_is_told_what_is_wrong_with_it(api: Api, to: str, detail: str) -> None:
    """Advice about the country code would mislead a person who wrote one."""
    assert members(api.send(to))["detail"] == detail
