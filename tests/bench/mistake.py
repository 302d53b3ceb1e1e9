"""How soon a mistake in the policy's text stands beside its line in the console, in a real browser.

From the key to the line: the pause after which a text is checked, the request, the parse in a process with limits, and
what the browser draws. A person reads what was said before going on, so a moment passes between two mistakes.
"""

import time
from collections.abc import Iterator
from contextlib import closing
from statistics import median, quantiles

from playwright.sync_api import Page, expect, sync_playwright

from tests.bench.figures import Figure
from tests.support.browser import launch
from tests.support.console_site import console_site
from tests.support.patience import PATIENCE
from tests.support.valkey_server import ValkeyServer

WITHIN = 300.0
"""Milliseconds within which 19 of 20 mistakes must be shown."""
READING = 1.5
"""Seconds between two mistakes."""
FIRST = 2
"""Mistakes that are not counted: as soon as someone types, the next process is started ahead."""
_WATCH = """() => {
  const text = document.querySelector('textarea'), found = document.querySelector('#mistakes');
  window.began = window.seen = 0;
  text.addEventListener('input', () => { window.began = performance.now(); }, { once: true });
  const observer = new MutationObserver(() => {
    if (!window.began || !found.querySelector('li')) return;
    window.seen = performance.now();
    observer.disconnect();
  });
  observer.observe(found, { subtree: true, childList: true });
}"""
"""Remembers when a text was changed, and when the first mistake stood beside it."""


def mistaken(times: int) -> Iterator[Figure]:
    """Make so many mistakes, one after another, each after the one before was mended."""
    with (
        closing(ValkeyServer(options={"appendonly": "no"})) as valkey,
        console_site(valkey) as site,
        sync_playwright() as playwright,
    ):
        browser = launch(playwright)
        page = browser.new_context(bypass_csp=True).new_page()
        page.set_default_timeout(1000 * PATIENCE)
        site.sign_in(page)
        site.open(page, "routes")
        took = [_shown_after(page, place) for place in range(FIRST + times)][FIRST:]
        browser.close()
    slowest = quantiles(took, n=20)[18] if times > 1 else took[0]
    note = f"median {median(took):.0f} ms of {times}"
    yield Figure("a mistake stands at its line: p95", slowest, "ms", note, most=WITHIN)


def _shown_after(page: Page, place: int) -> float:
    """Make a mistake and mend it; return the milliseconds until it was shown."""
    text = page.get_by_label("The text")
    before = text.input_value()
    time.sleep(READING)
    page.evaluate(_WATCH)
    text.fill(before.replace('"12s"', f'"{place} of them"'))
    page.wait_for_function("window.seen > 0")
    took = float(page.evaluate("window.seen - window.began"))
    time.sleep(READING)
    text.fill(before)
    expect(page.locator("#mistakes li")).to_have_count(0)
    return took
