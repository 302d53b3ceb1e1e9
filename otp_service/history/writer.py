"""Keeps the stories of challenges: a listener of the journal that writes its notes to the store.

Knows which story a note belongs to. Must not hold up anything: what cannot be written is remembered within a limit.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from otp_service.crypto.lifetimes import TOKEN_LIFETIME
from otp_service.crypto.sealing import Seal
from otp_service.history.line import write_line
from otp_service.history.names import names_of
from otp_service.history.note import Note, What
from otp_service.history.store import Lines, StoryStore, hour_of
from otp_service.history.story import SEALED

MOST = 20_000
"""Notes that wait to be written while the store is away; of more, the oldest are dropped."""
BATCH = 500
"""Notes that are written at once."""
TRIES = 5
"""Batches for which a redeemed token waits for its challenge: another process may not have written its guess yet."""


@dataclass(slots=True)
class _Draft:
    """The lines of one story in a batch."""

    hour: str = ""
    lines: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


class HistoryWriter:
    """Writes stories. Safe to call from several threads."""

    def __init__(self, store: StoryStore, seal: Seal, *, dropped: Callable[[int], None]) -> None:
        """Take what is told how many notes were dropped."""
        self._store = store
        self._seal = seal
        self._dropped = dropped
        self._waiting: deque[Note] = deque()
        self._tokens: deque[tuple[int, Note]] = deque(maxlen=BATCH)
        self._writing = threading.Lock()

    def __call__(self, notes: Sequence[Note]) -> None:
        """Write notes, after those that could not be written before. Raises StoreUnavailable."""
        with self._writing:
            self._waiting += notes
            if (excess := len(self._waiting) - MOST) > 0:
                self._dropped(excess)
                for _ in range(excess):
                    self._waiting.popleft()
            self._write_waiting()
            self._match_tokens()
            self._write_waiting()

    def _write_waiting(self) -> None:
        while self._waiting:
            batch = list(islice(self._waiting, BATCH))
            self._write(batch)
            for _ in batch:
                self._waiting.popleft()

    def _write(self, batch: Sequence[Note]) -> None:
        drafts: dict[str, _Draft] = {}
        tokens: dict[str, str] = {}
        for note in batch:
            if note.what is What.REDEEMED and not note.challenge:
                self._tokens.append((0, note))
                continue
            id_ = note.challenge or self._store.refused_id(self._seal, note.request_id)
            if note.token:
                tokens[self._token_names(note)[0]] = id_
            self._add(drafts.setdefault(id_, _Draft()), id_, note)
        self._store.put_tokens(tokens, TOKEN_LIFETIME)
        self._store.write(
            [
                Lines(
                    id_,
                    draft.hour,
                    "".join(draft.lines),
                    names_of(self._seal, draft.notes),
                    draft.notes[0].at,
                )
                for id_, draft in drafts.items()
            ],
        )

    def _add(self, draft: _Draft, id_: str, note: Note) -> None:
        """Add a note to its story. The first one says when it began, and for which number."""
        draft.lines.append(write_line(note))
        draft.notes.append(note)
        if note.what is What.ASKED:
            draft.hour = hour_of("c" if note.challenge else "r", note.at)
            if note.number:
                draft.lines.append(f"{SEALED}{self._seal.close(note.number, id_)}\n")

    def _match_tokens(self) -> None:
        """Give the notes of redeemed tokens to the challenges that the tokens prove."""
        for _ in range(len(self._tokens)):
            tries, note = self._tokens[0]
            id_ = self._store.id_of_token(self._token_names(note))
            self._tokens.popleft()
            if id_:
                self._waiting.append(replace(note, challenge=id_))
            elif tries + 1 < TRIES:
                self._tokens.append((tries + 1, note))

    def _token_names(self, note: Note) -> tuple[str, ...]:
        return self._seal.indexes("token story", note.token)
