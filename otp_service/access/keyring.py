"""The keys that were issued while the service runs, in Redis: a ring of records, and how a process follows it.

Knows the ring's key and that only hashes are kept. Must not know HTTP, nor what a key may do. Keys that the policy
declares are not here.
"""

import json
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

from otp_service.access.api_keys import digest, draw
from otp_service.errors import KeyConflict, NotFound, OtpError, StoreUnavailable
from otp_service.store.polling import start_polling
from otp_service.store.scripts import Scripts
from otp_service.telemetry.logs import log, redact

OVERLAP = 24 * 3600
"""Seconds that a key lives beside its successor, unless it is told otherwise."""
KEPT = 90 * 24 * 3_600_000
"""Milliseconds that the record of a key is kept after its end."""
NOTED = 60.0
"""Seconds between two notes of a key's last use by one process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """The record of a key; times are milliseconds of the store's clock, and None for never.

    `owner` is an app, or the operator of an `ops` key, which has a `role`. `line` is the id of the first of all keys
    that replaced one another. `ended_by` and `ended_why` tell of an end that was not there from the beginning.
    """

    id: str
    kind: str
    owner: str
    digest: str
    by: str
    line: str
    created: int
    role: str = ""
    label: str = ""
    expires: int | None = None
    replaced_by: str = ""
    ended_by: str = ""
    ended_why: str = ""
    used: int | None = None

    def lives(self, now: int) -> bool:
        """Say whether it lets anybody in."""
        return self.expires is None or now < self.expires


@dataclass(frozen=True, slots=True)
class Ring:
    """All keys; `head` counts the changes."""

    head: int
    keys: tuple[Key, ...]


class Keyring:
    """All issued keys. Every method raises StoreUnavailable when the server does not serve it in time."""

    def __init__(self, scripts: Scripts, *, prefix: str) -> None:
        self._scripts = scripts
        self._key = f"{prefix}:keys"

    def issue(
        self, kind: str, owner: str, *, by: str, role: str = "", label: str = "", lifetime: int | None = None
    ) -> tuple[str, Key]:
        """Draw a key that lives for `lifetime` seconds; gives the key, which is kept nowhere, and its record."""
        key, drawn = _drawn(kind, by)
        record = drawn | {"kind": kind, "owner": owner, "role": role, "label": redact(label)}
        stored = self._scripts.call("key_issue", [self._key], json.dumps(record), _milliseconds(lifetime))
        issued = _key(stored)
        _tell("key.issued", issued, by=by, why=label)
        return key, issued

    def rotate(
        self, id_: str, *, by: str, reason: str, overlap: int = OVERLAP, lifetime: int | None = None
    ) -> tuple[str, Key]:
        """Draw a successor; the key before lives for `overlap` seconds more.

        Raises NotFound, or KeyConflict for a key that lives no more or lives beside another of its line.
        """
        before = self.find(id_)
        key, drawn = _drawn(before.kind, by)
        what, *rest = self._scripts.call(
            "key_rotate",
            [self._key],
            id_,
            overlap * 1000,
            json.dumps(drawn),
            _milliseconds(lifetime),
            redact(reason),
        )
        if what != "rotated":
            raise _refusal(what, *rest)
        issued = _key(rest[0])
        _tell("key.rotated", before, by=by, why=reason, successor=issued.id, overlap=overlap)
        return key, issued

    def revoke(self, id_: str, *, by: str, reason: str) -> Key:
        """End a key at once. Raises NotFound, or KeyConflict for one that lives no more."""
        operation = secrets.token_urlsafe(6)
        what, *rest = self._scripts.call("key_revoke", [self._key], id_, by, redact(reason), operation)
        if what != "revoked":
            raise _refusal(what)
        revoked = _key(rest[0])
        _tell("key.revoked", revoked, by=by, why=reason)
        return revoked

    def read(self, known: int = -1) -> tuple[int, Ring | None]:
        """Give the store's time and all keys, also those that ended lately; no keys if `known` is still their head."""
        now, head, *found = self._scripts.call("keys_read", [self._key], known, KEPT)
        if head == known:
            return now, None
        values = dict(zip(found[::2], found[1::2], strict=True))
        keys = [
            replace(_key(stored), used=int(values.get(f"u:{name[2:]}", 0)) or None)
            for name, stored in values.items()
            if name.startswith("k:")
        ]
        return now, Ring(head, tuple(sorted(keys, key=lambda key: (key.created, key.id))))

    def all(self) -> tuple[int, tuple[Key, ...]]:
        """Give the store's time and all keys, the oldest first."""
        now, ring = self.read()
        return now, ring.keys if ring else ()

    def find(self, id_: str) -> Key:
        """Give a key by its id. Raises NotFound."""
        found = next((key for key in self.all()[1] if key.id == id_), None)
        if found is None:
            raise _refusal("none")
        return found

    def note(self, uses: Mapping[str, int]) -> None:
        """Note when keys, by their ids, were used last."""
        self._scripts.call("keys_used", [self._key], *(part for use in uses.items() for part in use))


def _drawn(kind: str, by: str) -> tuple[str, dict[str, str]]:
    key = draw(kind)
    return key, {"id": secrets.token_hex(5), "digest": digest(key), "by": by}


def _milliseconds(seconds: int | None) -> int | str:
    return "" if seconds is None else seconds * 1000


def _refusal(what: str, other: str = "") -> OtpError:
    match what:
        case "none":
            return NotFound("There is no key with this id, or no longer.")
        case "crowded":
            return KeyConflict(f"Key {other} of the same line lives beside it. Revoke one of them first.")
        case _:
            return KeyConflict("This key lives no more. Create a new one.")


def _key(stored: str) -> Key:
    record = json.loads(stored)
    return Key(**{name: record[name] for name in _NAMES if name in record})


_NAMES = tuple(field.name for field in fields(Key))


def _tell(what: str, key: Key, *, by: str, why: str, **more: object) -> None:
    """Write who did what to a key and why into the log, which is the audit."""
    log(
        what,
        logging.INFO,
        key_id=key.id,
        kind=key.kind,
        owner=key.owner,
        role=key.role,
        by=by,
        why=why,
        **more,
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a look found: the ring, and which time of the store was what time here (seconds)."""

    head: int
    by_digest: Mapping[str, Key]
    now: int
    at: float


class LiveKeys:
    """The keys as one process knows them, which asks nobody when it is asked."""

    def __init__(self, keyring: Keyring, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._keyring = keyring
        self._clock = clock
        self._seen: _Seen | None = None
        self._uses: dict[str, int] = {}
        self._next_note: dict[str, float] = {}

    def find(self, hashed: str) -> Key | None:
        """Give the key with this hash if it lives, and keep in mind that it was used.

        Raises StoreUnavailable while the ring was never seen: then nobody knows that a key is unknown.
        """
        seen = self._seen
        if seen is None:
            raise StoreUnavailable(retry_after=2)
        key = seen.by_digest.get(hashed)
        now = seen.now + int((self._clock() - seen.at) * 1000)
        if key is None or not key.lives(now):
            return None
        self._uses[key.id] = now
        return key

    def follow(self) -> None:
        """Keep looking for changes, in a thread that ends with its process."""
        start_polling("keys", self.look)

    def look(self) -> None:
        """See what changed, and tell which keys were used. Raises StoreUnavailable."""
        seen = self._seen
        at = self._clock()  # before the call, so that no key lives longer here than in the store
        now, ring = self._keyring.read(-1 if seen is None else seen.head)
        if ring is not None:
            self._seen = _Seen(ring.head, {key.digest: key for key in ring.keys}, now, at)
        elif seen is not None:
            self._seen = replace(seen, now=now, at=at)
        self._note(at)

    def _note(self, at: float) -> None:
        """Tell uses, of each key at most once in NOTED; a request never waits for this."""
        self._next_note = {id_: when for id_, when in self._next_note.items() if when > at}
        due = {id_: self._uses.pop(id_) for id_ in list(self._uses) if id_ not in self._next_note}
        if not due:
            return
        try:
            self._keyring.note(due)
        except StoreUnavailable:
            self._uses = due | self._uses
            raise
        self._next_note |= dict.fromkeys(due, at + NOTED)
