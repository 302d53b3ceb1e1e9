"""nginx with the shipped configuration: a rolling restart loses no request, and no slow client reaches a service."""

import json
import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import POLICY, SECRET
from tests.support.certificates import certify
from tests.support.http_api import NO_ID, NOBODY
from tests.support.load import loaded
from tests.support.nginx import proxy
from tests.support.patience import PATIENCE, until
from tests.support.ports import HOST, free_port
from tests.support.served import answer, rest
from tests.support.service_process import serving, settings
from tests.support.valkey_server import ValkeyServer

pytestmark = pytest.mark.needs_nginx
GUESS = json.dumps({"challenge_id": NO_ID, "code": "000000"})
ASKS = (
    (b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: otp.example.com\r\n\r\n", 200),
    (  # a POST: nginx never repeats it at the other service once it has begun to send it
        f"POST /otp/verify HTTP/1.1\r\nHost: otp.example.com\r\nAuthorization: Bearer {SECRET}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(GUESS)}\r\n\r\n{GUESS}".encode(),
        404,
    ),
)
CLIENTS, RESTARTS, ANSWERS = 8, 4, 2000
HEAD = b"POST /otp/send HTTP/1.1\r\nHost: otp.example.com\r\n"
SLOW = 40
UNFINISHED = [b"", HEAD, HEAD + b"Content-Length: 64\r\n\r\n{"]
BODY = b"{" + b" " * 62 + b"}"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Make a certificate for the proxy."""
    return certify(tmp_path)


def connecting(port: int, certificate: Path) -> Callable[[], ssl.SSLSocket]:
    """Return what connects to the proxy."""
    trusting = ssl.create_default_context(cafile=str(certificate))

    def connect() -> ssl.SSLSocket:
        plain = socket.create_connection((HOST, port), timeout=PATIENCE)
        return trusting.wrap_socket(plain, server_hostname=HOST)

    return connect


def test_a_rolling_restart_loses_none_of_10_000_requests(
    tmp_path: Path, valkey: ValkeyServer, certificate: Path
) -> None:
    """Two services behind nginx, under clients that keep their connections and others; each restarts twice."""
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY.replace("UPSTREAM/", f"{NOBODY}/"), encoding="utf-8")
    values, port = settings(valkey, policy), free_port()
    ports = [free_port(), free_port()]

    def service(place: int) -> dict[str, str]:
        return {**values, "OTP_LISTEN": f"{HOST}:{ports[place]}"}

    with ExitStack() as started:
        running = [started.enter_context(serving(service(place), ports[place])) for place in range(2)]
        started.enter_context(proxy(tmp_path, port, ports, certificate))
        load = started.enter_context(loaded(connecting(port, certificate), CLIENTS, asks=ASKS))
        for restart in range(RESTARTS):
            load.reach(ANSWERS)
            place = restart % 2
            running[place].terminate()
            until(lambda place=place: running[place].poll() is not None, progress=lambda: load.answered)  # type: ignore[misc]
            assert running[place].returncode == 0
            running[place] = started.enter_context(serving(service(place), ports[place]))
        load.reach(ANSWERS)
        load.end()
        assert (load.lost, load.refused) == ([], 0)
        assert load.answered >= (RESTARTS + 1) * ANSWERS
    log = (tmp_path / "access.log").read_text().splitlines()
    assert {line.split()[4] for line in log} == {"200", "404"}
    assert all(f"{HOST}:{port}" in "".join(log) for port in ports)


def test_slow_and_silent_clients_do_not_reach_a_service(tmp_path: Path, certificate: Path) -> None:
    """Heads and bodies that never end, and silence: a service gets the one whole request; nginx ends the others."""
    port = free_port()
    connect = connecting(port, certificate)
    with ExitStack() as opened:
        service = opened.enter_context(socket.create_server((HOST, 0)))
        opened.enter_context(proxy(tmp_path, port, [service.getsockname()[1]], certificate))
        slow = []
        for said in UNFINISHED * SLOW:  # each is said at once: whoever is silent for long is not listened to
            slow.append(opened.enter_context(connect()))
            slow[-1].sendall(said)
        whole = opened.enter_context(connect())
        whole.sendall(HEAD + b"Content-Length: 64\r\n\r\n" + BODY)
        received = one_request(service)
        assert received.endswith(BODY)
        assert answer(whole)[0] == 200
        ends = {rest(client)[:12] for client in slow}
        assert ends <= {b"", b"HTTP/1.1 408"}
        service.settimeout(0)
        with pytest.raises(BlockingIOError):
            service.accept()


def one_request(service: socket.socket) -> bytes:
    """Take the next connection, read its request and answer it."""
    service.settimeout(PATIENCE)
    taken, _ = service.accept()
    with taken:
        taken.settimeout(PATIENCE)
        found = b""
        while not found.endswith(BODY):
            part = taken.recv(65536)
            assert part, found
            found += part
        taken.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    return found


def test_the_logs_hold_no_secret_and_no_body_is_on_a_disk(tmp_path: Path, certificate: Path) -> None:
    """Not even while no service answers: the secret of delivery reports is in their path, codes are in bodies."""
    port = free_port()
    secret, long = "the-secret-of-an-account", b"x" * 60_000
    reports = f"POST /webhooks/mobtexting/main/{secret}?to={secret} HTTP/1.1\r\nHost: otp.example.com\r\n"
    with proxy(tmp_path, port, [free_port()], certificate):
        for head in (reports.encode(), HEAD):
            with connecting(port, certificate)() as client:
                client.sendall(head + f"Content-Length: {len(long)}\r\n\r\n".encode() + long)
                assert answer(client)[0] == 502
    logged, failed = ((tmp_path / name).read_text() for name in ("access.log", "error.log"))
    assert "/webhooks/mobtexting/main 502" in logged
    assert "/otp/send" in failed
    assert secret not in logged + failed
    assert "temporary file" not in failed
