"""POST /otp/send: the first answer, the message, and repeated sends."""

import json
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from flask import Flask

from otp_service.ops.audit import AuditNote
from otp_service.ops.pins import Pin
from otp_service.upstream.port import Reply
from tests.conftest import OPS, ORIGIN, OTHER_SECRET, POLICY, PUBLISHABLE, SECRET
from tests.support.http_api import (
    NUMBER,
    Api,
    close,
    make_api,
)
from tests.support.http_calls import PAYMENT, but_for_the_time, members, problem_of, with_idempotency_key
from tests.support.valkey_server import ValkeyServer

pytest_plugins = ["tests.support.http_fixtures"]


APP_HASH = "FA+9qCX9VSu"


def test_the_first_answer_has_all_that_a_screen_counts_down(api: Api) -> None:
    """A new challenge shows its limits, a masked number and one queued message."""
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
def test_the_message_uses_the_locale_or_the_numbers_country(
    live: Api, to: str, fields: dict[str, str], words: str
) -> None:
    """The caller's locale comes first, then the country's language, then English."""
    live.sent(to, **fields)
    assert words in live.messages()[0]


def test_the_message_ends_with_the_line_for_the_page_that_asked(live: Api) -> None:
    """The code is bound to the host of the app's origin; the hash of an Android app is on the line before."""
    _, code = live.sent(app_hash=APP_HASH)
    assert live.messages()[0].split("\n")[-2:] == [APP_HASH, f"@app.example.com #{code}"]


def test_an_app_without_a_page_gets_no_line_for_one(live: Api) -> None:
    """If no origin is known, the code is not bound to one."""
    live.sent(key=OTHER_SECRET)
    assert "@" not in live.messages()[0]


def test_a_repeated_send_starts_one_challenge(api: Api) -> None:
    """The same key with the same body returns the same challenge, whether the key is quoted or bare."""
    body = {"to": NUMBER, "binding": PAYMENT}
    first = api.call("POST", "/otp/send", body=body, headers=with_idempotency_key('"8e03 978e"'))
    kept = api.kept()
    again = api.call("POST", "/otp/send", body=body, headers=with_idempotency_key('"8e03 978e"'))
    assert (again.status_code, but_for_the_time(again)) == (202, but_for_the_time(first))
    assert api.kept() == kept
    bare = api.call("POST", "/otp/send", body={"to": "+12025550101"}, headers=with_idempotency_key("plain-1"))
    quoted = api.call(
        "POST", "/otp/send", body={"to": "+12025550101"}, headers=with_idempotency_key(' "plain-1" ')
    )
    assert but_for_the_time(quoted) == but_for_the_time(bare)


@pytest.mark.parametrize(
    "other", [{"to": "+12025550101"}, {"to": NUMBER, "purpose": "signup"}, {"to": NUMBER, "binding": "x"}]
)
def test_a_key_does_not_carry_over_to_another_body(api: Api, other: dict[str, str]) -> None:
    """Reuse with another body is refused and changes nothing."""
    api.call("POST", "/otp/send", body={"to": NUMBER}, headers=with_idempotency_key("k"))
    before = api.kept()
    answer = api.call("POST", "/otp/send", body=other, headers=with_idempotency_key("k"))
    assert problem_of(answer) == (422, "idempotency_key_reused")
    assert members(answer)["errors"] == [
        {"field": "Idempotency-Key", "rule": "must be new for each new body"}
    ]
    assert api.kept() == before


def test_two_apps_may_use_the_same_key(api: Api) -> None:
    """Keys belong to their app."""
    found = [
        members(
            api.call("POST", "/otp/send", key=key, body={"to": to}, headers=with_idempotency_key("same"))
        )["challenge_id"]
        for key, to in ((SECRET, NUMBER), (OTHER_SECRET, "+12025550101"))
    ]
    assert len(set(found)) == 2


def test_a_repeated_send_shows_the_challenge_as_it_is_now(live: Api) -> None:
    """After the verification, a replay says verified and starts nothing."""
    body = {"to": NUMBER}
    challenge_id = members(live.call("POST", "/otp/send", body=body, headers=with_idempotency_key("k")))[
        "challenge_id"
    ]
    live.dispatch(challenge_id)
    live.verify(challenge_id, live.code())
    again = members(live.call("POST", "/otp/send", body=body, headers=with_idempotency_key("k")))
    assert (again["challenge_id"], again["status"]) == (challenge_id, "verified")
    assert len(live.messages()) == 1


def test_the_sandbox_is_reached_over_a_real_connection(live: Api) -> None:
    """The upstream sees our reference, never the challenge's id, and the number in its own form."""
    challenge_id, _ = live.sent()
    (row,) = json.loads(live.flask.extensions["test_sandbox"].test_client().get("/inbox").data)
    assert row["to"].lstrip("+") == NUMBER[1:]
    assert challenge_id not in json.dumps(row)


IN_MESSAGE = POLICY.replace('brand = "Acme"', 'brand = "Acme"\nbinding = "in_message"')


@pytest.fixture
def paying(valkey: ValkeyServer, upstream: tuple[Flask, str]) -> Iterator[Api]:
    """Build an application whose app confirms payments."""
    sandbox, url = upstream
    made = make_api(valkey, url, IN_MESSAGE)
    made.flask.extensions["test_sandbox"] = sandbox
    yield made
    close(made)
    sandbox.test_client().delete("/inbox")


def test_a_payment_is_confirmed_by_a_message_that_says_it(paying: Api) -> None:
    """Amount and payee of the binding stand in the SMS, as PSD2 (RTS, article 5) asks."""
    _, code = paying.sent(binding={"amount": "12.00 EUR", "payee": "Shop {x}", "order": "7"})
    text = paying.messages()[0]
    assert text.startswith(f"{code} confirms your payment of 12.00 EUR to Shop {{x}} with Acme.")


@pytest.mark.parametrize("binding", [{}, {"binding": "12.00 EUR"}, {"binding": {"amount": "12.00 EUR"}}])
def test_a_payment_that_the_message_could_not_say_is_refused(paying: Api, binding: dict[str, Any]) -> None:
    """Both fields are needed, and nothing is stored."""
    assert problem_of(paying.send(**binding)) == (422, "binding_incomplete")


def test_a_page_cannot_say_what_it_confirms(paying: Api) -> None:
    """It could show one payee and bind another, so the binding comes with a secret key."""
    body = {"to": NUMBER, "binding": {"amount": "12.00 EUR", "payee": "Shop"}}
    answer = paying.call("POST", "/otp/send", key=PUBLISHABLE, origin=ORIGIN, body=body)
    assert problem_of(answer) == (422, "binding_incomplete")


HYBRID = POLICY.replace(f'origins = ["{ORIGIN}"]', f'origins = ["{ORIGIN}", "capacitor://localhost"]')


@pytest.fixture
def hybrid(valkey: ValkeyServer, upstream: tuple[Flask, str]) -> Iterator[Api]:
    """Build an application whose app is a site and a hybrid app."""
    sandbox, url = upstream
    made = make_api(valkey, url, HYBRID)
    made.flask.extensions["test_sandbox"] = sandbox
    yield made
    close(made)
    sandbox.test_client().delete("/inbox")


@pytest.mark.parametrize(
    ("key", "origin", "line"),
    [
        (PUBLISHABLE, ORIGIN, "@app.example.com"),
        (PUBLISHABLE, "capacitor://localhost", ""),
        (SECRET, None, "@app.example.com"),
    ],
)
def test_the_code_of_a_hybrid_app_is_bound_to_no_site(
    hybrid: Api, key: str, origin: str | None, line: str
) -> None:
    """A phone offers a bound code on its site only, so a line with the site's host would hide it from the app."""
    answer = hybrid.call("POST", "/otp/send", key=key, origin=origin, body={"to": NUMBER})
    hybrid.dispatch(answer.get_json()["challenge_id"])
    assert hybrid.messages()[0].partition("Never share it.")[2].strip().partition(" ")[0] == line


NEWER = "+15550101234"
"""Of a possible length, in an area code that the metadata does not know."""


@pytest.mark.parametrize(("kind", "subject"), [("number", "+1 (555) 010-1234"), ("prefix", "+1555")])
def test_a_pin_lets_a_number_through_that_is_newer_than_the_metadata(
    live: Api, kind: Literal["number", "prefix"], subject: str
) -> None:
    """It gets its code and a resend, its STOP is heard, and it can be forgotten; without the pin it is refused."""
    note = AuditNote(by="anna", reason="opened in May")
    assert problem_of(live.send(NEWER)) == (422, "invalid_number")
    assert decided(live) == ("refuse", "the guard: refuse, by number_types")
    live.core.pins.write(Pin(kind=kind, subject=subject, what="allow"), note)
    assert decided(live) == ("allow", None)
    challenge_id, code = live.sent("+1 555 010 1234")
    live.later(30)
    assert live.resend(challenge_id).status_code == 202
    assert live.verify(challenge_id, code).status_code == 200
    live.core.replies.record_reply("main", Reply(channel="sms", sender=NEWER[1:], text="STOP"))
    assert problem_of(live.send(NEWER)) == (422, "number_opted_out")
    live.core.pins.remove(kind, subject, note)
    assert problem_of(live.send(NEWER)) == (422, "invalid_number")
    assert live.core.erasure.forget(NEWER, by="anna").suppressed
    assert live.core.recycled_numbers.record([NEWER], note) == (1, [])


def decided(live: Api) -> tuple[str, str | None]:
    """Return what operators are told about the newer number: the guard's verdict, and what a simulated send meets."""
    explained = live.call("POST", "/ops/blocks/explain", key=OPS, body={"to": NEWER}).get_json()
    simulated = live.call("POST", "/ops/policy/simulate", key=OPS, body={"to": NEWER}).get_json()
    return explained["verdict"], simulated["problem"]


def test_no_pin_lets_a_number_through_whose_length_is_impossible(live: Api) -> None:
    """A number of another length is a typing error, whatever operators expect of its range."""
    live.core.pins.write(
        Pin(kind="prefix", subject="+1555", what="allow"), AuditNote(by="anna", reason="opened in May")
    )
    assert problem_of(live.send("+1555010123")) == (422, "invalid_number")


def test_a_page_is_not_told_who_wrote_stop(live: Api) -> None:
    """It gets the answer of a number that no route serves, member for member; a server is told why."""
    page: dict[str, Any] = {"key": PUBLISHABLE, "headers": {"Origin": ORIGIN}}
    challenge_id, _ = live.sent()
    live.core.replies.record_reply("main", Reply(channel="sms", sender=NUMBER[1:], text="STOP"))
    live.later(60)
    unserved = live.call("POST", "/otp/send", body={"to": "+19002345678"}, **page)
    stopped = live.call("POST", "/otp/send", body={"to": NUMBER}, **page)
    again = live.call("POST", f"/otp/{challenge_id}/resend", body={}, **page)
    told = [members(answer) | {"request_id": ""} for answer in (unserved, stopped, again)]
    assert told[0] == told[1] == told[2]
    assert told[0]["code"] == "no_route"
    assert problem_of(live.send()) == (422, "number_opted_out")


@pytest.mark.parametrize(("size", "status"), [(1, 422), (21, 422), (22, 202), (128, 202)])
def test_an_idempotency_key_of_a_page_cannot_be_guessed(api: Api, size: int, status: int) -> None:
    """All pages share one publishable key: a key of theirs that is short could be another person's."""
    headers = with_idempotency_key("k" * size) | {"Origin": ORIGIN}
    answer = api.call("POST", "/otp/send", key=PUBLISHABLE, body={"to": NUMBER}, headers=headers)
    assert answer.status_code == status
    if status == 422:
        [error] = members(answer)["errors"]
        assert error["field"] == "Idempotency-Key"
        assert "at least 22 characters" in error["rule"]


def test_a_page_neither_blocks_nor_shares_a_servers_idempotency_key(live: Api) -> None:
    """The kind of the key belongs to the name: the same word in a page's request is another key."""
    headers = with_idempotency_key("order-8e03978e-40d5-43e8") | {"Origin": ORIGIN}
    page = members(
        live.call("POST", "/otp/send", key=PUBLISHABLE, body={"to": "+12025550101"}, headers=headers)
    )
    server = live.call("POST", "/otp/send", body={"to": NUMBER}, headers=headers)
    assert server.status_code == 202
    same = live.call("POST", "/otp/send", key=PUBLISHABLE, body={"to": NUMBER}, headers=headers)
    assert problem_of(same) == (422, "idempotency_key_reused")
    assert len({page["challenge_id"], members(server)["challenge_id"]}) == 2
    live.later(60)
    resent = [
        live.call("POST", f"/otp/{page['challenge_id']}/resend", key=key, body=body, headers=headers)
        for key, body in ((PUBLISHABLE, {}), (SECRET, {"channel": "sms"}))
    ]
    assert [answer.status_code for answer in resent] == [202, 429]
