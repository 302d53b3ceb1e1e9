"""The human check inside the form: asked for on a send or a resend, solved by keyboard alone, under a strict policy."""

import json
import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from otp_service.guard.human_check import ProofOfWork
from tests.support.form_site import NUMBER, SPELLED, FormSite, code_field, cool_down, form_site, to_field
from tests.support.languages import words
from tests.support.patience import until
from tests.support.spine import OPEN_GUARD
from tests.support.valkey_server import ValkeyServer

pytest_plugins = ("tests.support.browser",)
pytestmark = pytest.mark.needs_chromium

CHECKED = OPEN_GUARD.replace("[guard.address]\nmode", '[guard.address]\nhuman_check = ["1/h"]\nmode').replace(
    'human_check = ["1/h"]\nmode = "off"', 'human_check = ["1/h"]'
)
HARD = 2**40


@pytest.fixture
def site(valkey: ValkeyServer) -> Iterator[FormSite]:
    """A service that asks every address for a check from the second message on."""
    with form_site(valkey, guard=CHECKED) as made:
        yield made


def answers(page: Page) -> list[str]:
    """Collect status and call of each answer to a request for a code."""
    seen: list[str] = []
    wanted = re.compile("/otp/(send|.*/resend)$")
    page.on(
        "response",
        lambda answer: (
            seen.append(f"{answer.status} {answer.url.rpartition('/')[2]}")
            if wanted.search(answer.url) and answer.request.method == "POST"
            else None
        ),
    )
    return seen


def test_a_send_is_checked_and_the_keyboard_is_enough(page: Page, site: FormSite) -> None:
    """Tab, a number, Enter: the check solves itself in the form; `page` fails on any breach of the policy."""
    seen = answers(page)
    for number in (SPELLED, "+1 202 555 0101"):
        page.goto(f"{site.url}/elsewhere")
        page.evaluate("sessionStorage.clear()")
        site.open(page)
        page.keyboard.press("Tab")
        expect(to_field(page)).to_be_focused()
        page.keyboard.type(number)
        page.keyboard.press("Enter")
        expect(code_field(page)).to_be_focused()
    until(lambda: page.evaluate("1") and len(seen) >= 3)  # an answer is told here after the page has it
    assert seen == ["202 send", "403 send", "202 send"]
    page.keyboard.type(site.code("+12025550101"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=re.compile("is verified"))).to_be_visible()


def test_a_resend_is_checked_and_the_typed_digits_stay(page: Page, site: FormSite) -> None:
    """Focus stays on the button, and the code that was begun stays in the field."""
    seen = answers(page)
    site.sent(page)
    page.keyboard.type("48")
    again = cool_down(page, site)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(again).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("otp-form [role=status]")).to_have_text("A new code is on its way.")
    until(lambda: page.evaluate("1") and len(seen) >= 3)  # an answer is told here after the page has it
    assert seen == ["202 send", "403 resend", "202 resend"]
    expect(again).to_be_focused()
    expect(code_field(page)).to_have_value("48")
    site.code(NUMBER, 2)


def test_the_check_is_seen_said_and_reached_by_tab(page: Page, site: FormSite) -> None:
    """While it works, the widget stands in the form, styled, and is the next stop after the field."""
    hard_check(page)
    site.open(page)
    to_field(page).fill(SPELLED)
    page.keyboard.press("Enter")
    expect(page.locator("otp-form altcha-widget")).to_be_visible()
    expect(page.locator("style#altcha-css")).to_have_count(1)
    words = "One moment. We are checking that you are not a robot."
    expect(page.locator("otp-form [role=status]")).to_have_text(words)
    expect(page.locator("altcha-widget label")).to_have_text(words)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('altcha-widget') !== null")


def test_the_check_speaks_the_persons_language(page: Page, site: FormSite) -> None:
    """Its words are the form's, not the widget's own, which are English."""
    hard_check(page)
    site.open(page, lang="ar")
    to_field(page).fill(SPELLED)
    page.keyboard.press("Enter")
    expect(page.locator("altcha-widget label")).to_have_text(words("ar")["check"])


def test_a_check_that_cannot_be_solved_says_so(page: Page, site: FormSite) -> None:
    """The number stays, and the next try asks anew."""
    site.sent(page)
    page.evaluate("sessionStorage.clear()")
    page.route(re.compile("widget.js"), lambda route: route.abort())
    site.open(page)
    to_field(page).fill("+1 202 555 0101")
    page.keyboard.press("Enter")
    expect(page.locator(".otp-note")).to_have_text("The check did not work. Try again.")
    expect(to_field(page)).to_have_value("+1 202 555 0101")


def test_a_page_can_bring_a_vendors_check(page: Page, site: FormSite) -> None:
    """It shows the widget of the vendor in the place it is given, and answers with its result."""
    proofs: list[str] = []

    def ask(route: Route) -> None:
        body = json.loads(route.request.post_data or "{}")
        if "human_proof" in body:
            proofs.append(body["human_proof"])
            route.continue_(post_data=json.dumps({k: v for k, v in body.items() if k != "human_proof"}))
        else:
            refuse(route, {"kind": "siteverify", "site_key": "1x00AA"})

    site.open(page)
    page.route(
        re.compile("/otp/send$"),
        lambda route: ask(route) if route.request.method == "POST" else route.continue_(),
    )
    page.evaluate("""() => document.addEventListener("otp-human-check", (event) => {
      event.preventDefault();
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `I am ${event.detail.check.site_key}`;
      button.addEventListener("click", () => event.detail.respond("solved"));
      event.detail.place.append(button);
    })""")
    to_field(page).fill(SPELLED)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="I am 1x00AA").click()
    expect(code_field(page)).to_be_focused()
    assert proofs == ["solved"]


def refuse(route: Route, check: dict[str, object]) -> None:
    """Answer that a check is required."""
    problem = {"status": 403, "code": "human_check_required", "detail": "Solve it.", "human_check": check}
    headers = {"Access-Control-Allow-Origin": "*", "Content-Type": "application/problem+json"}
    route.fulfill(status=403, headers=headers, body=json.dumps(problem))


def hard_check(page: Page) -> None:
    """Ask for a check that takes a browser very long."""
    posed = ProofOfWork(b"k" * 32).pose(NUMBER, effort=HARD, now=time.time_ns() // 1_000_000)
    page.route(
        re.compile("/otp/send$"),
        lambda route: (
            refuse(route, {**posed, "kind": "altcha"})
            if route.request.method == "POST"
            else route.continue_()
        ),
    )
