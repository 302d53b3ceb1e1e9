"""The keys issued while the service runs: a ring of records in Redis, and how a process follows it.

Knows the ring's key, and that only hashes are stored. Must not know HTTP, or what a key may do. Keys that the policy
declares are not in the ring.
"""

import json
import math
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace

from otp_service.access.api_keys import PREFIXES, digest, draw
from otp_service.errors import KeyConflict, NotFound, OtpError, StoreUnavailable
from otp_service.store.polling import start_polling
from otp_service.store.scripts import Scripts
from otp_service.telemetry.logs import Record, log, redact

NO_KEY = "There is no key with this id."
LABEL = 80
"""Characters that a key's label may have."""
OVERLAP = 24 * 3600
"""Seconds for which a rotated key stays valid beside its successor, by default."""
MOST_KEYS = 1000
"""Keys that the ring holds. Beyond that, the record of the key that ended first makes room for a new one."""
KEEP_ENDED = 90 * 24 * 3_600_000
"""Milliseconds for which the record of a key is kept after its end."""
USES_PAUSE = 60.0
"""Seconds between two times that one process records a key's last use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """The record of a key. Times are milliseconds of the store's clock; None means never.

    `owner` is an app, or an operator for an `ops` key; an `ops` key has a `role`, and `limited_to` has the apps, with
    commas between them, to which the policy limited the operator when it was issued. Keys that replaced one another
    form a line: `line` is the id of the first one. `ended_by` and `ended_why` are set when the key was rotated or
    revoked.
    """

    id: str
    kind: str
    owner: str
    digest: str
    by: str
    line: str
    created: int
    role: str = ""
    limited_to: str = ""
    label: str = ""
    expires: int | None = None
    replaced_by: str = ""
    ended_by: str = ""
    ended_why: str = ""
    used: int | None = None

    @property
    def apps(self) -> tuple[str, ...]:
        """The apps that an operator's key is limited to; none if it is not."""
        return tuple(filter(None, self.limited_to.split(",")))

    def is_live(self, now: int) -> bool:
        """Tell whether the key is valid at a time."""
        return self.expires is None or now < self.expires


@dataclass(frozen=True, slots=True)
class Ring:
    """All keys. `head` counts the changes to the ring."""

    head: int
    keys: tuple[Key, ...]


class Keyring:
    """All issued keys. Every method raises StoreUnavailable if the server does not answer in time."""

    def __init__(self, scripts: Scripts, *, prefix: str, most: int = MOST_KEYS, record: Record = log) -> None:
        """`record` writes down who changed which key."""
        self._record = record
        self._scripts = scripts
        self._key = f"{prefix}:keys"
        self._most = most

    def issue(
        self,
        kind: str,
        owner: str,
        *,
        by: str,
        role: str = "",
        limited_to: Iterable[str] = (),
        label: str = "",
        lifetime: int | None = None,
    ) -> tuple[str, Key]:
        """Issue a key, valid for `lifetime` seconds. Returns the key, which is stored nowhere, and its record.

        Raises KeyConflict if there are MOST_KEYS valid keys.
        """
        key, drawn = _drawn(kind, by)
        apps = ",".join(sorted(limited_to))
        record = drawn | {
            "kind": kind,
            "owner": owner,
            "role": role,
            "limited_to": apps,
            "label": redact(label),
        }
        stored = self._scripts.call(
            "key_issue", [self._key], json.dumps(record), _milliseconds(lifetime), self._most
        )
        if not stored:
            raise _full(self._most)
        issued = _key(stored)
        self._record_change("key.issued", issued, by=by, why=label)
        return key, issued

    def rotate(
        self, id_: str, *, by: str, reason: str, overlap: int = OVERLAP, lifetime: int | None = None
    ) -> tuple[str, Key]:
        """Issue a successor. The rotated key stays valid for `overlap` seconds.

        Raises NotFound, or KeyConflict if the key has ended, another key of its line is also valid, or there are
        MOST_KEYS valid keys.
        """
        before = self.read_key(id_)
        key, drawn = _drawn(before.kind, by)
        what, *rest = self._scripts.call(
            "key_rotate",
            [self._key],
            id_,
            overlap * 1000,
            json.dumps(drawn),
            _milliseconds(lifetime),
            redact(reason),
            self._most,
        )
        if what == "full":
            raise _full(self._most)
        if what == "crowded":
            raise _crowded(self.read_key(id_), *rest)
        if what != "rotated":
            raise _refusal(what)
        issued = _key(rest[0])
        self._record_change("key.rotated", before, by=by, why=reason, successor=issued.id, overlap=overlap)
        return key, issued

    def revoke(self, id_: str, *, by: str, reason: str) -> Key:
        """End a key at once. Raises NotFound, or KeyConflict if it has already ended."""
        operation = secrets.token_urlsafe(6)
        what, *rest = self._scripts.call("key_revoke", [self._key], id_, by, redact(reason), operation)
        if what != "revoked":
            raise _refusal(what)
        revoked = _key(rest[0])
        self._record_change("key.revoked", revoked, by=by, why=reason)
        return revoked

    def read(self, known: int = -1) -> tuple[int, Ring | None]:
        """Return the store's time and the ring, with keys that ended lately; no ring if `known` is still its head."""
        now, head, *found = self._scripts.call("keys_read", [self._key], known, KEEP_ENDED)
        if head == known:
            return now, None
        values = dict(zip(found[::2], found[1::2], strict=True))
        keys = [
            replace(_key(stored), used=int(values.get(f"u:{name[2:]}", 0)) or None)
            for name, stored in values.items()
            if name.startswith("k:")
        ]
        return now, Ring(head, tuple(sorted(keys, key=lambda key: (key.created, key.id))))

    def read_all(self) -> tuple[int, tuple[Key, ...]]:
        """Return the store's time and all keys, the oldest first."""
        now, ring = self.read()
        return now, ring.keys if ring else ()

    def read_key(self, id_: str) -> Key:
        """Return the key with an id. Raises NotFound."""
        found = next((key for key in self.read_all()[1] if key.id == id_), None)
        if found is None:
            raise _refusal("none")
        return found

    def record_uses(self, uses: Mapping[str, int]) -> None:
        """Record when keys, by id, were last used (milliseconds)."""
        self._scripts.call("keys_record_uses", [self._key], *(part for use in uses.items() for part in use))

    def _record_change(self, what: str, key: Key, *, by: str, why: str, **more: object) -> None:
        about = {"key_id": key.id, "kind": key.kind, "owner": key.owner, "role": key.role}
        self._record(what, **about, by=by, why=why, **more)


def _drawn(kind: str, by: str) -> tuple[str, dict[str, str]]:
    key = draw(kind)
    return key, {"id": secrets.token_hex(5), "digest": digest(key), "by": by}


def _milliseconds(seconds: int | None) -> int | str:
    return "" if seconds is None else seconds * 1000


def _crowded(key: Key, other: str) -> KeyConflict:
    kin = "successor" if key.replaced_by == other else "predecessor"
    return KeyConflict(f"Key {other}, its {kin}, is also valid. Revoke one of the two first.")


def _full(most: int) -> KeyConflict:
    return KeyConflict(
        f"{most} issued keys are valid, and no more may be. Revoke those that are not used first."
    )


def _refusal(what: str) -> OtpError:
    if what == "none":
        return NotFound(NO_KEY)
    return KeyConflict("This key has expired or been revoked. Create a new one.")


def _key(stored: str) -> Key:
    record = json.loads(stored)
    return Key(**{name: record[name] for name in _NAMES if name in record})


_NAMES = tuple(field.name for field in fields(Key))


@dataclass(frozen=True, slots=True)
class _LastRead:
    """The ring as last read. The store's clock showed `now` (milliseconds) when ours showed `at` (seconds)."""

    head: int
    by_digest: Mapping[str, Key]
    now: int
    at: float


class LiveKeys:
    """The keys as one process last read them. A lookup makes no call to the store."""

    def __init__(
        self,
        keyring: Keyring,
        *,
        clock: Callable[[], float] = time.monotonic,
        report: Callable[[str, float], None] = lambda _kind, _seconds: None,
    ) -> None:
        """`report` is told after each refresh in how many seconds the next key of each kind ends, if ever."""
        self._keyring = keyring
        self._report = report
        self._clock = clock
        self._last_read: _LastRead | None = None
        self._uses: dict[str, int] = {}
        self._next_record: dict[str, float] = {}

    def key_of(self, hashed: str) -> Key | None:
        """Return the valid key with this hash, if any, and remember that it was used.

        Raises StoreUnavailable until the ring has been read once, as any key could be valid.
        """
        last = self._last_read
        if last is None:
            raise StoreUnavailable(retry_after=2)
        key = last.by_digest.get(hashed)
        now = last.now + int((self._clock() - last.at) * 1000)
        if key is None or not key.is_live(now):
            return None
        self._uses[key.id] = now
        return key

    def follow(self) -> None:
        """Start a daemon thread that refreshes the keys again and again."""
        start_polling("keys", self.refresh)

    def refresh(self) -> None:
        """Read what changed, and record which keys were used. Raises StoreUnavailable."""
        last = self._last_read
        at = self._clock()  # before the call, so that no key is valid longer here than in the store
        now, ring = self._keyring.read(-1 if last is None else last.head)
        if ring is not None:
            self._last_read = _LastRead(ring.head, {key.digest: key for key in ring.keys}, now, at)
        elif last is not None:
            self._last_read = replace(last, now=now, at=at)
        self._report_ends(now)
        self._record_uses(at)

    def _report_ends(self, now: int) -> None:
        """Report the end of the next key of each kind. A key with a successor may end, and one that ended is past."""
        keys = self._last_read.by_digest.values() if self._last_read else ()
        for kind in PREFIXES:
            ends = (key.expires for key in keys if key.kind == kind and not key.replaced_by)
            coming = (end for end in ends if end is not None and end > now)
            self._report(kind, (min(coming, default=math.inf) - now) / 1000)

    def _record_uses(self, at: float) -> None:
        """Record uses, each key's at most once in USES_PAUSE seconds. A request never waits for this."""
        self._next_record = {id_: when for id_, when in self._next_record.items() if when > at}
        due = {id_: self._uses.pop(id_) for id_ in list(self._uses) if id_ not in self._next_record}
        if not due:
            return
        try:
            self._keyring.record_uses(due)
        except StoreUnavailable:
            self._uses = due | self._uses
            raise
        self._next_record |= dict.fromkeys(due, at + USES_PAUSE)
