"""The `send` command: sends a code through a running service, to try a number.

Knows its options and what it prints. Must not know how the service is called.
"""

import json
from secrets import token_urlsafe

import click

from otp_service.cli.trying import Place, on_service
from otp_service.demo.trying import NoAnswer, Refused


@click.command
@click.argument("number")
@click.option("--purpose", metavar="NAME", help="What the proof is for; login if omitted.")
@click.option("--channel", metavar="NAME", help="The channel to try first, such as sms.")
@click.option(
    "--idempotency-key",
    metavar="KEY",
    help="Repeat a send whose end is not known: it printed the KEY. No second code is sent.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@on_service
def send(
    place: Place,
    *,
    number: str,
    purpose: str | None,
    channel: str | None,
    idempotency_key: str | None,
    as_json: bool,
) -> None:
    """Send a code to a number, to try it."""
    given = {"to": number, "purpose": purpose, "channel": channel}
    key = idempotency_key or token_urlsafe(18)
    try:
        shown = place.service.send({name: value for name, value in given.items() if value is not None}, key)
    except (NoAnswer, Refused) as error:
        if error.may_be_done:
            error.add_note(f"To repeat it without a second code, add --idempotency-key {key}")
        raise
    if as_json:
        print(json.dumps(shown, ensure_ascii=False, indent=2))
        return
    id_ = shown["challenge_id"]
    print(
        f"challenge {id_}: to {shown['to']} by {shown['channel']}",
        "Follow what happens to it:",
        f"  otp-service watch {place.option} -- {id_}",
        f"Read the code at {place.inbox} and check it:"
        if place.inbox
        else "When the code is there, check it:",
        f"  otp-service verify {place.option} -- {id_} CODE",
        "See why it did not come:",
        f"  otp-service challenges{place.demo} show -- {id_}",
        "Nothing is sent to a review number: its code is the one that `otp-service review add` showed.",
        sep="\n",
    )
