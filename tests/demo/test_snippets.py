"""Every Python and JavaScript snippet of the documents runs as it stands there, or says that it does not."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.demo_process import Demo
from tests.support.documents import DOCUMENTS, PROJECT, blocks, section, session, shell

pytest_plugins = ("tests.support.demo_fixtures",)
CLIENT = PROJECT / "clients" / "python" / "README.md"
ELSEWHERE = {
    **dict.fromkeys(blocks(section("docs/integrate.md", "Test your app"), "python"), "tests/testing"),
    **dict.fromkeys(
        blocks(section("docs/quickstart.md", "3. Put the form on a page of your own"), "python"),
        "tests/examples",
    ),
    **dict.fromkeys(blocks(CLIENT.read_text(encoding="utf-8"), "python"), "tests/clients"),
}
"""Snippets that other tests run, because they need more than a demo, or serve for ever."""
RETRIEVER = ("docs/integrate/mobile.md", "Android")


def snippets(language: str) -> list[object]:
    """List each snippet of a language that is run here, with its place as the name of its test."""
    return [
        pytest.param(block, id=f"{file.name}-{place}")
        for file in DOCUMENTS
        for place, block in enumerate(blocks(file.read_text(encoding="utf-8"), language))
        if block not in ELSEWHERE
    ]


def run(demo: Demo, command: Sequence[str], snippet: str) -> str:
    """Run a snippet in the demo's folder, type the code that arrives if it asks for one, and return its output."""
    keys = {
        "OTP_URL": demo.keys["api"],
        "OTP_SECRET_KEY": demo.keys["secret_key"],
        "OTP_PUBLISHABLE_KEY": demo.keys["publishable_key"],
    }
    asks = "input(" in snippet
    to = re.sub("[^+0-9]", "", re.findall(r'"(\+[0-9 ]{10,})"', snippet)[0]) if asks else ""
    before = len(demo.inbox(to)) if asks else 0
    child = subprocess.Popen(
        [*command, snippet],
        cwd=demo.folder,
        env={**os.environ, **keys},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    typed = f"{demo.code(to, before + 1)}\n" if asks else ""
    said, mistakes = child.communicate(typed)
    assert child.returncode == 0, mistakes
    return said


@pytest.mark.parametrize("snippet", snippets("python"))
def test_a_snippet_in_python_runs(demo: Demo, snippet: str) -> None:
    """And says something, so that it is known to have come to its end."""
    assert run(demo, [sys.executable, "-c"], snippet)


@pytest.mark.needs_node
@pytest.mark.parametrize("snippet", snippets("js"))
def test_a_snippet_in_javascript_runs(demo: Demo, snippet: str) -> None:
    """As a module, as in a page."""
    assert run(demo, ["node", "--input-type=module", "-e"], snippet)


def test_an_apps_hash_stands_in_the_message(demo: Demo) -> None:
    """The commands for SMS Retriever continue the session of the README."""
    first = session("README.md", "Send a first code")
    once = next(line for block in first for line in block.splitlines() if line.startswith("once()"))
    said = shell("\n".join([first[0], once, *session(*RETRIEVER)]), demo.folder)
    assert said.endswith("the message has the hash\n")


@pytest.mark.parametrize("file", [*DOCUMENTS, CLIENT], ids=lambda file: file.name)
def test_every_block_has_a_language_that_is_checked(file: Path) -> None:
    """A new kind of block needs a test, or the word `not-run` beside it."""
    fences = re.findall(r"^ *```(\S.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    plain = {"sh", "python", "js", "toml", "simulated", "text", "json"}
    of_others = {"swift", "kotlin", "html"}  # the page says that they are not executed
    assert [
        fence for fence in fences if fence not in plain | of_others and not fence.endswith(" not-run")
    ] == []
