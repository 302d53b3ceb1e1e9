"""The demo's shop in a browser: sign-up, login and a payment, with and without JavaScript, and the phone beside it."""

import re
from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.demo_process import Demo
from tests.support.node_tools import CLIENT, Tools
from tests.support.patience import PATIENCE

pytest_plugins = ("tests.support.browser", "tests.support.demo_fixtures")
pytestmark = pytest.mark.needs_chromium


@pytest.fixture
def shop(page: Page, demo: Demo) -> Iterator[Page]:
    """The shop's first page, with an empty phone on which everything arrives."""
    demo.session.delete(f"{demo.keys['sandbox']}/inbox", timeout=PATIENCE).raise_for_status()
    page.set_viewport_size({"width": 1100, "height": 760})
    page.goto(f"{demo.keys['api']}/demo")
    yield page
    demo.session.delete(f"{demo.keys['sandbox']}/outcomes", timeout=PATIENCE).raise_for_status()


@pytest.fixture
def plain(browser: Browser, demo: Demo) -> Iterator[Page]:
    """The shop's first page, without JavaScript."""
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(f"{demo.keys['api']}/demo")
        yield page


def newest(page: Page) -> Locator:
    """Find the newest message on the phone."""
    return page.locator("#messages li").first


def read_code(page: Page) -> str:
    """Read the newest code on the phone, as a person does."""
    words = page.locator("#messages li button").first.inner_text()
    return words.removeprefix("Copy ")


def sign(page: Page, number: str, link: str = "Sign up", name: str = "Asha") -> None:
    """Ask for a code with a number of the person."""
    page.get_by_role("link", name=link, exact=True).click()
    if link == "Sign up":
        page.get_by_label("Your name").fill(name)
    page.get_by_label("Phone number").fill(number)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Security code")).to_be_visible()


def test_a_newcomer_signs_up_logs_in_and_pays(shop: Page) -> None:
    """From the first page to a confirmed payment; every code is read on the phone beside the shop."""
    sign(shop, "+1 202 555 0103")
    expect(newest(shop)).to_contain_text("SMS to +12025550103")
    shop.get_by_label("Security code").fill(read_code(shop))
    expect(shop.get_by_text("Hello, Asha")).to_be_visible()
    shop.get_by_role("button", name="Sign out").click()
    sign(shop, "+1 (202) 555-0103", "Log in")
    expect(shop.locator("#messages li")).to_have_count(2)
    shop.get_by_label("Security code").fill(read_code(shop))
    expect(shop.get_by_text("Hello, Asha")).to_be_visible()
    shop.get_by_role("link", name="Buy for 49.00 EUR").click()
    expect(newest(shop)).to_contain_text("payment of 49.00 EUR to Acme Shop")
    shop.get_by_label("Security code").fill(read_code(shop))
    expect(shop.get_by_role("heading", name="Thank you")).to_be_visible()


def test_it_all_works_without_javascript(plain: Page, demo: Demo) -> None:
    """Plain forms: a number, a code, a payment; a wrong code is explained in people's words."""
    number = "+12025550104"
    arrived = len(demo.inbox(number))
    sign(plain, number, name="Noor")
    code = demo.code(number, arrived + 1)
    plain.get_by_label("Security code").fill("000000" if code != "000000" else "111111")
    plain.get_by_role("button", name="Verify").click()
    expect(plain.get_by_role("alert")).to_have_text("That code is not right. Try again.")
    plain.get_by_label("Security code").fill(f"{code[:3]}-{code[3:]}")
    plain.get_by_role("button", name="Verify").click()
    expect(plain.get_by_text("Hello, Noor")).to_be_visible()
    plain.get_by_role("link", name="Buy").click()
    plain.get_by_label("Security code").fill(demo.code(number, arrived + 2))
    plain.get_by_role("button", name="Pay 49.00 EUR").click()
    expect(plain.get_by_role("heading", name="Thank you")).to_be_visible()
    assert re.search("[0-9]{6}", plain.url) is None


def test_a_payment_that_is_reloaded_sends_nothing(plain: Page, demo: Demo) -> None:
    """It comes back to its code; another one is sent when the person asks for it."""
    number = "+12025550110"
    arrived = len(demo.inbox(number))
    sign(plain, number, name="Noor")
    plain.get_by_label("Security code").fill(demo.code(number, arrived + 1))
    plain.get_by_role("button", name="Verify").click()
    plain.get_by_role("link", name="Buy").click()
    first = demo.code(number, arrived + 2)
    plain.reload()
    plain.get_by_role("link", name="Send a new code").click()
    second = demo.code(number, arrived + 3)
    assert [row["code"] for row in demo.inbox(number)[:2]] == [second, first]
    plain.get_by_label("Security code").fill(second)
    plain.get_by_role("button", name="Pay 49.00 EUR").click()
    expect(plain.get_by_role("heading", name="Thank you")).to_be_visible()


def test_who_signs_up_in_the_same_browser_pays_with_a_code_of_their_own(plain: Page, demo: Demo) -> None:
    """The payment that somebody else began there is not theirs."""
    code = ""
    for number, name in (("+12025550115", "Noor"), ("+12025550116", "Asha")):
        plain.goto(f"{demo.keys['api']}/demo/sign-up")
        arrived = len(demo.inbox(number))
        plain.get_by_label("Your name").fill(name)
        plain.get_by_label("Phone number").fill(number)
        plain.keyboard.press("Enter")
        plain.get_by_label("Security code").fill(demo.code(number, arrived + 1))
        plain.get_by_role("button", name="Verify").click()
        expect(plain.get_by_text(f"Hello, {name}")).to_be_visible()
        plain.get_by_role("link", name="Buy").click()
        code = demo.code(number, arrived + 2)
    plain.get_by_label("Security code").fill(code)
    plain.get_by_role("button", name="Pay 49.00 EUR").click()
    expect(plain.get_by_role("heading", name="Thank you")).to_be_visible()


def test_an_sms_that_fails_is_seen_to_fall_back_to_whatsapp(shop: Page) -> None:
    """The button stays pressed from page to page; form and phone say the same."""
    shop.get_by_role("button", name="SMS fails").click()
    sign(shop, "+1 202 555 0105")
    expect(shop.get_by_role("button", name="SMS fails")).to_have_attribute("aria-pressed", "true")
    expect(shop.locator(".otp-lead")).to_contain_text("by WhatsApp, because it did not arrive by SMS")
    expect(newest(shop)).to_contain_text("WhatsApp to +12025550105")
    expect(shop.locator("#messages li").nth(1)).to_contain_text("It did not reach this phone.")
    shop.get_by_label("Security code").fill(read_code(shop))
    expect(shop.get_by_text("Hello, Asha")).to_be_visible()


def test_a_call_that_is_not_answered_is_a_missed_call(shop: Page) -> None:
    """SMS and WhatsApp fail, the phone rings, and a code can still come by the last channel."""
    shop.get_by_role("button", name="No answer").click()
    sign(shop, "+1 202 555 0106")
    expect(shop.locator("#messages")).to_contain_text("Missed call")
    expect(newest(shop)).to_contain_text("RCS to +12025550106")
    shop.get_by_label("Security code").fill(read_code(shop))
    expect(shop.get_by_text("Hello, Asha")).to_be_visible()


def test_a_slow_network_is_waited_for(shop: Page) -> None:
    """The form says that it is sending, then that the message has arrived."""
    shop.get_by_role("button", name="Slow").click()
    sign(shop, "+1 202 555 0107")
    expect(shop.locator(".otp-lead")).to_contain_text("We are sending a 6-digit code")
    expect(shop.locator(".otp-lead")).to_contain_text("has arrived")


@pytest.mark.parametrize("path", ["/sign-up", "/pay"])
def test_a_token_for_something_else_opens_nothing(demo: Demo, path: str) -> None:
    """The shop says what a token must be for; one of a login signs nobody up and pays nothing."""
    number = "+12025550108"
    arrived = len(demo.inbox(number))
    challenge = demo.send(number, purpose="login")
    body = {"challenge_id": challenge["challenge_id"], "code": demo.code(number, arrived + 1)}
    token = demo.call("POST", "/otp/verify", body).json()["token"]
    with requests.Session() as person:
        person.trust_env = False
        answer = person.post(f"{demo.keys['api']}/demo{path}", data={"otp_token": token}, timeout=PATIENCE)
        assert answer.status_code == 422
        assert "Hello" not in answer.text
        assert "Thank you" not in answer.text


def test_the_shop_is_reached_by_its_own_files_only(demo: Demo) -> None:
    """A strict policy on every page, cookies that scripts cannot read, and no number in a cookie."""
    answer = requests.get(f"{demo.keys['api']}/demo/login", timeout=PATIENCE)
    assert "default-src 'none'; script-src 'self';" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    sent = requests.post(f"{demo.keys['api']}/demo/login", data={"to": "+12025550109"}, timeout=PATIENCE)
    assert "HttpOnly" in sent.headers["Set-Cookie"]
    assert "SameSite=Lax" in sent.headers["Set-Cookie"]
    assert re.findall(r"https?://[^\"']+", sent.text) == [f"{demo.keys['sandbox']}/inbox"]


@pytest.mark.needs_node
@pytest.mark.parametrize("width", [320, 1100])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_the_shop(
    shop: Page, tmp_path_factory: pytest.TempPathFactory, scheme: str, width: int
) -> None:
    """First page, form and messages, in light and dark; nothing scrolls sideways on a small phone."""
    axe = (
        Tools(tmp_path_factory.mktemp("axe"), CLIENT).folder / "node_modules/axe-core/axe.min.js"
    ).read_text()
    shop.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    shop.set_viewport_size({"width": width, "height": 760})
    for step in ("home", "code"):
        if step == "code":
            sign(shop, "+1 202 555 0101")
            expect(newest(shop)).to_contain_text("arrived")
        shop.evaluate(axe)
        found = shop.evaluate(
            "axe.run().then((done) => done.violations.map((one) => [one.id, one.nodes[0].html]))"
        )
        assert found == []
        assert shop.evaluate("document.documentElement.scrollWidth") == width
