"""A service with something to see on every page of the console: API, worker, upstream and store, over real HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, expect

from otp_service.ops.audit import AuditNote
from otp_service.ops.pins import Pin
from tests.support.form_site import NUMBER, FormSite, form_site
from tests.support.valkey_server import ValkeyServer

OTHER = "12025550101"
PAGES = {
    "now": "",
    "find": "find",
    "routes": "routes",
    "history": "routes/history",
    "version": "routes/history/1",
    "blocks": "blocks",
    "upstreams": "upstreams",
    "apps and keys": "keys",
    "advice": "advice",
    "audit": "audit",
}
"""Every page that a link leads to, by name."""


class ConsoleSite:
    """The service, and an operator's key of its own."""

    def __init__(self, site: FormSite, role: str = "admin") -> None:
        self.site = site
        self.home = f"{site.service}/ops/console/"
        self.key, _ = site.core.keyring.issue("ops", "anna", by="setup", role=role)
        site.core.live_keys.refresh()

    def sign_in(self, page: Page) -> None:
        """Show the key, and wait for the first page."""
        page.goto(f"{self.home}sign-in")
        page.get_by_label("Operator's key").fill(self.key)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Now")).to_be_visible()

    def open(self, page: Page, name: str) -> None:
        """Open a page by its name."""
        page.goto(self.home + PAGES[name])


@contextmanager
def console_site(valkey: ValkeyServer) -> Iterator[ConsoleSite]:
    """Start a service, and do there what leaves something on each page."""
    with form_site(valkey) as site:
        core, note = site.core, AuditNote(by="anna", reason="seen in the console")
        core.begin_policy()
        text = core.policies.newest().text  # type: ignore[union-attr]
        core.policy_changes.apply(text.replace('"30s"', '"12s"', 1), by="anna", reason="SMS arrives in 8 s")
        core.active.refresh()
        core.keyring.issue("secret", "web", by="anna", label="the shop's server")
        core.pins.write(Pin(kind="prefix", subject="+4479", what="refuse"), note)
        core.pins.write(Pin(kind="number", subject=f"+{NUMBER}", what="allow"), note)
        core.breakers.record_fault("main", "whatsapp", 600, 1)
        for place, number in enumerate((NUMBER, NUMBER, OTHER)):
            site.send_by_server(f"+{number}", reference=f"order-{place}")
        core.journal.hand_over()
        yield ConsoleSite(site)
