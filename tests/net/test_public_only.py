"""Outgoing: an event reaches its endpoint, and no URL that an app can think of reaches anything else."""

import datetime as dt
import io
import ipaddress
import logging
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from otp_service.net.public_only import Answer, PublicClient, Resolve, check_url, lookup
from tests.support.fault_server import Action, FaultServer, Peer, close, drip, hang, http, pause, reset, say
from tests.support.patience import PATIENCE, SCALES

NAME = "hooks.example.test"
OK = http(b"{}")
HEADERS = {"webhook-id": "evt_1"}
ANSWERED = Answer(200, None, "answered")


def failed(reason: str) -> Answer:
    """Make the answer of a try without one."""
    return Answer(None, None, reason)


def known_as(*addresses: str) -> Resolve:
    """Resolve every name to these addresses."""
    return lambda _host, _port: addresses


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """Listen on plain HTTP and accept everything until told otherwise."""
    with FaultServer() as running:
        running.play(say(OK))
        yield running


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate for the name and for 127.0.0.1 that signs itself; its key lies in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "endpoint")])
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName(NAME), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("tls") / "endpoint.pem"
    path.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def asked_for() -> list[str | None]:
    """The names that clients asked the TLS server for (SNI)."""
    return []


@pytest.fixture
def tls_server(certificate: Path, asked_for: list[str | None]) -> Iterator[FaultServer]:
    """Speak TLS, with a certificate that only its own bundle trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _sock, name, _context: asked_for.append(name)
    with FaultServer(tls=context) as running:
        running.play(say(OK))
        yield running


def here(server: FaultServer, path: str = "/events") -> str:
    """Write the URL of a plain server."""
    return f"http://127.0.0.1:{server.port}{path}"


def post(url: str, resolve: Resolve = lookup, **settings: object) -> Answer:
    """Post as demo and tests do, with loopback allowed."""
    client = PublicClient(**{"allow_private": True, "resolve": resolve, **settings})  # type: ignore[arg-type]
    return client.post(url, HEADERS, b'{"type":"challenge.sent"}')


# The way of a good one.


def test_an_event_arrives_as_it_was_signed(server: FaultServer) -> None:
    """One POST: our headers, JSON, the body byte for byte, nothing of ours that tells who we are beyond a name."""
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
    """The connection goes to the address that was judged; SNI, Host and the certificate are of the name.

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
    """That the certificate is for the address does not help: the name is what was asked for."""
    url = f"https://other.example.test:{tls_server.port}/"
    assert post(url, known_as("127.0.0.1"), ca_bundle=str(certificate)) == failed("tls_failed")
    assert tls_server.received == []


def test_a_certificate_of_nobody_we_trust_is_refused(tls_server: FaultServer) -> None:
    """Without a bundle of one's own the usual authorities count."""
    url = f"https://{NAME}:{tls_server.port}/"
    assert post(url, known_as("127.0.0.1")) == failed("tls_failed")
    assert tls_server.received == []


def test_the_next_address_is_tried_when_nothing_left(server: FaultServer) -> None:
    """A name with a dead address in front is still reached."""
    url = f"http://localhost:{server.port}/"
    assert post(url, known_as("127.0.0.2", "127.0.0.1")) == ANSWERED
    assert server.connections == 1


def test_an_address_that_swallows_packets_leaves_time_for_the_next(server: FaultServer) -> None:
    """Addresses share the connect limit, whichever of them is dead."""
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.2", server.port), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0)
            filler.connect_ex(full.getsockname())
        url = f"http://localhost:{server.port}/"
        limit: dict[str, Any] = {"connect_limit": 0.6}
        assert post(url, known_as("127.0.0.2"), **limit) == failed("connect_timeout")
        assert post(url, known_as("127.0.0.2", "127.0.0.1"), **limit) == ANSWERED


def test_no_address_is_tried_after_the_request_left(server: FaultServer) -> None:
    """One try is one request at most; when to send again is decided elsewhere."""
    server.play(reset)
    url = f"http://localhost:{server.port}/"
    assert post(url, known_as("127.0.0.1", "127.0.0.1")) == failed("no_answer")
    assert len(server.received) == 1


def test_no_connection_stays_open(server: FaultServer) -> None:
    """After every end the socket is given back."""
    for play in ([say(OK)], [reset], [close], [say(b"nonsense\r\n\r\n")], [say(http(b"", length=9))]):
        server.play(*play)
        post(here(server))
    server.wait_until_deserted()


# Where nothing may go. PORT is one that is listened at on loopback, by IPv4 and IPv6.

PAYLOADS = (
    "https://127.0.0.1:PORT/",
    "https://127.1:PORT/",
    "https://127.0.1:PORT/",
    "https://2130706433:PORT/",
    "https://0x7f000001:PORT/",
    "https://0x7f.0.0.1:PORT/",
    "https://0177.0.0.1:PORT/",
    "https://017700000001:PORT/",
    "https://127.0.0.01:PORT/",
    "https://127.0.0.1.:PORT/",
    "https://0:PORT/",
    "https://0.0.0.0:PORT/",
    "https://[::1]:PORT/",
    "https://[::]:PORT/",
    "https://[::ffff:127.0.0.1]:PORT/",
    "https://[::ffff:7f00:1]:PORT/",
    "https://[::127.0.0.1]:PORT/",
    "https://[0:0:0:0:0:ffff:127.0.0.1]:PORT/",
    "https://[2002:7f00:1::]:PORT/",
    "https://[64:ff9b::127.0.0.1]:PORT/",
    "https://[64:ff9b:1::7f00:1]:PORT/",
    "https://[2001:0:7f00:1::]:PORT/",
    "https://[::1%25lo]:PORT/",
    "https://[fe80::1]:PORT/",
    "https://app.example.com@127.0.0.1:PORT/",
    "https://app.example.com:443@127.0.0.1:PORT/",
    "https://127.0.0.1:PORT@app.example.com/",
    "https://app.example.com\\@127.0.0.1:PORT/",
    "https://127.0.0.1:PORT\\.app.example.com/",
    "https://127.0.0.1:PORT#app.example.com/",
    "https://app.example.com#@127.0.0.1:PORT/",
    "https://127.0.0.1:PORT?app.example.com/",
    "https://%6c%6f%63%61%6c%68%6f%73%74:PORT/",
    "https://①②⑦.⓪.⓪.①:PORT/",
    "https://ⓛocalhost:PORT/",
    "https://127。0。0。1:PORT/",
    "https://127.0.0.1\t:PORT/",
    "https://127.0.0.1:PORT/\r\nHost: app.example.com",
    " https://127.0.0.1:PORT/",
    "https:127.0.0.1:PORT/",
    "https:///127.0.0.1:PORT/",
    "//127.0.0.1:PORT/",
    "http://127.0.0.1:PORT/",
    "http://localhost:PORT/",
    "http://app.example.com:PORT/",
    "gopher://127.0.0.1:PORT/",
    "file:///etc/passwd",
    "unix:///run/redis.sock",
    "ftp://127.0.0.1:PORT/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[fd00:ec2::254]/latest/meta-data/",
    "https://100.100.100.200/latest/meta-data/",
    "https://192.0.0.192/opc/v2/instance/",
    "https://168.63.129.16/metadata",
)


@pytest.fixture(scope="module")
def listener() -> Iterator[FaultServer]:
    """One server that no payload may reach."""
    with FaultServer() as running:
        running.play(say(OK))
        yield running


@pytest.fixture
def six(listener: FaultServer) -> Iterator[socket.socket | None]:
    """Listen on [::1] on the same port; None on a machine without IPv6, which has nothing there to reach."""
    try:
        sock = socket.create_server(("::1", listener.port), family=socket.AF_INET6)
    except OSError:
        yield None
        return
    with sock:
        sock.settimeout(0)
        yield sock


def nobody_came(listener: FaultServer, six: socket.socket | None) -> bool:
    """Say that neither socket has seen a connection."""
    with suppress(BlockingIOError):
        if six:
            six.accept()[0].close()
            return False
    return listener.connections == 0


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_url_that_leads_inside_is_refused_by_its_form(
    listener: FaultServer, six: socket.socket | None, payload: str
) -> None:
    """The policy is told the rule, a try ends before anything is looked up, and no socket sees a connection."""
    url = payload.replace("PORT", str(listener.port))
    looked_up = []

    def resolve(host: str, port: int) -> Sequence[str]:
        looked_up.append(host)
        return lookup(host, port)

    assert (check_url(url) or "").startswith("must ")
    assert post(url, resolve, allow_private=False) == failed("bad_url")
    assert looked_up == []
    assert nobody_came(listener, six)


NEVER = (
    "0.0.0.0",  # noqa: S104 - nothing binds to it
    "0.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "169.254.169.254",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "3fff::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
)
PRIVATE = (
    "10.0.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "::1",
    "fc00::1",
)


@pytest.mark.parametrize("address", [*NEVER, *PRIVATE])
def test_a_name_that_leads_inside_is_refused(
    listener: FaultServer, six: socket.socket | None, address: str
) -> None:
    """What a name resolves to is judged as an address in the URL would be."""
    url = f"https://{NAME}:{listener.port}/"
    assert post(url, known_as(address), allow_private=False) == failed("forbidden_address")
    assert nobody_came(listener, six)


@pytest.mark.parametrize(
    "addresses", [("1.1.1.1", "127.0.0.1"), ("127.0.0.1", "1.1.1.1"), ("2606:4700::1", "::1")]
)
def test_one_address_inside_is_enough_to_refuse(
    listener: FaultServer, six: socket.socket | None, addresses: tuple[str, ...]
) -> None:
    """A name that leads inside and outside is not trusted with either."""
    url = f"https://{NAME}:{listener.port}/"
    assert post(url, known_as(*addresses), allow_private=False) == failed("forbidden_address")
    assert nobody_came(listener, six)


@pytest.mark.parametrize("address", NEVER)
def test_private_networks_do_not_open_metadata_or_embedded_addresses(
    listener: FaultServer, six: socket.socket | None, address: str
) -> None:
    """Who lets private networks in has not asked for these."""
    assert post(f"https://{NAME}:{listener.port}/", known_as(address)) == failed("forbidden_address")
    assert nobody_came(listener, six)


@pytest.mark.parametrize("address", [*PRIVATE[:1], "192.168.1.1", "1.1.1.1", "169.254.169.254"])
def test_plain_http_stays_on_this_machine(address: str) -> None:
    """A lying resolver does not carry an event in clear over a network."""
    assert post("http://localhost:9/", known_as(address)) == failed("forbidden_address")


@pytest.mark.parametrize(
    "url", ["http://app.example.com/", "http://10.0.0.1/", "http://localhost.example.com/"]
)
def test_plain_http_to_elsewhere_is_refused_even_with_private_networks(url: str) -> None:
    """Only this machine may be spoken to in clear."""
    assert check_url(url, allow_private=True) == "must be https"


@given(st.ip_addresses())
def test_no_address_that_python_calls_special_is_let_in(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    """Our table misses nothing that the standard library's knows; hypothesis prefers special addresses."""
    host = f"[{address}]" if address.version == 6 else str(address)
    special = not address.is_global or address.is_multicast or address.is_reserved
    if special:
        assert check_url(f"https://{host}/") == "must not be a private or reserved address"
    if check_url(f"https://{host}/") is None:
        assert check_url(f"https://{host}/", allow_private=True) is None
        assert not special


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example.com",
        "https://app.example.com/",
        "https://APP.example.com:8443/a/b;c?d=e&f=%20@:[]",
        "https://xn--bcher-kva.example/",
        "https://a-b.1a.example/",
        "https://intranet/",
        "https://localhost/",
        "https://8.8.8.8/",
        "https://192.0.1.1/",
        "https://172.32.0.1/",
        "https://223.255.255.255/",
        "https://[2606:4700:4700::1111]:1/",
        "https://app.example.com:65535/",
    ],
)
def test_a_good_url_breaks_no_rule(url: str) -> None:
    """Names are judged by their addresses when they are known, ports are the app's own affair."""
    assert check_url(url) is None


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("http://app.example.com/", "must be https"),
        ("https://10.0.0.1/", "must not be a private or reserved address"),
        ("https://0x7f.1/", "must have an address in its usual form, or a name"),
        ("https://[12345::]/", "must have an address in its usual form, or a name"),
        ("https://-a.example.com/", "must have a host name of letters, digits, hyphens and dots"),
        ("https://a..example.com/", "must have a host name of letters, digits, hyphens and dots"),
        ("https://example.com./", "must have a host name of letters, digits, hyphens and dots"),
        (f"https://{'a' * 64}.example.com/", "must have a host name of letters, digits, hyphens and dots"),
        ("app.example.com", "must be a URL such as"),
        ("https://user@app.example.com/", "must be a URL such as"),
        ("https://app.example.com:0/", "must be a URL such as"),
        ("https://app.example.com:65536/", "must be a URL such as"),
        ("https://app.example.com/#x", "must be a URL such as"),
        ("https://app.example.com/a b", "must be a URL such as"),
        (f"https://app.example.com/{'a' * 2048}", "must be a URL such as"),
    ],
)
def test_a_bad_url_is_refused_with_its_rule(url: str, rule: str) -> None:
    """An operator reads what to change."""
    assert (check_url(url) or "").startswith(rule)


@given(st.text(max_size=40) | st.text(max_size=40).map("https://".__add__))
def test_any_text_is_judged(text: str) -> None:
    """Whatever stands in the policy, the check has an answer, and both settings agree on a good URL."""
    if check_url(text) is None:
        assert check_url(text, allow_private=True) is None
        assert text.startswith("https://")


# What an answer may not do.


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]
)
def test_a_redirect_is_an_answer_and_nothing_more(
    server: FaultServer, listener: FaultServer, six: socket.socket | None, status: str
) -> None:
    """No event follows a Location, least of all to inside."""
    server.play(say(http(status=status, headers=[f"Location: {here(listener)}"])))
    assert post(here(server)) == Answer(int(status[:3]), None, "answered")
    assert nobody_came(listener, six)


def test_the_environment_sends_nothing_elsewhere(
    server: FaultServer,
    listener: FaultServer,
    six: socket.socket | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither a proxy nor a netrc that the process was started with is known."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login canary password canary")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{listener.port}")
    assert post(here(server)) == ANSWERED
    assert "authorization" not in server.received[0].headers
    assert nobody_came(listener, six)


def test_a_body_is_not_read(server: FaultServer) -> None:
    """An endless answer costs no memory: the status says all, and the connection is closed on the rest."""
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
    """Endpoints carry keys in their query; urllib3 writes paths at DEBUG."""
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
# Whoever lets drops buy time gets a good answer in the end.
SLOW: dict[str, Sequence[Action]] = {
    "no answer": [hang],
    "dripping status line": [drip(OK)],
    "dripping headers": [say(b"HTTP/1.1 200 OK\r\n"), drip(OK.partition(b"\r\n")[2])],
    "many interim answers": [drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, gap=0.001), say(OK)],
}


@pytest.mark.parametrize("name", SLOW)
def test_a_slow_server_is_given_up(server: FaultServer, name: str) -> None:
    """Bytes that drip in do not buy time."""
    server.play(*SLOW[name])
    assert given_up(here(server)) == failed("timeout")


def given_up(url: str) -> Answer:
    """Post to a server that takes too long, with so short a limit that it ends, and long enough to be connected."""
    answers = (post(url, connect_limit=limit, total_limit=limit) for limit in SCALES)
    return next(answer for answer in answers if answer != failed("connect_timeout"))


def test_a_slow_handshake_is_part_of_the_total(tls_server: FaultServer, certificate: Path) -> None:
    """What connecting took is no longer there for the answer, which comes too late by it."""

    def found(limit: float) -> Answer:
        tls_server.on_connect = [pause(0.7 * limit)]
        tls_server.play(pause(0.7 * limit), say(OK))
        url = f"https://127.0.0.1:{tls_server.port}/"
        return post(url, ca_bundle=str(certificate), connect_limit=limit, total_limit=limit)

    assert failed("timeout") in map(found, SCALES)


def test_a_handshake_without_end_is_given_up(tls_server: FaultServer, certificate: Path) -> None:
    """TLS is part of the connect limit."""
    tls_server.on_connect = [hang]
    url = f"https://127.0.0.1:{tls_server.port}/"
    assert post(url, ca_bundle=str(certificate), **SHORT) == failed("connect_timeout")


def test_nothing_is_sent_after_a_lookup_that_took_too_long(server: FaultServer) -> None:
    """A lookup cannot be cut short, but it counts."""

    def resolve(_host: str, _port: int) -> list[str]:
        threading.Event().wait(0.3)
        return ["127.0.0.1"]

    assert post(here(server), resolve, connect_limit=0.2) == failed("connect_timeout")
    assert server.connections == 0


def test_a_lookup_is_part_of_the_total(server: FaultServer) -> None:
    """What it took is no longer there for the answer, which comes too late by it."""

    def found(limit: float) -> Answer:
        def resolve(_host: str, _port: int) -> list[str]:
            threading.Event().wait(0.7 * limit)
            return ["127.0.0.1"]

        server.play(pause(0.7 * limit), say(OK))
        return post(here(server), resolve, connect_limit=limit, total_limit=limit)

    assert failed("timeout") in map(found, SCALES)


def test_the_limits_are_five_and_fifteen_seconds() -> None:
    """Standard Webhooks recommends 15 to 30 for the whole."""
    client = PublicClient()
    assert (client.connect_limit, client.total_limit) == (5, 15)
    assert not client.allow_private


# What goes wrong.


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
    """Whatever the resolver says in place of addresses."""
    assert post(f"https://{NAME}/", resolve) == failed("dns_failed")


def test_the_systems_resolver_gives_addresses() -> None:
    """Each as text that can be judged."""
    assert set(lookup("localhost", 443)) <= {"127.0.0.1", "::1"}
    assert lookup("127.0.0.1", 443) == ["127.0.0.1"]
    with pytest.raises(socket.gaierror):
        lookup("fe80::1%nosuchzone", 443)


def test_nobody_listens() -> None:
    """A closed port is told as such."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
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
def test_an_answer_that_is_none(server: FaultServer, play: Sequence[Action]) -> None:
    """Broken off, not HTTP, without measure: no answer, and no exception."""
    server.play(*play)
    assert post(here(server)) == failed("no_answer")


@pytest.mark.parametrize("status", [200, 204, 299, 400, 404, 410, 429, 500, 503, 599])
def test_a_status_is_told_as_it_is(server: FaultServer, status: int) -> None:
    """What it means is not decided here."""
    server.play(say(http(status=f"{status} Word")))
    assert post(here(server)) == Answer(status, None, "answered")


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
    """RFC 9110, 10.2.3; a past date is now, nonsense is as if it were not there."""
    answer = http(status="503 Later", headers=["Retry-After: " + written.encode().decode("latin-1")])
    server.play(say(answer))
    assert post(here(server)) == Answer(503, seconds, "answered")


def test_a_date_to_come_is_seconds_from_now(server: FaultServer) -> None:
    """As receivers write it who count on a clock."""
    later = format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=600), usegmt=True)
    server.play(say(http(status="503 Later", headers=[f"Retry-After: {later}"])))
    found = post(here(server))
    assert found.retry_after == pytest.approx(600, abs=30)


def test_one_client_serves_many_threads(server: FaultServer) -> None:
    """Sixteen at once, each its own answer."""
    server.respond(lambda request: http(status=f"{request.path[1:]} Word"))
    client, found = PublicClient(allow_private=True), {}

    def call(status: int) -> None:
        found[status] = client.post(here(server, f"/{status}"), HEADERS, b"{}").status

    threads = [threading.Thread(target=call, args=[400 + n]) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert found == {400 + n: 400 + n for n in range(16)}
