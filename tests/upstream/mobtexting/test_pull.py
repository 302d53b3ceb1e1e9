"""The client's requests beside sends: delivery reports of messages and lookups of numbers."""

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from otp_service.upstream.mobtexting import AccountSettings, MobtextingClient
from otp_service.upstream.port import Lookup, Receipt, Stage, UpstreamError
from tests.support.fault_server import FaultServer, http, http_json, say

NUMBER = "919000000001"
ROW = {"id": "a1b2:1", "mobile": NUMBER, "status": "DELIVRD", "charges": "1.0", "custom": "ref-1"}
DELIVERED = Receipt(
    channel="sms",
    stage=Stage.DELIVERED,
    reason="delivered",
    upstream_id="a1b2:1",
    reference="ref-1",
)
FOUND = {
    "phone": NUMBER,
    "mcc_mnc": "40445",
    "imsi": "404450000000001",
    "serving_msc": "919845087001",
    "status": "SUCCESS",
    "original_network": {"network_name": "Airtel"},
    "ported": True,
    "ported_network": {"ported_network_name": "Jio"},
    "roaming": 0,
    "roaming_network": {},
}


JIO = Lookup(mobile=True, network="Jio", ported=True)
AIRTEL = Lookup(mobile=True, network="Airtel")


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """Serve the answers that a test sets."""
    with FaultServer() as running:
        yield running


@pytest.fixture
def client(server: FaultServer) -> Iterator[MobtextingClient]:
    """Give a client with the default settings."""
    with closing(MobtextingClient(AccountSettings(name="main", base_url=server.url, token="secret"))) as made:
        yield made


class TestReports:
    """The same reports as pushed ones, fetched."""

    def test_an_sms(self, server: FaultServer, client: MobtextingClient) -> None:
        """One request for each id, as the documented filters accept one."""
        server.play(say(http_json({"status": "OK", "code": 200, "data": [ROW]})))
        assert client.reports("sms", ["a1b2:1", "c3d4:1"]) == [DELIVERED, DELIVERED]
        assert [(r.verb, r.path, r.query) for r in server.received] == [
            ("GET", "/api/v2/sms/status", {"id": "a1b2:1"}),
            ("GET", "/api/v2/sms/status", {"id": "c3d4:1"}),
        ]

    def test_the_token_may_travel_beside_the_filter(self, server: FaultServer) -> None:
        """Both are in the query then."""
        server.play(say(http_json({"status": "OK", "data": []})))
        by_query = AccountSettings(name="main", base_url=server.url, token="se|cret", auth="query")
        with closing(MobtextingClient(by_query)) as client:
            client.reports("sms", ["a1b2:1"])
        assert server.received[0].query == {"id": "a1b2:1", "access_token": "se|cret"}

    @pytest.mark.parametrize(
        "data",
        [[ROW], {"data": [ROW], "current_page": 1}, ROW, [ROW, 7, {"id": "x"}, {}]],
    )
    def test_either_nesting(self, server: FaultServer, client: MobtextingClient, data: object) -> None:
        """Paged answers are nested one level deeper; an invalid row does not affect a valid one."""
        server.play(say(http_json({"status": 200, "data": data})))
        assert client.reports("sms", ["a1b2:1"]) == [DELIVERED]

    @pytest.mark.parametrize(
        ("channel", "path", "status", "stage", "reason"),
        [
            ("voice", "outgoing/callstatus", "ANSWER", Stage.DELIVERED, "delivered"),
            ("voice", "outgoing/callstatus", "BUSY", Stage.FAILED, "busy"),
            ("whatsapp", "whatsapp/message/status", "read", Stage.READ, "read"),
            ("rcs", "rcs/message/status", "offline", Stage.FAILED, "unreachable"),
            ("mip", "mip/message/status", "dispatched", Stage.PENDING, "pending"),
        ],
    )
    def test_the_other_channels(
        self,
        server: FaultServer,
        client: MobtextingClient,
        channel: str,
        path: str,
        status: str,
        stage: Stage,
        reason: str,
    ) -> None:
        """Each has its path; the word of the row does not decide about the answer."""
        row = {"id": "a418", "channel": "outgoing", "status": status, "foreign_id": "ref-1", "credits": 2}
        server.play(say(http_json({"status": "200", "data": [row]})))
        assert client.reports(channel, ["a418"]) == [
            Receipt(
                channel=channel,
                stage=stage,
                reason=reason,
                upstream_id="a418",
                reference="ref-1",
            )
        ]
        assert server.received[0].path == f"/api/v2/{path}"

    @pytest.mark.parametrize("data", [[], None, {}, {"data": []}])
    def test_an_id_that_the_upstream_does_not_know(
        self, server: FaultServer, client: MobtextingClient, data: object
    ) -> None:
        """There is no report."""
        server.play(say(http_json({"status": "OK", "data": data})))
        assert client.reports("sms", ["gone"]) == []

    def test_a_row_without_an_id_is_the_one_asked_for(
        self, server: FaultServer, client: MobtextingClient
    ) -> None:
        """It can be about no other message."""
        server.play(say(http_json({"status": "OK", "data": [{"status": "DELIVRD"}]})))
        (receipt,) = client.reports("sms", ["a1b2:1"])
        assert receipt.upstream_id == "a1b2:1"

    def test_a_new_word_is_unknown_and_shown(self, server: FaultServer, client: MobtextingClient) -> None:
        """As in a pushed report."""
        server.play(say(http_json({"status": "OK", "data": [ROW | {"status": "Shiny new"}]})))
        (receipt,) = client.reports("sms", ["a1b2:1"])
        assert (receipt.stage, receipt.reason, receipt.word) == (Stage.UNKNOWN, "unknown_word", "SHINY-NEW")

    @pytest.mark.parametrize(
        ("raw", "reason", "wait"),
        [
            (http(b"", "429 Too Many Requests", ["Retry-After: 7"]), "throttled", 7.0),
            (http(b"", "429 Too Many Requests"), "throttled", None),
            (http_json({"message": "Unauthenticated."}, "401 Unauthorized"), "bad_token", None),
            (http(b"", "500 Oops", ["Retry-After: 7"]), "server_error", None),
            (http_json({"status": "ERROR"}), "rejected", None),
            (http_json({"status": "NEWS"}), "unknown_word", None),
            (http(b"{}"), "unreadable", None),
            (http_json({"status": "OK", "data": [{"mobile": NUMBER}]}), "unreadable", None),
        ],
    )
    def test_anything_else_is_an_error(
        self, server: FaultServer, client: MobtextingClient, raw: bytes, reason: str, wait: float | None
    ) -> None:
        """It says why and how long to wait, and the next id is not asked for."""
        server.play(say(raw))
        with pytest.raises(UpstreamError) as caught:
            client.reports("sms", ["a1b2:1", "c3d4:1"])
        assert (caught.value.reason, caught.value.retry_after) == (reason, wait)
        assert caught.value.__cause__ is None
        assert len(server.received) == 1

    def test_no_answer_is_an_error(self, client: MobtextingClient, server: FaultServer) -> None:
        """It has the reason of the transport."""
        server.play(say(b"220 smtp.example ESMTP\r\n"))
        with pytest.raises(UpstreamError, match=r"unreadable\.$"):
            client.reports("sms", ["a1b2:1"])

    def test_an_unknown_channel_is_a_bug(self, server: FaultServer, client: MobtextingClient) -> None:
        """No request is made."""
        with pytest.raises(KeyError):
            client.reports("pigeon", ["a1b2:1"])
        assert server.received == []


class TestLookup:
    """What the networks know about a number."""

    def test_a_ported_mobile(self, server: FaultServer, client: MobtextingClient) -> None:
        """It is in a mobile network; the subscriber's identity is not kept."""
        server.play(say(http_json({"status": 200, "message": "OK", "data": [FOUND]})))
        found = client.lookup(f"+{NUMBER}")
        assert found == Lookup(mobile=True, network="Jio", ported=True)
        assert not re.search(r"404450000000001|919845087001|9000000001", repr(found))
        (request,) = server.received
        assert (request.verb, request.target) == ("POST", "/api/v2/lookup/verify")
        assert request.fields == {"to": NUMBER}

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"imsi": None}, JIO),
            ({"imsi": None, "mcc_mnc": 40445}, JIO),
            ({"mcc_mnc": ""}, JIO),
            ({"ported_network": {"network_name": "Jio"}, "ported": "1"}, JIO),
            ({"ported_network": {"ported_network_name": "\u202e"}}, replace(JIO, network=None)),
            ({"ported_network": None}, replace(JIO, network=None)),
            ({"ported_network": ["Jio"]}, replace(JIO, network=None)),
            ({"ported": 0}, AIRTEL),
            (
                {"ported": None, "original_network": {"network_name": "A" * 99}},
                replace(AIRTEL, network="A" * 64),
            ),
            ({"mcc_mnc": "", "imsi": None, "ported": False, "original_network": "?"}, Lookup()),
            ({"status": "FAILED"}, Lookup()),
            ({"status": None}, Lookup()),
        ],
    )
    def test_rows(
        self, server: FaultServer, client: MobtextingClient, changes: dict[str, object], expected: Lookup
    ) -> None:
        """What the row says, in PHP's spellings, and nothing else."""
        server.play(say(http_json({"status": 200, "data": [FOUND | changes]})))
        assert client.lookup(f"+{NUMBER}") == expected

    @pytest.mark.parametrize(
        ("raw", "reason"),
        [
            (http_json({"status": 200, "data": []}), "unreadable"),
            (http(b"<html>", "404 Not Found"), "not_found"),
            (http_json({"status": "ERROR", "code": 402}), "no_credits"),
        ],
    )
    def test_anything_else_is_an_error(
        self, server: FaultServer, client: MobtextingClient, raw: bytes, reason: str
    ) -> None:
        """It says which account and why, and holds no number."""
        server.play(say(raw))
        with pytest.raises(UpstreamError) as caught:
            client.lookup(f"+{NUMBER}")
        assert str(caught.value) == f"The upstream account main gave no usable answer: {reason}."

    def test_only_a_number_is_looked_up(self, server: FaultServer, client: MobtextingClient) -> None:
        """Nothing leaves."""
        with pytest.raises(ValueError, match=r"^to must be E\.164 with a plus$"):
            client.lookup(NUMBER)
        assert server.received == []
