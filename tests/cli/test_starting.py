"""What a command imports and does before it works: no more than it needs, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from otp_service.bootstrap.core import Core
from otp_service.cli.groups import LazyGroup
from otp_service.cli.main import COMMANDS, otp_service
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


def test_checking_a_deployment_imports_no_server_and_no_hash(product: Core) -> None:
    """It asks upstreams for their balance, so it needs what calls them."""
    product.active.refresh()
    _, out, modules = started("check")
    assert "upstream main" in out
    assert modules & (HEAVY - {"requests", "urllib3", "otp_service.upstream.mobtexting"}) == set()


def test_the_sandbox_imports_no_store() -> None:
    """It stands outside of the service."""
    code, _, modules = started("sandbox", "--help")
    assert code == 0
    without = LIBRARIES - {"marshmallow"} | {"argon2", "otp_service.verification", "otp_service.bootstrap"}
    assert modules & without == set()


LIBRARIES = {"redis", "marshmallow", "phonenumbers", "cryptography", "jwt"}
"""What a command without store and policy does without."""


def test_checking_a_policy_imports_neither_the_store_nor_what_sends(tmp_path: Path) -> None:
    """An operator's editor and a pipeline run it on each change: it reads a file, and nothing else."""
    policy = tmp_path / "policy.toml"
    policy.write_text(GOOD, encoding="utf-8")
    code, out, modules = started("policy", "check", str(policy))
    assert code == 0
    assert out.endswith("the policy is valid\n")
    assert modules & (HEAVY | LIBRARIES - {"marshmallow", "phonenumbers"}) == set()


GROUPS = ((), ("policy",))
"""The groups that import no command to list it."""


@pytest.mark.parametrize("group", GROUPS, ids=" ".join)
def test_listing_commands_imports_none(group: tuple[str, ...]) -> None:
    """The first thing that a newcomer types is quick."""
    code, out, modules = started(*group, "--help")
    assert code == 0
    assert modules & (HEAVY | LIBRARIES) == set()
    assert out.count("\n  ") > 5


@pytest.mark.parametrize("group", GROUPS, ids=" ".join)
def test_the_lines_of_the_list_are_those_of_the_commands(group: tuple[str, ...]) -> None:
    """They stand beside the names of the files, and could differ."""
    context = click.Context(listed := otp_service)
    for name in group:
        found = listed.get_command(context, name)
        assert isinstance(found, LazyGroup)
        listed = found
    assert isinstance(listed, LazyGroup)
    for name, file in listed.files.items():
        command = listed.get_command(context, name)
        assert command
        assert command.name == name
        assert command.get_short_help_str(limit=100) == file.line


def test_a_command_that_does_not_exist_is_refused() -> None:
    """With the code of a wrong option."""
    ended = subprocess.run(
        [sys.executable, "-m", "otp_service", "policy", "chekc"], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "No such command 'chekc'" in ended.stderr


def test_the_version_is_told_without_importing_a_command() -> None:
    """It starts fast, whatever the commands need."""
    code, _, modules = started("--version")
    assert code == 0
    assert modules & (HEAVY | LIBRARIES) == set()
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
