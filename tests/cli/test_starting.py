"""What a command imports and does before it works: no more than it needs, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from otp_service.bootstrap.core import Core
from otp_service.cli.main import COMMANDS
from otp_service.errors import TooManyRequests
from otp_service.verification.caller import Caller
from otp_service.verification.send import SendRequest
from tests.support.http_api import GOOD, NUMBER
from tests.support.patience import PATIENCE
from tests.support.ports import free_port

pytest_plugins = ["tests.support.command_fixtures"]

RUN = """
import json, sys
from otp_service.cli.main import run
code = run(sys.argv[1:])
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""
HEAVY = {
    *("flask", "werkzeug", "gunicorn", "requests", "urllib3", "argon2", "altcha", "prometheus_client"),
    *(
        "otp_service.http",
        "otp_service.upstream.mobtexting",
        "otp_service.verification",
        "otp_service.sandbox",
    ),
}
"""What no command needs that works on the store alone."""


def started(*arguments: str) -> tuple[int, str, set[str]]:
    """Run a command as a process of its own; return its exit code, its output and the modules that it imported."""
    ended = subprocess.run(
        [sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    code, modules = json.loads(ended.stderr.splitlines()[-1])
    return code, ended.stdout, set(modules)


@pytest.fixture
def block(product: Core) -> str:
    """The id of a block that is in the store."""
    product.active.refresh()
    caller = Caller(app=product.policy.apps["web"], active=product.active(), request_id="0" * 11)
    product.send.send(caller, SendRequest(to=NUMBER))
    with pytest.raises(TooManyRequests):
        product.send.send(caller, SendRequest(to=NUMBER))
    (found,) = product.blocks.read_all(product.policy)
    return str(found["id"])


def test_lifting_a_block_imports_only_what_it_needs(block: str) -> None:
    """The store, the policy and the key rings: no web framework, vendor client, password hash or server."""
    code, out, modules = started("blocks", "lift", block, "--reason", "a mistake")
    assert (code, out) == (0, "lifted\n")
    assert modules & HEAVY == set()
    assert "otp_service.store.scripts" in modules


@pytest.mark.parametrize(
    "arguments",
    [
        *(("blocks", "list"), ("blocks", "explain", NUMBER), ("pins", "list")),
        ("pins", "allow", "number", NUMBER, "--reason", "a test"),
        *(("keys", "list"), ("keys", "create", "secret", "web"), ("keys", "draw", "events")),
        *(("rekey",), ("forget", NUMBER), ("secrets",)),
    ],
)
def test_commands_on_the_store_import_only_what_they_need(product: Core, arguments: tuple[str, ...]) -> None:
    """Each of them, against the same store as running processes."""
    product.active.refresh()
    code, _, modules = started(*arguments)
    assert code == 0
    assert modules & HEAVY == set()


def test_the_version_is_told_without_importing_a_command() -> None:
    """It starts fast, whatever the commands need."""
    code, _, modules = started("--version")
    assert code == 0
    assert modules & (HEAVY | {"redis", "marshmallow", "phonenumbers", "cryptography"}) == set()
    assert modules & {f"otp_service.cli.{command}" for command in COMMANDS} == set()


COUNT = """
import os, runpy, sys, threading

def count_parse(frame, event, _):
    code = frame.f_code
    if event == "call" and code.co_name == "parse" and code.co_filename.endswith("policy/document.py"):
        with open(os.environ["PARSED"], "a") as file:
            file.write("parsed\\n")

threading.setprofile(count_parse)
sys.setprofile(count_parse)
sys.argv = ["otp-service", "serve"]
runpy.run_module("otp_service", run_name="__main__")
"""
"""Runs `serve` with a profiler that writes a line whenever a policy's text is parsed, in any of its processes."""


def test_serve_parses_the_policy_once(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its two processes get what their parent parsed, and take it for the version that they find in the store."""
    (tmp_path / "policy.toml").write_text(GOOD, encoding="utf-8")
    parsed, port = tmp_path / "parsed", free_port()
    for name, value in (
        ("PARSED", str(parsed)),
        ("OTP_POLICY_FILE", str(tmp_path / "policy.toml")),
        ("OTP_LISTEN", f"127.0.0.1:{port}"),
        ("OTP_PROCESSES", "2"),
    ):
        monkeypatch.setenv(name, value)
    assert environment
    process = subprocess.Popen([sys.executable, "-c", COUNT], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    followed = 0
    for line in process.stdout:
        followed += json.loads(line)["event"] == "policy.followed"
        if followed == 2:
            break
    process.terminate()
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert parsed.read_text(encoding="utf-8").splitlines() == ["parsed"]
