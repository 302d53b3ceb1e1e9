"""The console in a real browser: what it reports, what axe finds, and how a person changes a fallback."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.axe import findings
from tests.support.console_site import PAGES, ConsoleSite, console_site
from tests.support.patience import PATIENCE, until
from tests.support.valkey_server import ValkeyServer

pytest_plugins = ("tests.support.axe_fixtures", "tests.support.browser")
pytestmark = [pytest.mark.needs_chromium, pytest.mark.needs_node]

REPORTED = "addEventListener('securitypolicyviolation', (event) => console.error('Security Policy', event.blockedURI))"


@pytest.fixture(scope="module")
def site(valkey: ValkeyServer) -> Iterator[ConsoleSite]:
    """One service for all tests of this module."""
    with console_site(valkey) as made:
        yield made


@pytest.fixture
def unbound(browser: Browser) -> Iterator[Page]:
    """A page into which a test may put a script of its own."""
    context = browser.new_context(bypass_csp=True, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(1000 * PATIENCE)
    yield page
    context.close()


def test_no_page_breaks_its_own_policy_or_scrolls_sideways(page: Page, site: ConsoleSite) -> None:
    """Every page with its script, on a phone; the fixture fails for any error or report of the page."""
    page.add_init_script(REPORTED)
    site.sign_in(page)
    for name in PAGES:
        site.open(page, name)
        expect(page.locator("h1")).to_have_count(1)
        assert page.evaluate("document.documentElement.scrollWidth") == 360, name
        assert page.locator("script").count() == 1


SCROLLED = """
[...document.querySelectorAll("table, pre")].map((one) => one.closest(".scroll") ?? one.parentElement).filter(
  (one) => one.scrollWidth > one.clientWidth,
).map((one) => ({
  focus: one.tabIndex, role: one.role, label: one.ariaLabel, shades: getComputedStyle(one).backgroundAttachment,
}))
"""


def test_what_scrolls_sideways_shows_it_and_can_be_reached_by_key(page: Page, site: ConsoleSite) -> None:
    """On a phone, a table that is wider has a shade at its edge, a name, and a place in the order of focus."""
    site.sign_in(page)
    seen = []
    for name in PAGES:
        site.open(page, name)
        seen += page.evaluate(SCROLLED)
    assert seen
    for one in seen:
        assert (one["focus"], one["role"]) == (0, "region")
        assert one["label"]
        assert one["shades"] == "local, local, scroll, scroll"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page(unbound: Page, site: ConsoleSite, axe: str, scheme: Any) -> None:  # noqa: ANN401 - playwright's literal
    """With all that can be folded out folded out; and the sign-in."""
    unbound.emulate_media(color_scheme=scheme)
    unbound.goto(f"{site.home}sign-in")
    seen = {"sign-in": findings(unbound, axe)}
    site.sign_in(unbound)
    for name in PAGES:
        site.open(unbound, name)
        unbound.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        seen[name] = findings(unbound, axe)
    assert {name: found for name, found in seen.items() if found} == {}


def test_axe_would_find_something(unbound: Page, site: ConsoleSite, axe: str) -> None:
    """A field without its label is found, so that silence means something."""
    site.sign_in(unbound)
    site.open(unbound, "blocks")
    unbound.evaluate("document.querySelector('label').remove()")
    assert "label" in {name for name, _ in findings(unbound, axe)}


def test_a_mistake_shows_at_its_line_while_typing(page: Page, site: ConsoleSite) -> None:
    """The line is marked, the words name the place, and a click leads there; corrected, it goes."""
    site.sign_in(page)
    site.open(page, "routes")
    text = page.get_by_label("The text")
    before = text.input_value()
    line = before.split("\n").index(next(row for row in before.split("\n") if '"12s"' in row)) + 1
    text.fill(before.replace('"12s"', '"12 of them"'))
    expect(page.locator("#mistakes li")).to_have_count(1)
    expect(page.locator("#mistakes li")).to_contain_text("must be a time")
    expect(page.locator(".gutter .bad")).to_have_text(str(line))
    page.get_by_role("button", name=f"Line {line}").click()
    assert (
        text.evaluate("(one) => one.value.slice(one.selectionStart, one.selectionEnd)").count("12 of them")
        == 1
    )
    text.fill(before)
    expect(page.locator("#mistakes li")).to_have_count(0)
    expect(page.locator("#typed")).to_have_text("no mistakes")


@pytest.mark.parametrize("scripts", [True, False])
def test_a_person_changes_a_fallback_and_brings_it_back(
    browser: Browser, site: ConsoleSite, *, scripts: bool
) -> None:
    """Voice before SMS, reviewed and applied with a reason; then back in three clicks. With JavaScript or without."""
    context = browser.new_context(java_script_enabled=scripts)
    page = context.new_page()
    page.set_default_timeout(1000 * PATIENCE)
    site.sign_in(page)
    before = site.site.core.policies.head()
    page.get_by_role("link", name="Routes").click()
    page.get_by_role("button", name="Move Voice up in route 0").click()
    expect(page.locator(".steps b")).to_have_text(["SMS", "Voice", "WhatsApp"])
    page.get_by_role("button", name="Move Voice up in route 0").click()
    expect(page.locator(".steps b")).to_have_text(["Voice", "SMS", "WhatsApp"])
    page.get_by_role("button", name="Review and apply").click()
    expect(page.locator(".diff .add").first).to_contain_text("voice")
    page.get_by_label("Reason").fill("people answer calls")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("status").first).to_contain_text("in force")
    newest = site.site.core.policies.newest()
    assert newest is not None
    assert (newest.number, newest.author, newest.reason) == (before + 1, "anna", "people answer calls")
    page.get_by_role("link", name="History").click()
    page.get_by_role("link", name=str(before), exact=True).click()
    page.get_by_label("Reason").fill("they do not")
    page.get_by_role("button", name=f"Roll back to version {before}").click()
    expect(page.locator(".steps b")).to_have_text(["SMS", "WhatsApp", "Voice"])
    context.close()


def test_no_page_can_be_framed(browser: Browser, site: ConsoleSite) -> None:
    """A click there would be a click by sight: the browser shows nothing of the page in a frame."""
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(1000 * PATIENCE)
    page.route("http://frame.localhost/", lambda route: route.fulfill(body=FRAME.format(site.home)))
    page.goto("http://frame.localhost/")
    until(lambda: page.evaluate("1") and page.frames[1].url == "chrome-error://chromewebdata/")
    context.close()


FRAME = '<!DOCTYPE html><title>Frame</title><iframe src="{}sign-in"></iframe>'
