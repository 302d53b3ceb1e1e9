"""What a challenge keeps of people, sealed for its id.

Knows the parts and their order. Must not know keys or algorithms.
"""

import logging
from typing import NamedTuple

from otp_service import phone
from otp_service.challenge.model import Challenge
from otp_service.crypto.sealing import Seal, Unsealable
from otp_service.errors import Busy
from otp_service.telemetry.logs import log


class Sealed(NamedTuple):
    """The number (E.164), the address and session that a server named, and the binding as canonical JSON."""

    e164: str
    address: str = ""
    session: str = ""
    binding: str = ""


def sealed(seal: Seal, id_: str, parts: Sealed) -> str:
    """Seal the parts for a challenge's id. Only the last part may contain a line break."""
    return seal.close("\n".join(parts), id_)


def unseal(seal: Seal, challenge: Challenge) -> Sealed:
    """Give what `sealed` took.

    Raises Busy if this process lacks the key: while keys are rotated, another process may hold it.
    """
    try:
        return Sealed(*seal.open(challenge.sealed, challenge.id).split("\n", maxsplit=3))
    except Unsealable:
        raise unreadable(challenge) from None


def unreadable(challenge: Challenge) -> Busy:
    """Log that this process lacks a key of a challenge, and give the error that says so."""
    log("challenge.unreadable", logging.ERROR, challenge=challenge.id[:8])
    return Busy("This process does not hold the challenge's key. Try again.", retry_after=2)


def log_challenge(name: str, challenge: Challenge, e164: str, **fields: object) -> None:
    """Log what happened to a challenge: eight characters of its id, as the whole id is its holder's secret."""
    log(name, logging.INFO, challenge=challenge.id[:8], app=challenge.app, to=phone.mask(e164), **fields)
