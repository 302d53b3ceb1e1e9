"""Answers that come when the person is elsewhere in the form: they change what is known, and nothing that is read."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.form_site import FormSite, code_field, cool_down, stop_clock, to_field, wrong
from tests.support.patience import until

pytest_plugins = ("tests.support.browser", "tests.support.form_fixtures")
pytestmark = pytest.mark.needs_chromium

OTHER = "+1 202 555 0101"
HOLD_STATES = """
  const opened = Promise.withResolvers();
  window.release = async () => {
    opened.resolve();
    await new Promise((resolve) => setTimeout(resolve)); // all that waited has been done
  };
  const send = window.fetch;
  window.fetch = async (input, init) => {
    const answer = await send(input, init);
    if (init?.method !== "GET") return answer;
    const content = await answer.json();
    await opened.promise;
    return { ok: answer.ok, status: answer.status, json: async () => content };
  };
"""


def hold(page: Page, path: str) -> list[Route]:
    """Hold the page's requests for a path; gives them as they come."""
    held: list[Route] = []

    def add(route: Route) -> None:
        held.append(route)

    page.route(re.compile(path), add)
    return held


def change_number(page: Page, held: list[Route]) -> None:
    """Go back to the number while a request is held, and let its answer come then."""
    expect(page.locator("otp-form [aria-busy]")).to_have_attribute("aria-busy", "true")
    page.get_by_role("button", name="Change number").click()
    until(
        lambda: page.evaluate("true") and bool(held)
    )  # a request is seen while this thread asks the browser
    held.pop().continue_()
    expect(page.locator("otp-form [aria-busy]")).to_have_attribute("aria-busy", "false")


def test_an_answer_about_a_code_says_nothing_about_a_number(page: Page, site: FormSite) -> None:
    """A guess that turns out to be wrong while the number is changed is no error of the number."""
    site.sent(page)
    code = site.code()
    held = hold(page, "/otp/verify$")
    page.keyboard.type(wrong(code))
    page.keyboard.press("Enter")
    change_number(page, held)
    expect(page.locator(".otp-error")).to_be_empty()
    expect(page.locator("otp-form [role=status]")).to_be_empty()
    expect(to_field(page)).not_to_have_attribute("aria-invalid", "true")


def test_another_code_does_not_take_the_number_away(page: Page, site: FormSite) -> None:
    """The step of the number stays as it is; the person comes back to what was sent meanwhile."""
    site.sent(page)
    cool_down(page, site)
    held = hold(page, "/resend$")
    page.get_by_role("button", name="Send again").click()
    change_number(page, held)
    expect(page.get_by_role("heading")).to_have_text("Verify your phone number")
    field = page.get_by_role("textbox", name="Phone number")
    expect(field).to_have_accessible_description("With the country code, starting with +.")
    expect(page.locator("otp-form [role=status]")).to_be_empty()
    site.code(count=2)
    page.keyboard.press("Enter")
    expect(code_field(page)).to_be_focused()
    expect(page.get_by_role("heading")).to_have_text("Check your messages")
    page.keyboard.type(site.code(count=2))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=re.compile("is verified"))).to_be_visible()


def test_a_new_challenge_is_not_replaced_by_the_one_before_a_reload(page: Page, site: FormSite) -> None:
    """Its state was asked for first and is told last."""
    site.sent(page)
    site.code()
    page.add_init_script(HOLD_STATES)
    page.reload()
    to_field(page).fill(OTHER)
    page.keyboard.press("Enter")
    expect(code_field(page)).to_be_focused()
    code = site.code(OTHER)
    page.evaluate("release()")
    page.keyboard.type(code)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=re.compile("is verified"))).to_be_visible()


def test_the_countdown_goes_on_while_the_number_is_looked_at(page: Page, site: FormSite) -> None:
    """It does not begin again when the person comes back, even before the service is asked."""
    stop_clock(page)
    site.sent(page)
    page.get_by_role("button", name="Change number").click()
    page.clock.run_for(20_000)
    page.keyboard.press("Enter")
    expect(code_field(page)).to_be_focused()
    expect(page.locator(".otp-wait")).to_have_text("New code in 0:10")
