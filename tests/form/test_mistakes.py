"""What a developer gets wrong stands in the browser's console, in words that say what to do."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import SECRET
from tests.support.form_site import SPELLED, FormSite, to_field

pytest_plugins = ["tests.support.browser", "tests.support.form_fixtures"]
pytestmark = pytest.mark.needs_chromium


def test_a_page_whose_origin_no_app_has_is_told_which_it_is(page: Page, site: FormSite) -> None:
    """A browser says only that CORS refused; the script knows that the service is there."""
    other = site.url.replace("127.0.0.1", "localhost")
    page.goto(site.address().replace(site.url, other))
    with page.expect_console_message(lambda line: "one of the app's origins" in line.text) as told:
        to_field(page).fill(SPELLED)
        page.keyboard.press("Enter")
    assert told.value.text == (
        f"otp: {site.service} answers, but its answer to this page was lost. Is {other} one of the app's origins?"
    )


def test_a_secret_key_is_refused_before_anything_leaves(browser: Browser, site: FormSite) -> None:
    """It would be everyone's: the page has no form, and the console says which key belongs there."""
    page = browser.new_page()
    with page.expect_event("pageerror") as error:
        page.goto(site.address(key=SECRET))
    assert "use the publishable key (pk_...), never a secret one" in f"{error.value}"
    expect(page.locator("otp-form .otp-button")).to_have_count(0)
    assert site.inbox() == []
    page.close()


def test_a_key_that_no_app_has_is_told_with_what_to_check(page: Page, site: FormSite) -> None:
    """The person reads that it does not work; the developer, where to look."""
    site.core.live_keys.refresh()  # until the issued keys were read, nobody can say that a key is unknown
    site.open(page, key="pk_of-another-deployment")
    with page.expect_console_message(lambda line: "unknown_key" in line.text) as told:
        to_field(page).fill(SPELLED)
        page.keyboard.press("Enter")
    assert told.value.text == (
        "otp-form: unknown_key. Is the form's key whole, neither revoked nor expired, and of this service? "
        "Compare its first characters with `otp-service keys list`."
    )
    expect(page.locator(".otp-note")).to_have_text("This does not work at the moment. Try again later.")


def test_a_key_that_cannot_be_one_is_refused_before_anything_leaves(browser: Browser, site: FormSite) -> None:
    """No request can have it, and a lost connection is not to blame."""
    page = browser.new_page()
    with page.expect_event("pageerror") as error:
        page.goto(site.address(key="pk_\N{HORIZONTAL ELLIPSIS}"))
    assert "The key has characters that no key has." in f"{error.value}"
    expect(page.locator("otp-form .otp-button")).to_have_count(0)
    page.close()


@pytest.mark.parametrize(
    ("attribute", "value", "rule"),
    [
        ("binding", "12.00 EUR to Acme", "must be JSON."),
        ("binding", "12", "must be a string of 1 to 256 visible characters, or"),
        ("purpose", "sign up!", "must be 1 to 32 lower-case letters, digits,"),
        ("country", "XX", "must be the two letters of a country (ISO 3166)."),
        ("reference", "\N{GREEK SMALL LETTER OMEGA}", "must be 1 to 64 visible ASCII characters."),
    ],
)
def test_a_wrong_attribute_is_not_the_numbers_fault(
    page: Page, site: FormSite, attribute: str, value: str, rule: str
) -> None:
    """The person reads that it does not work; the developer, which attribute breaks which rule."""
    site.open(page, **{attribute: value})
    with page.expect_console_message(lambda line: "otp-form: " in line.text) as told:
        to_field(page).fill(SPELLED)
        page.keyboard.press("Enter")
    assert told.value.text.startswith(f"otp-form: invalid_request. {attribute} {rule}")
    expect(page.locator(".otp-note")).to_have_text("This does not work at the moment. Try again later.")
    expect(page.locator(".otp-error")).to_be_empty()
    assert site.inbox() == []


def test_with_a_country_only_numbers_abroad_need_a_plus(page: Page, site: FormSite) -> None:
    """The hint says what holds for this page."""
    site.open(page, country="US")
    field = page.get_by_role("textbox", name="Phone number")
    expect(field).to_have_accessible_description("For a number abroad, start with +.")
    field.fill("(202) 555-0100")
    page.keyboard.press("Enter")
    assert len(site.code()) == 6
