"""What is taken back from the guard's counters on a real server: refunds, and charges of messages that came too late.

A refund follows at once. A message that was too late is given back when the guard no longer knows whose charge it was.
"""

import pytest

from otp_service.durations import DAY, HOUR, MINUTE
from otp_service.guard.limiter import Allowance
from otp_service.guard.rules import after_sending, after_success, lines_of_send
from otp_service.guard.slot import CHARGED
from otp_service.policy import Guard
from tests.support.counters import NUMBER, Counters, asked, only, passes

ONCE_A_MINUTE = only({"number": {"refuse": ["1/m"]}})


def given_back(counters: Counters, rules: Guard, moment: int, operation: str = "late") -> None:
    """Give back the charge of a message that was accepted at a moment."""
    counters.limiter.give_back(lines_of_send(rules, asked()), operation, moment)


def test_every_counter_has_its_charge_back(counters: Counters) -> None:
    """The person who asks again meets nothing of a message that never came."""
    rules = only(
        {name: {"refuse": ["1/h"]} for name in ("address", "app", "prefix", "number")}
        | {"cooldown": {"ladder": ["30s"]}, "conversion": {"sends": 1}}
    )
    charged = counters.charge(rules, asked())
    assert len(counters.preview(rules, asked()).findings) == 7
    given_back(counters, rules, charged.now + 100)
    assert counters.preview(rules, asked()).findings == ()


def test_a_charge_is_given_back_once(counters: Counters) -> None:
    """Whoever owes it may come twice. Another message has its own charge."""
    rules = only({"number": {"refuse": ["2/h"]}})
    moments = [counters.charge(rules, asked()).now for _ in range(2)]
    for _ in range(2):
        given_back(counters, rules, moments[0])
    assert counters.preview(rules, asked()).standing is not None
    assert [passes(counters.charge(rules, asked())) for _ in range(2)] == [True, False]
    given_back(counters, rules, moments[1], "another")
    assert [passes(counters.charge(rules, asked())) for _ in range(2)] == [True, False]


def test_that_a_charge_was_given_back_is_remembered_for_a_minute(counters: Counters) -> None:
    """As long as a charge: longer than a lease, within which another worker may come."""
    given_back(counters, ONCE_A_MINUTE, counters.preview(ONCE_A_MINUTE, asked()).now)
    assert CHARGED // 2 < counters.lives()["o"] <= CHARGED


def test_a_charge_that_has_left_its_window_is_no_credit(counters: Counters) -> None:
    """It is given back at the time at which it was made."""
    charged = counters.charge(ONCE_A_MINUTE, asked())
    counters.scripts.offset += 70_000
    given_back(counters, ONCE_A_MINUTE, charged.now)
    assert [passes(counters.charge(ONCE_A_MINUTE, asked())) for _ in range(2)] == [True, False]


@pytest.mark.parametrize("after", [0, 4000])
def test_only_the_pause_of_the_message_itself_ends(counters: Counters, after: int) -> None:
    """One that began after it, or well before it, belongs to another message. It is accepted after it is charged."""
    rules = only({"cooldown": {"ladder": ["30s"]}})
    charged = []
    for _ in range(4):
        counters.scripts.offset += 31_000
        charged.append(counters.charge(rules, asked()))
    assert all(map(passes, charged))
    last = charged[-1].now
    for operation, moment in (("later", last + 10_000), ("earlier", charged[-2].now)):
        given_back(counters, rules, moment, operation)
        assert not passes(counters.preview(rules, asked()))
    given_back(counters, rules, last + after)
    assert passes(counters.preview(rules, asked()))


def test_two_pauses_end_when_both_messages_are_taken_back(counters: Counters) -> None:
    """In any order: nothing is left to wait for."""
    rules = only({"cooldown": {"ladder": ["30s"]}})
    lines = lines_of_send(rules, asked())
    assert passes(counters.charge(rules, asked(), "one"))
    counters.scripts.offset += 31_000
    assert passes(counters.charge(rules, asked(), "two"))
    counters.limiter.refund(lines, "one")
    counters.limiter.refund(lines, "two")
    assert passes(counters.preview(rules, asked()))


def test_what_a_right_code_forgave_is_not_taken_back_again(counters: Counters) -> None:
    """The next message begins a pause and counts for the device, as the first one does."""
    rules = only({"cooldown": {"ladder": ["30s"]}, "standing": {}})
    device = asked(known="device")
    charged = counters.charge(rules, device, "one")
    counters.limiter.count(after_success(rules, device, [charged.now]))
    counters.limiter.refund(lines_of_send(rules, device), "one")
    assert counters.history.read_past(NUMBER).unverified == 0
    assert passes(counters.charge(rules, device))
    assert counters.history.read_past(NUMBER).unverified == 1
    assert not passes(counters.preview(rules, device))


def test_what_is_given_back_after_a_right_code_shortens_no_later_pause(counters: Counters) -> None:
    """Two messages were too late, but the person verified by a third one meanwhile."""
    rules = only({"cooldown": {"ladder": ["30s"]}})
    late = []
    for _ in range(2):
        late.append(counters.charge(rules, asked()).now)
        counters.scripts.offset += 31_000
    counters.limiter.count(after_success(rules, asked(), late))
    assert passes(counters.charge(rules, asked()))
    for moment in late:
        given_back(counters, rules, moment, f"{moment}")
    counters.scripts.offset += 31_000
    assert passes(counters.charge(rules, asked()))
    assert not passes(counters.preview(rules, asked()))


def test_a_refund_of_a_message_within_the_limit_is_no_credit_beyond_it(counters: Counters) -> None:
    """What trickles through is given back only if the message was of that kind."""
    rules = only({"number": {"refuse": ["2/h"], "trickle": ["1/10m"]}})

    def come(address: str) -> bool:
        return passes(counters.charge(rules, asked(address=address), allowance=Allowance(proof=address)))

    assert passes(counters.charge(rules, asked(), "one"))
    counters.limiter.refund(lines_of_send(rules, asked()), "one")
    assert [come(f"192.0.{place}.1") for place in range(3, 7)] == [True, True, True, False]


def test_what_happened_is_counted_once_for_each_operation(counters: Counters) -> None:
    """A call whose answer was lost is made again."""
    rules = only({"money": {"refuse": ["9/h"], "prices": {"sms": 1}}})
    call = counters.limiter.counting(after_sending(rules, asked(), None, 2), "an-operation")
    for _ in range(2):
        counters.scripts.call(call.name, call.keys, *call.arguments)
    standing = counters.preview(rules, asked()).standing
    assert standing is not None
    assert standing.left == 6


def test_a_verified_message_is_found_in_the_part_beside(counters: Counters) -> None:
    """It was charged a little before or after the moment at which it was accepted. One message makes room for one."""
    part = HOUR * 1000 // 10
    for beside in (-part, part):
        rules = only({"prefix": {"refuse": ["2/h"]}})
        charged = counters.charge(rules, asked()).now
        assert passes(counters.charge(rules, asked()))
        counters.limiter.count(after_success(rules, asked(), [charged + beside]))
        assert [passes(counters.charge(rules, asked())) for _ in range(2)] == [True, False]
        counters.scripts.offset += 2 * DAY * 1000


def test_one_verified_message_makes_room_for_one(counters: Counters) -> None:
    """Though there are others in the parts beside."""
    rules = only({"prefix": {"refuse": ["3/h"]}})
    sent = []
    for _ in range(3):
        sent.append(counters.charge(rules, asked()).now)
        counters.scripts.offset += 6 * MINUTE * 1000
    counters.limiter.count(after_success(rules, asked(), [sent[1]]))
    assert [passes(counters.charge(rules, asked())) for _ in range(2)] == [True, False]
