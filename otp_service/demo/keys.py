"""The API keys and secrets of one demo.

Knows what is drawn, and the file that keeps it from one start to the next. Must not know who uses it.
"""

import json
import os
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class DemoKeys:
    """All secrets that a person at the demo may see. They stay the same in one folder."""

    publishable_key: str
    secret_key: str
    ops_key: str
    upstream_token: str
    webhook_secret: str
    shop: "ShopKeys"

    @classmethod
    def read_or_draw(cls, file: Path) -> Self:
        """Return the keys in a file; draw them, and write it for its owner only, if it has none of this form."""
        with suppress(OSError, ValueError, TypeError, KeyError):
            kept = json.loads(file.read_text(encoding="utf-8"))
            return cls(**{**kept, "shop": ShopKeys(**kept["shop"])})
        drawn = cls.draw()
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as new:
            json.dump(asdict(drawn), new, indent=2)
        return drawn

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
