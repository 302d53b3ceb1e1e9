"""README.md and docs/: links work, policies are valid, and generated parts are up to date."""

import re
from functools import cache
from pathlib import Path

import pytest

from otp_service import policy
from tests.house import api_document, cli_document, made, settings_document
from tests.support.documents import DOCUMENTS, PROJECT, blocks

MOST_LINES = 150
"""README.md is one page."""
IN_PARTS = {PROJECT / "docs" / "cookbook.md"}
"""Pages whose policies continue one another; tests/policy/test_recipes.py checks them."""
PAGES = [file for file in DOCUMENTS if file.exists()]


@cache
def anchors(file: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub generates them."""
    titles = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-") for title in titles}


FOR_OTHERS = [
    PROJECT / name
    for name in (
        "CONTRIBUTING.md",
        "SECURITY.md",
        "llms.txt",
        "clients/python/README.md",
        "examples/README.md",
    )
]
"""Pages that are not read in order: whoever needs one is led to it."""


@pytest.mark.parametrize("file", [*PAGES, *FOR_OTHERS], ids=lambda file: f"{file.parent.name}-{file.name}")
def test_every_link_leads_somewhere(file: Path) -> None:
    """It finds a link to a renamed file or heading."""
    for link in re.findall(r"\]\(([^)\s]+)\)", file.read_text(encoding="utf-8")):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (file.parent / path).resolve() if path else file
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_design_names_what_exists() -> None:
    """It finds modules and tests that were moved."""
    text = (PROJECT / "docs" / "design.md").read_text(encoding="utf-8")
    files = re.findall(r"`([a-z_/]+/[a-z_]+\.(?:py|lua))`", text)
    tests = re.findall(r"`([a-z]+/test_[a-z_]+)`", text)
    assert len(files) > 8
    assert len(tests) > 8
    assert not [
        name for name in files if not any((PROJECT / top / name).exists() for top in ("otp_service", "."))
    ]
    assert not [name for name in tests if not (PROJECT / "tests" / f"{name}.py").exists()]


def test_the_tests_of_recovery_exist() -> None:
    """Each claim names the test that tries it."""
    text = (PROJECT / "docs" / "recovery.md").read_text(encoding="utf-8")
    named = re.findall(r"`([a-z]+/test_\w+\.py)(?:::(\w+))?`", text)
    assert len(named) > 8
    for file, test in named:
        assert f"def {test}(" in (PROJECT / "tests" / file).read_text(encoding="utf-8") if test else True
        assert (PROJECT / "tests" / file).exists()


def test_the_readme_is_one_page() -> None:
    """A newcomer reads all of it."""
    assert len((PROJECT / "README.md").read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_the_readme_leads_to_every_page() -> None:
    """Every document is linked."""
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\((docs/[a-z/-]+\.md)", readme))
    assert linked == {str(file.relative_to(PROJECT)) for file in (PROJECT / "docs").rglob("*.md")}


@pytest.mark.parametrize("file", [one for one in PAGES if one not in IN_PARTS], ids=lambda file: file.name)
def test_every_policy_that_is_shown_is_valid(file: Path) -> None:
    """A reader can copy it."""
    for text in blocks(file.read_text(encoding="utf-8"), "toml"):
        policy.parse(text)


def test_machines_are_led_to_every_page() -> None:
    """llms.txt lists each document."""
    listed = set(re.findall(r"\]\((docs/[a-z/-]+\.md)\)", (PROJECT / "llms.txt").read_text(encoding="utf-8")))
    assert listed == {str(file.relative_to(PROJECT)) for file in (PROJECT / "docs").rglob("*.md")}


def test_calls_are_listed_as_the_specification_has_them() -> None:
    """A change of openapi.yaml without a new reference fails here."""
    text = api_document.FILE.read_text(encoding="utf-8")
    wanted = made.filled(text, api_document.MODULE, api_document.reference())
    assert text == wanted, f"python -m {api_document.MODULE}"


def test_commands_are_listed_as_the_command_line_has_them() -> None:
    """A new command, option or help text without a new document fails here."""
    text = cli_document.FILE.read_text(encoding="utf-8")
    wanted = made.filled(text, cli_document.MODULE, cli_document.reference())
    assert text == wanted, f"python -m {cli_document.MODULE}"


def test_settings_are_listed_as_the_code_has_them() -> None:
    """A new setting, default or meaning without a new document fails here."""
    text = settings_document.FILE.read_text(encoding="utf-8")
    wanted = made.filled(text, settings_document.MODULE, settings_document.table())
    assert text == wanted, f"python -m {settings_document.MODULE}"
