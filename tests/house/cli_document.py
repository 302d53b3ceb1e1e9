"""The command reference, docs/cli.md: the help of each command, as the command line prints it.

`python -m tests.house.cli_document` writes it; with `--check` it exits with 1 if the file differs.
"""

import sys
from collections.abc import Iterator

import click

from otp_service.cli.main import otp_service
from tests.house import made

MODULE = "tests.house.cli_document"
FILE = made.DOCS / "cli.md"
WIDTH = 100


def reference() -> str:
    """Return a section for each command and action."""
    context = click.Context(
        otp_service,
        info_name="otp-service",
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        help_option_names=["-h", "--help"],
    )
    return "\n\n".join(_sections(context))


def _sections(context: click.Context) -> Iterator[str]:
    group = context.command
    assert isinstance(group, click.Group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        below = click.Context(command, parent=context, info_name=name)
        yield f"## {below.command_path}\n\n```text\n{below.get_help().strip()}\n```"
        if isinstance(command, click.Group):
            yield from _sections(below)


if __name__ == "__main__":
    sys.exit(made.main(MODULE, FILE, reference, sys.argv[1:]))
