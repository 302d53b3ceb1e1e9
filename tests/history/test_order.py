"""What is written in one millisecond by several processes is told in the order in which it happens."""

import pytest

from otp_service.history.line import read_lines, write_line
from otp_service.history.note import Note, What

MOMENT = 1_800_000_000_000


def told(*notes: Note) -> list[What]:
    """Read what was written in this order."""
    return [note.what for note in read_lines("".join(map(write_line, notes)))]


@pytest.mark.parametrize("act", [What.TOLD, What.FELL_BACK])
def test_what_a_worker_does_about_a_report_comes_after_it(act: What) -> None:
    """Also if it was written first; what was done a millisecond before was not about that report."""
    report = Note(what=What.REPORTED, at=MOMENT, channel="sms", place=0)
    for notes in ((report, Note(what=act, at=MOMENT)), (Note(what=act, at=MOMENT), report)):
        assert told(*notes) == [What.REPORTED, act]
    assert told(report, Note(what=act, at=MOMENT - 1)) == [act, What.REPORTED]


def test_a_story_begins_before_anything_else_happens_to_it() -> None:
    """It is asked for, decided about and admitted in this order."""
    whats = (What.TOLD, What.SENT, What.ADMITTED, What.DECIDED, What.ASKED)
    assert told(*(Note(what=what, at=MOMENT) for what in whats)) == [*reversed(whats)]
