"""The command reference, docs/cli.md: the help of each command, as the command line prints it.

`python -m tests.house.cli_document` writes it; with `--check` it exits with 1 if the file differs.
"""

import argparse
import sys
from collections.abc import Iterator

from otp_service.cli import main as cli
from tests.house import made

MODULE = "tests.house.cli_document"
FILE = made.DOCS / "cli.md"
WIDTH = 100


def reference() -> str:
    """Write a section for each command and action."""
    return "\n\n".join(_sections(cli._parser()))  # noqa: SLF001 - the command line's own parser


def _sections(parser: argparse.ArgumentParser) -> Iterator[str]:
    parser.formatter_class = _Wide
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to list commands
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            for name, command in action.choices.items():
                command.formatter_class = _Wide
                yield f"## {parser.prog} {name}\n\n```text\n{command.format_help().strip()}\n```"
                yield from _sections(command)


class _Wide(argparse.HelpFormatter):
    """Help as wide as the document, whatever the terminal."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=WIDTH)


if __name__ == "__main__":
    sys.exit(made.main(MODULE, FILE, reference, sys.argv[1:]))
