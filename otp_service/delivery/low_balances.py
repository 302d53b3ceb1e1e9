"""Low balances, as workers saw them last: written by the worker that read an account, read by whoever looks.

Knows the facts' names. Must not know how an account is asked, or from when on a balance is low.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from otp_service.policy import Policy
from otp_service.store.facts import Facts
from otp_service.upstream.port import Balance

KEEP = 24 * 3600
"""Seconds for which a balance that no worker reads any more is taken as it was."""


@dataclass(frozen=True, slots=True)
class LowBalance:
    """What is left of a service, and the policy's limit below which that is low."""

    account: str
    service: str
    credits: float
    limit: float


class LowBalances:
    """The services whose balance is low. Its methods raise StoreUnavailable."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def write(self, account: str, rows: Sequence[Balance]) -> None:
        """Write which services of an account are low; an account that did not answer keeps what it had."""
        self._facts.put(
            _name(account), json.dumps([[row.name or row.service, row.credits] for row in rows]), KEEP
        )

    def read(self, policy: Policy) -> Iterator[LowBalance]:
        """Yield what is low, of accounts for which the policy has a limit."""
        for name, upstream in policy.upstreams.items():
            if upstream.low_balance is not None:
                for service, left in json.loads(self._facts.get(_name(name)) or "[]"):
                    yield LowBalance(name, service, left, upstream.low_balance)


def _name(account: str) -> str:
    return f"low:{account}"
