"""Fingerprints of requests, by which the repetition of a request with an Idempotency-Key is recognised.

Knows that a fingerprint must not be reversible. Must not know what a request asks for.
"""

import json

from otp_service.crypto.sealing import Seal


def fingerprints(seal: Seal, request: object) -> tuple[str, ...]:
    """Return the HMACs of a request, that of the newest key first.

    A plain hash could be reversed, because a phone number has few digits.
    """
    return seal.indexes("fingerprint", json.dumps(request, sort_keys=True))
