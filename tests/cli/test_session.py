"""What the operators' commands share: the settings of a running demo."""

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from otp_service.bootstrap.core import Core
from otp_service.cli.main import otp_service
from otp_service.ops.audit import REASON_RULE
from otp_service.store.layout import LAYOUT
from tests.support.http_api import NUMBER, Run

pytest_plugins = ["tests.support.command_fixtures"]


@pytest.fixture
def demo(environment: dict[str, str], product: Core, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The folder of a demo that runs; nothing else says where its store is."""
    product.active.refresh()
    (tmp_path / "demo.json").write_text(json.dumps({"settings": environment}), encoding="utf-8")
    for name in environment:
        monkeypatch.delenv(name)
    return str(tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [
        *(("policy", "show"), ("policy", "simulate", NUMBER), ("apps", "list"), ("keys", "list")),
        *(("blocks", "list"), ("pins", "list")),
    ],
)
def test_a_demo_is_named_before_or_after_the_action(run: Run, demo: str, arguments: tuple[str, ...]) -> None:
    """Both work on the same deployment; without the option there are no settings."""
    group, *action = arguments
    assert run(*arguments)[0] == 2
    before, after = run(group, "--demo", demo, *action), run(*arguments, "--demo", demo)
    assert before == after
    assert (before[0], before[2]) == (0, "")


@pytest.mark.parametrize("arguments", [("rekey",), ("forget", NUMBER)])
def test_a_command_without_actions_takes_a_demo(run: Run, demo: str, arguments: tuple[str, ...]) -> None:
    """And needs no other settings."""
    assert run(*arguments, "--demo", demo)[0] == 0
    assert run(*arguments)[0] == 2


@pytest.mark.parametrize(
    "arguments", [("blocks", "list"), ("policy", "history"), ("keys", "list"), ("check",)]
)
def test_a_command_of_an_older_version_refuses_a_newer_store(
    run: Run, product: Core, arguments: tuple[str, ...]
) -> None:
    """It says so, and reads and changes nothing."""
    mark = [f"{product.settings.redis_prefix}:layout"]
    product.scripts.call("put", mark, LAYOUT + 1, 60_000)
    try:
        code, out, error = run(*arguments)
    finally:
        product.scripts.delete(mark)
    assert code == 1
    assert "of a newer version of the service" in out + error


def test_a_forgotten_demo_is_named_after_the_missing_settings(run: Run, demo: str) -> None:
    """The last line says what to add."""
    hint = "For a running demo, add --demo var. For a deployment, see docs/settings.md."
    for arguments in (("keys", "list"), ("apps", "list"), ("check",)):
        code, out, error = run(*arguments)
        assert (code, out) == (2, "")
        assert error.splitlines()[-1] == hint
    assert demo
    assert hint not in run("serve")[2]


def test_another_policy_is_checked_with_the_settings_of_a_demo(run: Run, demo: str) -> None:
    """A secret that the demo does not have is a warning."""
    example = Path(__file__).parents[2] / "docs" / "policy.example.toml"
    code, out, error = run("policy", "--demo", demo, "check", str(example))
    assert (code, error) == (0, "")
    assert "the policy is valid" in out
    assert "OTP_UPSTREAM_MAIN_TOKEN is required" not in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("policy", "history"), "no policy is in force yet\n"),
        (("pins", "list"), "nothing is pinned\n"),
        (("keys", "list"), "no keys were issued\n"),
    ],
)
def test_an_empty_list_says_so(run: Run, arguments: tuple[str, ...], said: str) -> None:
    """In one line, and the command succeeds."""
    assert run(*arguments) == (0, said, "")


def test_check_takes_a_demo(run: Run, demo: str) -> None:
    """It reaches the store, which keeps no file here, and says that the upstream of this test is away."""
    code, out, _ = run("check", "--demo", demo)
    assert code == 1
    store, upstream = out.splitlines()
    assert store.startswith("warning: appendonly")
    assert upstream.startswith("error: upstream main")


def test_a_folder_without_a_running_demo_is_a_wrong_option(run: Run, demo: str, tmp_path: Path) -> None:
    """Whether the file is missing, as after the end of a demo, or is something else."""
    away = tmp_path / "nowhere"
    said = f"No demo is running in {away}. Start it with make run.\n"
    assert run("keys", "list", "--demo", str(away)) == (2, "", said)
    assert run("policy", "check", "x.toml", "--demo", str(away)) == (2, "", said)
    (tmp_path / "demo.json").write_text("[]", encoding="utf-8")
    code, _, error = run("keys", "list", "--demo", demo)
    assert code == 2
    assert "is not the file of a running demo" in error


PROCESSES = {"serve", "worker", "sandbox", "demo", "secrets", "bench-hash", "size"}
"""What a deployment consists of, draws its secrets and plans it: these work on no running one."""


def leaves(group: click.Group, *path: str) -> Iterator[tuple[str, click.Command]]:
    """List all commands with their names."""
    with click.Context(group) as context:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command
            yield " ".join([*path, name]), command
            if isinstance(command, click.Group):
                yield from leaves(command, *path, name)


def test_every_command_of_an_operator_takes_a_demo() -> None:
    """Nobody has to know which of them reads settings."""
    lacking = {
        name
        for name, command in leaves(otp_service)
        if not any("--demo" in parameter.opts for parameter in command.params)
    }
    assert lacking == PROCESSES


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_key_is_drawn_for_a_demo(run: Run, demo: str, place: str) -> None:
    """It needs no settings, but the option is no mistake."""
    arguments = ["--demo", demo, "draw", "ops"] if place == "before" else ["draw", "ops", "--demo", demo]
    code, out, _ = run("keys", *arguments)
    assert (code, out.startswith("key:  ops_")) == (0, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("challenges", "find", "\udcff"),
        ("challenges", "find", "+1202\udcff5550100"),
        ("pins", "allow", "number", NUMBER, "--reason", "bad\udcff"),
        ("pins", "allow", "number", NUMBER, "--reason", "good", "--author", "bad\udcff"),
    ],
)
def test_bytes_that_are_no_text_are_refused(run: Run, product: Core, arguments: tuple[str, ...]) -> None:
    """Python shows them to a command as halves of characters; stored, they would break the pages that show them."""
    product.active.refresh()
    assert run(*arguments) == (2, "", f"Argument {len(arguments)} must be UTF-8.\n")
    assert run("pins", "list")[1] == "nothing is pinned\n"


@pytest.mark.parametrize("author", ["a\nb", "a\x1b[2J", " a", "a\u202eb", "a" * 201])
@pytest.mark.parametrize("action", [("pins", "allow", "number", NUMBER), ("policy", "rollback", "1")])
def test_an_author_fits_on_a_line_of_the_history(
    run: Run, product: Core, action: tuple[str, ...], author: str
) -> None:
    """Or it could look like another act, or rule the terminal of whoever lists them."""
    product.active.refresh()
    code, out, err = run(*action, "--reason", "good", "--author", author)
    assert (code, out) == (2, "")
    assert REASON_RULE in err
    assert run("pins", "list")[1] == "nothing is pinned\n"
