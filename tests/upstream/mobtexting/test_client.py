"""The requests of the client, and the accounts that are refused."""

import json
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from otp_service.errors import OtpError
from otp_service.upstream.channels import SmsSettings
from otp_service.upstream.mobtexting import AccountSettings, MobtextingClient
from otp_service.upstream.port import Balance, Message, UpstreamError, Verdict
from tests.support.fault_server import FaultServer, Received, hang, http, http_json, say

TOKEN = "canary-TOKEN"
SENDER = SmsSettings(service="T", sender="ACMEIN")
ACCEPTED = http_json({"status": 200, "data": [{"status": "AWAITING-DLR"}]})
MESSAGE = Message(
    to="+919000000001",
    reference="ref-1",
    code="1234",
    text="Your code is 1234.",
    language="en",
    seconds=290,
)
NOT_FOUND = http_json({"message": "Not Found"}, "404 Not Found")
ROWS = [
    {"service": "T", "name": "Transactional", "postpaid": 0, "credits": "12.5000", "charges": 0},
    {"service": "WAP", "name": "WhatsApp", "postpaid": True, "credits": -3, "charges": "0.25"},
]
WHITE_LABEL = [
    {"service": "IBN", "name": "Outbound Voice", "credits": 1},
    {"service": "A2P", "name": "A2P SMS", "credits": 1},
    {"service": "GMN", "name": "Global", "credits": 1},
]
BALANCES = [
    Balance("T", "Transactional", credits=12.5, postpaid=False, channel="sms"),
    Balance("WAP", "WhatsApp", credits=-3.0, postpaid=True, channel="whatsapp"),
]


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """Serve an API that accepts everything unless a test changes it."""
    with FaultServer() as running:
        running.play(say(ACCEPTED))
        yield running


def account(base_url: str = "https://portal.example/api/v2/", **settings: object) -> AccountSettings:
    """Make the settings of an account; a test gives those that it is about."""
    given: dict[str, Any] = {"name": "main", "base_url": base_url, "token": TOKEN}
    return AccountSettings(**(given | settings))


@pytest.fixture
def client(server: FaultServer) -> Iterator[MobtextingClient]:
    """Give a client with the default settings."""
    with closing(MobtextingClient(account(server.url))) as made:
        yield made


def sent(
    server: FaultServer, client: MobtextingClient, text: str = MESSAGE.text, sender: SmsSettings = SENDER
) -> Received:
    """Send an SMS and return what the server saw."""
    client.send_sms(replace(MESSAGE, text=text), sender)
    return server.received[-1]


class TestSms:
    """The request is the documented one."""

    def test_required_fields(self, server: FaultServer, client: MobtextingClient) -> None:
        """A form with the documented names; the number has no plus, and fields without a value are missing."""
        request = sent(server, client)
        assert (request.verb, request.target) == ("POST", "/api/v2/sms/send")
        assert request.headers["accept"] == "application/json"
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        assert request.fields == {
            "to": "919000000001",
            "message": "Your code is 1234.",
            "sender": "ACMEIN",
            "service": "T",
            "type": "N",
            "custom": "ref-1",
        }

    def test_optional_fields(self, server: FaultServer, client: MobtextingClient) -> None:
        """DLT ids and the webhook are sent if they are set."""
        sender = SmsSettings(service="A2P", sender="ACME", entity_id="e1", template_id="t1", webhook_id="w1")
        fields = sent(server, client, sender=sender).fields
        assert (
            fields.items()
            >= {"service": "A2P", "entity_id": "e1", "template_id": "t1", "webhook_id": "w1"}.items()
        )

    @pytest.mark.parametrize(
        ("text", "kind"),
        [
            ("plain @£$¥ ÄÖÑÜ§¿äöñüà\r\n", "N"),
            ("extended {}\\[~]€", "N"),
            *(
                (lacking, "U") for lacking in "^|\fΔΦΓΛΩΠΨΣΘΞ"
            ),  # of GSM 03.38, but not of the vendor's plain type
            ("आपका कोड 1234", "U"),
            ("code \N{EN DASH} 1234", "U"),
            ("C\N{LATIN SMALL LETTER C WITH CEDILLA}", "U"),  # the alphabet has the capital only
            ("`", "U"),
            ("\x1b", "U"),
            ("\N{KEY}", "U"),
        ],
    )
    def test_the_alphabet_is_detected(
        self, server: FaultServer, client: MobtextingClient, text: str, kind: str
    ) -> None:
        """With one character outside the vendor's plain type the message is sent as Unicode, and arrives as written."""
        fields = sent(server, client, text).fields
        assert (fields["type"], fields["message"]) == (kind, text)

    @pytest.mark.parametrize(
        "to", ["919000000001", "+91900,+4479", "+0123456789", "+", "+9190 0000", "+٣٣٣٣٣٣٣", ""]
    )
    def test_only_one_e164_number_is_sent_to(
        self, server: FaultServer, client: MobtextingClient, to: str
    ) -> None:
        """A list would add recipients; nothing leaves, and the error does not show the number."""
        with pytest.raises(ValueError, match=r"^to must be E\.164 with a plus$"):
            client.send_sms(replace(MESSAGE, to=to), SENDER)
        assert server.received == []

    def test_the_path_is_a_setting(self, server: FaultServer) -> None:
        """Some hosts require a trailing slash."""
        with closing(MobtextingClient(account(server.url, sms_path="sms/send/"))) as client:
            assert sent(server, client).target == "/api/v2/sms/send/"


class TestBalance:
    """The balance is read from the path that the account has."""

    def test_rows_are_read(self, server: FaultServer, client: MobtextingClient) -> None:
        """Values are numbers or text."""
        server.play(say(http_json({"status": 200, "message": "OK", "data": ROWS})))
        assert client.balance() == BALANCES
        assert [(r.verb, r.target) for r in server.received] == [("GET", "/api/v2/account/balance")]

    def test_the_path_that_works_is_remembered(self, server: FaultServer, client: MobtextingClient) -> None:
        """A path that was not found is tried again only if the other one fails."""
        found = http_json({"status": 200, "data": ROWS})
        server.play_each([say(NOT_FOUND)], [say(found)], [say(found)], [say(NOT_FOUND)], [say(found)])
        assert [client.balance() for _ in range(3)] == [BALANCES] * 3
        asked = [request.path.removeprefix("/api/v2/") for request in server.received]
        first, second = "account/balance", "finance/balance"
        assert asked == [first, second, second, second, first]

    def test_no_path_works(self, server: FaultServer, client: MobtextingClient) -> None:
        """Each is tried once."""
        server.play(say(NOT_FOUND))
        with pytest.raises(UpstreamError) as caught:
            client.balance()
        assert caught.value.reason == "not_found"
        assert len(server.received) == 2

    @pytest.mark.parametrize(
        ("raw", "reason"),
        [
            (http_json({"message": "Unauthenticated."}, "401 Unauthorized"), "bad_token"),
            (http(b'<a href="/login">'), "bad_token"),
            (http(b"{}", "500 Oops"), "server_error"),
            (http_json({"status": "ERROR"}), "rejected"),
            (http_json({"status": 200}), "unreadable"),
            (http_json({"status": 200, "data": [{"credits": "many"}]}), "unreadable"),
            (http_json({"status": 200, "data": [7]}), "unreadable"),
        ],
    )
    def test_anything_else_is_an_error(
        self, server: FaultServer, client: MobtextingClient, raw: bytes, reason: str
    ) -> None:
        """It names the account and the reason, without the upstream's text; no other path is tried."""
        server.play(say(raw))
        with pytest.raises(UpstreamError) as caught:
            client.balance()
        assert str(caught.value) == f"The upstream account main gave no usable answer: {reason}."
        assert caught.value.__cause__ is None
        assert OtpError not in type(caught.value).__mro__
        assert len(server.received) == 1

    def test_silence_is_an_error(self, server: FaultServer) -> None:
        """The total limit applies here, too."""
        server.play(hang)
        impatient = account(server.url, connect_timeout=0.5, total_timeout=0.5)
        with (
            closing(MobtextingClient(impatient)) as client,
            pytest.raises(UpstreamError, match=r"timeout\.$"),
        ):
            client.balance()

    def test_token_by_query(self, server: FaultServer) -> None:
        """The query contains only the token."""
        server.play(say(http_json({"status": 200, "data": []})))
        with closing(MobtextingClient(account(server.url, auth="query"))) as client:
            assert client.balance() == []
        (request,) = server.received
        assert (request.verb, request.query) == ("GET", {"access_token": TOKEN})

    def test_token_by_body(self, server: FaultServer) -> None:
        """The method remains GET; the body is JSON, as no framework reads a form from a GET."""
        server.play(say(http_json({"status": 200, "data": []})))
        with closing(MobtextingClient(account(server.url, auth="body"))) as client:
            client.balance()
        (request,) = server.received
        assert (request.verb, request.target) == ("GET", "/api/v2/account/balance")
        assert request.headers["content-type"] == "application/json"
        assert json.loads(request.body) == {"access_token": TOKEN}


class TestAccount:
    """Settings that cannot work are refused when they are made."""

    @pytest.mark.parametrize("url", ["https://portal.example/api/v2", "https://portal.example/api/v2/"])
    def test_a_missing_slash_is_added(self, url: str) -> None:
        """Paths follow it."""
        assert account(url).base_url == "https://portal.example/api/v2/"

    def test_the_token_is_not_shown(self) -> None:
        """Settings may be printed."""
        assert TOKEN not in repr(account())

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"base_url": "portal.example/api/v2"}, "base_url must be"),
            ({"base_url": "ftp://portal.example/"}, "base_url must be"),
            ({"base_url": "https:///api"}, "base_url must be"),
            ({"base_url": "https://me:canary-TOKEN@portal.example/"}, "base_url must have no user"),
            ({"base_url": "https://portal.example/?access_token=canary-TOKEN"}, "base_url must have no user"),
            ({"base_url": "https://[broken/"}, "base_url must be"),
            ({"base_url": "https://portal.example/#x"}, "base_url must have no user"),
            ({"base_url": "https://portal.example:99999/"}, "base_url must be"),
            ({"base_url": "https://*.example/"}, "base_url must be"),
            ({"token": ""}, "token must be"),
            ({"token": "canary-TOKEN\n"}, "token must be"),
            ({"token": "canary-TOKEN \u20ac"}, "token must be"),
            ({"auth": "cookie"}, "auth must be"),
            ({"sms_path": "/sms/send"}, "not a path"),
            ({"sms_path": "sms/send?access_token=x"}, "not a path"),
            ({"balance_paths": ("account/balance", "")}, "not a path"),
            ({"balance_paths": ()}, "at least one path"),
            ({"connect_timeout": 0}, "connect_timeout"),
            ({"connect_timeout": 6}, "connect_timeout"),
            ({"idle_timeout": -1}, "idle_timeout"),
            ({"pool_size": 0}, "pool_size"),
            ({"ca_bundle": os.devnull + "/none"}, "ca_bundle"),
        ],
    )
    def test_a_setting_that_cannot_work(self, settings: dict[str, Any], message: str) -> None:
        """The error names the setting and does not contain the token."""
        with pytest.raises(ValueError, match=message) as caught:
            account(**settings)
        assert TOKEN not in str(caught.value)

    def test_a_bundle_that_exists(self, tmp_path: Path) -> None:
        """Its content is read when a connection is made."""
        bundle = tmp_path / "ca.pem"
        bundle.touch()
        assert account(ca_bundle=str(bundle)).ca_bundle == str(bundle)


def test_a_client_may_be_used_after_close(server: FaultServer, client: MobtextingClient) -> None:
    """Close gives idle connections back; a late call still works."""
    sent(server, client)
    client.close()
    outcome = client.send_sms(MESSAGE, SENDER)
    assert outcome.verdict is Verdict.ACCEPTED
    assert server.connections == 2


def test_a_white_labels_service_may_name_its_channel(server: FaultServer, client: MobtextingClient) -> None:
    """Its codes are its own; its names may say what they are for."""
    server.play(say(http_json({"status": 200, "data": WHITE_LABEL})))
    assert [balance.channel for balance in client.balance()] == ["voice", "sms", None]
