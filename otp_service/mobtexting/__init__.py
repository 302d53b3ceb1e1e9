"""The upstream: MOBtexting's HTTP API v2 and the white labels that run it.

Knows every path, field and word of that API. Must not know challenges, the store or our own HTTP API:
what leaves this package is an `Outcome` in our words.
"""

from otp_service.mobtexting.account import Account, SmsSender
from otp_service.mobtexting.client import Balance, Client, UpstreamError

__all__ = ["Account", "Balance", "Client", "SmsSender", "UpstreamError"]
