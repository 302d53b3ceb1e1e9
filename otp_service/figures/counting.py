"""What each note adds to the figures.

Pure. Must not know how counters are kept.
"""

from collections.abc import Callable, Iterator, Mapping

from otp_service.figures.cells import Cell
from otp_service.figures.seconds import bucket_of
from otp_service.history.note import Note, What

FIRST, LATER = "first", "later"
"""Whether it was a challenge's first message: later ones see only people whose first message did not do."""
MILLIONTHS = 1_000_000
"""Money is counted in millionths of its unit, so that sums are exact."""
_ARRIVED = frozenset({"delivered", "read"})
Counts = Iterator[tuple[str, str, int]]


def count_note(note: Note) -> Iterator[tuple[Cell, int]]:
    """Yield the cells to which a note adds, with how much."""
    count = _COUNTED.get(note.what)
    for what, detail, much in count(note) if count else ():
        about = (note.app, note.country, note.channel, note.account, note.route, note.arm)
        yield Cell(what, detail, *about), much


def _refused(note: Note) -> Counts:
    """Tell a refused send from a refused resend or fallback, which belongs to a challenge that was let in."""
    yield "refused_later" if note.challenge else "refused", note.rule or note.reason, 1


def _sent(note: Note) -> Counts:
    yield "sent", FIRST if note.place == 0 else LATER, 1
    if note.result == "unknown":
        yield "unknown", "", 1
    if note.price:
        yield "money", "", round(note.price * MILLIONTHS)


def _reported(note: Note) -> Counts:
    if note.result in _ARRIVED and note.before not in _ARRIVED:
        yield "delivered", "", 1
        if note.first:
            yield "reached", "", 1
    elif note.result == "failed":
        yield "failed", note.reason, 1


def _ended(note: Note) -> Counts:
    if note.result != "verified":
        yield "ended", note.result, 1
        return
    yield "verified", FIRST if note.place == 0 else LATER, 1
    if note.seconds is not None:
        yield "seconds", str(bucket_of(note.seconds)), 1


def _once(what: str, *, by_reason: bool = False) -> Callable[[Note], Counts]:
    return lambda note: iter(((what, note.reason if by_reason else "", 1),))


_COUNTED: Mapping[What, Callable[[Note], Counts]] = {
    What.ASKED: _once("asked"),
    What.ADMITTED: _once("let_in"),
    What.HUMAN_CHECK: _once("human_check", by_reason=True),
    What.REFUSED: _refused,
    What.SENT: _sent,
    What.NOT_SENT: _once("not_sent", by_reason=True),
    What.DROPPED: _once("not_sent", by_reason=True),
    What.SKIPPED: _once("skipped", by_reason=True),
    What.FELL_BACK: _once("fell_back"),
    What.RESENT: _once("resent"),
    What.REPORTED: _reported,
    What.ENDED: _ended,
}
