"""The personal data of a challenge, sealed for its id.

Knows the parts and their order. Must not know keys or algorithms.
"""

import json
import logging
from collections.abc import Mapping
from typing import NamedTuple

from otp_service import phone
from otp_service.challenge.model import Challenge
from otp_service.crypto.sealing import Seal, Unsealable
from otp_service.errors import Busy
from otp_service.telemetry.logs import log


class PersonalData(NamedTuple):
    """The number (E.164), the address of the caller, the session that a server named, and the binding as JSON."""

    e164: str
    address: str = ""
    session: str = ""
    binding: str = ""


def seal_data(seal: Seal, id_: str, data: PersonalData) -> str:
    """Seal data for a challenge's id. Only the last part may contain a line break."""
    return seal.close("\n".join(data), id_)


def open_data(seal: Seal, challenge: Challenge) -> PersonalData:
    """Return the data of a challenge. Raises Unsealable if this process lacks the key."""
    return PersonalData(*seal.open(challenge.sealed, challenge.id).split("\n", maxsplit=3))


def unseal(seal: Seal, challenge: Challenge) -> PersonalData:
    """Return the data of a challenge for a request or a send.

    Raises Busy if this process lacks the key: while keys are rotated, another process may hold it.
    """
    try:
        return open_data(seal, challenge)
    except Unsealable:
        raise unreadable(challenge.id) from None


def country_in(seal: Seal, challenge: Challenge) -> str:
    """Return the country of a challenge's number, empty if this process lacks the key."""
    try:
        return phone.country_of(open_data(seal, challenge).e164)
    except Unsealable:
        return ""


def unreadable(challenge_id: str) -> Busy:
    """Log that this process lacks a key of a challenge. Return the error that says so."""
    log("challenge.unreadable", logging.ERROR, challenge=challenge_id[:8])
    return Busy("This process does not hold the challenge's key. Try again.", retry_after=2)


def canonical(binding: str | Mapping[str, str] | None) -> str:
    """Write a binding as JSON, so that equal bindings are equal text. No binding is empty text."""
    if binding is None:
        return ""
    return json.dumps(binding, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def log_challenge(name: str, challenge: Challenge, e164: str, **fields: object) -> None:
    """Log an event of a challenge, with eight characters of its id: the whole id is its holder's secret."""
    log(name, logging.INFO, challenge=challenge.id[:8], app=challenge.app, to=phone.mask(e164), **fields)
