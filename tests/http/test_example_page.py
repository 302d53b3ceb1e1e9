"""The example page and the real widget in a real browser, before an API that asks for a human check first."""

import re
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask, request
from playwright.sync_api import Page, expect

from otp_service import typed
from otp_service.errors import Busy, HumanCheckFailed, HumanCheckRequired, WrongCode
from otp_service.guard.human_check import LEAST, ProofOfWork
from otp_service.http import app as http_app
from otp_service.http.pages import scripts
from otp_service.http.pages.example import example
from tests.conftest import ORIGIN, POLICY, PUBLISHABLE, make_core
from tests.support.demo_process import Demo
from tests.support.ports import free_port
from tests.support.sandbox_server import Serving
from tests.support.valkey_server import ValkeyServer

pytest_plugins = ("tests.support.browser", "tests.support.demo_fixtures")
pytestmark = pytest.mark.needs_chromium
NUMBER, CODE, TOKEN = "+12025550100", "482913", "header.claims.signature"
Answer = tuple[dict[str, Any], int]


@dataclass
class Service:
    """Stands for the API behind the page, with the product's own judge of proofs."""

    check: ProofOfWork = field(default_factory=lambda: ProofOfWork(b"k" * 32))
    kind: str = "altcha"
    proofs: list[str] = field(default_factory=list)
    """The ids of the proofs that were good."""
    change: dict[str, Any] = field(default_factory=dict)
    """What a page that reads the challenge learns; while there is nothing, reading fails."""

    def send(self) -> Answer:
        """Ask for a check; with a good proof of this number start a challenge."""
        body = request.get_json()
        now = time.time_ns() // 1_000_000
        if "human_proof" not in body:
            posed = self.check.pose(body["to"], effort=LEAST, now=now)
            error = HumanCheckRequired({**posed, "kind": self.kind})
            return {"code": error.code, "detail": error.detail, "human_check": error.check}, 403
        try:
            self.proofs.append(self.check.verify(body["human_proof"], body["to"], now=now).id)
        except HumanCheckFailed as error:
            return {"code": error.code, "detail": error.detail}, 422
        return self.challenge(), 202

    def resend(self, challenge_id: str) -> Answer:
        """Send again."""
        assert challenge_id == self.challenge()["challenge_id"]
        return {**self.challenge(), "channel": "voice"}, 202

    def read(self, challenge_id: str) -> Answer:
        """Show the challenge as it is now."""
        assert challenge_id == self.challenge()["challenge_id"]
        if self.change:
            return {**self.challenge(), **self.change}, 200
        return {"code": Busy.code, "detail": Busy.detail}, 503

    def verify(self) -> Answer:
        """Take the one code, however it is typed, as the service does."""
        body = request.get_json()
        if (body["challenge_id"], typed.digits(body["code"])) == ("2aH3b0sYp1c7", CODE):
            return {**self.challenge(), "token": TOKEN}, 200
        error = WrongCode(4)
        return {"code": error.code, "detail": error.detail}, 400

    def challenge(self) -> dict[str, Any]:
        """Show what a page needs."""
        return {
            "challenge_id": "2aH3b0sYp1c7",
            "to": "+1********00",
            "status": "pending",
            "channel": "sms",
            "resend_in": 30,
            "sends_left": 3,
            "code_length": 6,
        }


@pytest.fixture
def service() -> Service:
    """Give the API's state."""
    return Service()


@pytest.fixture
def url(service: Service) -> Iterator[str]:
    """Serve the page, the widget and that API from one origin."""
    flask = Flask(__name__)
    flask.register_blueprint(scripts.views)
    flask.register_blueprint(example(PUBLISHABLE))
    flask.add_url_rule("/otp/send", view_func=service.send, methods=["POST"])
    flask.add_url_rule("/otp/verify", view_func=service.verify, methods=["POST"])
    flask.add_url_rule("/otp/<challenge_id>", view_func=service.read, methods=["GET"])
    flask.add_url_rule("/otp/<challenge_id>/resend", view_func=service.resend, methods=["POST"])
    with closing(Serving(flask)) as serving:
        yield serving.url


def sent(page: Page, url: str, number: str = NUMBER) -> Page:
    """Ask for a code on the page."""
    page.goto(f"{url}/try")
    page.get_by_label("Phone number").fill(number)
    page.get_by_role("button", name="Send code").click()
    return page


def test_a_person_solves_the_check_by_waiting_and_is_verified(page: Page, url: str, service: Service) -> None:
    """The widget solves the check, the service accepts the result, and no click is needed."""
    sent(page, url)
    expect(page.get_by_text("A code is on its way to +1********00 by SMS.")).to_be_visible()
    assert len(service.proofs) == 1
    expect(page.get_by_label("Code", exact=True)).to_be_focused()
    page.keyboard.type("482 913")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Verified.")).to_be_visible()
    expect(page.locator("#token")).to_have_text(TOKEN)


def test_a_newcomer_is_verified_in_the_demo(page: Page, demo: Demo) -> None:
    """On the page of the running demo: send, read the inbox, type; the token is real."""
    arrived = len(demo.inbox(NUMBER))
    sent(page, demo.keys["api"])
    expect(page.get_by_text("A code is on its way to +1********00 by SMS.")).to_be_visible()
    page.get_by_label("Code", exact=True).fill(demo.code(NUMBER, arrived + 1))
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_text("Verified.")).to_be_visible()
    assert page.locator("#token").inner_text().count(".") == 2


def test_the_page_follows_a_code_that_does_not_arrive(page: Page, demo: Demo) -> None:
    """When another channel carries the code, the page names it."""
    sent(page, demo.keys["api"], "+12025550110")
    expect(page.get_by_text("A code is on its way to +1********10 by WhatsApp.")).to_be_visible()


def test_a_bad_field_is_explained_by_the_rule_that_it_breaks(page: Page, demo: Demo) -> None:
    """The problem's `detail` is the same for all fields."""
    sent(page, demo.keys["api"], "1" * 65)
    expect(page.get_by_role("alert")).to_have_text("The phone number must be 3 to 40 characters.")


def test_the_guards_own_check_is_solved(page: Page, valkey: ValkeyServer) -> None:
    """The second send from an address requires a check, which the page solves and the guard accepts."""
    port = free_port()
    text = POLICY.replace(ORIGIN, f"http://127.0.0.1:{port}") + '[guard.address]\nhuman_check = ["1/h"]\n'
    core = make_core(valkey.url, "http://127.0.0.1:9", text=text, example_key=PUBLISHABLE)
    with closing(core), closing(Serving(http_app.web(core), port)) as serving:
        sent(page, serving.url)
        expect(page.locator("#code")).to_be_visible()
        asked: list[str] = []
        page.on("response", lambda answer: asked.append(f"{answer.status} {answer.url[-9:]}"))
        sent(page, serving.url, "+12025550101")
        expect(page.get_by_text("A code is on its way to +1********01 by SMS.")).to_be_visible()
        assert [one for one in asked if one.endswith("/otp/send")] == ["403 /otp/send", "202 /otp/send"]


def test_the_widget_works_under_the_pages_policy(page: Page, url: str) -> None:
    """It is visible while it works, with its style, and its workers run; `page` fails on any violation."""
    sent(page, url)
    expect(page.locator("altcha-widget")).to_be_visible()
    assert page.locator("style#altcha-css").count() == 1
    expect(page.locator("#code")).to_be_visible()


def test_a_wrong_code_is_reported_and_can_be_corrected(page: Page, url: str) -> None:
    """The page announces it where the person types, also to screen readers."""
    sent(page, url)
    page.get_by_label("Code", exact=True).fill("000000")
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_role("alert")).to_have_text(WrongCode(4).detail)
    page.get_by_label("Code", exact=True).fill(CODE)
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_text("Verified.")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_empty()


def test_sending_again_waits_for_the_cooldown(page: Page, url: str, service: Service) -> None:
    """The button counts down, then sends over the next channel."""
    page.clock.install()
    sent(page, url)
    again = page.locator("#again")
    expect(again).to_be_disabled()
    expect(again).to_have_text(re.compile("Send again in [0-9]+ s"))
    page.clock.run_for(20_000)
    expect(again).to_be_disabled()
    page.clock.run_for(11_000)
    expect(again).to_have_text("Send again")
    again.click()
    expect(page.get_by_text("A code is on its way to +1********00 by phone call.")).to_be_visible()


def test_a_fallback_starts_the_countdown_anew(page: Page, url: str, service: Service) -> None:
    """The page asks every two seconds while the challenge is pending."""
    page.clock.install()
    sent(page, url)
    expect(page.locator("#code")).to_be_visible()
    service.change = {"channel": "whatsapp", "resend_in": 60}
    page.clock.run_for(2_000)
    expect(page.get_by_text("A code is on its way to +1********00 by WhatsApp.")).to_be_visible()
    page.clock.run_for(250)
    expect(page.locator("#again")).to_have_text(re.compile("Send again in (60|5[0-9]) s"))


def test_a_code_that_no_channel_delivers_is_reported(page: Page, url: str, service: Service) -> None:
    """It cannot be sent again; another number can be tried."""
    page.clock.install()
    sent(page, url)
    expect(page.locator("#code")).to_be_visible()
    service.change = {"status": "undeliverable", "resend_in": 0, "sends_left": 0}
    page.clock.run_for(2_000)
    expect(page.get_by_text("The code could not be delivered.")).to_be_visible()
    page.clock.run_for(250)
    expect(page.locator("#again")).to_be_disabled()
    expect(page.locator("#again")).to_have_text("Send again")
    page.get_by_role("button", name="New number").click()
    expect(page.get_by_label("Phone number")).to_be_focused()


def test_an_unsupported_kind_of_check_is_reported(page: Page, url: str, service: Service) -> None:
    """An app's own page brings the widget of a vendor."""
    service.kind = "siteverify"
    sent(page, url)
    expect(page.get_by_role("alert")).to_have_text("This page does not support this kind of human check.")
    expect(page.get_by_label("Phone number")).to_be_visible()


def test_another_number_can_be_tried(page: Page, url: str) -> None:
    """The page goes back to the first step and focuses the field."""
    sent(page, url)
    page.get_by_role("button", name="New number").click()
    expect(page.get_by_label("Phone number")).to_be_focused()


def test_a_person_who_was_verified_can_start_again(page: Page, url: str) -> None:
    """The page forgets the token, and a second person is verified without a reload."""
    sent(page, url)
    for _ in range(2):
        page.get_by_label("Code", exact=True).fill(CODE)
        page.get_by_role("button", name="Verify").click()
        expect(page.get_by_text("Verified.")).to_be_visible()
        page.get_by_role("button", name="Start again").click()
        expect(page.get_by_text("Verified.")).to_be_hidden()
        expect(page.get_by_label("Phone number")).to_be_focused()
        expect(page.locator("#token")).to_have_text("")
        page.get_by_role("button", name="Send code").click()
    expect(page.get_by_text("A code is on its way to +1********00 by SMS.")).to_be_visible()


def test_every_step_fits_a_small_phone(page: Page, url: str) -> None:
    """Nothing is wider than 360 pixels."""
    sent(page, url)
    expect(page.locator("altcha-widget")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    expect(page.locator("#code")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
