"""The `secrets` command: generates the secret settings of a new deployment.

Knows their names and form, and how a file is kept from others. Must not know what they are used for.
"""

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from secrets import token_bytes

import click

from otp_service.cli.refusals import WrongOption

SETTINGS = {
    "OTP_PEPPERS": "p1:",
    "OTP_NUMBER_KEYS": "n1:",
    "OTP_LOOKUP_KEYS": "l1:",
    "OTP_SUBJECT_KEY": "",
    "OTP_SIGNING_KEYS": "s1:",
    "OTP_DEVICE_KEYS": "d1:",
}
"""Each secret setting, and the id of its key if it holds several."""


@click.command
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write one file each, for its owner only, and print the settings that name the files.",
)
def secrets(*, folder: Path | None) -> None:
    """Generate a new set of secret settings.

    A process reads files again on SIGHUP, so that secrets in files can be rotated without a restart.
    """
    drawn = {name: f"{key_id}{new_secret()}" for name, key_id in SETTINGS.items()}
    for name, value in (_filed(folder, drawn) if folder else drawn).items():
        print(f"{name}={value}")


def _filed(folder: Path, drawn: Mapping[str, str]) -> dict[str, str]:
    """Write each value into a file of its name; return the settings that name the files. Nothing is overwritten."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in drawn:
            if (folder / name).exists():
                raise WrongOption(f"{folder / name} exists already, and secrets are never overwritten")
        for name, value in drawn.items():
            with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(f"{value}\n")
    except OSError as error:
        raise WrongOption(f"{folder} cannot be written: {(error.strerror or str(error)).lower()}") from None
    return {f"{name}_FILE": str((folder / name).resolve()) for name in drawn}


def new_secret() -> str:
    """Generate 32 random bytes as base64url."""
    return base64.urlsafe_b64encode(token_bytes(32)).decode().rstrip("=")
