"""`policy check`: every mistake in a policy, with its line.

Knows what an operator may lack who has only the file. Must not import the store, or what sends.
"""

from pathlib import Path

import click

from otp_service.bootstrap.secrets_needed import missing_from
from otp_service.cli.options import demo_option, environment
from otp_service.cli.refusals import read_file, refusals_shown
from otp_service.ops.checked_policy import parse_checked
from otp_service.policy import parse


@click.command
@click.argument("file", type=click.Path(path_type=Path))
@demo_option
@refusals_shown
def check(*, file: Path) -> None:
    """Report every mistake in a policy, with its line.

    This needs no settings and no store. A secret that the policy names and the environment lacks is a warning.
    """
    given = environment()
    loaded = parse_checked(read_file(file), parse)
    for warning in (*loaded.warnings, *missing_from(given, loaded)):
        print(f"warning: {warning}")
    print("the policy is valid")
