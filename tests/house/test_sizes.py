"""The house stays easy to enter: few modules at the door, small parts, an introduction in each folder, plain names."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

import otp_service

PACKAGE = Path(otp_service.__file__).parent
PROJECT = PACKAGE.parent
CLIENT = PROJECT / "clients" / "python" / "otp_client"
MODULES = sorted([*PACKAGE.rglob("*.py"), *CLIENT.rglob("*.py")])
"""All that is installed at somebody's: the service and its client."""
MOST_AT_THE_TOP = 10
MOST_LINES = {"module": 400, "class": 200, "function": 45}
MOST_USUAL, MOST_OF_NINE_TENTHS = 6, 16
"""Lines of a function: the median, and the length that nine of ten do not exceed."""
ALIASES = {
    "cli.main": "cli: `main.main` would say nothing at the call",
    "http.app": "http_app: `app` is the Flask application everywhere",
}
"""Our own modules that may be imported under another name, and why."""
VAGUE = frozenset({"look", "keep", "find", "tell", "hear", "note", "attend", "spend"})
"""Verbs that do not say what a function does: `read_challenge`, not `look`."""


def sizes() -> Iterator[tuple[str, str, int]]:
    """Yield each module, class and function as its kind, its place and its number of lines."""
    for file in MODULES:
        text, name = file.read_text(encoding="utf-8"), str(file.relative_to(PROJECT))
        yield "module", name, len(text.splitlines())
        for node in ast.walk(ast.parse(text)):
            lines = (getattr(node, "end_lineno", None) or 0) - getattr(node, "lineno", 0) + 1
            if isinstance(node, ast.ClassDef):
                yield "class", f"{name}:{node.name}", lines
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield "function", f"{name}:{node.name}", lines


SIZES = tuple(sizes())


def test_few_modules_stand_at_the_top() -> None:
    """A newcomer sees folders first."""
    assert len(list(PACKAGE.glob("*.py"))) <= MOST_AT_THE_TOP


def test_no_part_is_long() -> None:
    """Modules, classes and functions have a longest length."""
    assert [(name, lines) for kind, name, lines in SIZES if lines > MOST_LINES[kind]] == []


def test_functions_are_short() -> None:
    """Half of the functions fit into a few lines, nine of ten on half a screen."""
    lines = sorted(lines for kind, _, lines in SIZES if kind == "function")
    assert median(lines) <= MOST_USUAL
    assert lines[int(len(lines) * 0.9)] <= MOST_OF_NINE_TENTHS


def folders() -> Iterator[str]:
    """Yield every folder that holds modules of its own."""
    for first in (file for file in MODULES if file.name == "__init__.py"):
        if len(list(first.parent.glob("*.py"))) > 1:
            yield str(first.relative_to(PROJECT).parent)


@pytest.mark.parametrize("folder", sorted(folders()))
def test_each_folder_introduces_itself(folder: str) -> None:
    """Its first file says what the folder knows, what it must not know, and where to start reading."""
    said = ast.get_docstring(ast.parse((PROJECT / folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert re.search(r"\bKnows? \w", said)
    assert re.search(r"\b[Mm]ust not \w", said)
    start = re.search(r"\bStart with `([\w./]+)`", said)
    assert start, "says where to start"
    assert (PROJECT / folder / start[1]).exists()


def aliases(source: str) -> Iterator[tuple[str, str]]:
    """Yield the imports of our own modules and names under another name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, alias.asname) for alias in node.names if alias.asname)
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{node.module}.{a.name}", a.asname) for a in node.names if a.asname)


def test_our_modules_keep_their_names() -> None:
    """One module has one name wherever it is used; the few exceptions have a reason."""
    found = set()
    for file in (*MODULES, *sorted((PROJECT / "tests").rglob("*.py"))):
        for name, alias in aliases(file.read_text(encoding="utf-8")):
            part = name.removeprefix("otp_service.")
            if name.startswith(("otp_service.", "tests.", "otp_client.")):
                assert ALIASES.get(part, "").startswith(f"{alias}: "), f"{file} imports {name} as {alias}"
                found.add(part)
    assert found == set(ALIASES)


def test_the_check_itself_finds_an_alias() -> None:
    """In both forms of import."""
    source = "import otp_service.phone as numbers\nfrom otp_service import errors as faults, phone"
    assert list(aliases(source)) == [("otp_service.phone", "numbers"), ("otp_service.errors", "faults")]


def vague_names(source: str) -> Iterator[str]:
    """Yield the functions whose first word is a vague verb."""
    nodes = ast.walk(ast.parse(source))
    names = (node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    yield from (name for name in names if name.lstrip("_").partition("_")[0] in VAGUE)


@pytest.mark.parametrize("folder", ["otp_service", "tests", "clients/python"])
def test_functions_are_named_by_the_act_they_do(folder: str) -> None:
    """A name that fits anything leads a reader nowhere."""
    files = sorted((PROJECT / folder).rglob("*.py"))
    assert [
        (file.name, name) for file in files for name in vague_names(file.read_text(encoding="utf-8"))
    ] == []


def test_the_check_itself_finds_a_vague_name() -> None:
    """Also of a method, with something behind the verb."""
    source = "class Store:\n    def _find_all(self): ...\nasync def keep(): ...\ndef finder(): ..."
    assert sorted(vague_names(source)) == ["_find_all", "keep"]
