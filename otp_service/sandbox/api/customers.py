"""The customers of the sandbox, each with its token.

Knows which parts belong to one account. Must not know what these parts do.
"""

from dataclasses import dataclass

from otp_service.sandbox.api.account import Account
from otp_service.sandbox.api.throttle import Throttle
from otp_service.sandbox.config import SandboxConfig
from otp_service.sandbox.reports.webhooks import Webhooks


@dataclass(frozen=True, slots=True)
class Customer:
    """One customer. `name` may be shown; the token must not be."""

    name: str
    account: Account
    webhooks: Webhooks
    throttle: Throttle


def customers_of(config: SandboxConfig) -> dict[str, Customer]:
    """Return the customer of each token."""
    return {
        token: Customer(name, Account(config.credits), Webhooks(), Throttle(config.gets_per_minute))
        for token, name in config.accounts().items()
    }
