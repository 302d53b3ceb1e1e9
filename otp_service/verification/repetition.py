"""Recognises the repetition of a request that came with an Idempotency-Key.

Must not know which request it is.
"""

import json

from otp_service.crypto.sealing import Seal


def fingerprints(seal: Seal, request: object) -> tuple[str, ...]:
    """Give HMACs of a whole request, newest key first.

    A plain hash could be reversed, because a number has few digits.
    """
    return seal.indexes("fingerprint", json.dumps(request, sort_keys=True))
