"""A port for operators alone: what is answered where, by real processes, and no header that changes it."""

import re
import secrets
import socket
from collections.abc import Iterator

import pytest
import requests
from flask import Flask

from otp_service.delivery.pace_board import PaceBoard, Share
from tests.conftest import OPS, POLICY, PUBLISHABLE, SECRET
from tests.support.http_api import NOBODY, Api, close, make_api
from tests.support.patience import PATIENCE, until
from tests.support.ports import HOST, free_port
from tests.support.service_process import serving, settings
from tests.support.spine import PatientScripts
from tests.support.valkey_server import ValkeyServer

PUBLIC, INSIDE = 8000, 8001
PREFIX = f"t{secrets.token_hex(6)}"
EVERYWHERE = {"/healthz", "/readyz", "/errors"}
FILLED = {"<release>": "1.0.0", "<file>": "otp.js", "<asset>": "console.css"}


# Every path, by the port that the server says.


@pytest.fixture
def api(valkey: ValkeyServer) -> Iterator[Api]:
    """Build an application that has a port for operators."""
    made = make_api(valkey, ops_listen=f"{HOST}:{INSIDE}")
    yield made
    close(made)


def status(app: Flask, path: str, port: int, method: str = "GET") -> int:
    """Make a request to a port and return the status."""
    client = app.test_client()
    return client.open(path, method=method, environ_overrides={"SERVER_PORT": str(port)}).status_code


def paths(app: Flask) -> dict[str, str]:
    """List every path of the application, filled in, with one of its methods."""
    return {
        re.sub("<[^>]+>", lambda part: FILLED.get(part[0], "1"), rule.rule): min(
            (rule.methods or set()) - {"HEAD", "OPTIONS"}
        )
        for rule in app.url_map.iter_rules()
    }


def test_each_path_is_on_its_port_only(api: Api) -> None:
    """404 on the other port, for every method; probes are on both."""
    for path, method in paths(api.flask).items():
        inside = path.startswith("/ops/") or path == "/metrics"
        here, there = (INSIDE, PUBLIC) if inside else (PUBLIC, INSIDE)
        assert status(api.flask, path, here, method) != 404 or "webhooks" in path
        if path in EVERYWHERE:
            assert status(api.flask, path, there, method) == 200
            continue
        for tried in ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE"):
            assert status(api.flask, path, there, tried) == 404, (tried, path)


def test_without_an_operators_port_one_port_serves_everything(valkey: ValkeyServer) -> None:
    """Operators, metrics and apps share it; operators' calls and metrics ask for an operator's key."""
    api = make_api(valkey)
    assert status(api.flask, "/metrics", PUBLIC) == 401
    assert status(api.flask, "/ops/policy", PUBLIC) == 401
    close(api)


# Real processes.


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, valkey: ValkeyServer) -> Iterator[tuple[int, int]]:
    """Serve on two ports behind one proxy and return the public and the operators' port."""
    file = tmp_path_factory.mktemp("served") / "policy.toml"
    limits = '\n[guard.address]\nrefuse = ["1/m"]\n[guard.number]\nrefuse = ["999/m"]\n'
    limits += "".join(f'[guard.{rule}]\nmode = "off"\n' for rule in ("cooldown", "prefix"))
    file.write_text(POLICY.replace("UPSTREAM/", f"{NOBODY}/") + limits, encoding="utf-8")
    public, inside = free_port(), free_port()
    own = {"OTP_LISTEN": f"{HOST}:{public}", "OTP_OPS_LISTEN": f"{HOST}:{inside}"}
    own["OTP_WORKER_SILENCE"] = "1h"  # there is no worker
    with serving(settings(valkey, file, OTP_REDIS_PREFIX=PREFIX, **own), public, inside):
        yield public, inside


def asked(port: int, head: str, body: str = "") -> int:
    """Send these bytes as a request and return the status."""
    raw = f"{head}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode("latin-1")
    with socket.create_connection((HOST, port), timeout=PATIENCE) as link:
        link.sendall(raw)
        answer = link.makefile("rb").readline()
    return int(answer.split()[1])


def test_operators_are_served_on_their_own_port(served: tuple[int, int]) -> None:
    """Policy and metrics there, apps here, probes on both."""
    public, inside = (f"http://{HOST}:{port}" for port in served)
    operator = {"Authorization": f"Bearer {OPS}"}
    assert requests.get(f"{inside}/ops/policy", headers=operator, timeout=PATIENCE).status_code == 200
    assert "otp_http_requests" in requests.get(f"{inside}/metrics", timeout=PATIENCE).text
    for path in ("/ops/policy", "/metrics"):
        answer = requests.get(f"{public}{path}", headers=operator, timeout=PATIENCE)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert requests.get(f"{public}/.well-known/jwks.json", timeout=PATIENCE).status_code == 200
    assert requests.get(f"{inside}/.well-known/jwks.json", timeout=PATIENCE).status_code == 404
    for address in (public, inside):
        for path in EVERYWHERE:
            assert requests.get(f"{address}{path}", timeout=PATIENCE).status_code == 200


LIES = [
    "Host: {host}:{inside}",
    "Host: {host}:{inside}\r\nX-Forwarded-Port: {inside}",
    "Host: {host}\r\nX-Forwarded-Port: {inside}\r\nX-Forwarded-Host: {host}:{inside}\r\nX-Forwarded-Server: x",
    "Host: {host}\r\nForwarded: for=127.0.0.1;host={host}:{inside};by={host}:{inside}",
    "Host: {host}\r\nSERVER_PORT: {inside}",
    "Host: {host}\r\nServer-Port: {inside}",
    "Host: {host}\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 127.0.0.1:{inside}",
    "Host: {host}\r\nPATH_INFO: /ops/policy\r\nSCRIPT_NAME: /healthz",
    "Host: {host}\r\nX-Original-URL: /healthz\r\nX-Rewrite-URL: /healthz",
]
TARGETS = [
    "/ops/policy",
    "/metrics",
    "/%6fps/policy",
    "/ops%2fpolicy",
    "/./ops/policy",
    "/healthz/../ops/policy",
    "//ops/policy",
    "/ops/policy?x=/healthz",
    "http://{host}:{inside}/ops/policy",
    "http://{host}:{inside}/metrics",
    "/healthz;/ops/policy",
]


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("target", TARGETS)
def test_no_header_or_target_reaches_operators_paths(served: tuple[int, int], lie: str, target: str) -> None:
    """Even with an operator's key: the port of the socket decides, not what the request says."""
    public, inside = served
    lie, target = (text.format(host=HOST, inside=inside) for text in (lie, target))
    head = f"GET {target} HTTP/1.1\r\n{lie}\r\nAuthorization: Bearer {OPS}"
    # a target with its host is written to proxies; some headers are no HTTP to the server at all
    assert asked(public, head) in {400, 404}


@pytest.mark.parametrize("lie", LIES)
def test_no_header_reaches_the_public_api_from_the_operators_port(served: tuple[int, int], lie: str) -> None:
    """The public API is not reachable there, whatever the headers say."""
    public, inside = served
    lie = lie.format(host=HOST, inside=public)
    head = f"POST /otp/send HTTP/1.1\r\n{lie}\r\nAuthorization: Bearer {SECRET}\r\nContent-Type: application/json"
    assert asked(inside, head, '{"to": "+12025550100"}') in {400, 404}


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (
            "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 198.51.100.1",
            "X-Forwarded-For: 198.51.100.1:4711",
            429,
        ),
        ("X-Forwarded-For: 198.51.100.2\r\nX-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 198.51.100.2", 202),
        ("X_Forwarded_For: 6.6.6.6\r\nX-Forwarded-For: 198.51.100.3", "X-Forwarded-For: 198.51.100.3", 429),
        ("X-Forwarded-For: 198.51.100.4\r\nX_Forwarded_For: 6.6.6.6", "X-Forwarded-For: 198.51.100.4", 429),
    ],
)
def test_of_two_headers_the_last_entry_counts(
    served: tuple[int, int], first: str, second: str, expected: int
) -> None:
    """Two headers are one list, in their order; a name with an underscore is not one of them."""
    head = f"POST /otp/send HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {PUBLISHABLE}"
    head += "\r\nContent-Type: application/json"
    found = []
    for lines in (first, second):
        body = f'{{"to": "+1202555{secrets.randbelow(100):04}"}}'
        found.append(asked(served[0], f"{head}\r\n{lines}", body))
    assert found == [202, expected]


def test_while_too_much_is_requested_a_send_does_not_reach_the_application(
    served: tuple[int, int], valkey: ValkeyServer
) -> None:
    """Not even its key is looked at. This test is the last of the file, because it takes a while to be over."""
    scripts = PatientScripts(valkey)
    board = PaceBoard(scripts, prefix=PREFIX)

    def sent(more: str = "") -> int:
        board.write("worker", Share(0, 1000, 1.0))
        return asked(served[0], f"POST /otp/send HTTP/1.1\r\nHost: {HOST}{more}")

    until(lambda: {sent() for _ in range(10)} == {503})
    assert sent("\r\nIdempotency-Key: a") == 401
    scripts.close()
