"""The `secrets` command: generates the secret settings of a new deployment.

Knows their names and form. Must not know what they are used for.
"""

import base64
from secrets import token_bytes

import click

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
def secrets() -> None:
    """Generate a new set of secret settings."""
    for name, key_id in SETTINGS.items():
        print(f"{name}={key_id}{new_secret()}")


def new_secret() -> str:
    """Generate 32 random bytes as base64url."""
    return base64.urlsafe_b64encode(token_bytes(32)).decode().rstrip("=")
