"""Pictures of every state of the form and the shop, to be looked at: `python -m tests.form.pictures [FOLDER]`.

They are no test: whether something looks right, a person sees. By default they go to `var/pictures`, one sheet for each
appearance: light, dark, a phone of 390 px, right to left, forced colours, and for the shop 320 px and 400 % zoom, too.
"""

import re
import sys
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from otp_service.sandbox import Outcome
from tests.form.test_human_check import hard_check
from tests.support.browser import launch
from tests.support.demo_process import Demo
from tests.support.form_site import SPELLED, FormSite, code_field, form_site, to_field, wrong
from tests.support.languages import words
from tests.support.patience import PATIENCE, until
from tests.support.valkey_server import ValkeyServer

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "width": 560},
    "dark": {"color_scheme": "dark", "width": 560},
    "phone": {"color_scheme": "light", "width": 390},
    "right to left": {"color_scheme": "light", "width": 390, "lang": "ar"},
    "forced colours": {"forced_colors": "active", "width": 560},
    "forced colours, dark": {"forced_colors": "active", "color_scheme": "dark", "width": 560},
}
SHOP_LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "width": 1100, "height": 760},
    "dark": {"color_scheme": "dark", "width": 1100, "height": 760},
    "phone": {"color_scheme": "light", "width": 390, "height": 844},
    "320 px": {"color_scheme": "light", "width": 320, "height": 640},
    "400 % zoom": {"color_scheme": "light", "width": 320, "height": 256, "scale": 4},
    "forced colours": {"forced_colors": "active", "width": 1100, "height": 760},
}
Shots = dict[str, bytes]
OPEN = {"Access-Control-Allow-Origin": "*", "Content-Type": "application/problem+json"}
BUSY = '{"status": 503, "code": "busy", "detail": "Busy.", "retry_after": 1}'


@contextmanager
def looking(browser: Browser, look: dict[str, Any]) -> Iterator[Page]:
    """Open a page with an appearance."""
    media = {name: look[name] for name in ("color_scheme", "forced_colors") if name in look}
    size = {"width": look["width"], "height": look.get("height", 700)}
    context = browser.new_context(viewport=size, device_scale_factor=look.get("scale", 1), **media)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(1000 * PATIENCE)
    yield page
    context.close()


def form_states(page: Page, site: FormSite, lang: str) -> Iterator[str]:  # noqa: PLR0915 - a walk, step by step
    """Lead through every state of the form, and give each one's name while it stands there."""
    options = {"lang": lang, "heading": "1"}
    submit, note = page.locator("otp-form .otp-button"), page.locator(".otp-note")
    site.open(page, **options)
    to_field(page).focus()
    yield "number"
    submit.click()
    expect(page.locator(".otp-error")).not_to_be_empty()
    yield "no number"
    hard_check(page)
    to_field(page).fill(SPELLED)
    page.keyboard.press("Enter")
    expect(page.locator("otp-form altcha-widget")).to_be_visible()
    yield "human check"
    page.unroute_all()
    site.open(page, **options)
    page.route(re.compile("/otp/send$"), lambda route: route.abort())
    page.clock.install()
    to_field(page).fill(SPELLED)
    page.keyboard.press("Enter")
    yield "at work"
    pass_until_said(page)
    yield "offline"
    page.unroute_all()
    page.keyboard.press("Enter")
    expect(code_field(page)).to_be_focused()
    site.code()
    yield "code"
    page.keyboard.type(wrong(site.code()))
    page.keyboard.press("Enter")
    expect(page.locator(".otp-error")).not_to_be_empty()
    yield "wrong code"
    page.route(re.compile("/otp/verify$"), lambda route: route.fulfill(status=503, headers=OPEN, body=BUSY))
    code_field(page).fill("")
    page.keyboard.type(site.code())
    page.keyboard.press("Enter")
    pass_until_said(page)
    yield "busy"
    page.unroute_all()
    site.later(31)
    call = page.get_by_role("button", name=words(lang)["call"])
    pass_until(page, lambda: call.get_attribute("aria-disabled") == "false")
    yield "other ways"
    site.outcome("voice", Outcome.SILENT)
    call.click()
    expect(page.get_by_role("heading")).to_have_text(words(lang)["callTitle"])
    yield "ringing"
    site.later(215)
    pass_until(page, lambda: "0:" in (note.text_content() or ""))
    yield "about to expire"
    site.later(300)
    pass_until(page, page.locator(".otp-at-ended").is_visible)
    yield "ended"
    site.sandbox.extensions["sandbox"].outcomes.release()
    site.outcome("sms", Outcome.UNDELIVERED)
    sent = len(site.inbox())
    submit.click()
    expect(code_field(page)).to_be_focused()
    until(lambda: len(site.inbox()) == sent + 2)
    pass_until(page, lambda: words(lang)["whatsapp"] in page.locator(".otp-lead").inner_text())
    yield "another channel instead"
    code_field(page).fill(site.code())
    expect(page.locator(".otp-at-done")).to_be_visible()
    yield "verified"


def pass_until_said(page: Page) -> None:
    """Let time pass in the page until it gives a call up."""
    pass_until(page, lambda: bool(page.locator(".otp-note").text_content()))


def pass_until(page: Page, holds: Callable[[], bool]) -> None:
    """Let time pass in the page until something holds."""

    def held() -> bool:
        page.clock.run_for(1000)
        return holds()

    until(held, pause=0.05)


def shop_states(page: Page, demo: Demo) -> Iterator[str]:
    """Lead through the shop: sign-up with an SMS that fails, payment, thanks."""
    page.goto(f"{demo.keys['api']}/demo")
    expect(page.locator("#quiet")).to_be_visible()
    yield "home"
    page.get_by_role("button", name="SMS fails").click()
    page.get_by_role("link", name="Sign up", exact=True).click()
    page.get_by_label("Your name").fill("Asha")
    page.get_by_label("Phone number").fill(SPELLED)
    yield "sign up"
    page.keyboard.press("Enter")
    expect(page.locator(".otp-lead")).to_contain_text("by WhatsApp")
    expect(page.locator("#messages li").first).to_contain_text("WhatsApp")
    yield "code"
    page.get_by_label("Security code").fill(code_on_phone(page))
    page.get_by_role("link", name="Buy for 49.00 EUR").click()
    expect(page.locator("#messages li").first).to_contain_text("payment of")
    yield "pay"
    page.get_by_label("Security code").fill(code_on_phone(page))
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    yield "paid"


def code_on_phone(page: Page) -> str:
    """Read the newest code, as a person does."""
    return page.locator("#messages li button").first.inner_text().removeprefix("Copy ")


def draw_form(browser: Browser, site: FormSite, look: dict[str, Any]) -> Shots:
    """Take a picture of every state of the form."""
    parts = site.sandbox.extensions["sandbox"]
    parts.mailbox.clear()
    parts.outcomes.release()
    with looking(browser, look) as page:
        return {
            name: page.screenshot(full_page=True) for name in form_states(page, site, look.get("lang", "en"))
        }


def draw_shop(browser: Browser, demo: Demo, look: dict[str, Any]) -> Shots:
    """Take a picture of every page of the shop, with an empty phone before."""
    for path in ("inbox", "outcomes"):
        demo.session.delete(f"{demo.keys['sandbox']}/{path}", timeout=PATIENCE).raise_for_status()
    with looking(browser, look) as page:
        return {name: page.screenshot(full_page=True) for name in shop_states(page, demo)}


def write_sheet(browser: Browser, folder: Path, title: str, shots: Shots) -> None:
    """Write each picture, and one sheet with all of them."""
    figures = []
    for name, shot in shots.items():
        (folder / f"{title}, {name}.png").write_bytes(shot)
        image = f'<img src="data:image/png;base64,{b64encode(shot).decode()}" style="max-width:700px">'
        figures.append(f"<figure style='margin:0'><figcaption>{name}</figcaption>{image}</figure>")
    page = browser.new_page(viewport={"width": 2000, "height": 800})
    page.set_content(
        f"<div style='display:flex;flex-wrap:wrap;gap:12px;align-items:start'>{''.join(figures)}</div>"
    )
    page.screenshot(path=folder / f"{title}.png", full_page=True)
    page.close()


def main(folder: Path) -> None:
    """Draw everything."""
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, closing(launch(playwright)) as browser:
        with closing(ValkeyServer()) as valkey, form_site(valkey) as site:
            for name, look in LOOKS.items():
                write_sheet(browser, folder, f"form {name}", draw_form(browser, site, look))
                site.core.scripts.offset = 0
        with tempfile.TemporaryDirectory() as var, closing(Demo(Path(var))) as demo:
            for name, look in SHOP_LOOKS.items():
                write_sheet(browser, folder, f"shop {name}", draw_shop(browser, demo, look))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "var/pictures"))
