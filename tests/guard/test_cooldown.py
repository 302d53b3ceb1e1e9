"""The guard's cooldown on a real server: a ladder of pauses between messages to one number."""

from otp_service.durations import MINUTE
from otp_service.guard.rules import lines_of_send
from tests.support.counters import Counters, asked, only, passes


def test_pauses_grow_along_the_ladder_and_start_again(counters: Counters) -> None:
    """30, 60, 120, 120 seconds. Refused attempts do not count; after 10 minutes without a message it starts again."""
    rules = only({"cooldown": {}})
    for pause in (30, 60, 120, 120):
        passed = counters.charge(rules, asked())
        assert passes(passed)
        for _ in range(3):
            assert not passes(counters.charge(rules, asked()))
        refused = counters.charge(rules, asked())
        assert refused.deciding.rule == "cooldown"
        assert refused.now + refused.deciding.pause == passed.now + 1000 * pause
        counters.scripts.offset += refused.deciding.pause - 10_000
        assert not passes(counters.preview(rules, asked()))
        counters.scripts.offset += 10_000
    counters.scripts.offset += 10 * MINUTE * 1000
    assert passes(counters.charge(rules, asked()))
    counters.scripts.offset += 30_001
    assert passes(counters.charge(rules, asked()))


def test_a_forgotten_ladder_has_no_pause(counters: Counters) -> None:
    """Not even if the pause is longer than the time to forget."""
    rules = only({"cooldown": {"ladder": ["10m"], "forget": "1m"}})
    assert passes(counters.charge(rules, asked()))
    counters.scripts.offset += 61_000
    assert passes(counters.charge(rules, asked()))


def test_a_refund_undoes_a_step_of_the_ladder(counters: Counters) -> None:
    """A send that was not made does not delay the next one."""
    rules = only({"cooldown": {"ladder": ["30s", "10m"], "forget": "1h"}})
    assert passes(counters.charge(rules, asked()))
    counters.scripts.offset += 31_000
    assert passes(counters.charge(rules, asked(), "second"))
    counters.limiter.refund(lines_of_send(rules, asked()), "second")
    assert passes(counters.charge(rules, asked()))
    counters.scripts.offset += 31_000
    assert not passes(counters.charge(rules, asked()))
