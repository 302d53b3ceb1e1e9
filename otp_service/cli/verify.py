"""The `verify` command: checks a code at a running service.

Knows its options and what it prints. Must not know how the service is called.
"""

import json
from secrets import token_urlsafe

import click

from otp_service.cli.trying import Place, on_service


@click.command
@click.argument("id_", metavar="ID")
@click.argument("code")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the token.")
@on_service
def verify(place: Place, *, id_: str, code: str, as_json: bool) -> None:
    """Check the code of a challenge."""
    shown = place.service.verify(id_, code, token_urlsafe(18))
    print(json.dumps(shown, ensure_ascii=False, indent=2) if as_json else "verified")
