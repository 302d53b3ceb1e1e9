"""Notes of what was refused, from the error that the caller gets.

Knows which errors ask for a human check. Must not know why anything is refused.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from otp_service.errors import HumanCheckFailed, HumanCheckRequired, HumanCheckUnavailable, OtpError
from otp_service.history.journal import Journal
from otp_service.history.note import Note, What

_HUMAN_CHECKS = (HumanCheckRequired, HumanCheckFailed, HumanCheckUnavailable)


def refusal(about: Note, error: OtpError) -> Note:
    """Make the note of a refusal; `about` says what was refused."""
    what = What.HUMAN_CHECK if isinstance(error, _HUMAN_CHECKS) else What.REFUSED
    note = replace(about, what=what, reason=error.code)
    if (excess := error.excess) is None:
        return note
    return replace(
        note, rule=excess.rule, counter=excess.counter, threshold=excess.threshold, window=excess.window
    )


@contextmanager
def noting_refusals(journal: Journal, about: Callable[[], list[Note]]) -> Iterator[None]:
    """Take a note of each error that the block raises; `about` gives notes, of which the last is of the refusal."""
    try:
        yield
    except OtpError as error:
        *before, last = about()
        for note in (*before, refusal(last, error)):
            journal.add(note)
        raise
