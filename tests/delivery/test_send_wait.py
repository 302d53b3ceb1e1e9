"""The wait of a send is estimated from what is due and how fast it leaves; what would wait too long is refused."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.delivery.pace import EVERY, KEPT, SURE, WINDOW, Pace, Rate
from otp_service.delivery.pace_board import LIFE, Share
from otp_service.delivery.send_wait import CAUTION, LONGEST, STALE, SendWait
from otp_service.errors import Busy, IdempotencyKeyReused
from otp_service.telemetry.metrics import Metrics
from otp_service.verification.resend import ResendRequest
from otp_service.verification.send import SendRequest
from tests.support.spine import NUMBERS, Spine, brought, resent
from tests.support.valkey_server import ValkeyServer


class Clock:
    """A clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def a_wait(spine: Spine, clock: Clock | None = None, limit: float = 5) -> SendWait:
    """Make what a process of the API has."""
    return SendWait(spine.store.pace_board, Metrics(), limit=limit, clock=clock or Clock())


def report(spine: Spine, *shares: Share) -> None:
    """Write the figures of workers."""
    for place, share in enumerate(shares):
        spine.store.pace_board.write(str(place), share)


def refused(wait: SendWait, act: str = "send") -> int | None:
    """Return after how many seconds a caller is asked to come back; None if it is not refused."""
    try:
        wait.require(act)
    except Busy as busy:
        return int(busy.retry_after or 0)
    return None


# The rate.


def test_a_rate_is_measured_only_under_pressure() -> None:
    """What leaves an idle worker says nothing of what it could do."""
    rate = Rate()
    for _ in range(40):
        rate.add(EVERY, 1, pressed=False)
    assert rate.per_second is None
    rate.add(EVERY, 5, pressed=True)
    assert rate.per_second is None
    rate.add(EVERY, 5, pressed=True)
    assert rate.per_second == 20


def test_a_rate_follows_the_last_seconds() -> None:
    """After a while under pressure nothing of the time before counts."""
    rate = Rate()
    for count in (100, 0, 5):
        for _ in range(int(WINDOW / EVERY)):
            rate.add(EVERY, count, pressed=True)
        assert rate.per_second == count / EVERY


def test_a_rate_is_believed_for_a_while_without_pressure() -> None:
    """Then it is unknown again."""
    rate = Rate()
    rate.add(SURE, 10, pressed=True)
    rate.add(KEPT, 0, pressed=False)
    assert rate.per_second == 10 / SURE
    rate.add(EVERY, 0, pressed=False)
    assert rate.per_second is None


@given(st.lists(st.tuples(st.floats(0.1, 3), st.integers(0, 1000), st.booleans()), max_size=60))
def test_a_rate_is_never_beyond_what_was_seen(steps: list[tuple[float, int, bool]]) -> None:
    """It is between the lowest and the highest of the steps under pressure."""
    rate, seen = Rate(), []
    for seconds, left, pressed in steps:
        rate.add(seconds, left, pressed=pressed)
        seen += [left / seconds] if pressed else []
        if rate.per_second is not None:
            assert min(seen) - 1e-6 <= rate.per_second <= max(seen) + 1e-6


# What a worker writes.


def test_a_worker_writes_what_waits_and_what_leaves(spine: Spine) -> None:
    """What is open and what it has in hand go before what is new; a rate is known after a moment under pressure."""
    clock = Clock()
    pace = _pace(spine, clock)
    again = spine.opened(NUMBERS[0])
    brought(spine.store, again)
    resent(spine.store, again)
    for number in NUMBERS[1:4]:
        spine.opened(number)
    for _ in range(2):
        for _ in range(3):
            with pace.in_hand() as leave:
                leave()
                leave()
        clock.now += SURE / 2
        with pace.in_hand():
            pace.measure(spine.store.partitions.names())
    [share] = spine.store.pace_board.read()
    assert (share.open, share.new) == (2, 3)
    assert share.rate == pytest.approx(7 / SURE)


def test_a_worker_that_rests_writes_nothing(spine: Spine) -> None:
    """The last that it writes is that nothing waits."""
    pace = _pace(spine, Clock())
    pace.measure(spine.store.partitions.names())
    assert spine.store.pace_board.read() == []
    with pace.in_hand():
        pace.measure(spine.store.partitions.names())
    pace.measure(spine.store.partitions.names())
    assert [replace(one, age=0) for one in spine.store.pace_board.read()] == [Share(0, 0, None)]
    spine.scripts.offset += int(LIFE * 1000)
    pace.measure(spine.store.partitions.names())
    assert all(one.age >= LIFE for one in spine.store.pace_board.read())


def test_many_in_hand_are_pressure_although_nothing_is_due(spine: Spine) -> None:
    """A worker takes more than it can hash: they wait inside it."""
    clock = Clock()
    pace = _pace(spine, clock, places=1)
    with pace.in_hand(), pace.in_hand(), pace.in_hand():
        for _ in range(2):
            clock.now += SURE
            pace.measure(spine.store.partitions.names())
    [share] = spine.store.pace_board.read()
    assert (share.open, share.rate) == (3, 0)


def test_the_figures_of_a_silent_worker_are_forgotten(spine: Spine, valkey: ValkeyServer) -> None:
    """The next one that writes removes them, and all expire."""
    board = spine.store.pace_board
    board.write("gone", Share(1, 2, 3.0))
    board.write("here", Share(4, 5, None))
    assert len(board.read()) == 2
    spine.scripts.offset += int(LIFE * 1000) + 1
    before = spine.store.facts.time()
    board.write("here", Share(4, 5, 6.5))
    [share] = board.read()
    assert replace(share, age=0) == Share(4, 5, 6.5)
    assert 0 <= share.age <= (spine.store.facts.time() - before) / 1000
    with valkey.client() as client:
        assert 0 < client.pttl(f"{spine.store.prefix}:pace") <= LIFE * 1000


def _pace(spine: Spine, clock: Clock, places: int = 100) -> Pace:
    store = spine.store
    return Pace(
        queue=store.due, board=store.pace_board, now=store.facts.time, name="one", places=places, clock=clock
    )


# What a process of the API makes of it.


def test_a_send_is_refused_when_it_would_wait_too_long(spine: Spine) -> None:
    """Retry-After says when the queue will be short enough, if nobody else comes."""
    wait = a_wait(spine)
    assert refused(wait) is None
    report(spine, Share(10, 60, 40.0), Share(0, 100, 40.0))
    wait.refresh()
    assert refused(wait) is None
    report(spine, Share(10, 150, 40.0), Share(0, 320, 40.0))
    wait.refresh()
    assert refused(wait) == math.ceil(CAUTION * 480 / 80 - 5)
    assert wait.estimate("send") == pytest.approx(CAUTION * 480 / 80)


def test_what_was_accepted_since_the_workers_counted_waits_too(spine: Spine) -> None:
    """A process of the API need not read for each send; the next read starts anew."""
    clock = Clock()
    wait = a_wait(spine, clock)
    report(spine, Share(0, 0, 10.0))
    wait.refresh()
    clock.now += 0.1
    for _ in range(int(5 * 10 / CAUTION)):
        assert refused(wait) is None
        wait.accept()
    assert refused(wait) is None
    wait.accept()
    assert refused(wait) == 1
    clock.now += 1
    report(spine, Share(0, 0, 10.0))
    wait.refresh()
    assert refused(wait) is None


def test_resends_are_refused_last(spine: Spine) -> None:
    """They go before all new sends, so only what is open makes them wait."""
    wait = a_wait(spine)
    report(spine, Share(1, 1000, 10.0))
    wait.refresh()
    assert refused(wait, "resend") is None
    assert refused(wait) == LONGEST
    report(spine, Share(1000, 0, 10.0))
    wait.refresh()
    assert refused(wait, "resend") == LONGEST


def test_without_a_rate_nothing_is_refused(spine: Spine) -> None:
    """It is measured within a moment of pressure; what was read long ago says nothing either."""
    clock = Clock()
    wait = a_wait(spine, clock)
    report(spine, Share(10_000, 10_000, None))
    wait.refresh()
    assert refused(wait) is None
    report(spine, Share(10, 10, 0.0))
    wait.refresh()
    assert refused(wait) == LONGEST
    clock.now += STALE + LIFE
    assert refused(wait) is None


def test_silent_workers_leave_what_was_known(spine: Spine, valkey: ValkeyServer) -> None:
    """Their figures expire, but what waits still waits: until no worker lives, the estimate stays."""
    wait = a_wait(spine)
    report(spine, Share(0, 1000, 10.0))
    wait.refresh()
    with valkey.client() as client:
        assert client.delete(f"{spine.store.prefix}:pace") == 1
    wait.refresh()
    assert refused(wait) == LONGEST


# In a send.


def test_a_refused_send_is_charged_nothing_and_a_repetition_is_answered(
    spine: Spine, valkey: ValkeyServer
) -> None:
    """The refusal comes before the guard; who repeats an Idempotency-Key gets the challenge that it opened."""
    first = spine.send.send(spine.caller, SendRequest(to=NUMBERS[0]), "key")
    report(spine, Share(0, 1000, 10.0))
    spine.wait.refresh()
    again = spine.send.send(spine.caller, SendRequest(to=NUMBERS[0]), "key")
    assert again.challenge_id == first.challenge_id
    with pytest.raises(IdempotencyKeyReused):
        spine.send.send(spine.caller, SendRequest(to=NUMBERS[1]), "key")
    before = _guarded(spine, valkey)
    with pytest.raises(Busy) as refusal:
        spine.send.send(spine.caller, SendRequest(to=NUMBERS[1]), "other")
    assert refusal.value.retry_after == LONGEST
    assert _guarded(spine, valkey) == before
    spine.store.pace_board.write("0", Share(0, 0, 10.0))
    spine.wait.refresh()
    spine.send.send(spine.caller, SendRequest(to=NUMBERS[1]), "other")
    assert _guarded(spine, valkey) != before


def _guarded(spine: Spine, valkey: ValkeyServer) -> list[str]:
    """List the guard's keys."""
    with valkey.client() as client:
        return sorted(client.scan_iter(f"{{{spine.store.prefix}:guard}}:*"))


def test_a_resend_passes_where_a_new_send_is_refused(spine: Spine) -> None:
    """Its challenge is open: the person has waited longer than any newcomer."""
    id_ = spine.opened()
    brought(spine.store, id_)
    report(spine, Share(0, 1000, 10.0))
    spine.wait.refresh()
    spine.scripts.offset += 60_000
    assert spine.resend.resend(spine.caller, id_, ResendRequest()).challenge_id == id_
    report(spine, Share(1000, 0, 10.0))
    spine.wait.refresh()
    spine.scripts.offset += 120_000
    with pytest.raises(Busy):
        spine.resend.resend(spine.caller, id_, ResendRequest())
