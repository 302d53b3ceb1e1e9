"""What the guard remembers about numbers, on a real server."""

from otp_service.crypto.sealing import Seal
from otp_service.durations import HOUR
from otp_service.guard.history import History
from tests.support.counters import NUMBER, Counters, asked, only, passes


def test_a_recycled_number_is_found_under_every_lookup_key(counters: Counters) -> None:
    """The time in the answer is the store's."""
    ring = {"l2": b"m" * 32, "l1": b"l" * 32}
    started = counters.preview(only(), asked()).now
    counters.scripts.offset = HOUR * 1000
    before, after = (
        History(
            counters.scripts,
            Seal({"n1": b"n" * 32}, lookup, b"s" * 32),
            counters.pins,
            prefix=counters.prefix,
        )
        for lookup in ({"l1": ring["l1"]}, ring)
    )
    before.record_recycled([NUMBER], 7, 60)
    now, since, *_ = after.read_past(NUMBER)
    assert since == 7
    assert now - started >= HOUR * 1000
    after.record_recycled([NUMBER], 9, 60)
    assert after.read_past(NUMBER).recycled == 9


def test_many_recycled_numbers_are_recorded_at_once_and_nothing_else_of_them_is_kept(
    counters: Counters,
) -> None:
    """Blocks, pins and counters of each are gone, for the time that is asked for; other numbers keep theirs."""
    rules = only({"number": {"refuse": ["1/h"]}})
    numbers = (NUMBER, "+12025550111", "+12025550122")
    for number in numbers:
        for _ in range(2):
            counters.charge(rules, asked(number))
    for number in numbers:
        counters.pins.write(counters.pin_of_number(number), {"what": "allow"})
    assert len(counters.blocks.longest()) == 3
    counters.history.record_recycled(numbers[:2], 7, 60)
    assert [counters.history.read_past(number).recycled for number in numbers] == [7, 7, None]
    assert [block.subject for block in counters.blocks.longest()] == [numbers[2]]
    [index] = [found for key, found in counters.stored().items() if key.endswith(":blocks")]
    assert len(index) == 1  # what is listed and gone would take the place of a block in the list
    assert list(counters.pins.read_all()) == [counters.pin_of_number(numbers[2])]
    assert counters.lives()["r"] <= 60_000
    assert passes(counters.charge(rules, asked(numbers[0])))
