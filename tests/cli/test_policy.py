"""The `policy` command: the same answers as the operators' HTTP API, for a terminal."""

import getpass
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otp_service.bootstrap.activation import configure
from otp_service.bootstrap.core import Core
from otp_service.cli import main as cli
from otp_service.errors import PolicyInvalid
from otp_service.http import app as http_app
from tests.conftest import OPS, POLICY
from tests.support.http_api import NOBODY, NOTHING, NUMBER, Api
from tests.support.patience import PATIENT_LIMITS
from tests.support.valkey_server import ValkeyServer

pytest_plugins = ["tests.support.command_fixtures"]

GOOD = POLICY.replace("UPSTREAM/", f"{NOBODY}/")
SLOWER = GOOD.replace('wait = "5s"', 'wait = "25s"')
LONG = GOOD.replace('brand = "Acme"', 'brand = "The Acme Trading Company of 1899"')
"""Valid, and a message of two parts: a warning."""
BAD = GOOD.replace('wait = "5s"', 'wait = "soon"').replace('brand = "Other"', 'brand = ""')
DOCS = Path(__file__).parents[2] / "docs"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three policies as files."""
    for name, text in (("good", GOOD), ("slower", SLOWER), ("bad", BAD)):
        (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def settings(environment: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of a product whose store holds no policy yet, and no file to begin with."""
    monkeypatch.chdir(folder)


@pytest.fixture
def policy(settings: None, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `otp-service policy ...`; returns exit code, output and errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli.run(["policy", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def api(settings: None, valkey: ValkeyServer) -> Iterator[Api]:
    """The HTTP API of the same product."""
    core = Core(configure(os.environ), threads=4, hash_slots=1, role="test", limits=PATIENT_LIMITS)
    store = valkey.client()
    yield Api(core, http_app.web(core), store)
    store.close()
    core.close()


def test_a_change_without_a_name_has_the_name_of_the_terminals_user(policy: Run) -> None:
    """A script whose variable is unset passes an empty name: the audit trail must have one all the same."""
    for file, author in (("good.toml", []), ("slower.toml", ["--author", ""])):
        _, _, err = policy("apply", file, "--reason", "first", *author)
        assert json.loads(err)["author"] == getpass.getuser()


def test_a_policy_goes_through_its_life(policy: Run) -> None:
    """It is checked, applied, shown, compared and rolled back; the history shows who and why."""
    assert policy("check", "good.toml") == (0, "the policy is valid\n", "")
    code, out, err = policy("apply", "good.toml", "--reason", "first", "--author", "ann")
    assert (code, out) == (0, "version 1 is in force\n")
    assert {"event": "policy.applied", "author": "ann", "reason": "first"}.items() <= json.loads(err).items()
    assert policy("apply", "slower.toml", "--reason", "calmer", "--author", "ben", "--expect", "1")[0] == 0
    assert policy("show") == (0, SLOWER, "")
    assert policy("show", "1") == (0, GOOD, "")
    _, diff, _ = policy("diff", "1")
    assert '+steps = [{ channel = "sms", upstream = "main", wait = "25s" }]' in diff.splitlines()
    assert policy("diff", "2", "slower.toml") == (0, "no differences\n", "")
    assert policy("rollback", "--reason", "too calm")[:2] == (0, "version 3 is in force\n")
    assert policy("show")[1] == GOOD
    lines = policy("history")[1].splitlines()
    assert [line.split()[0] for line in lines] == ["3", "2", "1"]
    assert lines[0].endswith(f"{getpass.getuser()}: rollback to 1: too calm")
    assert lines[1].endswith("ben: calmer")


def test_a_bad_policy_names_every_problem_and_changes_nothing(policy: Run) -> None:
    """Each problem is on standard error with its line; the policy in force stays."""
    policy("apply", "good.toml", "--reason", "first")
    for arguments, detail in (
        (("check", "bad.toml"), PolicyInvalid.detail),
        (("simulate", NUMBER, "--file", "bad.toml"), PolicyInvalid.detail),
        (("apply", "bad.toml", "--reason", "x"), f"{PolicyInvalid.detail} Nothing was changed."),
    ):
        code, out, error = policy(*arguments)
        lines = error.splitlines()
        assert (code, out, lines[0]) == (1, "", detail)
        assert len(lines) == 3
        assert all("(line " in line for line in lines[1:])
    assert policy("show")[1] == GOOD


def test_a_change_from_an_older_version_is_refused(policy: Run) -> None:
    """A change that was applied first is not overwritten."""
    policy("apply", "good.toml", "--reason", "first")
    policy("apply", "slower.toml", "--reason", "second")
    code, _, error = policy("apply", "good.toml", "--reason", "late", "--expect", "1")
    assert code == 1
    assert "Version 2 of the policy is in force" in error
    assert policy("show")[1] == SLOWER


def test_a_policy_that_is_in_force_changes_nothing(policy: Run) -> None:
    """The history has one line for it, and the first reason."""
    policy("apply", "good.toml", "--reason", "first")
    assert policy("apply", "good.toml", "--reason", "again") == (
        0,
        "nothing changed: version 1 is in force\n",
        "",
    )
    [line] = policy("history")[1].splitlines()
    assert line.endswith(": first")


def test_a_conflict_comes_with_the_warnings(policy: Run, folder: Path) -> None:
    """On standard error, as all that is said about a refused change."""
    (folder / "doubtful.toml").write_text(LONG, encoding="utf-8")
    policy("apply", "good.toml", "--reason", "first")
    code, out, error = policy("apply", "doubtful.toml", "--reason", "x", "--expect", "7")
    warning, *_, detail, rule = error.splitlines()
    assert (code, out) == (1, "")
    assert warning.startswith("warning: ")
    assert detail.startswith("Version 1 of the policy is in force.")
    assert rule == "  - expected: must be the version in force"


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "7"],
        ["rollback", "7", "--reason", "x"],
        ["diff", "7"],
        ["diff", "7", "1"],
        ["diff", "1", "7"],
    ],
)
def test_a_version_that_is_not_there_is_told(policy: Run, arguments: list[str]) -> None:
    """The exit code is 1, and the message one line."""
    policy("apply", "good.toml", "--reason", "first")
    assert policy(*arguments) == (1, "", "There is no version 7; see policy history.\n")


def test_the_first_version_cannot_be_rolled_back(policy: Run) -> None:
    """There is no version 0, not even if it is asked for."""
    policy("apply", "good.toml", "--reason", "first")
    said = "Version 1 is the first; there is nothing to roll back to.\n"
    assert policy("rollback", "--reason", "x") == (1, "", said)
    assert policy("rollback", "0", "--reason", "x")[2] == "There is no version 0; see policy history.\n"


@pytest.mark.parametrize("arguments", [["show"], ["rollback", "--reason", "x"]])
def test_a_store_without_a_policy_is_told(policy: Run, arguments: list[str]) -> None:
    """The exit code is 1, and the message one line."""
    assert policy(*arguments) == (1, "", "No policy is in force yet.\n")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("check", "nowhere.toml"), "nowhere.toml cannot be read: no such file\n"),
        (("apply", "nowhere.toml", "--reason", "x"), "nowhere.toml cannot be read: no such file\n"),
        (("check", "."), ". cannot be read: is a directory\n"),
        (("check", "latin.toml"), "latin.toml cannot be read: it is not UTF-8\n"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_wrong_option(
    policy: Run, arguments: tuple[str, ...], why: str
) -> None:
    """The exit code is 2, and the message is one line that names the file."""
    Path("latin.toml").write_bytes(b"\xff")
    assert policy(*arguments) == (2, "", why)


@pytest.mark.parametrize("reason", ["", " ", "a\nb", "x" * 201])
def test_a_change_needs_a_reason_that_can_be_read(policy: Run, reason: str) -> None:
    """As in the HTTP API."""
    code, _, error = policy("apply", "good.toml", "--reason", reason)
    assert code == 2
    assert "Invalid value for '--reason': must be 1 to 200 visible characters on one line" in error
    assert policy("show")[0] == 1


def test_a_policy_is_checked_before_there_is_a_deployment(
    policy: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without settings and store; a secret that is missing is a warning, and mistakes are still errors."""
    for name in [name for name in os.environ if name.startswith("OTP_")]:
        monkeypatch.delenv(name)
    code, out, error = policy("check", "good.toml")
    assert (code, error) == (0, "")
    assert out.splitlines() == [
        "warning: OTP_UPSTREAM_MAIN_TOKEN is required: the token of upstream.main",
        "the policy is valid",
    ]
    assert policy("check", str(DOCS / "policy.example.toml"))[0] == 0
    assert policy("check", "bad.toml")[0] == 1


def test_simulation_is_told_in_words(policy: Run) -> None:
    """It shows route, step, wait, text and limits with a masked number; without a route the exit code is 1."""
    policy("apply", "good.toml", "--reason", "first")
    code, out, _ = policy("simulate", NUMBER)
    assert code == 0
    assert NUMBER not in out
    assert "route 0: all numbers" in out
    assert "1. sms by main, in en, 1 part, price 1: until delivered, wait 5 s, set in the policy\n" in out
    assert "guard, number (enforce): 3 in 600 s: refuse" in out
    assert "template 1107001" not in out
    registered = "       template 1107001 of main, under which can leave:\n       = "
    assert registered in policy("simulate", "+919812345678")[1]
    narrow = GOOD.replace("[[route]]", '[[route]]\nmatch = { country = ["DE"] }')
    Path("narrow.toml").write_text(narrow, encoding="utf-8")
    code, out, _ = policy("simulate", NUMBER, "--file", "narrow.toml")
    assert code == 1
    assert "nothing would be sent: no_route" in out
    assert 'route 0 is for country = ["DE"]' in out


def test_terminal_and_http_give_the_same_answers(policy: Run, api: Api) -> None:
    """Simulation, text, history and problems are identical to those of /ops."""
    policy("apply", "good.toml", "--reason", "first", "--author", "anna")
    api.core.active.refresh()

    def ask(method: str, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        answer = api.call(method, f"/ops/policy{path}", key=OPS, body=NOTHING if body is None else body)
        return answer.json

    told = json.loads(policy("simulate", NUMBER, "--channel", "sms", "--locale", "de", "--json")[1])
    assert told == ask("POST", "/simulate", {"to": NUMBER, "channel": "sms", "locale": "de"})
    assert policy("show")[1] == ask("GET", "")["text"]
    policy("apply", "slower.toml", "--reason", "second", "--author", "anna")
    assert policy("diff", "1", "2")[1] == ask("GET", "/diff/1/2")["diff"]
    assert len(policy("history")[1].splitlines()) == len(ask("GET", "/history")["versions"])
    problems = [
        f"  - {one['field']}: {one['rule']}" for one in ask("POST", "/check", {"text": BAD})["errors"]
    ]
    assert policy("check", "bad.toml")[2].splitlines()[1:] == problems
