"""Messages since the last report about any: by this an account is found whose reports stopped.

Knows the key, and gathers what a process notes. Must not know from how many messages on silence needs a person.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from otp_service.history.note import Note, What
from otp_service.store.scripts import Scripts

KEEP = 7 * 24 * 3_600_000
"""Milliseconds without a message after which nothing is known of any account."""
_MARK = "|"


@dataclass(frozen=True, slots=True)
class Silence:
    """So many messages of an account over a channel left after its last report, the first at `since` (ms)."""

    account: str
    channel: str
    messages: int
    since: int


class Silences:
    """Counts messages without reports, of all processes: a listener of the journal.

    A batch whose answer was lost counts twice. That is near enough for a limit, and no figure is made of it.
    """

    def __init__(self, scripts: Scripts, *, prefix: str) -> None:
        self._scripts = scripts
        self._key = f"{prefix}:awaited"

    def take(self, notes: Sequence[Note]) -> None:
        """Count the messages and reports of a batch. Raises StoreUnavailable; the batch is then not counted."""
        sent = Counter(_name(note) for note in notes if note.what is What.SENT)
        reported = {_name(note) for note in notes if note.what is What.REPORTED}
        if names := sorted({*sent, *reported}):
            parts = [part for name in names for part in (name, sent[name], "1" if name in reported else "")]
            self._scripts.call("await_reports", [self._key], KEEP, *parts)

    def read(self) -> list[Silence]:
        """Return the accounts and channels from which reports are awaited. Raises StoreUnavailable."""
        found = self._scripts.call("read_hash", [self._key])
        return [_read(name, value) for name, value in zip(found[::2], found[1::2], strict=True)]


def _name(note: Note) -> str:
    return f"{note.account}{_MARK}{note.channel}"


def _read(name: str, value: str) -> Silence:
    account, _, channel = name.rpartition(_MARK)
    messages, _, since = value.partition(" ")
    return Silence(account, channel, int(messages), int(since))
