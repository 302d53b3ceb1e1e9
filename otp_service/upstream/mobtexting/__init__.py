"""The adapter for MOBtexting's HTTP API v2 and the white labels that run it.

Knows every path, field and word of that API. Must not know challenges, the store or this service's HTTP API: it
returns outcomes, receipts and balances in the words of `upstream/port.py`.
Start with `client.py`; `words.py` translates the vendor's words.
"""

from otp_service.upstream.mobtexting.account import AccountSettings
from otp_service.upstream.mobtexting.batch import Batcher
from otp_service.upstream.mobtexting.client import MobtextingClient
from otp_service.upstream.mobtexting.receipts import (
    Fields,
    ReceiptError,
    content_of,
    handshake,
    parse,
    parse_content,
    signed,
)

__all__ = [
    "AccountSettings",
    "Batcher",
    "Fields",
    "MobtextingClient",
    "ReceiptError",
    "content_of",
    "handshake",
    "parse",
    "parse_content",
    "signed",
]
