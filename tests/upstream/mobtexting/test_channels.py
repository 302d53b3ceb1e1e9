"""The requests for each channel beside SMS, and the settings that are refused."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from otp_service.upstream.channels import (
    MipSettings,
    RcsSettings,
    SmsSettings,
    VoiceSettings,
    WhatsappSettings,
)
from otp_service.upstream.mobtexting import AccountSettings, MobtextingClient
from otp_service.upstream.port import Message, Outcome, Verdict
from tests.support.fault_server import FaultServer, Received, hang, http_json, say
from tests.support.patience import SCALES

MESSAGE = Message(
    to="+919000000001",
    reference="ref-1",
    code="493817",
    text="Your code is 4, 9, 3, 8, 1, 7.",
    language="hi",
    seconds=290,
)
WHATSAPP = WhatsappSettings(sender="919888000000", template="otp_login")
VOICE = VoiceSettings(bridge="918045000000")
FLOW = VoiceSettings(bridge="918045000000", mode="flow", flow_id="24")
RCS = RcsSettings(sender="700969ca-agent")
MIP = MipSettings(sender="918888000000")
SENDS: dict[str, Callable[[MobtextingClient, Message], Outcome]] = {
    "whatsapp": lambda client, message: client.send_whatsapp(message, WHATSAPP),
    "voice": lambda client, message: client.send_voice(message, VOICE),
    "voice by a flow": lambda client, message: client.send_voice(message, FLOW),
    "rcs": lambda client, message: client.send_rcs(message, RCS),
    "mip": lambda client, message: client.send_mip(message, MIP),
}
QUEUED = {"id": "a418d672", "to": "919000000001", "credits": "0.0005", "status": "queued"}


def answer(**row: object) -> bytes:
    """Write an answer with one row."""
    return http_json({"status": "OK", "message": "Message Queued successfully", "data": [QUEUED | row]})


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """Serve an API that accepts everything unless a test changes it."""
    with FaultServer() as running:
        running.play(say(answer()))
        yield running


@pytest.fixture
def client(server: FaultServer) -> Iterator[MobtextingClient]:
    """Give a client with the default settings."""
    with closing(MobtextingClient(AccountSettings(name="main", base_url=server.url, token="secret"))) as made:
        yield made


def last(server: FaultServer) -> Received:
    """Return the last request."""
    return server.received[-1]


class TestEveryChannel:
    """What all channels have in common."""

    @pytest.mark.parametrize("send", SENDS.values(), ids=SENDS.keys())
    def test_an_accepted_message(
        self, client: MobtextingClient, send: Callable[[MobtextingClient, Message], Outcome]
    ) -> None:
        """The price is in the field `credits`."""
        assert send(client, MESSAGE) == Outcome(
            Verdict.ACCEPTED, "accepted", upstream_id="a418d672", charges=0.0005
        )

    @pytest.mark.parametrize("send", SENDS.values(), ids=SENDS.keys())
    def test_a_refused_number_under_an_overall_ok(
        self,
        server: FaultServer,
        client: MobtextingClient,
        send: Callable[[MobtextingClient, Message], Outcome],
    ) -> None:
        """The recipient's row decides."""
        server.play(say(answer(status="notallowed", credits=0)))
        outcome = send(client, MESSAGE)
        assert (outcome.verdict, outcome.reason) == (Verdict.REFUSED, "not_allowed")

    @pytest.mark.parametrize("send", SENDS.values(), ids=SENDS.keys())
    def test_silence_is_unknown(
        self, server: FaultServer, send: Callable[[MobtextingClient, Message], Outcome]
    ) -> None:
        """The request is sent once, and the outcome is not a refusal."""

        def asked(limit: float) -> Outcome:
            server.play(hang)
            short = AccountSettings(
                name="main", base_url=server.url, token="secret", connect_timeout=limit, total_timeout=limit
            )
            tried.append(limit)
            with closing(MobtextingClient(short)) as client:
                return send(client, MESSAGE)

        tried: list[float] = []
        assert Outcome(Verdict.UNKNOWN, "timeout") in map(asked, SCALES)
        assert 1 <= len(server.received) <= len(tried)

    @pytest.mark.parametrize("send", SENDS.values(), ids=SENDS.keys())
    @pytest.mark.parametrize("to", ["919000000001", "+91900,+4479", "+", ""])
    def test_only_one_e164_number_is_sent_to(
        self,
        server: FaultServer,
        client: MobtextingClient,
        send: Callable[[MobtextingClient, Message], Outcome],
        to: str,
    ) -> None:
        """Nothing leaves, and the error does not show the number."""
        with pytest.raises(ValueError, match=r"^to must be E\.164 with a plus$"):
            send(client, replace(MESSAGE, to=to))
        assert server.received == []

    @pytest.mark.parametrize("send", SENDS.values(), ids=SENDS.keys())
    def test_the_paths_are_settings(
        self, server: FaultServer, send: Callable[[MobtextingClient, Message], Outcome]
    ) -> None:
        """White labels have their own paths."""
        channels = ("whatsapp", "voice_tts", "voice_flow", "rcs", "mip")
        paths: dict[str, Any] = {f"{channel}_path": "own/send/" for channel in channels}
        with closing(
            MobtextingClient(AccountSettings(name="main", base_url=server.url, token="secret", **paths))
        ) as client:
            assert send(client, MESSAGE).verdict is Verdict.ACCEPTED
        assert last(server).target == "/api/v2/own/send/"

    def test_the_repr_of_a_message_hides_its_content(self) -> None:
        """A repr may be logged."""
        shown = repr(MESSAGE)
        assert "ref-1" in shown
        assert not [part for part in ("919000000001", "493817", "4, 9") if part in shown]


class TestWhatsapp:
    """An authentication template whose only value is the code."""

    def test_the_request(self, server: FaultServer, client: MobtextingClient) -> None:
        """The documented shape; the text is left out, as the template has its own."""
        client.send_whatsapp(MESSAGE, WHATSAPP)
        assert (last(server).verb, last(server).target) == ("POST", "/api/v2/whatsapp/message/send")
        assert last(server).headers["content-type"] == "application/json"
        assert last(server).json == {
            "channels": [
                {"name": "whatsapp", "from": "919888000000", "meta": {"foreign_id": "ref-1", "ttl": 290}}
            ],
            "recipient": {"to": "919000000001"},
            "message": {
                "type": "template",
                "payload": {"name": "otp_login", "language": "en", "body_params": ["493817"]},
            },
        }

    @pytest.mark.parametrize(
        ("language", "named"),
        [("hi", "hi_IN"), ("hi-IN", "hi_IN"), ("pt-BR", "pt_BR"), ("PT-br-x-a", "pt_BR"), ("pt", "en_GB")],
    )
    def test_the_language(
        self, server: FaultServer, client: MobtextingClient, language: str, named: str
    ) -> None:
        """The person's tag, then the same with fewer subtags (RFC 4647, 3.4), else the template's default."""
        sender = replace(
            WHATSAPP, languages={"hi": "hi_IN", "pt-BR": "pt_BR", "en": "en_GB"}, default_language="en_GB"
        )
        client.send_whatsapp(replace(MESSAGE, language=language), sender)
        assert last(server).json["message"]["payload"]["language"] == named

    def test_the_webhook(self, server: FaultServer, client: MobtextingClient) -> None:
        """It is named if the settings have one."""
        client.send_whatsapp(MESSAGE, replace(WHATSAPP, webhook_id="w1"))
        assert last(server).json["channels"][0]["meta"]["webhook_id"] == "w1"

    def test_the_form_with_a_button(self, server: FaultServer, client: MobtextingClient) -> None:
        """The code is a parameter of the body and of the button, for accounts that need Meta's own form."""
        client.send_whatsapp(MESSAGE, replace(WHATSAPP, form="components"))
        value = [{"type": "text", "text": "493817"}]
        assert last(server).json["message"]["payload"] == {
            "name": "otp_login",
            "language": "en",
            "components": [
                {"type": "body", "parameters": value},
                {"type": "button", "sub_type": "url", "index": "0", "parameters": value},
            ],
        }


class TestVoice:
    """A call that is tried once and speaks the code."""

    def test_text_to_speech(self, server: FaultServer, client: MobtextingClient) -> None:
        """The text of the message, in its language."""
        client.send_voice(MESSAGE, VOICE)
        assert (last(server).verb, last(server).target) == ("POST", "/api/v2/outgoing/tts")
        assert last(server).json == {
            "bridge": "918045000000",
            "to": "919000000001",
            "text": "Your code is 4, 9, 3, 8, 1, 7.",
            "foreign_id": "ref-1",
            "interval": 0,
            "options": {"language": "hi-IN"},
        }

    def test_the_voice(self, server: FaultServer, client: MobtextingClient) -> None:
        """All settings of the voice."""
        sender = replace(
            VOICE,
            languages={"hi": "hi-IN"},
            voice_id="Aditi",
            gender="Female",
            break_mark=",",
            break_time=0.5,
        )
        client.send_voice(MESSAGE, sender)
        assert last(server).json["options"] == {
            "language": "hi-IN",
            "voiceid": "Aditi",
            "voice": {"gender": "Female"},
            "break": {"identifier": ",", "time": 0.5},
        }

    @pytest.mark.parametrize(
        ("language", "named"),
        [
            ("en", "en-US"),
            ("en-IN", "en-IN"),
            ("de-DE", "de-DE"),
            ("pt-BR", "pt-BR"),
            ("pt-AO", "pt-PT"),
            ("hi", "my"),
        ],
    )
    def test_a_language_is_named_as_the_vendor_documents_it(
        self, server: FaultServer, client: MobtextingClient, language: str, named: str
    ) -> None:
        """It documents regional names only; the settings name any other."""
        client.send_voice(replace(MESSAGE, language=language), replace(VOICE, languages={"hi": "my"}))
        assert last(server).json["options"]["language"] == named

    def test_a_flow(self, server: FaultServer, client: MobtextingClient) -> None:
        """The variable of the flow is the code with spaces between digits; the call is not retried."""
        client.send_voice(MESSAGE, replace(FLOW, webhook_id="w1"))
        assert (last(server).verb, last(server).target) == ("POST", "/api/v2/outgoing/send")
        assert last(server).fields == {
            "bridge": "918045000000",
            "to": "919000000001",
            "foreign_id": "ref-1",
            "flow_id": "24",
            "interval": "0",
            "variables[otp]": "4 9 3 8 1 7",
            "webhook_id": "w1",
        }

    def test_a_flow_without_a_webhook(self, server: FaultServer, client: MobtextingClient) -> None:
        """A setting without a value is not sent."""
        client.send_voice(MESSAGE, FLOW)
        assert "webhook_id" not in last(server).fields


class TestRcs:
    """A text from an agent."""

    def test_the_request(self, server: FaultServer, client: MobtextingClient) -> None:
        """The documented shape."""
        client.send_rcs(MESSAGE, replace(RCS, webhook_id="w1"))
        assert last(server).target == "/api/v2/rcs/message/send"
        assert last(server).json == {
            "channels": [
                {
                    "name": "rcs",
                    "from": "700969ca-agent",
                    "meta": {"foreign_id": "ref-1", "ttl": 290, "webhook_id": "w1"},
                }
            ],
            "recipient": {"to": "919000000001"},
            "message": {"type": "text", "payload": {"text": MESSAGE.text}},
        }


class TestMip:
    """A text or a template."""

    def test_a_text(self, server: FaultServer, client: MobtextingClient) -> None:
        """The format documented in 2022."""
        client.send_mip(MESSAGE, MIP)
        assert last(server).target == "/api/v2/mip/message/send"
        assert last(server).json == {
            "channels": [
                {"name": "mip", "from": "918888000000", "meta": {"foreign_id": "ref-1", "ttl": 290}}
            ],
            "recipient": {"to": "919000000001"},
            "message": {"type": "text", "payload": {"text": MESSAGE.text}},
        }

    @pytest.mark.parametrize(("namespace", "shown"), [("ns-1", {"namespace": "ns-1"}), (None, {})])
    def test_a_template(
        self, server: FaultServer, client: MobtextingClient, namespace: str | None, shown: dict[str, str]
    ) -> None:
        """Its only value is the code."""
        sender = replace(MIP, template="otp", namespace=namespace, languages={"hi": "hi_IN", "en": "en"})
        client.send_mip(MESSAGE, sender)
        payload = {"name": "otp", "language": "hi_IN", "body_params": ["493817"], **shown}
        assert last(server).json["message"] == {"type": "template", "payload": payload}


BAD: list[tuple[Callable[..., object], dict[str, Any], str]] = [
    (SmsSettings, {"service": "", "sender": "A"}, "service must not be empty"),
    (SmsSettings, {"service": "T", "sender": " "}, "sender must not be empty"),
    (SmsSettings, {"service": "T", "sender": "A", "expiry_field": "to"}, "expiry_field"),
    (SmsSettings, {"service": "T", "sender": "A", "expiry_field": "access_token"}, "expiry_field"),
    (SmsSettings, {"service": "T", "sender": "A", "expiry_field": "a b"}, "expiry_field"),
    (SmsSettings, {"service": "T", "sender": "A", "expiry_field": ""}, "expiry_field"),
    (WhatsappSettings, {"sender": "", "template": "t"}, "sender must not be empty"),
    (WhatsappSettings, {"sender": "9", "template": ""}, "template must not be empty"),
    (WhatsappSettings, {"sender": "9", "template": "t", "default_language": ""}, "default_language"),
    (WhatsappSettings, {"sender": "9", "template": "t", "languages": {"en": ""}}, "languages"),
    (VoiceSettings, {"bridge": ""}, "bridge must not be empty"),
    (VoiceSettings, {"bridge": "9", "mode": "song"}, "mode must be"),
    (VoiceSettings, {"bridge": "9", "mode": "flow"}, "flow_id"),
    (VoiceSettings, {"bridge": "9", "flow_id": "24"}, "flow_id"),
    (VoiceSettings, {"bridge": "9", "languages": {"": "en-US"}}, "languages"),
    (VoiceSettings, {"bridge": "9", "break_mark": ""}, "break_mark"),
    (VoiceSettings, {"bridge": "9", "break_time": 0}, "break_time"),
    (VoiceSettings, {"bridge": "9", "break_time": 11}, "break_time"),
    (RcsSettings, {"sender": ""}, "sender must not be empty"),
    (
        WhatsappSettings,
        {"sender": "9", "template": "t", "languages": {"en": "en_US"}},
        "default_language is en",
    ),
    (MipSettings, {"sender": "9", "template": "t", "languages": {"hi": "hi"}}, "default_language is en"),
    (MipSettings, {"sender": ""}, "sender must not be empty"),
    (MipSettings, {"sender": "9", "template": ""}, "template must not be empty"),
    (MipSettings, {"sender": "9", "namespace": "n"}, "namespace belongs"),
    (MipSettings, {"sender": "9", "default_language": ""}, "default_language"),
    (MipSettings, {"sender": "9", "languages": {"en": ""}}, "languages"),
]


@pytest.mark.parametrize(("kind", "settings", "message"), BAD)
def test_settings_that_cannot_work_are_refused(
    kind: Callable[..., object], settings: dict[str, Any], message: str
) -> None:
    """The error names the setting."""
    with pytest.raises(ValueError, match=message):
        kind(**settings)
