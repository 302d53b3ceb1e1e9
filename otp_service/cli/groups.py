"""A group of commands, each in a file that is imported only when the command is called.

Knows how a command's name leads to its file. Must not know any command.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click


class CommandFile(NamedTuple):
    """The module that has a command as a function of its name, and the command's line in the list of all."""

    module: str
    line: str


class LazyGroup(click.Group):
    """Imports the file of a command when the command is called, so that each starts fast, and so does `--help`."""

    def __init__(self, *arguments: Any, files: Mapping[str, CommandFile], **options: Any) -> None:  # noqa: ANN401 - click's
        """`files` names each command, in the order of `--help`."""
        super().__init__(*arguments, **options)
        self.files = files

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click calls it
        """List the commands in the order of `--help`."""
        return list(self.files)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as click calls it
        """Import a command; None if there is none of this name."""
        if (file := self.files.get(cmd_name)) is None:
            return None
        command: click.Command = getattr(import_module(file.module), cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as click calls it
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, file.line) for name, file in self.files.items()])
