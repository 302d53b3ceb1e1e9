"""Recycled numbers in bulk."""

from itertools import islice

from otp_service.guard.history import MOST_RECYCLED
from otp_service.ops.audit import AuditNote
from otp_service.ops.recycled import RecycledNumbers
from otp_service.telemetry.logs import log
from tests.support.counters import Counters
from tests.support.numbers import crowd
from tests.support.valkey_server import ValkeyServer
from tests.support.watched import scripts_at


def test_many_numbers_take_few_calls_of_the_store(valkey: ValkeyServer) -> None:
    """A list of a regulator is long: each call records a batch, and no call holds the store for long."""
    trips: list[str] = []
    scripts = scripts_at(valkey.url, observe=lambda name, _: trips.append(name))
    recycled = RecycledNumbers(history=Counters(scripts).history, clock=lambda: 0, record=log)
    numbers = list(islice(crowd(), 2 * MOST_RECYCLED + 1))
    assert recycled.record(numbers, AuditNote(by="anna", reason="a list")) == (len(numbers), [])
    assert trips == ["guard_recycle"] * 3
    scripts.close()
