"""The element in a page: moved, taken out and put back, in a shadow root, left and come back to."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.form_site import SPELLED, FormSite, code_field, to_field

pytest_plugins = ("tests.support.browser", "tests.support.form_fixtures")
pytestmark = pytest.mark.needs_chromium

DONE = re.compile("is verified")
INTO_SHADOW = """() => {
  const form = document.querySelector("otp-form");
  const host = document.createElement("div");
  form.replaceWith(host);
  host.attachShadow({ mode: "open" }).append(form.cloneNode(true));
  window.shadow = host.shadowRoot;
}"""
COME_BACK = """() => {
  for (const name of ["pagehide", "pageshow"]) dispatchEvent(new PageTransitionEvent(name, { persisted: true }));
}"""


def verify(page: Page, site: FormSite, count: int = 1) -> None:
    """Type the number and the code."""
    to_field(page).fill(SPELLED)
    page.keyboard.press("Enter")
    expect(code_field(page)).to_be_focused()
    page.keyboard.type(site.code(count=count))
    page.keyboard.press("Enter")


@pytest.mark.parametrize("around", ["", "gold"])
def test_it_works_where_it_is_moved_to(page: Page, site: FormSite, around: str) -> None:
    """Out of the page's form or into one: Enter works, what was typed stays, and the form there gets the token."""
    site.open(page, around=around)
    to_field(page).fill("+1 202")
    page.evaluate("""() => {
      const form = document.createElement("form");
      form.method = "post";
      form.action = "/done";
      const target = document.querySelector("main > form") ? document.querySelector("main") : form;
      if (target === form) document.querySelector("main").append(form);
      target.append(document.querySelector("otp-form"));
    }""")
    expect(to_field(page)).to_have_value("+1 202")
    expect(page.locator("form form")).to_have_count(0)
    verify(page, site)
    if around:
        expect(page.get_by_role("heading", name=DONE)).to_be_visible()
        assert site.posted == []
    else:
        expect(page.get_by_text("Welcome")).to_be_visible()
        assert [set(form) for form in site.posted] == [{"otp_token"}]


def test_a_framework_may_set_the_key_when_it_is_in_the_page(page: Page, site: FormSite) -> None:
    """Some keep an attribute `key` for themselves, and give the element to the page's code after they placed it."""
    site.open(page)
    page.evaluate("""() => {
      const old = document.querySelector("otp-form");
      const form = document.createElement("otp-form");
      old.replaceWith(form);
      form.setAttribute("key", old.getAttribute("key"));
    }""")
    verify(page, site)
    expect(page.get_by_role("heading", name=DONE)).to_be_visible()


def test_it_keeps_its_style_in_another_root(page: Page, site: FormSite) -> None:
    """A dialog may take it into its shadow."""
    site.open(page)
    page.evaluate("""() => {
      const host = document.body.appendChild(document.createElement("div"));
      host.attachShadow({ mode: "open" }).append(document.querySelector("otp-form"));
    }""")
    expect(to_field(page)).to_have_css("min-height", "56px")


def test_a_shadow_root_has_the_pages_language_and_keeps_the_focus(page: Page, site: FormSite) -> None:
    """What the keyboard was in is gone at the end; the heading takes its place."""
    site.open(page, lang="de")
    page.evaluate(INTO_SHADOW)
    expect(page.get_by_role("textbox", name="Telefonnummer")).to_be_visible()
    to_field(page).fill(SPELLED)
    page.keyboard.press("Enter")
    expect(code_field(page)).to_be_focused()
    site.later(3600)
    heading = page.get_by_role("heading", name="Dieser Code gilt nicht mehr")
    expect(heading).to_be_focused()


def test_a_page_that_begins_again_posts_the_new_token_only(page: Page, site: FormSite) -> None:
    """A token that the backend did not take is in no field any more."""
    site.open(page, around="gold")
    page.evaluate("""() => {
      window.tokens = [];
      document.querySelector("form").addEventListener("submit", (event) => {
        event.preventDefault();
        tokens.push(...new FormData(event.target).getAll("otp_token"));
      });
    }""")
    verify(page, site)
    expect(page.get_by_role("heading", name=DONE)).to_be_visible()
    page.evaluate("document.querySelector('otp-form').reset()")
    expect(page.locator("[name=otp_token]")).to_have_count(0)
    verify(page, site, count=2)
    expect(page.get_by_role("heading", name=DONE)).to_be_visible()
    tokens = page.evaluate("tokens")
    assert len(tokens) == len(set(tokens)) == 2


def test_who_comes_back_to_a_verified_form_may_begin_again(page: Page, site: FormSite) -> None:
    """The browser shows the page as it was left; its token has been used, and a reload would begin again, too."""
    site.open(page)
    verify(page, site)
    expect(page.get_by_role("heading", name=DONE)).to_be_visible()
    page.evaluate(COME_BACK)
    expect(page.get_by_role("heading")).to_have_text("Verify your phone number")
    expect(to_field(page)).to_have_value("")
