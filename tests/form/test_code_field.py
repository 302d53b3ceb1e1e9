"""The field of the code: one native input that takes whatever a person types, pastes or lets the browser fill in."""

# ruff: noqa: RUF001 - digits and dashes of other scripts are what is tested

import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.form_site import NUMBER, FormSite, asked_for, code_field, to_field, watch_calls, wrong

pytest_plugins = ("tests.support.browser", "tests.support.form_fixtures")
pytestmark = pytest.mark.needs_chromium

PASTE = """(element, text) => {
  element.focus();
  const data = new DataTransfer();
  data.setData("text/plain", text);
  const event = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
  if (element.dispatchEvent(event)) document.execCommand("insertText", false, text.replace(/\\n/g, ""));
}"""
AUTOFILL = """(element, text) => {
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(element, text);
  element.dispatchEvent(new Event("input", { bubbles: true }));
}"""
DONE = re.compile("is verified")


def in_script(code: str, zero: str) -> str:
    """Write a code in the digits of another script."""
    return "".join(chr(ord(zero) + int(digit)) for digit in code)


WRITTEN = {
    "plain": "{c}",
    "spaced": "{a} {b}",
    "dashed": "{a}-{b}",
    "en dash": "{a}–{b}",
    "no-break space": "\u2066{a}\u00a0{b}\u2069",
    "blanks around": "  {c} ",
    "digit by digit": "{s}",
}


@pytest.mark.parametrize("how", ["typed", "pasted"])
@pytest.mark.parametrize("form", WRITTEN)
def test_a_code_is_taken_however_it_is_written(page: Page, site: FormSite, form: str, how: str) -> None:
    """Spaces, dashes and marks that cannot be seen do not count, typed or pasted."""
    site.sent(page)
    code = site.code()
    text = WRITTEN[form].format(c=code, a=code[:3], b=code[3:], s=" ".join(code))
    enter(page, text, how)
    expect(page.get_by_role("heading", name=DONE)).to_be_visible()


@pytest.mark.parametrize("how", ["typed", "pasted"])
@pytest.mark.parametrize("zero", ["０", "٠", "۰", "०", "০", "𝟎"], ids=str)
def test_digits_of_every_script_count(page: Page, site: FormSite, zero: str, how: str) -> None:
    """Full-width, Arabic, Persian, Devanagari, Bengali, mathematical."""
    site.sent(page)
    enter(page, in_script(site.code(), zero), how)
    expect(page.get_by_role("heading", name=DONE)).to_be_visible()


def test_the_whole_message_can_be_pasted(page: Page, site: FormSite) -> None:
    """The text as it arrived; the field then shows the code alone."""
    site.sent(page)
    code = site.code()
    code_field(page).evaluate(PASTE, site.inbox()[0]["text"])
    expect(page.get_by_role("heading", name=DONE)).to_be_visible()
    assert code in site.inbox()[0]["text"]


MESSAGES = {
    "bound to a host": ("Your code is 482913.\n\n@shop.example #482913", "482913"),
    "the last line decides": ("Pay 120000 INR to Acme: 482913\n@shop.example #482913", "482913"),
    "in one line": ("Your code is 482913.@shop.example #482913", "482913"),
    "a sentence": ("Acme: your code is 482913. It expires in 5 minutes.", "482913"),
    "grouped in a sentence": ("Use 482 913 to sign in to Acme (id 77).", "482913"),
    "with a letter before": ("G-482913 is your code", "482913"),
    "without spaces": ("您的验证码是482913，请勿转发。", "482913"),
    "Hindi": ("आपका कोड ४८२९१३ है।", "482913"),
    "beside a phone number": ("Code 482913. Questions? +1 202 555 0100", "482913"),
    "beside an amount": ("482913 confirms your payment of 120000.00 to Acme", "482913"),
    "beside a date": ("482913 (2026-10-15 10:30)", "482913"),
    "an app hash": ("<#> 482913 is your code\nFA+9qCX9VSu", "482913"),
    "two codes": ("482913 or 771204", "several"),
    "letters": ("48A913", "form"),
    "letters at its end": ("482913abc", "form"),
    "too short": ("48291", "form"),
    "too long": ("4829135", "form"),
    "two numbers": ("482913 482913", "form"),
    "nothing": (" \u200b ", "empty"),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_a_code_is_found_in_a_text(page: Page, site: FormSite, case: str) -> None:
    """Amounts, dates and phone numbers are no codes; two codes are not guessed from."""
    text, wanted = MESSAGES[case]
    page.goto(site.address())
    found = page.evaluate("text => Object.values(Otp.findCode(text, 6))[0]", text)
    assert found == wanted


def test_letters_are_an_error_and_nothing_is_swallowed(page: Page, site: FormSite) -> None:
    """What was typed stays, to be corrected; no guess is spent on it."""
    site.sent(page)
    enter(page, "48A91-30", "typed")
    expect(code_field(page)).to_have_value("48A91-30")
    expect(code_field(page)).to_have_attribute("aria-invalid", "true")
    expect(page.locator(".otp-error")).to_have_text("The code has exactly 6 digits. Check what you entered.")
    enter(page, wrong(site.code()), "typed")
    expect(page.locator(".otp-error")).to_contain_text("4 tries left.")


def test_an_empty_field_is_an_error(page: Page, site: FormSite) -> None:
    """It says what to enter."""
    site.sent(page)
    page.keyboard.press("Enter")
    expect(page.locator(".otp-error")).to_have_text("Enter the 6 digits from the message.")


def test_editing_is_the_browsers_own(page: Page, site: FormSite) -> None:
    """Caret, selection, deletion and undo work as in every field, also after a message was pasted."""
    site.sent(page, auto_submit="off")
    field = code_field(page)
    page.keyboard.type("129456")
    page.keyboard.press("Home")
    for key in ("ArrowRight", "ArrowRight", "Delete"):
        page.keyboard.press(key)
    page.keyboard.type("3")
    expect(field).to_have_value("123456")
    page.keyboard.press("Control+z")
    expect(field).not_to_have_value("123456")
    page.keyboard.press("Control+Shift+z")
    expect(field).to_have_value("123456")
    page.keyboard.press("Shift+Home")
    assert page.evaluate("getSelection().toString()") == "123"
    field.evaluate(PASTE, "Your code is 771204.")
    expect(field).to_have_value("771204")
    page.keyboard.press("Control+z")
    expect(field).to_have_value("123456")


def test_an_undone_wrong_code_comes_back(page: Page, site: FormSite) -> None:
    """The form never sets the field's value behind the browser's back."""
    site.sent(page)
    bad = wrong(site.code())
    enter(page, bad, "typed")
    expect(page.locator(".otp-error")).not_to_be_empty()
    page.keyboard.type("9")
    expect(code_field(page)).to_have_value("9")
    page.keyboard.press("Control+z")
    expect(code_field(page)).to_have_value(bad)


@pytest.mark.parametrize("form", ["{c}", "{a}-{b}", "{a} {b}", "Your code is {c}"])
def test_an_autofill_in_one_event_is_never_cut(page: Page, site: FormSite, form: str) -> None:
    """Browsers and password managers set the whole value at once; there is no maxlength to cut it."""
    site.sent(page)
    code = site.code()
    assert code_field(page).get_attribute("maxlength") is None
    code_field(page).evaluate(AUTOFILL, form.format(c=code, a=code[:3], b=code[3:]))
    expect(page.get_by_role("heading", name=DONE)).to_be_visible()


def test_there_is_one_textbox_with_its_name_hint_and_error(page: Page, site: FormSite) -> None:
    """One tab stop, native attributes for a code, described by its hint and its error."""
    site.sent(page)
    boxes = page.get_by_role("textbox")
    expect(boxes).to_have_count(1)
    field = page.get_by_role("textbox", name="Security code")
    expect(field).to_have_accessible_description("6 digits. You can paste the whole message.")
    wanted = {
        "type": "text",
        "inputmode": "numeric",
        "autocomplete": "one-time-code",
        "autocapitalize": "off",
        "spellcheck": "false",
        "enterkeyhint": "done",
    }
    assert {name: field.get_attribute(name) for name in wanted} == wanted
    assert [field.get_attribute(name) for name in ("maxlength", "pattern", "placeholder", "name")] == [
        None
    ] * 4
    page.keyboard.press("Enter")
    expect(field).to_have_accessible_description(
        "6 digits. You can paste the whole message. Enter the 6 digits from the message."
    )
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Verify")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(field).to_be_focused()


def test_a_code_that_is_typed_waits_for_the_person(page: Page, site: FormSite) -> None:
    """Only a paste, an autofill or WebOTP submits by itself."""
    watch_calls(page)
    site.sent(page)
    page.keyboard.type(wrong(site.code()))
    assert asked_for(page, "verify") == 0
    page.keyboard.press("Enter")
    expect(page.locator(".otp-error")).not_to_be_empty()
    assert asked_for(page, "verify") == 1


def test_two_keystrokes_lead_from_the_clipboard_to_verified(page: Page, site: FormSite) -> None:
    """Control and V: the real clipboard, pasted by the keyboard into the focused field."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site.url)
    site.sent(page)
    page.evaluate("text => navigator.clipboard.writeText(text)", f"Your code is {site.code()}.")
    page.keyboard.press("Control+v")
    expect(page.get_by_role("heading", name=DONE)).to_be_visible()


@pytest.mark.parametrize("how", [PASTE, AUTOFILL], ids=["paste", "autofill"])
def test_submitting_by_itself_can_be_switched_off(page: Page, site: FormSite, how: str) -> None:
    """Then Verify is the person's own act."""
    watch_calls(page)
    site.sent(page, auto_submit="off")
    code = site.code()
    code_field(page).evaluate(how, code)
    expect(code_field(page)).to_have_value(code)
    assert asked_for(page, "verify") == 0
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_role("heading", name=DONE)).to_be_visible()


@pytest.mark.parametrize("how", [PASTE, AUTOFILL], ids=["paste", "autofill"])
def test_the_same_wrong_code_is_not_submitted_twice(page: Page, site: FormSite, how: str) -> None:
    """Not by itself, and not by the button: a guess is not spent on what is known to be wrong."""
    watch_calls(page)
    site.sent(page)
    bad = wrong(site.code())
    code_field(page).evaluate(how, bad)
    expect(page.locator(".otp-error")).to_contain_text("That code is not right.")
    code_field(page).evaluate(how, bad)
    expect(code_field(page)).to_have_value(bad)
    assert asked_for(page, "verify") == 1
    page.keyboard.press("Enter")
    expect(page.locator(".otp-error")).to_contain_text("That code is not right.")
    assert asked_for(page, "verify") == 1
    code_field(page).evaluate(how, site.code())
    expect(page.get_by_role("heading", name=DONE)).to_be_visible()


@pytest.mark.parametrize("by", ["Enter", "button"])
def test_a_wrong_code_stays_selected_and_its_tries_are_said_once(page: Page, site: FormSite, by: str) -> None:
    """The field's description says it if focus comes back to it, the live region if focus never left."""
    site.sent(page)
    bad = wrong(site.code())
    page.keyboard.type(bad)
    page.evaluate("""() => {
      window.said = [];
      const region = document.querySelector('otp-form [role=status]');
      new MutationObserver(() => said.push(region.textContent)).observe(region, { childList: true });
    }""")
    if by == "Enter":
        page.keyboard.press("Enter")
    else:
        page.get_by_role("button", name="Verify").click()
    error = "That code is not right. 4 tries left."
    expect(page.locator(".otp-error")).to_have_text(error)
    expect(code_field(page)).to_be_focused()
    expect(code_field(page)).to_have_value(bad)
    assert page.evaluate("getSelection().toString()") == bad
    expect(page.get_by_role("textbox")).to_have_accessible_description(re.compile(f"{error}$"))
    assert page.evaluate("said") == ([error] if by == "Enter" else [])
    page.keyboard.type(site.code())
    expect(code_field(page)).not_to_have_attribute("aria-invalid", "true")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=DONE)).to_be_visible()


def test_the_last_wrong_code_ends_it_with_one_way_out(page: Page, site: FormSite) -> None:
    """Five guesses; then a new code is the only thing to ask for."""
    site.sent(page)
    code = site.code()
    for step in range(1, 6):
        enter(page, wrong(code, step), "typed")
        if step < 5:
            expect(page.locator(".otp-error")).to_contain_text(f"{5 - step} tr")
    expect(page.get_by_text("There were too many wrong codes.")).to_be_visible()
    expect(page.locator("otp-form button:visible")).to_have_text(["Get a new code"])
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(code_field(page)).to_be_focused()
    enter(page, site.code(NUMBER, 2), "typed")
    expect(page.get_by_role("heading", name=DONE)).to_be_visible()


def test_a_form_around_it_gets_the_token(page: Page, site: FormSite) -> None:
    """The page's own form is posted with what else it has; number and code are not in it."""
    site.sent(page, around="gold")
    enter(page, site.code(), "typed")
    expect(page.get_by_text("Welcome")).to_be_visible()
    (form,) = site.posted
    assert set(form) == {"plan", "otp_token"}
    assert form["otp_token"].count(".") == 2


def test_what_was_typed_before_the_script_came_is_kept(page: Page, site: FormSite) -> None:
    """The plain field of the page without JavaScript hands over its number."""
    inside = '<label>Phone <input type="tel" name="to" value="+1 202 555 0100"></label>'
    site.open(page, inside=inside)
    expect(to_field(page)).to_have_value("+1 202 555 0100")
    expect(page.locator("otp-form input:visible")).to_have_count(1)


def enter(page: Page, text: str, how: str) -> None:
    """Type a text and press Enter, or paste it."""
    field = code_field(page)
    if how == "pasted":
        field.evaluate(PASTE, text)
        return
    field.fill("")
    page.keyboard.type(text)
    page.keyboard.press("Enter")
