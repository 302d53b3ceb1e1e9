"""Pictures of every page of the console, to be looked at: `python -m tests.http.console.pictures [FOLDER]`.

They are no test: whether something looks right, a person sees. By default they go to `var/pictures`, a file for each
page and appearance: light, dark, a phone of 390 px.
"""

import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from tests.support.browser import launch
from tests.support.console_site import PAGES, console_site
from tests.support.patience import PATIENCE
from tests.support.valkey_server import ValkeyServer

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
}


def main(folder: Path) -> None:
    """Take all pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        closing(ValkeyServer(options={"appendonly": "no"})) as valkey,
        console_site(valkey) as site,
        sync_playwright() as playwright,
    ):
        browser = launch(playwright)
        for look, options in LOOKS.items():
            context = browser.new_context(**options)
            page = context.new_page()
            page.set_default_timeout(1000 * PATIENCE)
            site.sign_in(page)
            for name in PAGES:
                site.open(page, name)
                page.screenshot(path=folder / f"console {name}, {look}.png", full_page=True)
            context.close()
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "var/pictures"))
