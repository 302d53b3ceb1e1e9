"""An event reaches its endpoint; answers, time limits and failures of endpoints."""

import datetime as dt
import io
import logging
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from otp_service.net.public_only import PostResult, PublicClient, Resolve, lookup
from tests.support.certificates import certify, serving
from tests.support.fault_server import Action, FaultServer, Peer, close, drip, hang, http, pause, reset, say
from tests.support.patience import PATIENCE, SCALES
from tests.support.ports import free_port
from tests.support.posts import ANSWERED, HEADERS, NAME, OK, failed, has_no_connection, here, known_as, post


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """Serve plain HTTP and accept everything unless a test changes it."""
    with FaultServer() as running:
        running.play(say(OK))
        yield running


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a self-signed certificate for the name and for 127.0.0.1; its key is in the same file."""
    return certify(tmp_path_factory.mktemp("tls"), NAME)


@pytest.fixture
def asked_for() -> list[str | None]:
    """Give the list of names that clients requested from the TLS server (SNI)."""
    return []


@pytest.fixture
def tls_server(certificate: Path, asked_for: list[str | None]) -> Iterator[FaultServer]:
    """Speak TLS, with a certificate that only its own bundle trusts."""
    context = serving(certificate)
    context.sni_callback = lambda _sock, name, _context: asked_for.append(name)
    with FaultServer(tls=context) as running:
        running.play(say(OK))
        yield running


# A good endpoint.


def test_an_event_arrives_as_it_was_signed(server: FaultServer) -> None:
    """One POST with the given headers, JSON, the body byte for byte, and no identification beyond a name."""
    assert post(here(server, "/events?key=a%20b&x")) == ANSWERED
    (request,) = server.received
    assert (request.verb, request.target) == ("POST", "/events?key=a%20b&x")
    assert request.body == b'{"type":"challenge.sent"}'
    assert dict(request.headers) == {
        "accept-encoding": "identity",
        "connection": "close",
        "content-length": "25",
        "content-type": "application/json",
        "host": f"127.0.0.1:{server.port}",
        "user-agent": "otp-service",
        "webhook-id": "evt_1",
    }


def test_a_name_is_looked_up_once_and_kept_for_tls(
    tls_server: FaultServer, certificate: Path, asked_for: list[str | None]
) -> None:
    """The connection goes to the checked address; SNI, Host and the certificate belong to the name.

    The name exists in no DNS, so a second lookup, by whatever library, would fail.
    """
    asked = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["127.0.0.1"]

    url = f"https://{NAME}:{tls_server.port}/"
    assert post(url, resolve, ca_bundle=str(certificate)) == ANSWERED
    assert asked == [(NAME, tls_server.port)]
    assert asked_for == [NAME]
    assert tls_server.received[0].headers["host"] == f"{NAME}:{tls_server.port}"


def test_an_address_in_the_url_is_checked_against_the_certificate(
    tls_server: FaultServer, certificate: Path
) -> None:
    """A certificate may be for an address; 127.0.0.2 is not in this one."""
    bundle = str(certificate)
    assert post(f"https://127.0.0.1:{tls_server.port}/", ca_bundle=bundle) == ANSWERED
    moved = post(f"https://127.0.0.2:{tls_server.port}/", known_as("127.0.0.1"), ca_bundle=bundle)
    assert moved == failed("tls_failed")


def test_a_certificate_of_another_name_is_refused(tls_server: FaultServer, certificate: Path) -> None:
    """A certificate for the address is not enough: the URL has the name."""
    url = f"https://other.example.test:{tls_server.port}/"
    assert post(url, known_as("127.0.0.1"), ca_bundle=str(certificate)) == failed("tls_failed")
    assert tls_server.received == []


def test_an_untrusted_certificate_is_refused(tls_server: FaultServer) -> None:
    """Without a bundle the default authorities count."""
    url = f"https://{NAME}:{tls_server.port}/"
    assert post(url, known_as("127.0.0.1")) == failed("tls_failed")
    assert tls_server.received == []


def test_the_next_address_is_tried_when_nothing_left(server: FaultServer) -> None:
    """A name whose first address is dead is still reached."""
    url = f"http://localhost:{server.port}/"
    assert post(url, known_as("127.0.0.2", "127.0.0.1")) == ANSWERED
    assert server.connections == 1


def test_an_address_that_swallows_packets_leaves_time_for_the_next(server: FaultServer) -> None:
    """All addresses share the connect limit."""
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.2", server.port), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0)
            filler.connect_ex(full.getsockname())
        url = f"http://localhost:{server.port}/"
        assert post(url, known_as("127.0.0.2"), connect_limit=SCALES[0]) == failed("connect_timeout")
        both = known_as("127.0.0.2", "127.0.0.1")
        assert any(post(url, both, connect_limit=limit) == ANSWERED for limit in SCALES)


def test_no_address_is_tried_after_the_request_left(server: FaultServer) -> None:
    """One try is at most one request; another module decides about retries."""
    server.play(reset)
    url = f"http://localhost:{server.port}/"
    assert post(url, known_as("127.0.0.1", "127.0.0.1")) == failed("no_answer")
    assert len(server.received) == 1


def test_no_connection_stays_open(server: FaultServer) -> None:
    """Each socket is closed, whatever the end."""
    for play in ([say(OK)], [reset], [close], [say(b"nonsense\r\n\r\n")], [say(http(b"", length=9))]):
        server.play(*play)
        post(here(server))
    server.wait_until_deserted()


# What an answer may not do.


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]
)
def test_a_redirect_is_an_answer_and_nothing_more(
    server: FaultServer, listener: FaultServer, six: socket.socket | None, status: str
) -> None:
    """No event follows a Location, least of all to an inside address."""
    server.play(say(http(status=status, headers=[f"Location: {here(listener)}"])))
    assert post(here(server)) == PostResult(int(status[:3]), None, "answered")
    assert has_no_connection(listener, six)


def test_the_environment_is_ignored(
    server: FaultServer,
    listener: FaultServer,
    six: socket.socket | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither a proxy nor a netrc of the process is used."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login canary password canary")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{listener.port}")
    assert post(here(server)) == ANSWERED
    assert "authorization" not in server.received[0].headers
    assert has_no_connection(listener, six)


def test_a_body_is_not_read(server: FaultServer) -> None:
    """An endless answer needs no memory: the status is enough, and the connection is closed."""
    sent = []

    def flood(peer: Peer) -> None:
        peer.sock.sendall(http(b"", length=10**12))
        for _ in range(1024):
            peer.sock.sendall(bytes(2**20))
            sent.append(2**20)

    server.play(flood)
    assert post(here(server)) == ANSWERED
    server.wait_until_deserted()
    assert sum(sent) <= 32 * 2**20  # what the kernel's buffers hold at most


def test_no_log_shows_the_query(server: FaultServer) -> None:
    """Queries of endpoints may contain keys; urllib3 logs paths at DEBUG."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        assert post(here(server, "/events?key=canary")) == ANSWERED
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    assert "/events" in written.getvalue()
    assert "canary" not in written.getvalue()


# Time.

SHORT: dict[str, Any] = {"connect_limit": 0.3, "total_limit": 0.3}
LONG = b"O" * 1000
# If slow bytes extended the time, each of these would end with a valid answer, after more than the longest of SCALES.
SLOW: dict[str, Sequence[Action]] = {
    "no answer": [hang],
    "dripping status line": [drip(http(b"{}", status="200 " + LONG.decode()))],
    "dripping headers": [say(b"HTTP/1.1 200 OK\r\n"), drip(b"X: " + LONG + b"\r\nContent-Length: 0\r\n\r\n")],
    "many interim answers": [drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, gap=0.001), say(OK)],
}


@pytest.mark.parametrize("name", SLOW)
def test_a_slow_server_is_given_up(server: FaultServer, name: str) -> None:
    """Slow bytes do not extend the time."""
    server.play(*SLOW[name])
    assert given_up(here(server)) == failed("timeout")


def given_up(url: str) -> PostResult:
    """Post to a server that takes too long, with a limit long enough to connect and too short for the answer."""
    answers = (post(url, connect_limit=limit, total_limit=limit) for limit in SCALES)
    return next(answer for answer in answers if answer != failed("connect_timeout"))


def test_a_slow_handshake_is_part_of_the_total(tls_server: FaultServer, certificate: Path) -> None:
    """The time for connecting counts, so the answer comes too late."""

    def found(limit: float) -> PostResult:
        tls_server.on_connect = [pause(0.7 * limit)]
        tls_server.play(pause(0.7 * limit), say(OK))
        url = f"https://127.0.0.1:{tls_server.port}/"
        return post(url, ca_bundle=str(certificate), connect_limit=limit, total_limit=limit)

    assert failed("timeout") in map(found, SCALES)


def test_a_handshake_without_end_is_given_up(tls_server: FaultServer, certificate: Path) -> None:
    """The connect limit covers TLS."""
    tls_server.on_connect = [hang]
    url = f"https://127.0.0.1:{tls_server.port}/"
    assert post(url, ca_bundle=str(certificate), **SHORT) == failed("connect_timeout")


def test_nothing_is_sent_after_a_lookup_that_took_too_long(server: FaultServer) -> None:
    """A lookup cannot be interrupted, but its time counts."""

    def resolve(_host: str, _port: int) -> list[str]:
        threading.Event().wait(0.3)
        return ["127.0.0.1"]

    assert post(here(server), resolve, connect_limit=0.2) == failed("connect_timeout")
    assert server.connections == 0


def test_a_lookup_is_part_of_the_total(server: FaultServer) -> None:
    """Its time counts, so the answer comes too late."""

    def found(limit: float) -> PostResult:
        def resolve(_host: str, _port: int) -> list[str]:
            threading.Event().wait(0.7 * limit)
            return ["127.0.0.1"]

        server.play(pause(0.7 * limit), say(OK))
        return post(here(server), resolve, connect_limit=limit, total_limit=limit)

    assert failed("timeout") in map(found, SCALES)


def test_the_limits_are_five_and_fifteen_seconds() -> None:
    """Standard Webhooks recommends 15 to 30 for the whole call."""
    client = PublicClient()
    assert (client.connect_limit, client.total_limit) == (5, 15)
    assert not client.allow_private


# Failures.


def _raising(fault: Exception) -> Resolve:
    def resolve(_host: str, _port: int) -> list[str]:
        raise fault

    return resolve


@pytest.mark.parametrize(
    "resolve",
    [
        _raising(socket.gaierror(socket.EAI_NONAME, "unknown")),
        _raising(UnicodeError("label too long")),
        _raising(TimeoutError()),
        known_as(),
        known_as("no address"),
    ],
)
def test_a_name_without_address(resolve: Resolve) -> None:
    """Whatever the resolver returns instead of addresses."""
    assert post(f"https://{NAME}/", resolve) == failed("dns_failed")


def test_the_systems_resolver_gives_addresses() -> None:
    """Each is text that can be checked."""
    assert set(lookup("localhost", 443)) <= {"127.0.0.1", "::1"}
    assert lookup("127.0.0.1", 443) == ["127.0.0.1"]
    with pytest.raises(socket.gaierror):
        lookup("fe80::1%nosuchzone", 443)


def test_a_closed_port() -> None:
    """The reason says that there was no connection."""
    port = free_port()
    assert post(f"http://127.0.0.1:{port}/") == failed("connect_failed")
    assert post(f"http://[::1]:{port}/") == failed("connect_failed")


@pytest.mark.parametrize(
    "play",
    [
        [reset],
        [close],
        [say(b"no http at all\r\n\r\n")],
        [say(b"HTTP/1.1 2000 Odd\r\n\r\n")],
        [say(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n")],
        [say(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n")],
    ],
)
def test_an_unreadable_answer(server: FaultServer, play: Sequence[Action]) -> None:
    """Truncated, not HTTP, or endless: no answer, and no exception."""
    server.play(*play)
    assert post(here(server)) == failed("no_answer")


@pytest.mark.parametrize("status", [200, 204, 299, 400, 404, 410, 429, 500, 503, 599])
def test_a_status_is_returned_unchanged(server: FaultServer, status: int) -> None:
    """Another module decides its meaning."""
    server.play(say(http(status=f"{status} Word")))
    assert post(here(server)) == PostResult(status, None, "answered")


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        ("999999999", 999_999_999),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
        ("Wed, 21 Oct 99999999999 07:28:00 GMT", None),
    ],
)
def test_a_retry_after_is_seconds_or_a_date(server: FaultServer, written: str, seconds: float | None) -> None:
    """RFC 9110, 10.2.3; a past date means now, and an invalid value is ignored."""
    answer = http(status="503 Later", headers=["Retry-After: " + written.encode().decode("latin-1")])
    server.play(say(answer))
    assert post(here(server)) == PostResult(503, seconds, "answered")


def test_a_future_date_is_seconds_from_now(server: FaultServer) -> None:
    """For receivers that send a time of day."""
    later = format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=600), usegmt=True)
    server.play(say(http(status="503 Later", headers=[f"Retry-After: {later}"])))
    found = post(here(server))
    assert found.retry_after == pytest.approx(600, abs=30)


def test_one_client_serves_many_threads(server: FaultServer) -> None:
    """Sixteen calls at once, each with its own answer."""
    server.respond(lambda request: http(status=f"{request.path[1:]} Word"))
    client = PublicClient(allow_private=True, connect_limit=PATIENCE, total_limit=PATIENCE)
    found = {}

    def call(status: int) -> None:
        found[status] = client.post(here(server, f"/{status}"), HEADERS, b"{}").status

    threads = [threading.Thread(target=call, args=[400 + n]) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert found == {400 + n: 400 + n for n in range(16)}
