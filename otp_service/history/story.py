"""A story: what is kept of a challenge, or of a send that opened none.

Pure. Knows how the end and the facts of a story follow from its notes. Must not know where stories are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from otp_service.history.line import read_lines
from otp_service.history.note import Note, What

SEALED = "#"
"""Begins the line with the sealed number."""
REFUSED = "refused"
HUMAN_CHECK = "human_check"
UNKNOWN = "unknown"
"""The state of a challenge whose record is gone and whose end no note says: the process that saw it was killed."""


@dataclass(frozen=True, slots=True)
class Story:
    """The notes of a challenge in order of time. `sealed` is its number, "" while its first line is not written.

    `is_over` is True if its record was looked for and is gone, so that it has ended whatever the notes say.
    """

    id: str
    is_challenge: bool
    notes: Sequence[Note]
    sealed: str = ""
    is_over: bool = False

    @property
    def first(self) -> Note | None:
        """The note that says what was asked."""
        return next((note for note in self.notes if note.what is What.ASKED), None)

    def fact(self, name: str) -> str:
        """Return the first value of a text that any note has."""
        return next((str(value) for note in self.notes if (value := getattr(note, name))), "")

    @property
    def state(self) -> str:
        """The state in which it ended, or `refused` or `human_check`; "" if it goes on, as far as is known."""
        if not self.is_challenge:
            asks = any(note.what is What.HUMAN_CHECK for note in self.notes)
            return HUMAN_CHECK if asks else REFUSED
        ends = [note.result for note in self.notes if note.what is What.ENDED]
        if not ends:
            return UNKNOWN if self.is_over else ""
        return "verified" if "verified" in ends else ends[-1]

    @property
    def reasons(self) -> set[str]:
        """All words that say why something did not go as planned: rules, refusals and failures."""
        return {word for note in self.notes for word in (note.reason, note.rule) if word and _is_bad(note)}

    @property
    def channels(self) -> set[str]:
        """The channels over which a message was tried."""
        return {note.channel for note in self.notes if note.channel}


_WENT_WELL = frozenset({What.SENT, What.TOLD})


def _is_bad(note: Note) -> bool:
    return note.what not in _WENT_WELL or note.result == "unknown"


def read_story(id_: str, stored: str) -> Story:
    """Read a story from its kind and its lines."""
    lines = stored[1:].split("\n")
    sealed = next((line[1:] for line in lines if line.startswith(SEALED)), "")
    return Story(id_, stored[0] != "r", read_lines(stored[1:]), sealed)
