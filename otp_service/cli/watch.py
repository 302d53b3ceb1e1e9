"""The `watch` command: follows a challenge at a running service.

Knows what it prints. Must not know how the service is called.
"""

import re

import click

from otp_service.cli.refusals import WrongOption
from otp_service.cli.trying import Place, on_service


@click.command
@click.argument("id_", metavar="ID")
@on_service
def watch(place: Place, *, id_: str) -> None:
    """Print each change of a challenge until it ends."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", id_):
        raise WrongOption("ID must be the id of a challenge.")
    before = None
    for shown in place.service.follow(id_):
        message = shown["deliveries"][-1]["status"] if shown["deliveries"] else "none"
        now = (shown["status"], shown["channel"], message, shown["checks_left"])
        if now != before:
            state, channel, message, left = before = now
            seconds = shown["expires_in"]
            print(f"{state}  {channel}: {message}  checks left: {left}  seconds left: {seconds}", flush=True)
