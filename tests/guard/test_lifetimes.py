"""How long the guard's keys live on a real server."""

from otp_service.durations import DAY, HOUR, MINUTE
from otp_service.guard.limiter import SPENT, Allowance
from otp_service.guard.rules import after_failure, after_sending, after_success
from otp_service.policy import Budget, Window
from tests.guard.test_windows import PARTS
from tests.support.counters import KEEP, OTHER, Counters, asked, only


def test_no_key_outlives_its_window(counters: Counters) -> None:
    """Every key expires: after its longest window and one part of it, or after its block."""
    budget = Budget(refuse=(Window(9, HOUR), Window(99, DAY)))
    names = (
        "address",
        "session",
        "app",
        "everything",
        "country",
        "prefix",
        "number",
        "failures",
        "guessing",
        "money",
    )
    rules = only({name: {"refuse": ["9/h", "99/d"]} for name in names} | {"cooldown": {}, "conversion": {}})
    who, longest = asked(session="s", known="session"), max(w.seconds for w in budget.refuse) * 1000
    decision = counters.charge(rules, who, allowance=Allowance(proof="p"))
    counters.limiter.count(after_failure(rules, who))
    counters.limiter.count(after_sending(rules, who, decision.now, 1))
    counters.limiter.count(after_success(rules, who, [decision.now]))
    lives = counters.lives()
    assert set(lives) == {
        *(
            "o",
            "proof",
            "address",
            "session",
            "app",
            "all",
            "guesses",
            "country",
            "country-codes",
            "prefix",
            "number",
        )
    }
    assert all(0 < life <= longest + longest // PARTS for life in lives.values()), lives
    assert 0 < lives["proof"] <= SPENT
    assert 0 < lives["country-codes"] <= 16 * MINUTE * 1000
    small = only({"number": {"refuse": ["1/m"]}})
    with_block = counters.charge(small, asked(OTHER)), counters.charge(small, asked(OTHER))
    assert 0 < counters.lives()["blocks"] <= DAY * 1000 + KEEP
    assert max(counters.lives().values()) <= max(KEEP + with_block[1].deciding.pause, 2 * DAY * 1000)


def test_a_key_lives_as_long_as_its_longest_counter(counters: Counters) -> None:
    """A ladder of ten minutes shares its key with a window of one, whichever is written last."""
    counters.charge(only({"cooldown": {"forget": "10m"}, "number": {"refuse": ["9/m"]}}), asked())
    assert 9 * MINUTE * 1000 < counters.lives()["number"] <= 10 * MINUTE * 1000


def test_parts_that_have_left_the_window_are_removed(counters: Counters) -> None:
    """A counter that is always in use does not grow."""
    rules = only({"app": {"refuse": ["999/m"]}})
    moments = []
    for _ in range(40):
        moments.append(counters.charge(rules, asked()).now)
        counters.scripts.offset += 6_000
    [parts] = [value for key, value in counters.stored().items() if ":app:" in key]
    counting = {moment // 6_000 for moment in moments if moment > moments[-1] - 60_000}
    assert len(counting) <= len(parts) <= 12
