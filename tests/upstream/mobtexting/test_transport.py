"""The outcome of a send when the network or the server fails, over real sockets."""

import gzip
import io
import logging
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from otp_service.upstream.channels import (
    MipSettings,
    RcsSettings,
    SmsSettings,
    VoiceSettings,
    WhatsappSettings,
)
from otp_service.upstream.mobtexting import AccountSettings, Batcher, MobtextingClient
from otp_service.upstream.port import Message, Outcome, UpstreamError, Verdict
from tests.support.certificates import certify, serving
from tests.support.fault_server import (
    Action,
    FaultServer,
    Received,
    close,
    close_and_settle,
    drip,
    hang,
    http,
    http_json,
    meet,
    pause,
    read_once,
    reset,
    say,
    wait_for,
)
from tests.support.patience import PATIENCE, SCALES, soon
from tests.support.ports import free_port

TOKEN = "canary-TOKEN|0123456789abcdef"
NUMBER = "919000000001"
TEXT = "Canary 493817 is your code."
CANARIES = (
    "canary-TOKEN",
    "0123456789abcdef",
    "493817",
    NUMBER,
)  # the parts of these that no encoding alters
ACCEPTED = http_json(
    {"status": 200, "message": "1 numbers accepted for delivery.", "data": [{"status": "AWAITING-DLR"}]}
)
SENDER = SmsSettings(service="T", sender="ACMEIN")
FLOW = VoiceSettings(bridge="9", mode="flow", flow_id="1")
CALLS: dict[str, Callable[[MobtextingClient], object]] = {
    "sms": lambda client: client.send_sms(message(), SENDER),
    "sms batch": lambda client: client.send_sms_batch([message("ref-1"), message("ref-2")], SENDER),
    "sms by a batcher": lambda client: Batcher(client, SENDER)(message()),
    "whatsapp": lambda client: client.send_whatsapp(message(), WhatsappSettings(sender="9", template="t")),
    "voice": lambda client: client.send_voice(message(), VoiceSettings(bridge="9")),
    "voice by a flow": lambda client: client.send_voice(message(), FLOW),
    "rcs": lambda client: client.send_rcs(message(), RcsSettings(sender="9")),
    "mip": lambda client: client.send_mip(message(), MipSettings(sender="9")),
    "lookup": lambda client: client.lookup(f"+{NUMBER}"),
    "balance": lambda client: client.balance(),
    **{
        f"{channel} reports": partial(MobtextingClient.reports, channel=channel, upstream_ids=["a1b2"])
        for channel in ("sms", "voice", "whatsapp", "rcs", "mip")
    },
}
"""Everything that a client can be asked for."""


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """Serve an API that accepts everything unless a test changes it."""
    with FaultServer() as running:
        running.play(say(ACCEPTED))
        yield running


def account(url: str, **settings: object) -> AccountSettings:
    """Make the settings of an account; a test gives those that it is about."""
    given: dict[str, Any] = {"name": "main", "base_url": url, "token": TOKEN}
    return AccountSettings(**(given | settings))


SHORT = {"connect_timeout": 0.2, "total_timeout": 0.2}  # for calls that a limit ends
LONG = 2 * PATIENCE


def message(reference: str = "ref-1") -> Message:
    """Write a message whose content is easy to recognize in a log."""
    return Message(to=f"+{NUMBER}", reference=reference, code="493817", text=TEXT, language="en", seconds=300)


def asked(call: Callable[[MobtextingClient], object], client: MobtextingClient) -> str:
    """Write what a call returned or raised, as a log would."""
    try:
        return repr(call(client))
    except UpstreamError as error:
        return "".join(traceback.format_exception(error))


def send(client: MobtextingClient, reference: str = "ref-1") -> Outcome:
    """Send an SMS."""
    return client.send_sms(message(reference), SENDER)


def send_once(url: str, **settings: object) -> Outcome:
    """Send an SMS with a new client."""
    with closing(MobtextingClient(account(url, **settings))) as client:
        return send(client)


def given_up(url: str, **settings: object) -> Outcome:
    """Send to a server that takes too long, with a limit long enough to connect and too short for the answer."""
    outcomes = (send_once(url, connect_timeout=limit, total_timeout=limit, **settings) for limit in SCALES)
    return next(outcome for outcome in outcomes if outcome.reason != "connect_timeout")


def test_an_answer_is_received(server: FaultServer) -> None:
    """The simplest case."""
    assert send_once(server.url) == Outcome(Verdict.ACCEPTED, "accepted")
    assert len(server.received) == 1


class TestNothingLeft:
    """Without a connection the same send may be repeated; the upstream has seen nothing."""

    def test_connection_refused(self) -> None:
        """No server listens."""
        assert send_once(f"http://127.0.0.1:{free_port()}/") == Outcome(Verdict.DEFERRED, "connect_failed")

    def test_unknown_name(self) -> None:
        """The host has no address; an invalid zone fails in the resolver without a packet."""
        url = "http://[fe80::1%25nosuchzone]/"
        assert send_once(url) == Outcome(Verdict.DEFERRED, "dns_failed")

    def test_address_that_swallows_packets(self) -> None:
        """A full backlog answers no handshake: the connect limit ends it."""
        with swallowing("127.0.0.1") as port:
            url = f"http://127.0.0.1:{port}/"
            outcome = soon(lambda: send_once(url, connect_timeout=0.2, total_timeout=LONG))
        assert outcome == Outcome(Verdict.DEFERRED, "connect_timeout")

    def test_name_lookup_that_outlasts_the_limit(
        self, server: FaultServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A lookup cannot be interrupted, but nothing is sent after it."""
        slow = threading.Event()

        def resolve(*asked: object, **how: object) -> list[Any]:
            slow.wait(0.3)
            return resolver(*asked, **how)

        resolver: Callable[..., list[Any]] = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        assert send_once(server.url, **SHORT) == Outcome(Verdict.DEFERRED, "connect_timeout")
        assert server.connections == 0

    def test_server_that_does_not_speak_tls(self, server: FaultServer) -> None:
        """A handshake against plain HTTP fails before the request."""
        server.on_connect = [say(b"HTTP/1.1 400 Bad Request\r\n\r\n")]
        url = server.url.replace("http:", "https:")
        assert send_once(url) == Outcome(Verdict.DEFERRED, "tls_failed")
        assert server.received == []

    def test_untrusted_certificate(self, tls_server: FaultServer) -> None:
        """The call ends before the token leaves."""
        assert send_once(tls_server.url) == Outcome(Verdict.DEFERRED, "tls_failed")
        assert tls_server.received == []

    def test_tls_handshake_that_hangs(self, server: FaultServer) -> None:
        """The connect limit covers the handshake."""
        server.on_connect = [hang]
        url = server.url.replace("http:", "https:")
        outcome = soon(lambda: send_once(url, connect_timeout=0.2, total_timeout=LONG))
        assert outcome == Outcome(Verdict.DEFERRED, "connect_timeout")

    def test_reset_during_the_handshake(self, server: FaultServer) -> None:
        """A connection that breaks before TLS is established carried no request."""
        server.on_connect = [read_once, reset]
        assert send_once(server.url.replace("http:", "https:")) == Outcome(Verdict.DEFERRED, "connect_failed")


class TestSeveralAddresses:
    """A name may have several addresses, of which one works."""

    @pytest.fixture
    def url(self, server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> str:
        """Resolve a name to two addresses of this machine; the server listens on the second only."""

        def resolve(host: str, *asked: object, **how: object) -> list[Any]:
            hosts = ("127.0.0.2", "127.0.0.1") if host == "two.example" else (host,)
            return [entry for address in hosts for entry in resolver(address, *asked, **how)]

        resolver: Callable[..., list[Any]] = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        return server.url.replace("127.0.0.1", "two.example")

    def test_one_refuses(self, server: FaultServer, url: str) -> None:
        """The next one is tried."""
        assert send_once(url).verdict is Verdict.ACCEPTED
        assert len(server.received) == 1

    def test_one_swallows_packets(self, server: FaultServer, url: str) -> None:
        """It uses its share of the connect limit, not all of it."""
        with swallowing("127.0.0.2", server.port):
            tried = (send_once(url, connect_timeout=limit, total_timeout=PATIENCE) for limit in SCALES)
            assert any(outcome.verdict is Verdict.ACCEPTED for outcome in tried)
        assert len(server.received) == 1


@contextmanager
def swallowing(host: str, port: int = 0) -> Iterator[int]:
    """Listen on a port that answers no handshake, as its backlog is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((host, port), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)  # noqa: FBT003 - the method has no keyword
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BODY = ACCEPTED.partition(b"\r\n\r\n")[2]
LAST_CHUNKS = f"{len(BODY):x}\r\n".encode() + BODY + b"\r\n0\r\n\r\n"
LOST: dict[str, tuple[list[Action], str]] = {
    "reset after the request": ([reset], "connection_lost"),
    "closed without an answer": ([close], "connection_lost"),
    "silence": ([hang], "timeout"),
    "half a status line": ([say(b"HTTP/1.1 20"), hang], "timeout"),
    "half the headers, then silence": ([say(HEAD[:-8]), hang], "timeout"),
    "half the body, then silence": ([say(HEAD + b'{"status": 200'), hang], "timeout"),
    "half the body, then the end": ([say(HEAD + b'{"status": 200'), close], "truncated"),
    "half the body, then a reset": ([say(HEAD + b'{"status": 200'), reset], "connection_lost"),
    "a chunk cut short": ([say(CHUNKED + b"40\r\n{"), close], "truncated"),
    "chunks without an end": ([say(CHUNKED + b"2\r\n{}\r\n"), close], "truncated"),
    "a chunk size that is none": ([say(CHUNKED + b"zz\r\n{}\r\n"), close], "truncated"),
    # If slow bytes extended the time, each of these would end with a valid answer.
    "dripping status line": ([drip(ACCEPTED)], "timeout"),
    "dripping headers": ([say(b"HTTP/1.1 200 OK\r\n"), drip(ACCEPTED.partition(b"\r\n")[2])], "timeout"),
    "dripping body": ([say(HEAD), drip(b" " * (400 - len(BODY)) + BODY)], "timeout"),
    "dripping chunks": ([say(CHUNKED), drip(b"1\r\n \r\n" * 80), say(LAST_CHUNKS)], "timeout"),
    "many interim answers": (
        [drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 20, gap=0.005), say(ACCEPTED)],
        "timeout",
    ),
    "no HTTP at all": ([say(b"220 smtp.example ESMTP\r\n"), close], "unreadable"),
    "a header line without end": ([say(HEAD[:-2] + b"X: " + b"x" * 70_000)], "unreadable"),
    "a thousand headers": ([say(HEAD[:-2] + b"X: y\r\n" * 1000 + b"\r\n")], "unreadable"),
    "a body over the cap": ([say(http(b" " * (64 * 1024 + 1)))], "too_large"),
    "a broken compression": ([say(http(b"{}", headers=["Content-Encoding: gzip"]))], "unreadable"),
    "an expanding body over the cap": (
        [say(http(gzip.compress(b" " * 10_000_000), headers=["Content-Encoding: gzip"]))],
        "too_large",
    ),
}


@pytest.mark.parametrize(("actions", "reason"), LOST.values(), ids=LOST.keys())
def test_a_request_that_left_has_an_unknown_end(
    server: FaultServer, actions: list[Action], reason: str
) -> None:
    """Whatever fails after the request has left, it is not refused or deferred, and not sent again."""
    server.play(*actions)
    outcome = given_up(server.url) if reason == "timeout" else send_once(server.url)
    assert outcome == Outcome(Verdict.UNKNOWN, reason)
    assert len(server.received) == 1


def test_a_large_body_is_not_read_to_its_end(server: FaultServer) -> None:
    """The limit bounds the memory, not the size of the answer."""
    server.play(say(b"HTTP/1.1 200 OK\r\n\r\n"), *[say(b" " * 65536)] * 400)
    assert send_once(server.url).reason == "too_large"


def test_a_compressed_answer_is_understood(server: FaultServer) -> None:
    """The client asks for none, but a gateway may compress answers."""
    _, _, body = ACCEPTED.partition(b"\r\n\r\n")
    server.play(say(http(gzip.compress(body), headers=["Content-Encoding: gzip"])))
    assert send_once(server.url).verdict is Verdict.ACCEPTED


@pytest.mark.parametrize("location", ["/elsewhere", "http://[broken", "", "\xff\xfe"])
def test_a_redirect_is_not_followed(server: FaultServer, location: str) -> None:
    """The token would be sent along; a redirect means a wrong base URL, whatever its target."""
    server.play(say(http(b" " * 1000, "302 Found", [f"Location: {location}"])))
    assert send_once(server.url) == Outcome(Verdict.REFUSED, "redirected")
    assert len(server.received) == 1


def test_a_refusal_counts_although_its_body_is_truncated(server: FaultServer) -> None:
    """The HTTP status is enough."""
    server.play(say(http(b"<html>", "401 Unauthorized", length=5000)), close)
    assert send_once(server.url) == Outcome(Verdict.REFUSED, "bad_token")


def test_cookies_are_not_kept(server: FaultServer) -> None:
    """The client needs no sessions, and threads would share a cookie jar."""
    server.play(say(ACCEPTED.replace(b"\r\n", b"\r\nSet-Cookie: session=1\r\n", 1)))
    with closing(MobtextingClient(account(server.url))) as client:
        send(client)
        send(client)
    assert ["cookie" in request.headers for request in server.received] == [False, False]


def test_proxies_of_the_environment_are_not_used(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable in the environment must not give the token to a proxy."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert send_once(server.url).verdict is Verdict.ACCEPTED


class TestPool:
    """Connections are kept, shared among threads, and dropped if they may be dead."""

    def test_a_connection_is_used_again(self, server: FaultServer) -> None:
        """Ten sends in a row need one connection."""
        with closing(MobtextingClient(account(server.url))) as client:
            assert {send(client).verdict for _ in range(10)} == {Verdict.ACCEPTED}
        assert server.connections == 1

    def test_a_connection_is_used_again_after_a_refusal(self, server: FaultServer) -> None:
        """A refusal leaves no unread bytes."""
        server.play_each([say(http_json({"message": "Too Many Attempts."}, "429 Too Many"))], [say(ACCEPTED)])
        with closing(MobtextingClient(account(server.url))) as client:
            assert [send(client).reason for _ in range(2)] == ["throttled", "accepted"]
        assert server.connections == 1

    def test_a_connection_that_the_server_closed_is_replaced(self, server: FaultServer) -> None:
        """No message is lost or doubled."""
        server.play_each([say(ACCEPTED), close_and_settle], [say(ACCEPTED)])
        with closing(MobtextingClient(account(server.url))) as client:
            assert send(client, "first").verdict is Verdict.ACCEPTED
            server.wait_until_deserted()
            assert send(client, "second").verdict is Verdict.ACCEPTED
        assert [request.fields["custom"] for request in server.received] == ["first", "second"]
        assert server.connections == 2

    def test_a_connection_that_was_idle_for_long_is_replaced(self, server: FaultServer) -> None:
        """A gateway may have dropped it silently."""
        with closing(MobtextingClient(account(server.url, idle_timeout=0))) as client:
            assert [send(client).verdict for _ in range(2)] == [Verdict.ACCEPTED, Verdict.ACCEPTED]
        assert server.connections == 2

    def test_stray_bytes_do_not_become_the_next_answer(self, server: FaultServer) -> None:
        """Bytes that were not requested are dropped with their connection."""
        refusal = http_json({"status": "ERROR"})
        server.play_each([say(refusal + ACCEPTED)], [say(refusal)])
        with closing(MobtextingClient(account(server.url))) as client:
            assert [send(client).reason for _ in range(2)] == ["rejected", "rejected"]

    def test_a_late_answer_is_not_read_by_the_next_call(self, server: FaultServer) -> None:
        """The connection of a call that timed out is not used again."""
        late = threading.Event()
        server.play_each([wait_for(late), say(ACCEPTED)], [say(http_json({"status": "ERROR"}))])
        with closing(MobtextingClient(account(server.url, total_timeout=3, connect_timeout=3))) as client:
            assert send(client).reason == "timeout"
            late.set()
            assert send(client).reason == "rejected"

    def test_each_of_64_threads_gets_its_own_answer(self, server: FaultServer) -> None:
        """One client serves all threads, with at most one connection for each."""
        server.respond(_echo)
        references = [f"ref-{n}" for n in range(640)]
        with (
            closing(MobtextingClient(account(server.url, total_timeout=PATIENCE))) as client,
            ThreadPoolExecutor(64) as pool,
        ):
            outcomes = list(pool.map(lambda reference: send(client, reference), references))
        assert [outcome.upstream_id for outcome in outcomes] == references
        assert sorted(request.fields["custom"] for request in server.received) == sorted(references)
        assert server.connections <= 64

    def test_more_calls_than_the_pool_holds_do_not_wait(self, server: FaultServer) -> None:
        """The size of the pool limits the connections that are kept, not the calls."""
        server.play(meet(threading.Barrier(8)), say(ACCEPTED))
        few = account(server.url, pool_size=1, total_timeout=PATIENCE)
        with closing(MobtextingClient(few)) as client, ThreadPoolExecutor(8) as pool:
            verdicts = {outcome.verdict for outcome in pool.map(send, [client] * 8)}
        assert verdicts == {Verdict.ACCEPTED}

    def test_neither_threads_nor_sockets_are_left_behind(self, server: FaultServer) -> None:
        """After every kind of fault and a close, only the server's files are open."""
        before = threading.enumerate()
        with closing(MobtextingClient(account(server.url, **SHORT))) as client:
            for actions, _ in LOST.values():
                server.play(*actions)
                send(client)
        server.wait_until_deserted()  # an open socket here would keep one there open
        assert {t for t in threading.enumerate() if t not in before} <= server.threads


def _echo(request: Received) -> bytes:
    return http_json({"status": 200, "data": [{"id": request.fields["custom"], "status": "AWAITING-DLR"}]})


class TestTls:
    """The same limits hold inside TLS."""

    def test_a_trusted_certificate(self, tls_server: FaultServer, certificate: Path) -> None:
        """The account's bundle makes a private authority trusted; connections are kept."""
        tls_server.play(say(ACCEPTED))
        with closing(MobtextingClient(account(tls_server.url, ca_bundle=str(certificate)))) as client:
            assert {send(client).verdict for _ in range(3)} == {Verdict.ACCEPTED}
        assert tls_server.connections == 1

    @pytest.mark.parametrize("name", [name for name, (_, reason) in LOST.items() if reason == "timeout"])
    def test_slow_servers(self, tls_server: FaultServer, certificate: Path, name: str) -> None:
        """Slow bytes inside TLS are limited as without TLS."""
        tls_server.play(*LOST[name][0])
        outcome = given_up(tls_server.url, ca_bundle=str(certificate))
        assert outcome == Outcome(Verdict.UNKNOWN, "timeout")

    def test_a_slow_handshake_is_part_of_the_total(self, tls_server: FaultServer, certificate: Path) -> None:
        """The time for connecting counts, so the answer comes too late."""

        def reason(limit: float) -> str:
            tls_server.on_connect = [pause(0.7 * limit)]
            tls_server.play(pause(0.7 * limit), say(ACCEPTED))
            settings = {"connect_timeout": limit, "total_timeout": limit}
            return send_once(tls_server.url, ca_bundle=str(certificate), **settings).reason

        assert "timeout" in map(reason, SCALES)

    def test_reset_after_the_request(self, tls_server: FaultServer, certificate: Path) -> None:
        """If a TLS connection breaks after the request, the outcome is unknown."""
        tls_server.play(reset)
        outcome = send_once(tls_server.url, ca_bundle=str(certificate))
        assert outcome == Outcome(Verdict.UNKNOWN, "connection_lost")

    def test_a_bundle_that_holds_no_certificate(self, tls_server: FaultServer, tmp_path: Path) -> None:
        """A damaged bundle is found before anything leaves."""
        bundle = tmp_path / "ca.pem"
        bundle.write_text("no certificate")
        assert send_once(tls_server.url, ca_bundle=str(bundle)) == Outcome(Verdict.DEFERRED, "tls_failed")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a self-signed certificate for 127.0.0.1; its key is in the same file."""
    return certify(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[FaultServer]:
    """Speak TLS, with a certificate that only its own bundle trusts."""
    with FaultServer(tls=serving(certificate)) as running:
        yield running


class TestToken:
    """The token travels where the account says, and is shown nowhere."""

    def test_by_header(self, server: FaultServer) -> None:
        """The way that the upstream prefers."""
        send_once(server.url, auth="header")
        (request,) = server.received
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert "access_token" not in request.target + request.body.decode()

    def test_by_query(self, server: FaultServer) -> None:
        """It is encoded, as tokens of some white labels contain a bar."""
        send_once(server.url, auth="query")
        (request,) = server.received
        assert request.query == {"access_token": TOKEN}
        assert "authorization" not in request.headers
        assert "access_token" not in request.fields

    def test_by_body(self, server: FaultServer) -> None:
        """It is another field of the form."""
        send_once(server.url, auth="body")
        (request,) = server.received
        assert request.fields["access_token"] == TOKEN
        assert request.query == {}
        assert "authorization" not in request.headers

    @pytest.mark.parametrize("auth", ["header", "query", "body"])
    @pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
    def test_each_call_carries_it_in_one_place(
        self, server: FaultServer, call: Callable[[MobtextingClient], object], auth: str
    ) -> None:
        """Also if the body is JSON or the query has more parameters; no query contains a code."""
        with closing(MobtextingClient(account(server.url, auth=auth))) as client:
            asked(call, client)
        (request,) = server.received
        body = request.body.decode()
        carried = {
            "header": request.headers.get("authorization") == f"Bearer {TOKEN}",
            "query": request.query.get("access_token") == TOKEN,
            "body": TOKEN in (request.json if body.startswith("{") else request.fields).values(),
        }
        assert carried == {place: place == auth for place in carried}
        assert [secret for secret in CANARIES[2:] if secret in request.target] == []

    @pytest.mark.parametrize("auth", ["header", "query", "body"])
    @pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
    def test_no_call_shows_token_text_or_number(
        self,
        server: FaultServer,
        call: Callable[[MobtextingClient], object],
        auth: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Neither a log at DEBUG nor a result or an error shows them, whatever the upstream answers."""
        echo = {"id": "a1b2", "status": "CANARYWORD", "mobile": NUMBER, "imsi": NUMBER, "message": TEXT}
        answers: list[list[Action]] = [
            [say(http_json({"status": 200, "data": [echo]}))],
            [say(http_json({"status": "CANARYWORD", "message": f"{TEXT} {TOKEN}"}))],
            [say(http_json({"message": f"{NUMBER} {TOKEN}"}, "422 Unprocessable Content"))],
            [reset],
        ]
        caplog.set_level(logging.DEBUG)
        with closing(MobtextingClient(account(server.url, auth=auth))) as client:
            for actions in answers:
                server.play(*actions)
                assert not [secret for secret in CANARIES if secret in asked(call, client)]
        assert "CANARYWORD" in caplog.text
        assert "/api/v2/" in caplog.text
        assert not [secret for secret in CANARIES if secret in caplog.text]

    @pytest.mark.parametrize("auth", ["header", "query", "body"])
    def test_no_log_shows_token_text_or_number(self, server: FaultServer, auth: str) -> None:
        """At DEBUG, with the records of urllib3 and their tracebacks, after every kind of fault."""
        written = io.StringIO()
        handler = logging.StreamHandler(written)
        root = logging.getLogger()
        level = root.level
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        # urllib3 warns of such a line, with the URL.
        odd_header = [say(ACCEPTED.replace(b"\r\n\r\n", b"\r\nno header line\r\n\r\n", 1))]
        new_word = [say(http_json({"status": "CANARYWORD"}))]
        quick = [actions for actions, reason in LOST.values() if reason != "timeout"]
        try:
            with closing(MobtextingClient(account(server.url, auth=auth))) as client:
                for actions in [odd_header, new_word, *quick]:
                    server.play(*actions)
                    seen = repr(send(client)) + repr(client)
                    assert not [secret for secret in CANARIES if secret in seen]
            server.play(hang)
            assert given_up(server.url, auth=auth).reason == "timeout"
        finally:
            root.removeHandler(handler)
            root.setLevel(level)
        log = written.getvalue()
        assert "sms/send" in log
        assert "Failed to parse headers" in log
        assert "CANARYWORD" in log
        assert not [
            secret for secret in ("canary-TOKEN", "0123456789abcdef", "493817", NUMBER) if secret in log
        ]
