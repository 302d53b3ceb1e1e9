"""The names by which a story is found: HMACs of its number, reference and request ids.

Knows which notes name a story. Must not know where names are stored.
"""

from collections.abc import Iterable

from otp_service.crypto.sealing import Seal
from otp_service.history.note import Note, What

_PURPOSE = "story"
"""What the HMACs are made for, so that they match no other name in the store."""


def names_of(seal: Seal, notes: Iterable[Note]) -> list[str]:
    """List the names of a story that these notes give it, each once."""
    return [seal.index(_PURPOSE, kind, value) for kind, value in _named(notes)]


def every_name_of(seal: Seal, notes: Iterable[Note], number: str) -> list[str]:
    """List the names that a story may have, under each lookup key."""
    named = [*_named(notes), *([("number", number)] if number else [])]
    return [name for kind, value in named for name in names_like(seal, kind, value)]


def names_like(seal: Seal, kind: str, value: str) -> tuple[str, ...]:
    """Return the names of a value under each lookup key; `kind` is number, reference or request_id."""
    return seal.indexes(_PURPOSE, kind, value)


def _named(notes: Iterable[Note]) -> list[tuple[str, str]]:
    """List what names a story. Only what a request caused has its request id as a name."""
    found: dict[tuple[str, str], None] = {}
    for note in notes:
        request = note.request_id if note.what in _REQUESTS else ""
        reference = note.reference if note.what is What.ASKED else ""
        for named in (("number", note.number), ("reference", reference), ("request_id", request)):
            found[named] = None
    return [named for named in found if named[1]]


_REQUESTS = frozenset(
    {
        What.ASKED,
        What.REFUSED,
        What.HUMAN_CHECK,
        What.GUESSED,
        What.RESENT,
        What.ENDED,
        What.REDEEMED,
    }
)
