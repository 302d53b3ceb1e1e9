"""The API keys and secrets of one demo.

Knows what is drawn. Must not know where it is written or who uses it.
"""

import secrets
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class DemoKeys:
    """All secrets that a person at the demo may see; drawn anew at each start."""

    publishable_key: str
    secret_key: str
    ops_key: str
    upstream_token: str
    webhook_secret: str
    shop: "ShopKeys"

    @classmethod
    def draw(cls) -> Self:
        """Draw all of them."""
        pk, sk, ops, whs = (f"{kind}_{secrets.token_urlsafe(24)}" for kind in ("pk", "sk", "ops", "whs"))
        return cls(pk, sk, ops, secrets.token_hex(16), whs, ShopKeys.draw())

    def shown(self) -> dict[str, str]:
        """Return those that a person at the demo may use, by name."""
        return {name: value for name, value in vars(self).items() if name != "shop"}


@dataclass(frozen=True)
class ShopKeys:
    """What only the shop uses: the keys of its app for payments, and the secret of its cookies."""

    publishable_key: str
    secret_key: str
    cookie_secret: str

    @classmethod
    def draw(cls) -> Self:
        """Draw all of them."""
        return cls(*(f"{kind}_{secrets.token_urlsafe(24)}" for kind in ("pk", "sk", "shop")))
