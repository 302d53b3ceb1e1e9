"""The static page of the examples, in a real browser: the form verifies a number and posts the token."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from flask import Flask, request
from playwright.sync_api import Page, expect

from otp_client import OtpClient
from tests.support.demo_process import Demo, StartDemo
from tests.support.documents import PROJECT
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


def test_the_form_posts_a_token_that_the_backend_redeems(demo: Demo, site: Site, page: Page) -> None:
    """A number, the code that arrives, and one token for a sign-up."""
    page.goto(site.url)
    page.locator("otp-form input[type=tel]").fill(DELIVERED)
    page.keyboard.press("Enter")
    code = page.locator("otp-form input[autocomplete=one-time-code]")
    expect(code).to_be_focused()
    code.fill(demo.code(DELIVERED))
    page.keyboard.press("Enter")
    expect(page.get_by_text("Welcome")).to_be_visible()
    (posted,) = site.posted
    with OtpClient(demo.keys["api"], demo.keys["secret_key"], timeout=PATIENCE) as client:
        assert client.redeem(posted["otp_token"], purpose="signup").phone_number == DELIVERED
