"""The command `otp-service`: finds the file of a command and turns errors into exit codes.

Knows the names of the commands, and imports the file of one only when it is called. Must not know what a command does.
"""

from importlib import import_module

import click

from otp_service import __version__
from otp_service.cli.exit_codes import FAILED, MISCONFIGURED
from otp_service.cli.refusals import show_problems
from otp_service.errors import ConfigurationError

COMMANDS = (
    *("serve", "worker", "check", "secrets"),
    *("policy", "apps", "keys", "blocks", "pins", "recycled", "forget", "rekey"),
    *("sandbox", "demo"),
)
"""In the order of `--help`. Each is a function in the file of its name."""


class _Commands(click.Group):
    """Imports the file of a command when the command is called, so that each starts fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click calls it
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as click calls it
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"otp_service.cli.{cmd_name}"), cmd_name)
        return command


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(version)s")
def otp_service() -> None:
    """Prove that a person holds a phone number."""


def run(arguments: list[str]) -> int:
    """Run one command. Return its exit code: 0, 1 for a failure, 2 for wrong settings or options."""
    try:
        code: int | None = otp_service.main(arguments, prog_name="otp-service", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return FAILED
    except ConfigurationError as error:
        show_problems(error)
        return MISCONFIGURED
    return code or 0
