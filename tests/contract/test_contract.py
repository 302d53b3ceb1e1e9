"""openapi.yaml as its readers' tools take it: linters find nothing, and a generated client does a real job."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.house import openapi_cut, openapi_document
from tests.support.demo_process import Demo
from tests.support.node_tools import CONTRACT, Tools
from tests.support.numbers import DELIVERED

pytest_plugins = ("tests.support.demo_fixtures",)
pytestmark = pytest.mark.needs_node

DOCUMENT = openapi_document.FILE


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    """Install the linters and the generator once."""
    return Tools(tmp_path_factory.mktemp("contract"))


@pytest.fixture(scope="session")
def client(tools: Tools) -> Tools:
    """Generate the types and compile the client."""
    for name in ("client.ts", "mistakes.ts", "tsconfig.json"):
        shutil.copy(CONTRACT / name, tools.folder)
    generated = tools.run("openapi-typescript", str(DOCUMENT), "--output", "openapi.d.ts")
    assert generated.returncode == 0, generated.stderr
    compiled = tools.run("tsc", "--project", ".")
    assert compiled.returncode == 0, compiled.stdout
    return tools


def redocly(tools: Tools, file: Path) -> tuple[int, int]:
    """Lint with Redocly's recommended rules; give the number of errors and of warnings."""
    done = tools.run("redocly", "lint", f"--config={CONTRACT}/redocly.yaml", "--format=json", str(file))
    found = json.loads(done.stdout[done.stdout.index("{") :])
    return found["totals"]["errors"], found["totals"]["warnings"]


def spectral(tools: Tools, file: Path) -> list[str]:
    """Lint with Spectral's rules for OpenAPI; give the names of the rules that are broken."""
    done = tools.run(
        "spectral", "lint", f"--ruleset={CONTRACT}/spectral.yaml", "--format=json", "--quiet", str(file)
    )
    return [one["code"] for one in json.loads(done.stdout)]


def test_redocly_finds_no_error_and_no_warning(tools: Tools) -> None:
    """The recommended rules, none switched off."""
    assert redocly(tools, DOCUMENT) == (0, 0)


def test_spectral_finds_no_error_and_no_warning(tools: Tools) -> None:
    """All rules for OpenAPI, none switched off."""
    assert spectral(tools, DOCUMENT) == []


def test_both_linters_find_a_broken_document(tools: Tools, tmp_path: Path) -> None:
    """A reference to nothing is an error for each, so that their silence means something."""
    broken = tmp_path / "broken.yaml"
    text = DOCUMENT.read_text(encoding="utf-8")
    broken.write_text(text.replace("schemas/Challenge'", "schemas/Chalenge'"), encoding="utf-8")
    assert redocly(tools, broken)[0] > 0
    assert "invalid-ref" in spectral(tools, broken)


@pytest.mark.parametrize("tags", [["Verification"], ["Verification", "Tokens"], ["Operators"]])
def test_what_is_cut_by_tag_is_a_whole_document(tools: Tools, tmp_path: Path, tags: list[str]) -> None:
    """No reference points to what was cut away, and nothing is left that no operation uses."""
    part = tmp_path / "part.yaml"
    part.write_text(openapi_cut.cut(DOCUMENT.read_text(encoding="utf-8"), tags), encoding="utf-8")
    assert redocly(tools, part) == (0, 0)
    assert spectral(tools, part) == []


def test_a_generated_client_proves_a_number(client: Tools, demo: Demo) -> None:
    """It compiles under `tsc --strict`; then it sends, gets a guess wrong, verifies and redeems."""
    printed = client.node(
        "client.js",
        API=demo.keys["api"],
        SANDBOX=demo.keys["sandbox"],
        PUBLISHABLE_KEY=demo.keys["publishable_key"],
        SECRET_KEY=demo.keys["secret_key"],
        NUMBER=DELIVERED,
    )
    told = json.loads(printed)
    assert (told["before"], told["first"], told["guesses"], told["after"]) == (
        "pending",
        "sms",
        4,
        "verified",
    )
    assert told["claims"]["phone_number"] == DELIVERED
    assert told["claims"]["purpose"] == "signup"


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("        challenge_id: {", "        challenge: {"),
        ("required: [to]", "required: []"),
        ("enum: [sms, whatsapp, voice, rcs, mip]", "enum: [sms, pigeon, voice, rcs, mip]"),
        ("  /otp/token/redeem:", "  /otp/token/spend:"),
        (" wrong_code]", " code_wrong]"),
    ],
)
def test_the_client_does_not_compile_with_another_contract(
    client: Tools, tmp_path: Path, good: str, bad: str
) -> None:
    """A field, an enum's word, a path or a code that is renamed breaks apps, and so this client."""
    text = DOCUMENT.read_text(encoding="utf-8")
    assert good in text
    other = tmp_path / "other"
    other.mkdir()
    for name in ("client.ts", "mistakes.ts", "tsconfig.json", "package.json"):
        shutil.copy(client.folder / name, other)
    (other / "node_modules").symlink_to(client.folder / "node_modules")
    (other / "openapi.yaml").write_text(text.replace(good, bad), encoding="utf-8")
    generated = client.run(
        "openapi-typescript", str(other / "openapi.yaml"), "--output", str(other / "openapi.d.ts")
    )
    assert generated.returncode == 0, generated.stderr
    assert client.run("tsc", "--project", str(other)).returncode != 0


def test_the_lock_file_names_no_registry() -> None:
    """Whoever installs it asks the registry that is set up there."""
    lock = (CONTRACT / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in lock
    assert not re.search(r'"integrity": "(?!sha512-)', lock)
    assert (
        "omit-lockfile-registry-resolved=true"
        in (CONTRACT / ".npmrc").read_text(encoding="utf-8").splitlines()
    )
