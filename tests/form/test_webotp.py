"""WebOTP: the browser reads the code from the SMS. A phone is needed for the real call, so a test plays the browser."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.form_site import SPELLED, FormSite, code_field, cool_down, to_field, wrong
from tests.support.patience import until

pytest_plugins = ("tests.support.browser", "tests.support.form_fixtures")
pytestmark = pytest.mark.needs_chromium

BROWSER = """
  window.OTPCredential = class {};
  window.asked = [];
  navigator.credentials.get = ({ otp, signal }) => new Promise((resolve, reject) => {
    const one = { transport: otp.transport, aborted: false, resolve };
    asked.push(one);
    signal.addEventListener("abort", () => { one.aborted = true; reject(new DOMException("", "AbortError")); });
  });
"""


@pytest.fixture
def asking(page: Page, site: FormSite) -> Page:
    """A browser that waits for an SMS, at the step of the code."""
    page.add_init_script(BROWSER)
    return site.sent(page)


def asked(page: Page) -> list[bool]:
    """Tell of each call whether it was aborted."""
    found: list[bool] = page.evaluate("asked.map((one) => one.aborted)")
    return found


def test_the_code_of_the_sms_submits_itself(asking: Page, site: FormSite) -> None:
    """The person types nothing."""
    assert asking.evaluate("asked[0].transport") == ["sms"]
    asking.evaluate("code => asked[0].resolve({ code })", site.code())
    expect(asking.get_by_role("heading", name=re.compile("is verified"))).to_be_visible()


def test_it_is_asked_for_once_per_challenge(asking: Page, site: FormSite) -> None:
    """Not again after a wrong code, nor when the person comes back from the number; again for a new challenge."""
    assert asked(asking) == [False]
    asking.keyboard.type(wrong(site.code()))
    asking.keyboard.press("Enter")
    expect(asking.locator(".otp-error")).not_to_be_empty()
    asking.get_by_role("button", name="Change number").click()
    asking.keyboard.press("Enter")
    expect(code_field(asking)).to_be_focused()
    assert asked(asking) == [True]
    asking.get_by_role("button", name="Change number").click()
    to_field(asking).fill("+1 202 555 0101")
    asking.keyboard.press("Enter")
    expect(code_field(asking)).to_be_focused()
    assert asked(asking) == [True, False]


@pytest.mark.parametrize("act", ["submit", "resend", "change number", "leave", "remove"])
def test_it_ends_when_the_person_does_something_else(asking: Page, site: FormSite, act: str) -> None:
    """A dialog of the browser must not stand over what comes next."""
    assert asked(asking) == [False]
    if act == "submit":
        asking.keyboard.type(wrong(site.code()))
        asking.keyboard.press("Enter")
    elif act == "resend":
        cool_down(asking, site).click()
    elif act == "change number":
        asking.get_by_role("button", name="Change number").click()
    elif act == "leave":
        asking.evaluate("dispatchEvent(new PageTransitionEvent('pagehide'))")
    else:
        asking.evaluate("document.querySelector('otp-form').remove()")
    until(lambda: asked(asking)[0], pause=0.05)
    if act == "resend":
        site.code(count=2)  # or it would come by the clock of the next test


def test_a_browser_without_it_loses_nothing(page: Page, site: FormSite) -> None:
    """Where the call fails, typing works as before."""
    page.add_init_script(
        "window.OTPCredential = class {}; navigator.credentials.get = () => Promise.reject(1);"
    )
    site.sent(page, SPELLED)
    page.keyboard.type(site.code())
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=re.compile("is verified"))).to_be_visible()
