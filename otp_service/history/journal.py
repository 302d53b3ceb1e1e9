"""The journal of a process: takes notes at once, and hands them to listeners in batches, in a thread of its own.

Knows how much is remembered. Must not know what a note says or what listeners do with it.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from otp_service.errors import StoreUnavailable
from otp_service.history.note import Note
from otp_service.store.polling import start_polling
from otp_service.telemetry.failures import Failures

MOST = 20_000
"""Notes that wait to be handed over; of more, the oldest are dropped."""

Listener = Callable[[Sequence[Note]], None]
"""Takes a batch of notes over, in order, also an empty one. It remembers what it cannot write, within limits.

Raises StoreUnavailable.
"""


def process_time() -> int:
    """Return this process's time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Journal:
    """Notes on their way. `add` costs microseconds and never waits, whatever the listeners do."""

    def __init__(
        self, *, clock: Callable[[], int] = process_time, dropped: Callable[[int], None] = lambda _: None
    ) -> None:
        """`clock` gives milliseconds for notes without a time. `dropped` is told how many notes were dropped."""
        self.clock = clock
        self._dropped = dropped
        self._waiting: deque[Note] = deque(maxlen=MOST)
        self._listeners: list[Listener] = []
        self._handing = threading.Lock()
        self._failures = Failures()

    def add(self, note: Note) -> None:
        """Take a note."""
        if len(self._waiting) == MOST:
            self._dropped(1)
        self._waiting.append(note if note.at else replace(note, at=self.clock()))

    def listen(self, listener: Listener) -> None:
        """Hand all notes from now on to a listener, too."""
        self._listeners.append(listener)

    def follow(self) -> None:
        """Hand notes over once a second, in a thread. A process that is killed loses what was not handed over."""
        start_polling("journal", self.hand_over)

    def hand_over(self) -> None:
        """Hand over what waits. A listener that fails delays and breaks no other."""
        with self._handing:
            notes = [self._waiting.popleft() for _ in range(len(self._waiting))]
            for listener in self._listeners:
                try:
                    listener(notes)
                except StoreUnavailable:
                    pass  # the store's own log says so
                except Exception as error:  # noqa: BLE001 - the others must still get the notes
                    self._failures.failed("journal.listener_failed", logging.ERROR, error=error)
