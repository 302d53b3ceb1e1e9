"""What became of each mutant: read from the files that mutmut leaves. Must not know why one may survive."""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_KILLED = {1, 3}
_LATE = {36, 24, -24, 152, 255}
"""Exit codes of mutmut for a test that failed, and for tests that did not end: both notice."""
_CONTEXT = 3
_TOKEN = re.compile(r"\w+|\s+|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A mutant: its module and function, what was changed, and whether a test noticed; None if none was run."""

    module: str
    function: str
    change: str
    noticed: bool | None


def read(folder: Path) -> Iterator[Mutant]:
    """Read all mutants below mutmut's folder."""
    for path in sorted(folder.rglob("*.py.meta")):
        codes: Mapping[str, int | None] = json.loads(path.read_text())["exit_code_by_key"]
        written = _functions(path.with_suffix(""))
        module = ".".join(path.relative_to(folder).parts).removesuffix(".py.meta")
        for key, code in codes.items():
            name = key.rpartition(".")[2]
            original, _, _ = name.partition("__mutmut_")
            yield Mutant(
                module=module.removeprefix("otp_service."),
                function=_plain(original),
                change=change(written[f"{original}__mutmut_orig"], written[name]),
                noticed=None if code is None else code in _KILLED | _LATE,
            )


def _functions(path: Path) -> dict[str, str]:
    """Return the body of each function of a module, without its name."""
    tree = ast.parse(path.read_text())
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return {node.name: ast.unparse(node).replace(node.name, "", 1) for node in found}


def _plain(name: str) -> str:
    """Write a function's name as its module does; mutmut puts the class before it, between special letters."""
    if name.startswith("x\u01c1"):
        return name[2:].replace("\u01c1", ".")
    return name.removeprefix("x_")


def change(before: str, after: str) -> str:
    """Say what was changed, with a few words around it."""
    old, new = _TOKEN.findall(before), _TOKEN.findall(after)
    start = next(
        (at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), len(old)
    )
    shorter = min(len(old), len(new)) - start
    end = next((at for at in range(shorter) if old[-1 - at] != new[-1 - at]), shorter)
    low, high = max(0, start - _CONTEXT), max(0, end - _CONTEXT)
    said = ("".join(tokens[low : len(tokens) - high]).strip() for tokens in (old, new))
    return " -> ".join(re.sub(r"\s+", " ", text) for text in said)
