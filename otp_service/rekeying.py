"""Renews what outlives a rotation of keys, so that the old ones can be dropped.

Knows which kinds of records live that long and how one is named and sealed. Must not know how they are kept. May be
interrupted and repeated: a record is renewed whole or not at all.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from otp_service.seal import Seal, Unsealable
from otp_service.store import Store


@dataclass(slots=True)
class Tally:
    """What became of the records of one kind.

    `nameless` ones hold no number any more and stay under an older lookup key, `unreadable` ones were sealed with a
    key that is not in the ring.
    """

    current: int = 0
    renewed: int = 0
    nameless: int = 0
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """Records that are named by `index(label, number)` and hold their number sealed for their name.

    `all` goes through them in batches, `rename` writes one anew (name, record, new name, new record) unless it has
    changed. A record has `under`, the id of the lookup key of its name, and `sealed`.
    """

    name: str
    label: str
    all: Callable[[], Iterator[list[tuple[str, dict[str, Any]]]]]
    rename: Callable[[str, Mapping[str, Any], str, Mapping[str, Any]], bool]


def kinds(store: Store) -> tuple[Kind, ...]:
    """List all kinds of records that outlive a rotation."""
    return (Kind("suppressions", "suppressed", store.suppressions, store.rename_suppression),)


def rekey(seal: Seal, kind: Kind, progress: Callable[[Tally], None] = lambda _: None) -> Tally:
    """Write all records of a kind under the newest keys; `progress` hears after each batch.

    Raises StoreUnavailable.
    """
    tally = Tally()
    for batch in kind.all():
        for name, record in batch:
            _renew(seal, kind, tally, name, record)
        progress(tally)
    return tally


def _renew(seal: Seal, kind: Kind, tally: Tally, name: str, record: Mapping[str, Any]) -> None:
    named_anew, sealed = record["under"] == seal.lookup_id, record.get("sealed")
    if named_anew and (sealed is None or seal.is_newest(sealed)):
        tally.current += 1
    elif sealed is None:
        tally.nameless += 1
    else:
        try:
            number = seal.open(sealed, name)
        except Unsealable:
            tally.unreadable += 1
            return
        new = seal.index(kind.label, number)
        renewed = {**record, "under": seal.lookup_id, "sealed": seal.close(number, new)}
        tally.renewed += kind.rename(name, record, new, renewed)
