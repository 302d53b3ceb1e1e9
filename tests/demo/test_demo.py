"""The demo as a newcomer runs it: one command starts it, a code arrives and is verified, Ctrl-C ends it."""

import http.client
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.demo_process import Demo, StartDemo
from tests.support.documents import shell
from tests.support.endpoint import Endpoint, Post
from tests.support.numbers import DELIVERED
from tests.support.patience import PATIENCE, until
from tests.support.ports import free_port

pytest_plugins = ("tests.support.demo_fixtures",)
THREADS = 32
"""Requests that all processes of the demo's API serve at once."""


def test_a_code_goes_out_and_comes_back_verified(demo: Demo) -> None:
    """The main job, over real HTTP from end to end."""
    arrived = len(demo.inbox(DELIVERED))
    challenge = demo.send(DELIVERED, purpose="signup", reference="order-1")
    code = demo.code(DELIVERED, arrived + 1)
    answer = demo.call("POST", "/otp/verify", {"challenge_id": challenge["challenge_id"], "code": code})
    assert answer.status_code == 200
    assert answer.json()["status"] == "verified"
    redeemed = demo.call("POST", "/otp/token/redeem", {"token": answer.json()["token"]}, key="secret_key")
    assert redeemed.json()["phone_number"] == DELIVERED
    assert redeemed.json()["purpose"] == "signup"
    assert redeemed.json()["reference"] == "order-1"


def test_keys_are_written_for_their_owner_only(demo: Demo) -> None:
    """var/demo.json has exactly the promised members and mode 0600."""
    file = demo.var / "demo.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert set(json.loads(file.read_text())) == {
        "api",
        "sandbox",
        "publishable_key",
        "secret_key",
        "ops_key",
        "upstream_token",
        "webhook_secret",
        "settings",
    }


def test_an_operator_sees_the_upstream(demo: Demo) -> None:
    """The ops key reaches /ops and its balance comes from the sandbox."""
    found = demo.call("GET", "/ops/upstreams", key="ops_key").json()["upstreams"]
    assert [(account["name"], account["status"]) for account in found] == [("sandbox", "ok")]
    assert found[0]["balance"]


def test_metrics_sum_all_processes(demo: Demo) -> None:
    """What the worker counted shows on the API's page, whichever process answers."""
    demo.code(DELIVERED) if demo.inbox(DELIVERED) else demo.send(DELIVERED)
    demo.code(DELIVERED)
    wanted = re.compile(r'^otp_deliveries_total\{.*verdict="accepted"\} [1-9]', re.MULTILINE)
    until(lambda: wanted.search(demo.call("GET", "/metrics", key="ops_key").text) is not None)
    page = demo.call("GET", "/metrics", key="ops_key").text
    assert "otp_http_requests_total" in page
    assert "otp_hash_seconds_bucket" in page


@pytest.fixture(scope="module")
def endpoint(demo: Demo) -> Iterator[Endpoint]:
    """An app's endpoint that every process of the demo knows."""
    made = Endpoint()
    file = demo.folder / "policy.toml"
    table = f'\n[app.demo.events]\nurl = "{made.url}"\nsecret_env = "OTP_EVENTS_DEMO"\n'
    file.write_text((demo.var / "policy.toml").read_text() + table)
    applied = shell(".venv/bin/otp-service policy --demo var apply policy.toml --reason test", demo.folder)
    demo.wait_for_policy(int(re.findall("version ([0-9]+) is in force", applied)[0]))
    yield made
    made.close()


SMS, WHATSAPP = {"channel": "sms"}, {"channel": "whatsapp"}


@pytest.mark.parametrize(
    ("number", "messages", "events"),
    [
        (
            "+12025550101",
            1,
            [("challenge.delivered", SMS), ("challenge.sent", SMS), ("challenge.verified", SMS)],
        ),
        (
            "+12025550112",
            2,
            [
                ("challenge.delivered", WHATSAPP),
                ("challenge.fell_back", {**WHATSAPP, "from": "sms", "reason": "undelivered"}),
                ("challenge.sent", SMS),
                ("challenge.sent", WHATSAPP),
                ("challenge.verified", WHATSAPP),
            ],
        ),
    ],
    ids=["delivered", "fell back"],
)
def test_an_app_hears_of_its_challenges(
    demo: Demo, endpoint: Endpoint, number: str, messages: int, events: list[tuple[str, dict[str, str]]]
) -> None:
    """Everything that happens to a code on its way comes once, signed; the specification's own library checks it."""
    arrived = len(demo.inbox(number)) + messages
    id_ = demo.send(number, reference="order-1")["challenge_id"]
    code = demo.code(number, arrived)
    assert demo.call("POST", "/otp/verify", {"challenge_id": id_, "code": code}).status_code == 200

    def about_it(posts: list[Post]) -> dict[str, Any]:
        read = {post.id: post.read(demo.settings["OTP_EVENTS_DEMO"]) for post in posts}
        return {key: event for key, event in read.items() if event["data"]["challenge_id"] == id_}

    heard = about_it(endpoint.wait(lambda posts: len(about_it(posts)) >= len(events)))
    about = {"challenge_id": id_, "purpose": "login", "reference": "order-1"}
    assert sorted(((event["type"], event["data"]) for event in heard.values()), key=str) == [
        (type_, {**about, **data}) for type_, data in events
    ]


@pytest.mark.parametrize("name", ["worker", "serve", "sandbox", "valkey"])
def test_a_killed_child_comes_back(demo: Demo, name: str) -> None:
    """After kill -9 of any child, the demo works again with everything that it had stored."""
    number = f"+1202555018{['worker', 'serve', 'sandbox', 'valkey'].index(name)}"
    before = demo.children()[name]
    demo.kill(name)
    demo.wait(lambda: demo.children().get(name, before) != before and _serves(demo))
    challenge = demo.send(number)["challenge_id"]
    code = demo.code(number)
    assert demo.call("POST", "/otp/verify", {"challenge_id": challenge, "code": code}).status_code == 200


def _serves(demo: Demo) -> bool:
    try:
        return demo.call("GET", "/readyz").ok and demo.inbox() is not None
    except requests.RequestException:
        return False  # refused while it is away


def test_log_is_one_event_a_line(demo: Demo) -> None:
    """Everything but the welcome is one JSON object a line, with the request id through API and worker."""
    challenge = demo.send(DELIVERED)
    demo.code(DELIVERED)
    short = challenge["challenge_id"][:8]

    def mine() -> list[dict[str, Any]]:
        return [event for event in demo.events() if event.get("challenge") == short]

    demo.wait(lambda: {event["process"] for event in mine()} == {"api", "worker"})
    assert len({event["request_id"] for event in mine()}) == 1
    foreign = [line for line in demo.log.read_text().splitlines() if line and line[0] not in "{ "]
    assert foreign == []


def test_half_sent_requests_do_not_hold_the_service(demo: Demo) -> None:
    """More silent clients than there are threads: they are cut off, and others are served again."""
    host, _, port = demo.keys["api"].removeprefix("http://").partition(":")
    with ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection((host, int(port)), PATIENCE))
            for _ in range(THREADS + 1)
        ]
        for connection in silent:
            connection.sendall(b"POST /otp/send HTTP/1.1\r\nHost: a\r\n")
        assert requests.get(demo.keys["api"] + "/healthz", timeout=PATIENCE).ok


@pytest.mark.parametrize(
    ("chunks", "status"),
    [
        (b'17\r\n{"to": "+12025550199"}\n\r\n0\r\n\r\n', 202),
        (b"4001\r\n" + b" " * 0x4001 + b"\r\n0\r\n\r\n", 413),
        (b"zz\r\n{}\r\n0\r\n\r\n", 400),
    ],
)
def test_chunked_bodies_follow_the_same_rules(demo: Demo, chunks: bytes, status: int) -> None:
    """A body without a stated length is read, limited and refused like any other."""
    host, _, port = demo.keys["api"].removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(
            b"POST /otp/send HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\nAuthorization: Bearer "
            + demo.keys["secret_key"].encode()
            + b"\r\n\r\n"
            + chunks
        )
        assert connection.recv(1000).startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize(
    ("sent", "status", "code", "field"),
    [
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "uri_too_long", "path"),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
            431,
            "headers_too_large",
            "headers",
        ),
        (b"GET / HTTP/1.1\r\n" + b"X: secret\r\n" * 70 + b"\r\n", 431, "headers_too_large", "headers"),
        (b"secret\r\n\r\n", 400, "malformed_request", "request"),
        (b"GET / HTTP/1.1\r\nsecret secret\r\n\r\n", 400, "malformed_request", "request"),
        (b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", 400, "malformed_request", "request"),
    ],
    ids=["uri", "header", "headers", "line", "field", "version"],
)
def test_what_is_no_request_gets_a_problem_document(
    demo: Demo, sent: bytes, status: int, code: str, field: str
) -> None:
    """The server's own refusals look like all others and repeat nothing of what came."""
    host, _, port = demo.keys["api"].removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(sent)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        body = answer.read()
    problem = json.loads(body)
    assert answer.status == problem["status"] == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert problem["code"] == code
    assert [error["field"] for error in problem["errors"]] == [field]
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    assert b"secret" not in body
    assert b"aaaa" not in body


def test_a_reload_with_a_broken_policy_keeps_the_old_one(demo: Demo) -> None:
    """SIGHUP after a mistake: the log names it, and the API continues with the old settings."""
    policy = demo.var / "policy.toml"
    right = policy.read_text()
    try:
        policy.write_text(right.replace('channel = "sms"', 'channel = "pigeon"'))
        os.kill(demo.children()["serve"], signal.SIGHUP)
        demo.wait(lambda: any(event["event"] == "reload.refused" for event in demo.events()))
        for number in range(10):
            demo.send(f"+120155501{number:02d}")
    finally:
        policy.write_text(right)


def test_ctrl_c_ends_everything(start_demo: StartDemo) -> None:
    """One SIGINT ends all children, frees the ports, removes the keys and exits 0."""
    demo = start_demo()
    pids = demo.children()
    assert set(pids) == {"serve", "worker", "sandbox", "valkey"}
    assert demo.close() == 0
    assert not [pid for pid in pids.values() if Path(f"/proc/{pid}").exists()]
    assert not (demo.var / "demo.json").exists()
    assert "Traceback" not in demo.log.read_text()
    assert "\nStopping ...\n" in demo.log.read_text()


def test_killing_the_demo_itself_leaves_nothing_behind(start_demo: StartDemo) -> None:
    """After kill -9 of the parent, its children end by themselves."""
    demo = start_demo()
    pids = demo.children()
    demo.process.kill()
    demo.process.wait()
    until(
        lambda: not any(map(_lives, pids.values())), progress=lambda: [_lives(pid) for pid in pids.values()]
    )


def _lives(pid: int) -> bool:
    """Distinguish a running process from a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_taken_port_is_a_clear_error(tmp_path: Path) -> None:
    """The demo names both ports at once and exits with 2."""
    first, second = free_port(), free_port()
    with socket.create_server(("127.0.0.1", first)), socket.create_server(("127.0.0.1", second)):
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "otp_service",
                "demo",
                "--port",
                str(first),
                "--sandbox-port",
                str(second),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 2
    assert f"--port {first} is in use" in done.stderr
    assert f"--sandbox-port {second} is in use" in done.stderr


def test_a_host_that_the_sandbox_could_not_be_reached_at_safely_is_a_clear_error(tmp_path: Path) -> None:
    """The policy allows plain HTTP to this machine only, so the demo listens nowhere else."""
    done = subprocess.run(
        [sys.executable, "-m", "otp_service", "demo", "--host", "192.0.2.1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2
    assert "--host 192.0.2.1 is not one of localhost, 127.0.0.1, ::1, 0.0.0.0, ::" in done.stderr


def test_sigterm_loses_nothing(start_demo: StartDemo) -> None:
    """On SIGTERM, a busy worker finishes or hands back its work: every challenge is delivered once."""
    demo = start_demo("--latency", "0.3")
    numbers = [f"+120155501{n:02d}" for n in range(60)]
    for place, number in enumerate(numbers):
        demo.send(number)
        if place in {20, 40}:
            demo.wait(lambda: "worker" in demo.children())
            os.kill(demo.children()["worker"], signal.SIGTERM)
    for number in numbers:
        demo.code(number)
    assert [len(demo.inbox(number)) for number in numbers] == [1] * len(numbers)
