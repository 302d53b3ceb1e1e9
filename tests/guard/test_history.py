"""What the guard remembers about numbers, on a real server."""

from otp_service.crypto.sealing import Seal
from otp_service.durations import HOUR
from otp_service.guard.history import History
from tests.support.counters import NUMBER, Counters, asked, only


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
    before.record_recycled(NUMBER, 7, 60)
    now, since, *_ = after.read_past(NUMBER)
    assert since == 7
    assert now - started >= HOUR * 1000
    after.record_recycled(NUMBER, 9, 60)
    assert after.read_past(NUMBER).recycled == 9
