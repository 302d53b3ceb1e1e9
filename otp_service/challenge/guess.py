"""One guess at a code, as the store counts it.

Knows what tells a repetition of a guess from another guess, and what makes the token of a right one the same each time.
Must not know codes, hashes or how a guess is checked.
"""

import json
from dataclasses import dataclass, field

from otp_service.store.partitions import operation

LEASE = 3_000
"""Milliseconds in which a guess is answered. After that its process has failed, and a repetition counts as another."""

MOST_REPEATS = 100
"""Repetitions of a challenge's guesses that are answered. Each costs a hash and no message, so that without a limit one
challenge could keep all cores busy; a client that lost an answer needs a few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """A guess. `operation` is this request's; `names` are of its Idempotency-Key, with each lookup key, newest first.

    `device` is whether a device token was asked for. `schemes` and `seals` are what this process has the keys for, each
    between commas; None does not limit it.
    """

    operation: str = field(default_factory=operation)
    names: tuple[str, ...] = ()
    device: bool = False
    schemes: str | None = None
    seals: str | None = None

    def written(self, app: str, digits: int) -> str:
        """Write the plan of `attempt.lua` for a guess of an app with so many digits."""
        plan = {
            "app": app,
            "op": self.operation,
            "digits": digits,
            "lease": LEASE,
            "repeats": MOST_REPEATS,
            "names": self.names,
            "device": self.device,
            "schemes": self.schemes,
            "seals": self.seals,
        }
        return json.dumps({name: value for name, value in plan.items() if value}, separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenId:
    """Identifies the token of a right guess: its id, the key that signs it, its life in milliseconds.

    `name` is the newest name of the guess's Idempotency-Key. Without one, nothing of the token is remembered.
    """

    jti: str
    kid: str
    life: int
    name: str = ""

    def written(self) -> str:
        """Write what `finish.lua` remembers."""
        return json.dumps({"key": self.name, "kid": self.kid}) if self.name else ""
