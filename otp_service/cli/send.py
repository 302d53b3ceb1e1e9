"""The `send` command: sends a code through a running service, to try a number.

Knows its options and what it prints. Must not know how the service is called.
"""

import json

import click

from otp_service.cli.trying import on_service
from otp_service.demo.trying import Service


@click.command
@click.argument("number")
@click.option("--purpose", metavar="NAME", help="What the proof is for; login if omitted.")
@click.option("--channel", metavar="NAME", help="The channel to try first, such as sms.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@on_service
def send(service: Service, *, number: str, purpose: str | None, channel: str | None, as_json: bool) -> None:
    """Send a code to a number, to try it."""
    given = {"to": number, "purpose": purpose, "channel": channel}
    shown = service.send({name: value for name, value in given.items() if value is not None})
    if as_json:
        print(json.dumps(shown, ensure_ascii=False, indent=2))
        return
    id_ = shown["challenge_id"]
    print(f"challenge {id_}: to {shown['to']} by {shown['channel']}")
    print(
        "What happens to it, with the same --demo or --api at the dots:",
        f"  otp-service watch … -- {id_}",
        sep="\n",
    )
    print("When the code is there:", f"  otp-service verify … -- {id_} CODE", sep="\n")
