"""Answers that are lost, late or refused: what was typed stays, nothing is done twice, and the person gets in."""

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.form_site import (
    NUMBER,
    SPELLED,
    FormSite,
    code_field,
    cool_down,
    drop_answers,
    to_field,
    wait_for_answers,
)
from tests.support.patience import until

pytest_plugins = ("tests.support.browser", "tests.support.form_fixtures")
pytestmark = pytest.mark.needs_chromium

DONE = re.compile("is verified")
BUSY = {"status": 503, "code": "busy", "detail": "The service is busy.", "retry_after": 1}
OFFLINE = "There is no connection. What you entered is kept. Try again."
LATER = "This did not work just now. What you entered is kept. Try again."


@pytest.mark.parametrize("lost", ["send", "resend", "verify", "all"])
def test_a_person_gets_in_although_an_answer_is_lost(page: Page, site: FormSite, lost: str) -> None:
    """Each request is repeated with its own key: one message for each act, and one token."""
    wait_for_answers(page)
    patterns = {"send": "/otp/send$", "resend": "/resend$", "verify": "/otp/verify$"}
    keys = {name: drop_answers(page, patterns[name]) for name in patterns if lost in {name, "all"}}
    site.sent(page)
    cool_down(page, site).click()
    # Waited for in the page: the browser's requests go on only while this thread listens to it.
    expect(page.locator("otp-form [role=status]")).to_have_text("A new code is on its way.")
    code_field(page).fill(site.code(NUMBER, 2))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=DONE)).to_be_visible()
    assert len(site.inbox()) == 2
    for sent in keys.values():
        assert len(sent) == 2
        assert len(set(sent)) == 1
        assert re.fullmatch("[0-9a-f]{32}", sent[0])
    assert len({sent[0] for sent in keys.values()}) == len(keys)


def test_nothing_typed_is_lost_offline(page: Page, site: FormSite) -> None:
    """The form says so and keeps both fields; back online, the same request is repeated with the same key."""
    keys = drop_answers(page, "/otp/(send|verify)$", count=0)
    page.clock.install()
    site.open(page)
    page.context.set_offline(True)
    to_field(page).fill(SPELLED)
    page.keyboard.press("Enter")
    give_up(page, OFFLINE)
    expect(to_field(page)).to_have_value(SPELLED)
    page.context.set_offline(False)
    page.keyboard.press("Enter")
    expect(code_field(page)).to_be_focused()
    code = site.code()
    page.context.set_offline(True)
    page.keyboard.type(code)
    page.keyboard.press("Enter")
    give_up(page, OFFLINE)
    expect(code_field(page)).to_have_value(code)
    expect(code_field(page)).not_to_have_attribute("aria-invalid", "true")
    page.context.set_offline(False)
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_role("heading", name=DONE)).to_be_visible()
    assert len(site.inbox()) == 1
    assert len(set(keys)) == 2
    assert len(keys) > 4


@pytest.mark.parametrize("call", ["send", "verify"])
def test_a_service_that_is_busy_is_asked_again(page: Page, site: FormSite, call: str) -> None:
    """Twice 503, each with the time to wait; the third request has the same key."""
    wait_for_answers(page)
    keys = answer_instead(page, f"/otp/{call}$", BUSY, count=2)
    site.sent(page)
    code_field(page).fill(site.code())
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=DONE)).to_be_visible()
    assert len(keys) == 3
    assert len(set(keys)) == 1


def test_a_service_that_stays_busy_loses_nothing(page: Page, site: FormSite) -> None:
    """The person tries again later, with the same request."""
    page.clock.install()
    keys = answer_instead(page, "/otp/send$", BUSY, count=10_000)
    site.open(page)
    to_field(page).fill(SPELLED)
    page.keyboard.press("Enter")
    give_up(page, LATER)
    expect(to_field(page)).to_have_value(SPELLED)
    page.unroute_all()
    again = drop_answers(page, "/otp/send$", count=0)
    page.keyboard.press("Enter")
    expect(code_field(page)).to_be_focused()
    assert set(again) == set(keys)
    assert len(set(keys)) == 1


def test_an_answer_that_never_comes_is_not_waited_for(page: Page, site: FormSite) -> None:
    """After eight seconds the request is given up and repeated with its key."""
    keys: list[str] = []

    def hold_the_first(route: Route) -> None:
        if route.request.method == "POST":
            keys.append(route.request.headers["idempotency-key"])
        if len(keys) != 1:
            route.continue_()

    page.clock.install()
    site.open(page)
    page.route(re.compile("/otp/send$"), hold_the_first)
    to_field(page).fill(SPELLED)
    page.keyboard.press("Enter")
    pass_time_until(page, lambda: len(keys) == 2)
    expect(code_field(page)).to_be_focused()
    assert keys[0] == keys[1]


def test_a_right_code_counts_although_its_answers_are_lost_for_long(page: Page, site: FormSite) -> None:
    """The form reads that it was verified, and asks again with the same key: nothing has expired."""
    page.clock.install()
    site.sent(page, around="gold")
    keys = drop_answers(page, "/otp/verify$", count=10_000)
    page.keyboard.type(site.code())
    page.keyboard.press("Enter")
    give_up(page, OFFLINE)
    page.unroute_all()
    again = drop_answers(page, "/otp/verify$", count=0)
    welcome = page.get_by_text("Welcome")
    pass_time_until(page, welcome.count)
    assert len(set(keys) | set(again)) == 1
    (form,) = site.posted
    assert form["otp_token"].count(".") == 2


def test_a_changed_code_gets_a_key_of_its_own(page: Page, site: FormSite) -> None:
    """A key belongs to what was asked: after a lost answer, another code is another request."""
    page.clock.install()
    site.sent(page)
    keys = answer_instead(page, "/otp/verify$", BUSY, count=10_000)
    page.keyboard.type("000000")
    page.keyboard.press("Enter")
    give_up(page, LATER)
    first = set(keys)
    page.unroute_all()
    again = drop_answers(page, "/otp/verify$", count=0)
    code_field(page).fill(site.code())
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=DONE)).to_be_visible()
    assert len(first) == 1
    assert not first & set(again)


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        ({"status": 429, "code": "too_many_requests", "retry_after": 540}, "Try again in 9 minutes."),
        ({"status": 429, "code": "too_many_requests", "retry_after": 30}, "Try again in 30 seconds."),
        ({"status": 422, "code": "no_route"}, "We cannot send a code to this number."),
        ({"status": 422, "code": "invalid_number"}, "This phone number does not look right."),
        ({"status": 403, "code": "origin_not_allowed"}, "This does not work at the moment."),
        ({"status": 500, "code": "internal_error"}, "This did not work just now."),
        ({"status": 418, "code": "a_new_code"}, "This does not work at the moment."),
        ({"status": 409, "code": "idempotency_key_spent"}, "This did not work just now."),
    ],
)
def test_a_refusal_is_said_in_peoples_words(
    page: Page, site: FormSite, problem: dict[str, Any], words: str
) -> None:
    """Never the API's own sentence, which is for developers."""
    answer_instead(page, "/otp/send$", {**problem, "detail": "Start with POST /otp/send"}, count=1)
    site.open(page)
    to_field(page).fill(SPELLED)
    page.keyboard.press("Enter")
    expect(page.locator("otp-form").get_by_text(words).first).to_be_visible()
    assert "POST" not in page.locator("otp-form").inner_text()
    page.keyboard.press("Enter")
    expect(code_field(page)).to_be_focused()


def answer_instead(page: Page, pattern: str, problem: dict[str, Any], count: int) -> list[str]:
    """Answer `count` requests with a problem that the service did not give; gives the keys of all requests."""
    keys: list[str] = []

    def answer(route: Route) -> None:
        if route.request.method != "POST":
            route.continue_()
            return
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) > count:
            route.continue_()
            return
        headers = {"Access-Control-Allow-Origin": "*", "Content-Type": "application/problem+json"}
        route.fulfill(status=problem["status"], headers=headers, body=json.dumps(problem))

    page.route(re.compile(pattern), answer)
    return keys


def give_up(page: Page, words: str) -> None:
    """Let time pass in the page until it gives up and says so."""
    line = page.locator(".otp-note")
    pass_time_until(page, lambda: line.text_content() == words)


def pass_time_until(page: Page, holds: Any) -> None:  # noqa: ANN401 - a function
    """Let time pass in the page, second by second."""

    def held() -> bool:
        page.clock.run_for(1000)
        return bool(holds())

    until(held, pause=0.05)
