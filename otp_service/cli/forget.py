"""The `forget` command: operators erase a number.

Knows options and how an answer looks in a terminal. Must not know what is kept of a number.
"""

import sys

import click

from otp_service.bootstrap.operations import Operations
from otp_service.cli.exit_codes import FAILED
from otp_service.cli.options import author_option
from otp_service.cli.session import on_store


@click.command
@click.argument("to", metavar="NUMBER")
@click.option("--country", metavar="CODE", help="Country of a number without its country code.")
@click.option(
    "--and-suppression", is_flag=True, help="Also forget a STOP: messages may go to the number again."
)
@author_option
@on_store
def forget(base: Operations, *, to: str, country: str | None, and_suppression: bool, by: str) -> int:
    """Erase everything known about a number."""
    erased = base.erasure.forget(
        to,
        country,
        by=by,
        and_suppression=and_suppression,
        progress=lambda kind: print(f"going through {kind}", file=sys.stderr),
    )
    for kind, count in erased.removed.items():
        print(f"{kind.replace('_', ' ')}: {count} removed")
    if erased.suppressed:
        print("the number stays on the suppression list, as a bare HMAC: --and-suppression removes it")
    if erased.unreadable:
        print(f"{erased.unreadable} challenges were sealed with a key that is not in OTP_NUMBER_KEYS")
    return FAILED if erased.unreadable else 0
