"""How a command says that it cannot work: wrong settings, a file that cannot be read, a refusal.

Knows the terminal. Must not know any single command.
"""

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import IO, Any, ParamSpec

import click

from otp_service.cli.exit_codes import FAILED, MISCONFIGURED
from otp_service.errors import ConfigurationError, OtpError, PolicyConflict

Options = ParamSpec("Options")


class WrongOption(click.ClickException):
    """An option or argument that cannot be used. Its message is the whole output."""

    exit_code = MISCONFIGURED

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message."""
        print(self.message, file=file or sys.stderr)


def show_problems(error: ConfigurationError) -> None:
    """Print everything that is wrong with the settings, and the hint of the error if it has one."""
    print(
        "otp-service cannot start:",
        *(f"  - {problem}" for problem in error.problems),
        sep="\n",
        file=sys.stderr,
    )
    for hint in getattr(error, "__notes__", ()):
        print(hint, file=sys.stderr)


def refusals_shown(act: Callable[Options, int | None]) -> Callable[Options, int | None]:
    """Print a refusal and end the command with exit code 1."""

    @wraps(act)
    def shown(*arguments: Options.args, **options: Options.kwargs) -> int | None:
        try:
            return act(*arguments, **options)
        except OtpError as error:
            rules = (f"  - {field}: {rule}" for field, rule in error.rules())
            warnings = error.warnings if isinstance(error, PolicyConflict) else ()
            told = (f"warning: {warning}" for warning in warnings)
            print(*told, error.detail, *rules, sep="\n", file=sys.stderr)
            return FAILED

    return shown


def read_file(file: Path) -> str:
    """Read a file that an option names. Raises WrongOption."""
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        why = "no such file"
    except UnicodeDecodeError:
        why = "it is not UTF-8"
    except OSError as error:
        why = (error.strerror or str(error)).lower()
    raise WrongOption(f"{file} cannot be read: {why}")
