"""Renew records that outlive a rotation of keys, so that the old keys can be dropped.

Knows which kinds of records these are, and how one is named and sealed. Must not know how they are stored. A run can be
interrupted and repeated: a record is renewed completely or not at all.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from otp_service.crypto.sealing import Seal, Unsealable
from otp_service.guard.pins import PinStore
from otp_service.guard.suppressions import Suppressions


@dataclass(slots=True)
class Tally:
    """How many records of one kind were found, by what happened to them.

    `nameless` records no longer hold a number and stay under an older lookup key. `unreadable` records are sealed with
    a key that is not in the ring.
    """

    current: int = 0
    renewed: int = 0
    nameless: int = 0
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class RecordKind:
    """Records whose name is an HMAC of their number under a lookup key, and which hold the number `sealed`.

    A record whose number was erased says `under` which key its name was made. `named` returns the name of a number's
    record under the newest key, `all` yields the records in batches, and `rename` replaces a record (name, record, new
    name, new record) unless it has changed.
    """

    name: str
    named: Callable[[Seal, str], str]
    all: Callable[[], Iterator[list[tuple[str, dict[str, Any]]]]]
    rename: Callable[[str, Mapping[str, Any], str, Mapping[str, Any]], bool]


def record_kinds(suppressions: Suppressions, pins: PinStore) -> tuple[RecordKind, ...]:
    """List all kinds of records that outlive a rotation."""
    return (
        RecordKind(
            name="suppressions",
            named=lambda seal, e164: seal.index("suppressed", e164),
            all=suppressions.walk,
            rename=suppressions.rename,
        ),
        RecordKind(
            name="pins",
            named=lambda seal, e164: f"number {seal.index('number', e164)}",
            all=lambda: iter([[(name, pin) for name, pin in pins.read_all().items() if "sealed" in pin]]),
            rename=pins.rename,
        ),
    )


def rekey(seal: Seal, kind: RecordKind, progress: Callable[[Tally], None] = lambda _: None) -> Tally:
    """Write all records of a kind under the newest keys; `progress` is called after each batch.

    Raises StoreUnavailable.
    """
    tally = Tally()
    written: set[str] = set()  # a walk through the store may see a record again under its new name
    for batch in kind.all():
        for name, record in batch:
            if name not in written:
                written.add(_renew(seal, kind, tally, name, record))
        progress(tally)
    return tally


def _renew(seal: Seal, kind: RecordKind, tally: Tally, name: str, record: Mapping[str, Any]) -> str:
    """Renew a record if needed; return its name afterwards."""
    sealed = record.get("sealed")
    if sealed is None:
        if record["under"] == seal.lookup_id:
            tally.current += 1
        else:
            tally.nameless += 1
        return name
    try:
        number = seal.open(sealed, name)
    except Unsealable:
        tally.unreadable += 1
        return name
    new = kind.named(seal, number)
    if new == name and seal.is_newest(sealed):
        tally.current += 1
    else:
        tally.renewed += kind.rename(name, record, new, {**record, "sealed": seal.close(number, new)})
    return new
