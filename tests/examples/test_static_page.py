"""The static page of the examples and the app of the quickstart, in a real browser: a number, a code, a token."""

import sys
from collections.abc import Iterator
from contextlib import closing

import pytest
from flask import Flask, request
from playwright.sync_api import Page, expect

from otp_client import OtpClient
from tests.examples.test_signups import running
from tests.support.demo_process import Demo, StartDemo
from tests.support.documents import PROJECT, blocks, section
from tests.support.numbers import DELIVERED
from tests.support.patience import PATIENCE
from tests.support.ports import HOST, free_port
from tests.support.sandbox_server import Serving

pytest_plugins = ("tests.support.browser", "tests.support.demo_fixtures")
pytestmark = pytest.mark.needs_chromium
PAGE = PROJECT / "examples" / "static" / "index.html"


class Site:
    """A site that serves the page, filled in as its comment says, and keeps what is posted to it."""

    def __init__(self, demo: Demo, port: int) -> None:
        self.url = f"http://{HOST}:{port}"
        self.posted: list[dict[str, str]] = []
        self._text = (
            PAGE.read_text(encoding="utf-8")
            .replace("http://127.0.0.1:8000", demo.keys["api"])
            .replace("pk_your-publishable-key", demo.keys["publishable_key"])
        )
        self.flask = Flask("static")
        self.flask.add_url_rule("/", view_func=lambda: self._text)
        self.flask.add_url_rule("/session", view_func=self._take, methods=["POST"])

    def _take(self) -> str:
        self.posted.append(request.form.to_dict())
        return "<!doctype html><title>In</title><p>Welcome</p>"


@pytest.fixture
def port() -> int:
    """Choose the port of the site before the demo starts, which must know its origin."""
    return free_port()


@pytest.fixture
def demo(start_demo: StartDemo, port: int) -> Demo:
    """Run a demo that pages of the site may call."""
    return start_demo("--origin", f"http://{HOST}:{port}")


@pytest.fixture
def site(demo: Demo, port: int) -> Iterator[Site]:
    """Serve the page."""
    made = Site(demo, port)
    with closing(Serving(made.flask, port)):
        yield made


def verify(page: Page, demo: Demo) -> None:
    """Type a number, and the code that arrives, which the form submits by itself."""
    page.locator("otp-form input[type=tel]").fill(DELIVERED)
    page.keyboard.press("Enter")
    code = page.locator("otp-form input[autocomplete=one-time-code]")
    expect(code).to_be_focused()
    code.fill(demo.code(DELIVERED))


def test_the_form_posts_a_token_that_the_backend_redeems(demo: Demo, site: Site, page: Page) -> None:
    """A number, the code that arrives, and one token for a sign-up."""
    page.goto(site.url)
    verify(page, demo)
    expect(page.get_by_text("Welcome")).to_be_visible()
    (posted,) = site.posted
    with OtpClient(demo.keys["api"], demo.keys["secret_key"], timeout=PATIENCE) as client:
        assert client.redeem(posted["otp_token"], purpose="signup").phone_number == DELIVERED


def test_the_app_of_the_quickstart_signs_a_person_up(demo: Demo, port: int, page: Page) -> None:
    """Copied from the page, started as it says, beside the demo's keys."""
    (app,) = blocks(section("docs/quickstart.md", "3. Put the form on a page of your own"), "python")
    (demo.folder / "app.py").write_text(app, encoding="utf-8")
    command = [sys.executable, "-m", "flask", "run", "--port", str(port)]
    with running(demo, command, demo.folder, port) as url:
        page.goto(url)
        verify(page, demo)
        expect(page.get_by_text(f"Welcome. {DELIVERED} is yours.")).to_be_visible()
        page.context.clear_cookies()
        refused = page.request.post(url, form={"otp_token": "not.a.token"})
        assert (refused.status, "Welcome" in refused.text()) == (400, False)
