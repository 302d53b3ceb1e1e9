"""What axe finds in every state of the form, and what it cannot: reflow, zoom, targets, motion, forced colours."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.form.test_human_check import hard_check
from tests.support.axe import findings
from tests.support.form_site import SPELLED, FormSite, code_field, to_field, wrong
from tests.support.languages import LANGUAGES, words
from tests.support.patience import PATIENCE

pytest_plugins = ("tests.support.axe_fixtures", "tests.support.browser", "tests.support.form_fixtures")
pytestmark = [pytest.mark.needs_chromium, pytest.mark.needs_node]

Visit = Callable[[Page, str], None]
LEAST_TARGET = 24


def walk(page: Page, site: FormSite, lang: str, visit: Visit, theme: str = "") -> None:
    """Lead through all states of the form, and visit each: eight of a person's way, and the two of a lost answer."""
    options = {"lang": lang, "heading": "1", **({"theme": theme} if theme else {})}
    submit = page.locator("otp-form .otp-button")
    site.open(page, **options)
    visit(page, "number")
    submit.click()
    expect(page.locator(".otp-error")).not_to_be_empty()
    visit(page, "number error")
    hard_check(page)
    to_field(page).fill(SPELLED)
    page.keyboard.press("Enter")
    expect(page.locator("otp-form altcha-widget")).to_be_visible()
    visit(page, "human check")
    page.unroute_all()
    site.sent(page, **options)
    code = site.code()
    expect(page.locator(".otp-lead b")).to_be_visible()
    visit(page, "code")
    page.keyboard.type(wrong(code))
    submit.click()
    expect(page.locator(".otp-error")).not_to_be_empty()
    visit(page, "wrong code")
    page.route(re.compile("/resend$"), lambda route: route.fulfill(status=429, headers=OPEN, body=LIMIT))
    site.near_end(page)
    way = page.locator(".otp-ways button").first
    expect(way).to_have_attribute("aria-disabled", "false")
    way.click()
    expect(page.locator(".otp-note")).not_to_be_empty()
    visit(page, "about to expire")
    page.unroute_all()
    site.later(300)
    expect(page.locator(".otp-at-ended")).to_be_visible()
    visit(page, "ended")
    submit.click()
    expect(code_field(page)).to_be_focused()
    page.keyboard.type(site.code(count=2))
    page.keyboard.press("Enter")
    expect(page.locator(".otp-at-done")).to_be_visible()
    visit(page, "verified")


OPEN = {"Access-Control-Allow-Origin": "*", "Content-Type": "application/problem+json"}
LIMIT = json.dumps({"status": 429, "code": "too_many_requests", "detail": "Wait.", "retry_after": 540})


@pytest.mark.parametrize("lang", ["en", "ar"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_any_state(page: Page, site: FormSite, axe: str, scheme: Any, lang: str) -> None:  # noqa: ANN401 - playwright's literal
    """Eight states, in light and dark, from left to right and from right to left."""
    page.emulate_media(color_scheme=scheme)
    seen: dict[str, list[Any]] = {}
    walk(page, site, lang, lambda page, state: seen.update({state: findings(page, axe)}))
    assert {state: found for state, found in seen.items() if found} == {}
    assert len(seen) == 8


def test_axe_would_find_something(page: Page, site: FormSite, axe: str) -> None:
    """A field without its label is found, so that silence means something."""
    site.open(page)
    page.evaluate("document.querySelector('otp-form label').remove()")
    assert "label" in {name for name, _ in findings(page, axe)}


@pytest.mark.parametrize("lang", ["en", "de", "ar", "hi"])
@pytest.mark.parametrize("size", [(320, 640), (320, 256)], ids=["320 px", "400 % of 1280"])
def test_every_state_fits_and_its_targets_are_large(
    page: Page, site: FormSite, size: tuple[int, int], lang: str
) -> None:
    """Nothing scrolls sideways (WCAG 1.4.10), and what can be pressed is at least 24 px (2.5.8)."""
    page.set_viewport_size({"width": size[0], "height": size[1]})
    seen: dict[str, Any] = {}
    walk(page, site, lang, lambda page, state: seen.update({state: page.evaluate(_MEASURE)}))
    assert {state: found["width"] for state, found in seen.items()} == dict.fromkeys(seen, 320)
    for state, found in seen.items():
        assert min(found["targets"], default=LEAST_TARGET) >= LEAST_TARGET, state


_MEASURE = """() => ({
  width: document.documentElement.scrollWidth,
  targets: [...document.querySelectorAll('otp-form :is(button, input, a)')]
    .filter((one) => one.checkVisibility() && !one.closest('altcha-widget'))
    .flatMap((one) => [one.getBoundingClientRect().width, one.getBoundingClientRect().height]),
})"""


def test_nothing_jumps_when_an_error_comes(page: Page, site: FormSite) -> None:
    """The error has a line of its own above the button."""
    page.set_viewport_size({"width": 600, "height": 800})
    site.sent(page)
    expect(page.locator(".otp-lead")).to_contain_text("has arrived")
    button = page.get_by_role("button", name="Verify")
    before = button.bounding_box()
    page.keyboard.press("Enter")
    expect(page.locator(".otp-error")).not_to_be_empty()
    assert button.bounding_box() == before


def test_nothing_moves_for_those_who_asked_for_it(page: Page, site: FormSite) -> None:
    """With reduced motion there is no transition."""
    page.emulate_media(reduced_motion="reduce")
    site.open(page)
    moving = """[...document.querySelectorAll('otp-form *')].some((one) => {
      const style = getComputedStyle(one);
      return style.transitionDuration !== '0s' && style.transitionProperty !== 'none';
    })"""
    assert page.evaluate(moving) is False
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(moving) is True


def test_forced_colours_keep_every_shape(page: Page, site: FormSite) -> None:
    """Field and button have an edge that the system colours."""
    page.emulate_media(forced_colors="active")
    site.sent(page)
    for one in (code_field(page), page.get_by_role("button", name="Verify")):
        assert one.evaluate("(element) => getComputedStyle(element).borderTopStyle") == "solid"
        assert one.evaluate("(element) => parseFloat(getComputedStyle(element).borderTopWidth)") >= 1


def test_a_page_sets_colours_and_sizes(page: Page, site: FormSite) -> None:
    """By variables; the page's own rules win over the form's without any trick."""
    site.open(page)
    page.evaluate("""() => {
      const form = document.querySelector('otp-form');
      form.style.setProperty('--otp-accent', 'rgb(1, 2, 3)');
      form.style.setProperty('--otp-radius', '3px');
    }""")
    button = page.locator("otp-form .otp-button")
    expect(button).to_have_css("background-color", "rgb(1, 2, 3)")
    expect(button).to_have_css("border-radius", "3px")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_page_can_choose_light_or_dark(page: Page, site: FormSite, theme: str) -> None:
    """Whatever the system says."""
    page.emulate_media(color_scheme="dark" if theme == "light" else "light")
    site.open(page, theme=theme)
    ground = page.locator("otp-form").evaluate("(one) => getComputedStyle(one).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 29, 26)"}[theme]


@pytest.mark.parametrize("tag", LANGUAGES)
def test_each_language_has_all_words_and_their_values(tag: str) -> None:
    """The same names in the same order, and in each text the same values as in English."""
    english, own = words("en"), words(tag)
    assert list(own) == list(english)
    for name, text in own.items():
        assert text.strip() == text != ""
        assert re.search(r" [?!:;»]", text) is None, "a line must not begin with a mark: U+202F before it"
        for form in text.split("|"):
            assert set(re.findall(r"\{\w+\}", form)) == set(
                re.findall(r"\{\w+\}", english[name].split("|")[0])
            ), name
    assert len(LANGUAGES) == 12


@pytest.mark.parametrize("tag", LANGUAGES)
def test_a_person_reads_their_own_language(page: Page, site: FormSite, tag: str) -> None:
    """The page's language decides; the form says it of itself, with its direction."""
    site.open(page, lang=tag)
    expect(page.locator("otp-form h2")).to_have_text(words(tag)["title"])
    root = page.locator("otp-form [lang]")
    expect(root).to_have_attribute("lang", tag)
    expect(root).to_have_attribute("dir", "rtl" if tag == "ar" else "ltr")


def test_a_browser_decides_where_a_page_has_no_language_that_is_known(
    browser: Browser, site: FormSite
) -> None:
    """A page in Welsh, a person who also reads Portuguese."""
    context = browser.new_context(locale="pt-BR")
    page = context.new_page()
    page.set_default_timeout(1000 * PATIENCE)
    site.open(page, lang="cy")
    expect(page.get_by_role("heading")).to_have_text(words("pt")["title"])
    context.close()


def test_english_stands_in_for_a_language_that_does_not_load(page: Page, site: FormSite) -> None:
    """Words are no reason to wait."""
    page.route(re.compile(r"/de\.json"), lambda route: route.abort())
    site.open(page, lang="de")
    expect(page.locator("otp-form h2")).to_have_text(words("en")["title"])


@pytest.mark.parametrize(
    ("lang", "tag", "label"),
    [
        ("pl", "pl", "Phone number"),
        ("de", "de", "Telefonnummer"),
        ("pt-BR", "pt-BR", "Número de telefone"),
        ("en", "en", "Phone number"),
    ],
)
def test_a_page_adds_words_of_its_own(page: Page, site: FormSite, lang: str, tag: str, label: str) -> None:
    """A script after the form's changes one text; the others are those of the language, if there are any."""
    own = f"{site.service}/own-words.js"
    words = f'Otp.addLanguage("{tag}", {{ title: "Acme" }})'
    page.route(own, lambda route: route.fulfill(content_type="text/javascript", body=words))
    site.open(page, lang=lang, script=own)
    expect(page.get_by_role("heading")).to_have_text("Acme")
    expect(page.get_by_role("textbox", name=label, exact=True)).to_be_visible()
