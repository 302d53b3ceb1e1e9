"""Another code: countdown, channels by name, what is true about the message, expiry, and what is announced."""

import json
import re

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from otp_service.sandbox import Outcome
from tests.support.form_site import (
    NUMBER,
    SPELLED,
    FormSite,
    asked_for,
    code_field,
    cool_down,
    form_site,
    stop_clock,
    to_field,
    wait_for_answers,
    watch_calls,
    wrong,
)
from tests.support.patience import until
from tests.support.valkey_server import ValkeyServer

pytest_plugins = ("tests.support.browser", "tests.support.form_fixtures")
pytestmark = pytest.mark.needs_chromium

LISTEN = """() => {
  window.said = [];
  const region = document.querySelector('otp-form [role=status]');
  const heard = () => region.textContent && said.push(region.textContent); // that it was emptied is not read out
  new MutationObserver(heard).observe(region, { childList: true });
}"""


def again(page: Page) -> Locator:
    """Find the button that sends another code by the same channel."""
    return page.get_by_role("button", name="Send again")


def test_resend_is_always_there_with_the_time_left_beside_it(page: Page, valkey: ValkeyServer) -> None:
    """It can be reached and read while it waits; pressing it early sends nothing."""
    with form_site(valkey, cooldown="3m") as site:
        page.clock.install()
        site.sent(page)
        site.code()
        expect(again(page)).to_be_visible()
        expect(again(page)).to_have_attribute("aria-disabled", "true")
        expect(page.locator(".otp-wait")).to_have_text(re.compile(r"^New code in (3:00|2:\d\d)$"))
        pass_time(page, site, 60)
        expect(page.locator(".otp-wait")).to_have_text(re.compile(r"^New code in (2:00|1:\d\d)$"))
        again(page).focus()
        page.keyboard.press("Enter")
        pass_time(page, site, 120)
        expect(page.locator(".otp-wait")).to_have_text("No code yet?")
        expect(again(page)).to_be_focused()
        assert len(site.inbox()) == 1


def pass_time(page: Page, site: FormSite, seconds: int) -> None:
    """Move both clocks, that of the service first: what the page reads meanwhile is true at the end."""
    site.later(seconds)
    page.clock.run_for(1000 * seconds)


def test_focus_stays_on_the_button_that_sent(page: Page, site: FormSite) -> None:
    """It counts down again; the earlier code stays in the field."""
    site.sent(page)
    site.code()
    page.keyboard.type("12")
    cool_down(page, site)
    again(page).focus()
    page.keyboard.press("Enter")
    expect(again(page)).to_have_attribute("aria-disabled", "true")
    expect(again(page)).to_be_focused()
    site.code(NUMBER, 2)
    expect(code_field(page)).to_have_value("12")
    expect(page.locator("otp-form [role=status]")).to_have_text("A new code is on its way.")


def test_other_channels_are_buttons_with_their_names(page: Page, site: FormSite) -> None:
    """A person chooses a call; the line says that it rings."""
    site.sent(page)
    cool_down(page, site)
    call = page.get_by_role("button", name="Call me")
    expect(call).to_have_attribute("aria-disabled", "false")
    expect(page.get_by_role("button", name="Send by WhatsApp")).to_be_visible()
    site.outcome("voice", Outcome.SILENT)
    call.click()
    expect(page.locator(".otp-lead")).to_contain_text(
        "We are calling +1 202 555 0100. Listen for a 6-digit code."
    )
    expect(page.get_by_role("heading")).to_have_text("Answer your phone")
    site.code(NUMBER, 2)
    assert site.inbox()[0]["channel"] == "voice"
    expect(page.get_by_role("button", name="Send by SMS")).to_be_visible()


def test_the_line_says_what_became_of_the_message(page: Page, site: FormSite) -> None:
    """An SMS that fails: the line names the other channel and why; a click is not needed."""
    site.outcome("sms", Outcome.UNDELIVERED)
    site.outcome("whatsapp", Outcome.ACCEPTED)
    site.sent(page)
    line = "We sent a 6-digit code to +1 202 555 0100 by WhatsApp, because it did not arrive by SMS. Change number"
    expect(page.locator(".otp-lead")).to_have_text(line)
    code_field(page).fill(site.code(NUMBER, 2))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=re.compile("is verified"))).to_be_visible()


def test_a_code_that_no_channel_delivers_has_one_way_out(page: Page, site: FormSite) -> None:
    """The form ends and offers a new code."""
    for channel in ("sms", "whatsapp", "voice"):
        site.outcome(channel, Outcome.REFUSED)
    site.sent(page)
    expect(page.get_by_text("The code could not be delivered.")).to_be_visible()
    expect(page.locator("otp-form button:visible")).to_have_text(["Get a new code"])


def test_expiry_is_warned_of_once_and_has_one_way_out(page: Page, site: FormSite) -> None:
    """At sixty seconds the form says so, also to screen readers; at the end it asks for nothing but a new code."""
    site.sent(page)
    site.code()
    page.evaluate(LISTEN)
    expect(page.locator(".otp-note")).to_be_empty()
    site.near_end(page)
    expect(page.locator(".otp-note")).to_have_text(re.compile(r"The code works for 0:\d\d more\."))
    until(lambda: page.evaluate("said.length") > 0)
    site.later(300)
    expect(page.get_by_text("The code has expired.")).to_be_visible()
    assert sum("works for" in text for text in page.evaluate("said")) == 1
    expect(page.locator("otp-form button:visible")).to_have_text(["Get a new code"])
    expect(page.locator("otp-form input:visible")).to_have_count(0)
    expect(page.get_by_role("heading")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(code_field(page)).to_be_focused()
    site.code(NUMBER, 2)


def test_no_more_than_three_changes_are_announced_in_a_minute(page: Page, site: FormSite) -> None:
    """A message that moves from channel to channel is shown each time, but does not talk over the person."""
    stop_clock(page)
    site.sent(page)
    channels = ["sms", "whatsapp", "voice"]
    reads: list[str] = []

    def moved(route: Route) -> None:
        answer = route.fetch().json()
        reads.append(channels[len(reads) % 3])
        changed = {"channel": reads[-1], "deliveries": [{"channel": reads[-1], "status": "delivered"}]}
        headers = {"Access-Control-Allow-Origin": "*", "Content-Type": "application/json"}
        route.fulfill(status=200, headers=headers, body=json.dumps({**answer, **changed}))

    page.evaluate(LISTEN)
    page.route(STATE, moved)
    for number in range(1, 10):
        page.clock.run_for(2000)
        until(lambda: page.evaluate("1") and len(reads) >= number)  # noqa: B023 - called before the next round
        expect(page.locator(".otp-lead")).to_contain_text(
            {"sms": "SMS", "whatsapp": "WhatsApp", "voice": "phone call"}[reads[-1]]
        )
    assert len(page.evaluate("said")) == 3
    expect(page.locator("otp-form [role=status]")).to_be_empty()


def test_what_was_said_about_a_number_goes_with_the_number(page: Page, site: FormSite) -> None:
    """Whoever reads the page from the top hears about the number that counts, and by which channel."""
    said = page.locator("otp-form [role=status]")
    site.sent(page)
    site.code()
    page.route(STATE, by_whatsapp)
    expect(said).to_contain_text("by WhatsApp")
    page.get_by_role("button", name="Change number").click()
    expect(said).to_be_empty()
    page.unroute_all()
    to_field(page).fill("+1 202 555 0101")
    page.keyboard.press("Enter")
    expect(page.locator(".otp-lead")).to_contain_text("+1 202 555 0101 by SMS")
    expect(said).to_be_empty()


def by_whatsapp(route: Route) -> None:
    """Answer that the code went by WhatsApp."""
    changed = {"channel": "whatsapp", "deliveries": [{"channel": "whatsapp", "status": "accepted"}]}
    headers = {"Access-Control-Allow-Origin": "*", "Content-Type": "application/json"}
    route.fulfill(status=200, headers=headers, body=json.dumps({**route.fetch().json(), **changed}))


def test_an_error_is_no_more_said_when_it_was_put_right(page: Page, site: FormSite) -> None:
    """It goes as the person types, and the step of the code begins with nothing."""
    said = page.locator("otp-form [role=status]")
    site.open(page)
    to_field(page).fill("+1 202 555")
    page.keyboard.press("Enter")
    expect(said).to_contain_text("This phone number is too short.")
    page.keyboard.type(SPELLED)  # the wrong one is selected
    expect(said).to_be_empty()
    page.keyboard.press("Enter")
    expect(code_field(page)).to_be_focused()
    expect(said).to_be_empty()


def test_focus_is_not_lost_when_a_way_goes(page: Page, site: FormSite) -> None:
    """The buttons change with the channel; a focused one that goes hands its focus on."""
    site.sent(page)
    cool_down(page, site)
    whatsapp = page.get_by_role("button", name="Send by WhatsApp")
    expect(whatsapp).to_have_attribute("aria-disabled", "false")
    whatsapp.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".otp-lead")).to_contain_text("by WhatsApp")
    assert page.evaluate("document.activeElement.closest('otp-form') !== null")


def test_the_fields_error_goes_when_another_code_is_on_its_way(page: Page, site: FormSite) -> None:
    """What was wrong about the old code says nothing about the new one."""
    site.sent(page)
    page.keyboard.type(wrong(site.code()))
    page.keyboard.press("Enter")
    expect(page.locator(".otp-error")).not_to_be_empty()
    cool_down(page, site)
    again(page).click()
    expect(page.locator(".otp-error")).to_be_empty()


def test_a_failure_is_said_until_the_next_try(page: Page, site: FormSite) -> None:
    """A limit stands under the form; when the same act succeeds, it has gone."""
    site.sent(page)
    button = cool_down(page, site)
    problem = {"status": 429, "code": "too_many_requests", "detail": "Wait.", "retry_after": 540}
    headers = {"Access-Control-Allow-Origin": "*", "Content-Type": "application/problem+json"}
    page.route(
        re.compile("/resend$"),
        lambda route: route.fulfill(status=429, headers=headers, body=json.dumps(problem)),
    )
    button.click()
    expect(page.locator(".otp-note")).to_have_text("Too many codes were asked for. Try again in 9 minutes.")
    page.unroute_all()
    button.click()
    expect(page.locator("otp-form [role=status]")).to_have_text("A new code is on its way.")
    expect(page.locator(".otp-note")).to_be_empty()


CHANGES = """() => {
  window.changes = [];
  const again = document.querySelector('.otp-ways button');
  new MutationObserver(() => changes.push(again.getAttribute('aria-disabled')))
    .observe(again, { attributeFilter: ['aria-disabled'] });
}"""


STATE = re.compile(r"/otp/[^/]{20,}$")


def hold_readings(page: Page) -> list[Route]:
    """Hold every answer about the state of a challenge; gives what is held."""
    held: list[Route] = []
    page.route(STATE, lambda route: held.append(route))  # noqa: PLW0108 - playwright marks what it is given
    return held


SIDE_BY_SIDE = """
  window.readings = window.most = 0;
  const send = window.fetch;
  window.fetch = (input, init) => {
    if (init?.method !== "GET") return send(input, init);
    most = Math.max(most, (readings += 1));
    return send(input, init).finally(() => (readings -= 1));
  };
"""


def test_the_state_is_read_once_at_a_time(page: Page, site: FormSite) -> None:
    """A slow answer is waited for, so that it cannot come after a newer one, and a slow service gets no crowd."""
    page.add_init_script(SIDE_BY_SIDE)
    page.clock.install()
    site.sent(page)
    site.code()
    held = hold_readings(page)
    until(lambda: reads_more(page) and len(held) > 0, pause=0.05)
    page.clock.run_for(6000)
    assert page.evaluate("most") == 1


def reads_more(page: Page) -> bool:
    """Let the time pass in which a page reads the state once more."""
    page.clock.run_for(2000)
    return True


def test_a_state_of_before_is_not_shown_after(page: Page, site: FormSite) -> None:
    """An answer that was on its way when the person asked for a new code says nothing about what came of it."""
    wait_for_answers(page)
    site.sent(page)
    cool_down(page, site)
    held = hold_readings(page)
    until(lambda: page.evaluate("1") and len(held) == 1)
    old = held[0].fetch()
    page.evaluate(CHANGES)
    again(page).click()
    expect(page.locator("otp-form [role=status]")).to_have_text("A new code is on its way.")
    site.code(NUMBER, 2)
    held[0].fulfill(response=old)
    until(lambda: page.evaluate("1") and len(held) == 2)
    page.unroute_all()
    expect(page.locator(".otp-lead")).to_contain_text("has arrived")
    changes = page.evaluate("changes")
    assert "false" not in changes[changes.index("true") :]


def test_what_waits_for_a_call_is_not_done_when_that_ended_the_step(page: Page, site: FormSite) -> None:
    """A new code that was asked for while the right one was checked is not sent."""
    watch_calls(page)
    wait_for_answers(page)
    site.sent(page)
    cool_down(page, site)
    held: list[Route] = []
    page.route(
        re.compile("/otp/verify$"), lambda route: held.append(route) if post(route) else route.continue_()
    )
    page.keyboard.type(site.code())
    page.keyboard.press("Enter")
    until(lambda: page.evaluate("1") and len(held) == 1)
    again(page).click()
    held[0].continue_()
    expect(page.get_by_role("heading", name=re.compile("is verified"))).to_be_visible()
    assert asked_for(page, "resend") == 0


def post(route: Route) -> bool:
    """Tell whether this is the request itself, not the browser's question whether it may be made."""
    return route.request.method == "POST"
