"""The inbox page, as a person sees it in a real browser."""

from contextlib import closing

import pytest
import requests
from playwright.sync_api import Locator, Page, expect

from otp_service.sandbox import create_sandbox
from tests.support.sandbox_server import (
    BRIDGE,
    DELIVERED,
    TOKEN,
    USUAL,
    Receiver,
    Running,
    Serving,
    Start,
    usual,
)

pytest_plugins = ("tests.support.browser", "tests.support.sandbox_fixtures")
pytestmark = pytest.mark.needs_chromium


def messages(page: Page) -> Locator:
    """Return the messages on the page."""
    return page.locator("#messages > li")


def opened(page: Page, sandbox: Running, query: str = "") -> Page:
    """Open the page and see it connected."""
    page.goto(f"{sandbox.url}/{query}")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    return page


def test_a_message_appears_by_itself_newest_first(page: Page, sandbox: Running) -> None:
    """With its code, and announced to screen readers."""
    opened(page, sandbox)
    expect(page.get_by_text("No messages yet.")).to_be_visible()
    sandbox.send(message="Your first code is 111222")
    expect(messages(page)).to_have_count(1)
    sandbox.send(message="Your second code is 333444")
    expect(messages(page)).to_have_count(2)
    expect(messages(page).first.locator("output")).to_have_text("333444")
    expect(messages(page).first.get_by_text("DELIVRD")).to_be_visible()
    expect(page.locator("#news")).to_have_text("New message from TXTSMS to +12025550100, code 3 3 3 4 4 4")


def test_the_focus_stays_where_it_was_when_a_message_arrives(page: Page, sandbox: Running) -> None:
    """Keyboard users do not lose their place."""
    sandbox.send(message="code 111222")
    button = opened(page, sandbox).get_by_role("button", name="Copy code 111222")
    button.focus()
    sandbox.send(message="code 333444")
    expect(messages(page)).to_have_count(2)
    expect(button).to_be_focused()


def test_a_status_changes_on_the_open_page(page: Page, start: Start) -> None:
    """From waiting to its end, in place."""
    sandbox = start(usual(report_delay=3600))
    opened(page, sandbox)
    sandbox.send(to="12025550110")
    expect(messages(page).locator(".status")).to_have_text("AWAITING-DLR")
    mailbox = sandbox.sandbox.mailbox  # where its report would end it, before or after the page has shown it
    mailbox.set_status(mailbox.newest(1)[0], "UNDELIV", 1_700_000_000.0)
    expect(messages(page).locator(".status")).to_have_text("UNDELIV")


def test_the_code_is_copied_by_its_button(page: Page, sandbox: Running) -> None:
    """And the button says that it is done."""
    page.add_init_script("window.setTimeout = () => 0;")  # what it says stays
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    sandbox.send(message="code 482913")
    opened(page, sandbox).get_by_role("button", name="Copy code 482913").click()
    expect(messages(page).get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "482913"


def test_markup_in_a_message_is_text(page: Page, sandbox: Running) -> None:
    """Whatever field it comes in, it is shown as it was sent and nothing of it runs."""
    markup = "<img src=x onerror=\"document.title='owned'\"><b>bold</b> 482913"
    sandbox.send(message=markup, sender="<i>S</i>")
    opened(page, sandbox)
    expect(messages(page).locator(".text")).to_have_text(markup)
    expect(messages(page).locator(".from")).to_have_text("<i>S</i>")
    assert messages(page).locator("img, b, i").count() == 0
    assert page.title() == "Sandbox inbox"


def test_the_filter_shows_one_number_and_survives_a_reload(page: Page, sandbox: Running) -> None:
    """Part of a number is enough, and older numbers are found too."""
    sandbox.send(to="12125550111", message="old 1111")
    sandbox.send(to=",".join(str(13125550000 + number) for number in range(250)))
    opened(page, sandbox)
    box = page.get_by_label("Show one number only")
    box.fill("+1 312 555 0249")
    expect(messages(page)).to_have_count(1)
    box.fill("no digits match 99999")
    expect(page.get_by_text("No message to no digits match 99999")).to_be_visible()
    box.fill("+12125550111")
    expect(messages(page).locator("output")).to_have_text("1111")
    page.reload()
    expect(messages(page).locator("output")).to_have_text("1111")


def test_clearing_empties_the_page(page: Page, sandbox: Running) -> None:
    """And the inbox."""
    sandbox.send()
    opened(page, sandbox)
    expect(messages(page)).to_have_count(1)
    page.get_by_role("button", name="Clear all").click()
    expect(messages(page)).to_have_count(0)
    assert sandbox.inbox() == []


def test_a_restart_of_the_sandbox_is_survived(page: Page) -> None:
    """The page says that the connection is lost, and comes back by itself without the old messages."""
    first = create_sandbox(USUAL)
    with closing(Serving(first)) as serving, closing(first.extensions["sandbox"]):
        page.goto(serving.url)
        expect(page.get_by_text("Live", exact=True)).to_be_visible()
        sandbox = Running(first, serving.url, requests.Session())
        with sandbox.client:
            sandbox.client.headers["Authorization"] = f"Bearer {TOKEN}"
            sandbox.send()
        expect(messages(page)).to_have_count(1)
    expect(page.get_by_text("Connection lost, retrying")).to_be_visible()
    second = create_sandbox(USUAL)
    with closing(Serving(second, serving.port)), closing(second.extensions["sandbox"]):
        expect(page.get_by_text("Live", exact=True)).to_be_visible()
        expect(messages(page)).to_have_count(0)


def test_the_page_fits_a_small_phone(page: Page, sandbox: Running) -> None:
    """Nothing is wider than 360 pixels, however long the words."""
    sandbox.send(message="x" * 300, sender="A" * 60)
    opened(page, sandbox)
    expect(messages(page)).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_the_forced_outcomes_stand_on_the_page(page: Page, sandbox: Running) -> None:
    """Each with its numbers."""
    opened(page, sandbox, "#outcomes")
    section = page.get_by_role("region", name="Forced outcomes")
    expect(section.get_by_text("no_credits", exact=True)).to_be_visible()
    expect(section.get_by_text("+12025550130")).to_be_visible()


@pytest.mark.parametrize(
    ("channel", "name"), [("whatsapp", "WhatsApp"), ("rcs", "RCS"), ("mip", "MIP"), ("sms", "SMS")]
)
def test_a_message_shows_its_channel(page: Page, sandbox: Running, channel: str, name: str) -> None:
    """With the name that people know, and the code."""
    sandbox.send_by(channel)
    opened(page, sandbox)
    expect(messages(page).locator(".channel")).to_have_text(name)
    expect(messages(page).locator("output")).to_have_text("482913")


def test_a_call_shows_what_is_said(page: Page, sandbox: Running) -> None:
    """As speech, with the code of its single digits and how the call ended."""
    said = {"bridge": BRIDGE, "to": "61491576801", "text": "Your code is 4, 8, 2, 9, 1, 3."}
    sandbox.post("outgoing/tts", said)
    opened(page, sandbox)
    expect(messages(page).locator(".channel")).to_have_text("Voice")
    expect(messages(page).locator(".text")).to_have_text(said["text"])
    expect(messages(page).locator("output")).to_have_text("482913")
    expect(messages(page).locator('.status[data-kind="bad"]')).to_have_text("BUSY")


def test_with_several_accounts_a_message_shows_its_own(page: Page, start: Start) -> None:
    """With one account there is nothing to distinguish."""
    sandbox = start(usual(tokens={TOKEN: "main", "second": "spare"}))
    sandbox.send()
    opened(page, sandbox)
    expect(messages(page)).to_have_count(1)
    expect(messages(page).get_by_text("via main")).to_be_hidden()
    sandbox.client.headers["Authorization"] = "Bearer second"
    sandbox.send()
    expect(messages(page).get_by_text("via spare")).to_be_visible()
    expect(messages(page).get_by_text("via main")).to_be_visible()


def test_the_phone_replies(page: Page, start: Start, receiver: Receiver) -> None:
    """From the number of the newest message, over the chosen channel; subscribers receive it."""
    sandbox = start(usual(report_url=receiver.url))
    sandbox.send_by("whatsapp", DELIVERED)
    receiver.next_of(2)
    opened(page, sandbox)
    expect(page.get_by_label("Phone that replies")).to_have_value(f"+{DELIVERED}")
    page.get_by_label("Channel of the reply").select_option("WhatsApp")
    page.get_by_label("Text of the reply").fill("STOP")
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"Sent to {BRIDGE}.")).to_be_visible()
    expect(page.get_by_label("Text of the reply")).to_have_value("")
    payload = receiver.next().payload
    assert payload["channels"] == [{"name": "whatsapp", "to": BRIDGE}]


def test_a_reply_that_cannot_be_says_why(page: Page, sandbox: Running) -> None:
    """And keeps what was typed."""
    opened(page, sandbox)
    page.get_by_label("Phone that replies").fill("nobody")
    page.get_by_label("Text of the reply").fill("STOP")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("Not sent. The from is invalid.")).to_be_visible()
    expect(page.get_by_label("Text of the reply")).to_have_value("STOP")


def test_all_controls_are_reached_by_keyboard(page: Page, sandbox: Running) -> None:
    """In the order in which they stand."""
    sandbox.send(message="code 482913")
    opened(page, sandbox)
    expect(messages(page)).to_have_count(1)
    names = []
    for _ in range(7):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.id"))
    assert names == [
        "filter",
        "clear",
        "Copy code 482913",
        "reply-from",
        "reply-channel",
        "reply-text",
        "",
    ]
