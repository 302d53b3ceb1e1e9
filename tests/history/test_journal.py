"""The journal: it takes notes at once and hands them over in batches, whatever becomes of them."""

import threading
from collections.abc import Sequence

import pytest

from otp_service.errors import StoreUnavailable
from otp_service.history.journal import MOST, Journal
from otp_service.history.note import Note, What
from tests.support.patience import PATIENCE

NOTE = Note(what=What.ASKED, at=1)


def numbered(count: int) -> list[Note]:
    """Make notes that can be told apart."""
    return [Note(what=What.ASKED, at=place + 1) for place in range(count)]


class Ear:
    """A listener that remembers each batch."""

    def __init__(self) -> None:
        self.batches: list[Sequence[Note]] = []

    def __call__(self, notes: Sequence[Note]) -> None:
        """Take a batch."""
        self.batches.append(notes)


def test_each_listener_gets_all_notes_in_order_once() -> None:
    """Nothing is lost or repeated between two batches; an empty batch is handed over, too."""
    journal, one, other = Journal(), Ear(), Ear()
    journal.listen(one)
    journal.listen(other)
    notes = numbered(5)
    for note in notes[:3]:
        journal.add(note)
    journal.hand_over()
    for note in notes[3:]:
        journal.add(note)
    journal.hand_over()
    journal.hand_over()
    assert one.batches == other.batches == [notes[:3], notes[3:], []]


def test_a_note_without_a_time_gets_that_of_the_process() -> None:
    """One with the store's time keeps it."""
    journal, ear = Journal(clock=lambda: 77), Ear()
    journal.listen(ear)
    journal.add(Note(what=What.ASKED))
    journal.add(NOTE)
    journal.hand_over()
    assert [note.at for note in ear.batches[0]] == [77, 1]


@pytest.mark.parametrize("error", [StoreUnavailable(retry_after=2), ValueError("a bug")])
def test_a_listener_that_fails_keeps_no_note_from_the_others(error: Exception) -> None:
    """Neither a store that is away nor a bug of one listener is another's."""

    def fail(_: Sequence[Note]) -> None:
        raise error

    journal, ear = Journal(), Ear()
    journal.listen(fail)
    journal.listen(ear)
    journal.add(NOTE)
    journal.hand_over()
    assert ear.batches == [[NOTE]]


def test_the_oldest_notes_are_dropped_and_counted() -> None:
    """Memory is bounded although nobody listens."""
    dropped: list[int] = []
    journal, ear = Journal(dropped=dropped.append), Ear()
    notes = numbered(MOST + 3)
    for note in notes:
        journal.add(note)
    journal.listen(ear)
    journal.hand_over()
    assert ear.batches == [notes[3:]]
    assert sum(dropped) == 3


def test_a_listener_that_hangs_holds_up_nobody_who_adds() -> None:
    """A send takes its notes while the store does not answer."""
    journal, hanging, freed, ear = Journal(), threading.Event(), threading.Event(), Ear()

    def hang(_: Sequence[Note]) -> None:
        hanging.set()
        assert freed.wait(PATIENCE)

    journal.listen(hang)
    journal.listen(ear)
    thread = threading.Thread(target=journal.hand_over)
    thread.start()
    assert hanging.wait(PATIENCE)
    journal.add(NOTE)  # would never return if it waited for the listener
    freed.set()
    thread.join(PATIENCE)
    journal.hand_over()
    assert ear.batches == [[], [NOTE]]


def test_what_is_shown_of_a_note_has_no_number_and_no_token() -> None:
    """A note in a traceback or a log reveals neither."""
    assert "415" not in repr(Note(what=What.ASKED, number="+14155552671", token="415x"))
