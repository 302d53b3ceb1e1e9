"""Repetitions of requests: how an Idempotency-Key is named, and how the repetition of a request is recognised.

Knows that a fingerprint must not be reversible, and that a page must not reach what a server stored. Must not know
what a request asks for.
"""

import json

from otp_service.crypto.sealing import Seal
from otp_service.errors import Invalid
from otp_service.verification.caller import Caller

LEAST_OF_PAGES = 22
"""Characters that an Idempotency-Key of a page has at least: 128 random bits in base64url. All pages of an app share
one publishable key, so a page that could guess another's Idempotency-Key could block it."""


def names_of(seal: Seal, caller: Caller, key: str, *act: str) -> tuple[str, ...]:
    """Name the record of an Idempotency-Key, under each lookup key, the newest first.

    The kind of the API key belongs to the name: a page neither blocks nor repeats what a server did. Raises Invalid
    for a page's key that can be guessed.
    """
    if caller.is_page and len(key) < LEAST_OF_PAGES:
        rule = f"must have at least {LEAST_OF_PAGES} characters with a publishable key: use a random UUID"
        raise Invalid({"Idempotency-Key": [rule]})
    kind = "publishable" if caller.is_page else "secret"
    return seal.indexes(*act, caller.app.name, kind, key)


def fingerprints(seal: Seal, request: object) -> tuple[str, ...]:
    """Return the HMACs of a request, that of the newest key first.

    A plain hash could be reversed, because a phone number has few digits.
    """
    return seal.indexes("fingerprint", json.dumps(request, sort_keys=True))
