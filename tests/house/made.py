"""The part of a document that is made from the code, between two markers."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
END = "<!-- end of what is made -->\n"


def filled(text: str, module: str, made: str) -> str:
    """Return the document with what the code says between its markers. Raises ValueError if they are missing."""
    begin = f"<!-- made by python -m {module} -->\n"
    before, found, rest = text.partition(begin)
    _, end, after = rest.partition(END)
    if not (found and end):
        raise ValueError("the markers are missing")
    return f"{before}{begin}\n{made.strip()}\n\n{END}{after}"


def main(module: str, file: Path, make: Callable[[], str], arguments: list[str]) -> int:
    """Write what is made, or check it; gives the exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit with 1 if the file differs"
    )
    parser.add_argument("--file", type=Path, default=file, help=f"default: {file.name}")
    options = parser.parse_args(arguments)
    found = options.file.read_text(encoding="utf-8")
    wanted = filled(found, module, make())
    if not options.check:
        options.file.write_text(wanted, encoding="utf-8")
    elif found != wanted:
        sys.stderr.write(f"{options.file} is not what the code says: run python -m {module}\n")
        return 1
    return 0
