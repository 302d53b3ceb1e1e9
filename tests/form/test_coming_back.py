"""The number, and coming back: any spelling; reload, back and a restored tab lead to the same challenge."""

# ruff: noqa: RUF001 - digits and dashes of other scripts are what is tested

import json
import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.form_site import NUMBER, SPELLED, FormSite, code_field, to_field
from tests.support.patience import until

pytest_plugins = ("tests.support.browser", "tests.support.form_fixtures")
pytestmark = pytest.mark.needs_chromium

DONE = re.compile("is verified")


def sends(page: Page) -> list[str]:
    """Collect the requests that send a code."""
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.method) if one.url.endswith("/otp/send") else None)
    return asked


@pytest.mark.parametrize(
    "number",
    [
        "+12025550100",
        "+1 (202) 555-0100",
        "(202) 555-0100",
        "1-202-555-0100",
        "＋１ ２０２ ５５５ ０１００",
        "tel:+1-202-555-0100",
    ],
)
def test_a_number_is_taken_in_any_spelling(page: Page, site: FormSite, number: str) -> None:
    """No mask changes what is typed; the service reads it."""
    attributes = {} if number.startswith(("+", "tel", "＋")) else {"country": "US"}
    if number.startswith("tel"):
        number = number.removeprefix("tel:")
    site.open(page, **attributes)
    to_field(page).fill("")
    page.keyboard.type(number)
    expect(to_field(page)).to_have_value(number)
    page.keyboard.press("Enter")
    expect(code_field(page)).to_be_focused()
    assert len(site.code()) == 6


def test_the_number_is_one_telephone_field(page: Page, site: FormSite) -> None:
    """Native, with its label and hint, without an example that looks like an entry."""
    site.open(page)
    field = page.get_by_role("textbox", name="Phone number")
    wanted = {"type": "tel", "autocomplete": "tel"}
    assert {name: field.get_attribute(name) for name in wanted} == wanted
    assert [field.get_attribute(name) for name in ("placeholder", "pattern", "maxlength", "name")] == [
        None
    ] * 4
    expect(field).to_have_accessible_description("With the country code, starting with +.")
    expect(page.get_by_role("textbox")).to_have_count(1)


def test_a_number_that_is_none_can_be_corrected(page: Page, site: FormSite) -> None:
    """It stays, selected; the error says what to look at."""
    site.open(page)
    to_field(page).focus()
    page.keyboard.press("Enter")
    expect(page.locator(".otp-error")).to_have_text("Enter your phone number.")
    page.keyboard.type("+1 202 555")
    page.keyboard.press("Enter")
    expect(page.locator(".otp-error")).to_contain_text("This phone number is too short.")
    expect(to_field(page)).to_have_value("+1 202 555")
    expect(to_field(page)).to_be_focused()
    to_field(page).fill(SPELLED)
    page.keyboard.press("Enter")
    expect(code_field(page)).to_be_focused()


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("+1 202 555 01", "This phone number is too short. Check that no digit is missing."),
        ("+1 202 555 0100 99", "This phone number is too long. Check that it has no extra digits."),
        ("202 555 0100", "The country code is missing or unknown. Start with + and the country code."),
        ("+999 202 555 0100", "The country code is missing or unknown. Start with + and the country code."),
        ("+1 999 555 0100", "This phone number does not look right. Check it and its country code."),
        ("+1 202 555 0100 ext. 5", "This phone number does not look right. Check it and its country code."),
    ],
)
def test_a_person_reads_what_is_wrong_with_a_number(
    page: Page, site: FormSite, number: str, words: str
) -> None:
    """The service knows it; the form has words for what can be put right."""
    site.open(page)
    to_field(page).fill(number)
    page.keyboard.press("Enter")
    expect(page.locator(".otp-error")).to_have_text(words)
    expect(to_field(page)).to_be_focused()


def test_the_number_can_be_changed_from_the_step_of_the_code(page: Page, site: FormSite) -> None:
    """It is there to be edited, and another number gets another code."""
    site.sent(page)
    expect(page.locator(".otp-lead b")).to_have_text(SPELLED)
    page.get_by_role("button", name="Change number").click()
    expect(to_field(page)).to_be_focused()
    expect(to_field(page)).to_have_value(SPELLED)
    to_field(page).fill("+1 202 555 0101")
    page.keyboard.press("Enter")
    expect(page.locator(".otp-lead b")).to_have_text("+1 202 555 0101")
    code_field(page).fill(site.code("+12025550101"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=DONE)).to_be_visible()


@pytest.mark.parametrize("spelled", [SPELLED, "+1 (202) 555-0100", "＋12025550100"])
def test_the_same_number_during_the_cooldown_shows_the_running_challenge(
    page: Page, site: FormSite, spelled: str
) -> None:
    """Nothing is sent: the code that is on its way is the one to type."""
    asked = sends(page)
    site.sent(page)
    code = site.code()
    page.get_by_role("button", name="Change number").click()
    to_field(page).fill(spelled)
    page.keyboard.press("Enter")
    expect(code_field(page)).to_be_focused()
    assert [method for method in asked if method == "POST"] == ["POST"]
    page.keyboard.type(code)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=DONE)).to_be_visible()


@pytest.mark.parametrize("how", ["reload", "back", "restored tab"])
def test_a_person_who_comes_back_finds_the_same_challenge(page: Page, site: FormSite, how: str) -> None:
    """Nothing is sent again; the number is shown as the service masks it, because the page has forgotten it."""
    site.sent(page)
    code = site.code()
    asked = sends(page)
    if how == "reload":
        page.reload()
    elif how == "back":
        page.goto(f"{site.url}/elsewhere")
        page.go_back()
    else:
        page = restored(page, site)
    expect(code_field(page)).to_be_visible()
    expect(page.locator(".otp-lead b")).to_have_text("+1********00")
    expect(page.get_by_role("button", name="Send again")).to_be_visible()
    assert asked == []
    code_field(page).fill(code)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=DONE)).to_be_visible()
    page.reload()
    expect(to_field(page)).to_be_visible()


def test_a_challenge_that_is_over_is_not_come_back_to(page: Page, site: FormSite) -> None:
    """A new page asks for a number."""
    site.sent(page)
    site.later(3600)
    page.reload()
    expect(to_field(page)).to_be_visible()
    until(lambda: page.evaluate("sessionStorage.length") == 0, pause=0.05)


def test_a_challenge_of_the_server_begins_at_its_code(page: Page, site: FormSite) -> None:
    """A backend that knows the number sends; the form takes the id, and its way out is the page's."""
    sent = site.send_by_server(purpose="payment", binding={"amount": "12.00 EUR", "payee": "Acme"})
    site.open(page, challenge=sent, restart="/elsewhere")
    expect(code_field(page)).to_be_visible()
    expect(page.get_by_role("button", name="Change number")).to_have_count(0)
    code_field(page).fill(site.code())
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=DONE)).to_be_visible()
    site.open(page, challenge=site.send_by_server())
    expect(page.locator(".otp-lead")).to_contain_text("has arrived")
    site.later(3600)
    expect(page.locator(".otp-lead")).to_have_text("The code has expired.")


def test_a_challenge_of_the_server_that_was_verified_is_over(page: Page, site: FormSite) -> None:
    """A reload after the end shows the way out, and no field that leads nowhere."""
    site.open(page, challenge=site.send_by_server(), restart="/elsewhere")
    code_field(page).fill(site.code())
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=DONE)).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading")).to_have_text("This code no longer works")
    expect(page.locator("otp-form input:visible")).to_have_count(0)
    page.get_by_role("button", name="Get a new code").click()
    expect(page.get_by_text("Elsewhere")).to_be_visible()


@pytest.mark.parametrize("name", ["binding", "reference"])
def test_a_code_for_one_thing_is_not_asked_for_another(page: Page, site: FormSite, name: str) -> None:
    """Two payments in one tab: the second begins at its number, the first is come back to."""
    first, second = ('{"amount": "12.00 EUR"}', '{"amount": "99.00 EUR"}')
    if name == "reference":
        first, second = "order-1", "order-2"
    site.sent(page, purpose="payment", **{name: first})
    code = site.code()
    site.sent(page, "+1 202 555 0101", purpose="payment", **{name: second})
    page.keyboard.type(site.code("+1 202 555 0101"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=DONE)).to_be_visible()
    assert "12.00" not in page.evaluate("JSON.stringify(sessionStorage)")
    site.open(page, purpose="payment", **{name: first})
    expect(code_field(page)).to_be_visible()
    code_field(page).fill(code)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=DONE)).to_be_visible()


def test_no_code_or_number_stays_anywhere(page: Page, site: FormSite) -> None:
    """Not in the address, history, storage, cookies or console, whatever the person did on the way."""
    lines: list[str] = []
    page.on("console", lambda line: lines.append(line.text))
    addresses: list[str] = []
    page.on("framenavigated", lambda frame: addresses.append(frame.url))
    page.on("request", lambda one: addresses.append(one.url))
    site.open(page)
    before = page.evaluate("history.length")
    to_field(page).fill("+1 202 555")
    page.keyboard.press("Enter")
    expect(page.locator(".otp-error")).not_to_be_empty()
    to_field(page).fill(SPELLED)
    page.keyboard.press("Enter")
    expect(code_field(page)).to_be_focused()
    code = site.code()
    page.keyboard.type("000000" if code != "000000" else "111111")
    with page.expect_request(lambda one: one.url.endswith("/otp/verify") and one.method == "POST") as guessed:
        page.keyboard.press("Enter")
    expect(page.locator(".otp-error")).not_to_be_empty()
    during = stored(page)
    code_field(page).fill(code)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=DONE)).to_be_visible()
    after = stored(page)
    assert page.evaluate("history.length") == before
    assert page.evaluate("history.state") is None
    id_ = json.loads(guessed.value.post_data or "{}")["challenge_id"]
    assert during["session"] == [id_]
    assert after["session"] == []
    text = json.dumps([lines, addresses, during, after, page.evaluate("location.href")])
    text = text.replace(id_, "")  # which is random, so that any short text may be in it
    bare = re.sub(r"[^0-9]", "", SPELLED)
    for secret in (code, SPELLED, bare, bare[1:], NUMBER, "eyJ"):
        assert secret not in text


def stored(page: Page) -> dict[str, list[str]]:
    """List everything that a page can store."""
    found: dict[str, list[str]] = page.evaluate("""async () => ({
      session: Object.values(sessionStorage),
      local: Object.values(localStorage),
      cookies: document.cookie ? [document.cookie] : [],
      databases: (await indexedDB.databases()).map((one) => one.name),
      caches: await caches.keys(),
    })""")
    return found


def restored(page: Page, site: FormSite) -> Page:
    """Open the page as a browser does with a tab that it had discarded: a new process, the old session storage."""
    kept = page.evaluate("JSON.stringify(Object.entries(sessionStorage))")
    address = page.url
    other = page.context.new_page()
    page.close()
    other.goto(f"{site.url}/elsewhere")
    other.evaluate(
        "kept => JSON.parse(kept).forEach(([name, value]) => sessionStorage.setItem(name, value))", kept
    )
    other.goto(address)
    return other
