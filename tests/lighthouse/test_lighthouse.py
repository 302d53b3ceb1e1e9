"""Lighthouse gives the shop, the form in it and the console 100 for accessibility and for best practices."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask

from tests.support.browser import ARGS
from tests.support.console_site import PAGES, console_site
from tests.support.demo_process import Demo
from tests.support.form_site import FormSite
from tests.support.node_tools import Tools
from tests.support.patience import PATIENCE
from tests.support.sandbox_server import Serving
from tests.support.valkey_server import ValkeyServer

pytest_plugins = ("tests.support.demo_fixtures", "tests.support.form_fixtures")
pytestmark = [pytest.mark.needs_node, pytest.mark.needs_chromium]
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def lighthouse(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    """Lighthouse, from the lock file of this folder."""
    return Tools(tmp_path_factory.mktemp("lighthouse"), HERE)


def findings(lighthouse: Tools, address: str, **headers: str) -> dict[str, list[str]]:
    """Load a page as Lighthouse does, with more headers, and list for each category what costs points."""
    report = lighthouse.folder / "report.json"
    done = lighthouse.run(
        "lighthouse",
        address,
        "--quiet",
        "--no-enable-error-reporting",
        "--only-categories=accessibility,best-practices",
        f"--max-wait-for-load={int(4000 * PATIENCE)}",  # a slow machine takes longer than its usual 45 s
        "--output=json",
        f"--extra-headers={json.dumps(headers)}",
        f"--output-path={report}",
        f"--chrome-flags=--headless=new {' '.join(ARGS)}",
        CHROME_PATH=shutil.which("chromium") or "",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return {
        name: [
            one["id"]
            for one in category["auditRefs"]
            if one["weight"] and told["audits"][one["id"]]["score"] not in {None, 1}
        ]
        for name, category in told["categories"].items()
    }


@pytest.mark.parametrize("path", ["/demo", "/demo/sign-up"])
def test_lighthouse_finds_nothing(lighthouse: Tools, demo: Demo, path: str) -> None:
    """The first page, and the one with the form."""
    assert findings(lighthouse, demo.keys["api"] + path) == {"accessibility": [], "best-practices": []}


def test_lighthouse_finds_nothing_at_the_step_of_the_code(lighthouse: Tools, site: FormSite) -> None:
    """Under the strictest policy for content, with a message on its way."""
    address = site.address(challenge=site.send_by_server(), restart="/elsewhere")
    assert findings(lighthouse, address) == {"accessibility": [], "best-practices": []}


@pytest.fixture(scope="module")
def console(valkey: ValkeyServer) -> Iterator[tuple[str, str]]:
    """Give the address of a console with something on each page, and the cookie of a session."""
    with console_site(valkey) as site, requests.Session() as browser:
        browser.trust_env = False
        key = {"key": (None, site.key)}
        headers = {"Sec-Fetch-Site": "same-origin"}
        answer = browser.post(f"{site.home}sign-in", files=key, headers=headers, timeout=PATIENCE)
        assert "<h1>Now</h1>" in answer.text
        yield site.home, "; ".join(f"{one.name}={one.value}" for one in browser.cookies)


@pytest.mark.parametrize("name", ["now", "routes", "upstreams"])
def test_lighthouse_finds_nothing_in_the_console(
    lighthouse: Tools, console: tuple[str, str], name: str
) -> None:
    """The pages with the most in them, of an operator who is signed in."""
    home, cookie = console
    found = findings(lighthouse, home + PAGES[name], Cookie=cookie)
    assert found == {"accessibility": [], "best-practices": []}


def test_lighthouse_would_find_something(lighthouse: Tools) -> None:
    """A page without language, title and document type, so that silence means something."""
    flask = Flask("bad")
    flask.add_url_rule("/", view_func=lambda: "<p>Hello")
    with closing(Serving(flask)) as server:
        found = findings(lighthouse, server.url)
    assert {"document-title", "html-has-lang"} <= set(found["accessibility"])
    assert "doctype" in found["best-practices"]


def test_the_lock_file_names_no_registry() -> None:
    """Whoever installs it asks the registry that is set up there; every file has its hash."""
    lock = (HERE / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in lock
    assert not re.search(r'"integrity": "(?!sha512-)', lock)
