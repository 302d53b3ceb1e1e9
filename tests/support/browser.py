"""A real browser for tests of pages. A test module asks for it with `pytest_plugins` and is marked `needs_chromium`."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from tests.support.patience import PATIENCE

ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Run one browser for all tests."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


def launch(playwright: Playwright) -> Browser:
    """Run the system's Chromium, which must be there."""
    chromium = shutil.which("chromium")
    assert chromium, "needs the system's Chromium: apt-get install chromium"
    expect.set_options(timeout=1000 * PATIENCE)
    return playwright.chromium.launch(executable_path=chromium, args=ARGS)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Open a phone's page, which fails its test if the page itself reports an error."""
    context = browser.new_context(viewport={"width": 360, "height": 740})
    page = context.new_page()
    page.set_default_timeout(1000 * PATIENCE)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if "Security Policy" in line.text else None)
    yield page
    context.close()
    assert errors == []
