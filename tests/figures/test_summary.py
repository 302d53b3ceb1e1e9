"""Adding up: every breakdown has the same total, whatever was noted."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.figures.cells import DIMENSIONS, Cell, read_cell
from otp_service.figures.counting import count_note
from otp_service.figures.summary import BY, MEASURES, REASONS, TooManyRows, as_table, summarise
from otp_service.history.note import Note, What

_WORDS = st.sampled_from(["", "a", "b", "*", "delivered", "read", "failed", "verified", "expired", "unknown"])
NOTES = st.lists(
    st.builds(
        Note,
        what=st.sampled_from(What),
        at=st.integers(1, 10**13),
        challenge=_WORDS,
        app=_WORDS,
        country=_WORDS,
        channel=_WORDS,
        account=_WORDS,
        route=_WORDS,
        arm=_WORDS,
        result=_WORDS,
        before=_WORDS,
        first=st.booleans(),
        reason=st.text(max_size=60),
        rule=_WORDS,
        place=st.none() | st.integers(0, 4),
        price=st.none() | st.floats(0, 10),
        seconds=st.none() | st.floats(0, 600),
    ),
    max_size=40,
)


def counted(notes: list[Note]) -> list[tuple[int, Cell, int]]:
    """Count notes as the store would, with the names of its counters."""
    sums = Counter[tuple[int, str]]()
    for note in notes:
        for cell, count in count_note(note):
            sums[note.at // 10**12, cell.name] += count
    return [(start, read_cell(name), count) for (start, name), count in sums.items()]


@given(NOTES, st.lists(st.sampled_from(BY), unique=True))
def test_each_breakdown_sums_to_the_same_total(notes: list[Note], by: list[str]) -> None:
    """Also if a dimension is not known for some counts, and for reasons."""
    of = counted(notes)
    rows, total = summarise(of, by, {}, most=1000)
    assert total == summarise(of, [], {}, most=1)[1]
    for what in MEASURES:
        assert sum(row[what] for row in rows) == total[what]
    assert sum(row["money"] for row in rows) == pytest.approx(total["money"])
    for row in [*rows, total]:
        assert row["first_sent"] + row["later_sent"] == row["sent"]
        assert row["first_verified"] + row["later_verified"] == row["verified"]
        for what in REASONS:
            assert sum(row["reasons"].get(what, {}).values()) == row[what]


@given(NOTES, st.sampled_from(DIMENSIONS))
def test_filters_divide_the_total(notes: list[Note], dimension: str) -> None:
    """One row of a breakdown is what a filter for it gives."""
    of = counted(notes)
    rows, _ = summarise(of, [dimension], {}, most=1000)
    for row in rows:
        [only], total = summarise(of, [dimension], {dimension: {row[dimension]}}, most=1)
        assert only == row
        assert total == {name: value for name, value in row.items() if name != dimension}


def test_too_many_rows_are_refused() -> None:
    """So that an answer has a limit."""
    of = counted([Note(what=What.ASKED, at=1, app=f"a{place}") for place in range(3)])
    assert len(summarise(of, ["app"], {}, most=3)[0]) == 3
    with pytest.raises(TooManyRows):
        summarise(of, ["app"], {}, most=2)


def test_a_message_that_is_read_was_delivered_once() -> None:
    """A report of reading may come after, or instead of, one of delivery."""
    reports = [("delivered", "sent"), ("read", "delivered"), ("read", "sent"), ("sent", "accepted")]
    notes = [Note(what=What.REPORTED, at=1, result=result, before=before) for result, before in reports]
    assert summarise(counted(notes), [], {}, most=1)[1]["delivered"] == 2


def test_a_challenge_with_two_messages_that_arrive_was_reached_once() -> None:
    """Both messages were delivered, one person was reached."""
    notes = [
        Note(what=What.REPORTED, at=1, place=place, result="delivered", before="sent", first=place == 0)
        for place in (0, 1)
    ]
    total = summarise(counted(notes), [], {}, most=1)[1]
    assert (total["delivered"], total["reached"]) == (2, 1)


def test_a_refused_resend_is_no_refused_send() -> None:
    """So that what was asked for is what was let in, checked or refused."""
    notes = [Note(what=What.REFUSED, at=1, challenge=id_, reason="cooldown") for id_ in ("", "c")]
    total = summarise(counted(notes), [], {}, most=1)[1]
    assert (total["refused"], total["refused_later"]) == (1, 1)


def test_a_table_has_a_value_for_each_column() -> None:
    """A time that is not known is left empty."""
    rows, _ = summarise(counted([Note(what=What.ASKED, at=1, app="web")]), ["app"], {}, most=1)
    header, row = as_table(rows, ["app"])
    table: dict[str, Any] = dict(zip(header, row, strict=True))
    assert (table["app"], table["asked"], table["p90_seconds"], "reasons" in table) == ("web", 1, "", False)
