"""The command `otp-service`: finds the file of a command and turns errors into exit codes.

Knows the names of the commands, and imports the file of one only when it is called. Must not know what a command does.
"""

import click

from otp_service import __version__
from otp_service.cli.exit_codes import FAILED, MISCONFIGURED
from otp_service.cli.groups import CommandFile, LazyGroup
from otp_service.cli.refusals import WrongOption, show_problems
from otp_service.errors import ConfigurationError

_LINES = {
    "serve": "Serve the HTTP API.",
    "worker": "Send what is due.",
    "check": "Check settings, policy, store and upstreams.",
    "secrets": "Generate a new set of secret settings.",
    "policy": "Show the policy, change it, ask what a number would get.",
    "apps": "Add, show and remove apps of the policy.",
    "review": "Add, list and remove numbers for the reviewers of an app store.",
    "keys": "Issue, replace, revoke and list API keys.",
    "blocks": "Show what the guard refuses, and lift it.",
    "pins": "Allow or refuse numbers, prefixes and addresses in every case.",
    "figures": "Show what was asked for, let in, sent, delivered and verified.",
    "advice": "Say which order of steps verifies more people.",
    "recycled": "Record numbers that have new owners.",
    "challenges": "Find challenges and refused sends, and show what happened.",
    "send": "Send a code to a number, to try it.",
    "verify": "Check the code of a challenge.",
    "watch": "Print each change of a challenge until it ends.",
    "forget": "Erase everything known about a number.",
    "rekey": "Re-encrypt suppressed and pinned numbers with the newest keys.",
    "bench-hash": "Measure this machine's hashes, and which profile fits a rate.",
    "size": "Say how many cores a rate of messages needs.",
    "sandbox": "Stand in for the upstream.",
    "demo": "Run the whole product on this machine, with a sandbox upstream.",
}
"""The line of each command in `--help`, in this order. Each is a function in the file of its name."""
COMMANDS = {
    name: CommandFile(f"otp_service.cli.{name.replace('-', '_')}", line) for name, line in _LINES.items()
}


@click.command(cls=LazyGroup, files=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(version)s")
def otp_service() -> None:
    """Prove that a person holds a phone number."""


def run(arguments: list[str]) -> int:
    """Run one command. Return its exit code: 0, 1 for a failure, 2 for wrong settings or options."""
    try:
        _check_text(arguments)
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


def _check_text(arguments: list[str]) -> None:
    """Refuse bytes that are no text before a command looks them up or stores them. Raises WrongOption."""
    for place, argument in enumerate(arguments, start=1):
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise WrongOption(f"Argument {place} must be UTF-8.") from None
