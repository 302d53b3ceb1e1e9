"""Sessions of the console: an operator who has shown a key is known by a random id for a while.

Knows the keys in Redis, that only hashes are stored, and how long a session lasts. Must not know cookies, or what an
operator may do: a session names a key by its hash, and who has that key is asked anew for each request.
"""

import json
import secrets
from dataclasses import dataclass

from otp_service.access.api_keys import digest
from otp_service.crypto.sealing import Seal
from otp_service.store.recent import Recent
from otp_service.store.scripts import Scripts

IDLE = 30 * 60_000
"""Milliseconds without a request after which a session ends."""
LONGEST = 12 * 3_600_000
"""Milliseconds after which a session ends in any case."""
MOST_TRIES, TRIES_WITHIN = 10, 15 * 60_000
"""Wrong keys that one address may show, and the milliseconds within which they count."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session: the SHA-256 hash of the key that began it, and the token that each of its forms carries."""

    key_digest: str
    form_token: str


class Sessions:
    """All sessions. Every method raises StoreUnavailable if the server does not answer in time."""

    def __init__(self, scripts: Scripts, seal: Seal, *, prefix: str) -> None:
        self._scripts = scripts
        self._recent = Recent(scripts)
        self._seal = seal
        self._prefix = prefix

    def begin(self, key_digest: str) -> str:
        """Begin a session and return its id, which is stored nowhere."""
        id_ = secrets.token_urlsafe(24)
        record = {"key": key_digest, "form_token": secrets.token_urlsafe(24)}
        self._scripts.call("session_begin", [self._key(id_)], json.dumps(record), IDLE, LONGEST)
        return id_

    def read(self, id_: str) -> Session | None:
        """Return a session and let it last; None if it has ended."""
        stored = self._scripts.call("session_read", [self._key(id_)], IDLE)
        if not stored:
            return None
        record = json.loads(stored)
        return Session(record["key"], record["form_token"])

    def end(self, id_: str) -> None:
        """End a session."""
        self._scripts.call("delete", [self._key(id_)])

    def may_try(self, subscriber: str) -> bool:
        """Count a try to sign in from an address, and tell whether it may be made."""
        return not self._recent.take(self._tries(subscriber), MOST_TRIES, TRIES_WITHIN)

    def may_tell(self, subscriber: str) -> bool:
        """Tell whether an address that may not try is worth a line of its own: once while its tries count."""
        return not self._recent.take(self._tries(subscriber, "told"), 1, TRIES_WITHIN)

    def forget_tries(self, subscriber: str) -> None:
        """Forget the tries of an address, after the right key."""
        self._scripts.call("delete", [self._tries(subscriber)])

    def _key(self, id_: str) -> str:
        return f"{self._prefix}:session:{digest(id_)}"

    def _tries(self, subscriber: str, *more: str) -> str:
        return f"{self._prefix}:tries:{self._seal.index('sign in', subscriber, *more)}"
