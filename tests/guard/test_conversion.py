"""The guard's conversion rule on a real server: places where too few codes come back are stopped."""

import time

from otp_service.durations import DAY, HOUR, MINUTE
from otp_service.guard.decision import Decision
from otp_service.guard.limiter import Allowance
from otp_service.guard.rules import after_sending, after_success, lines_of_send
from otp_service.policy import Guard
from otp_service.policy.guard_forms import changed
from tests.support.counters import Counters, asked, only, passes
from tests.support.valkey_server import ValkeyServer

CONVERSION = only({"conversion": {"sends": 10, "share": 0.2, "within": "15m", "grace": "1m", "hold": "15m"}})


def sent(counters: Counters, count: int, verified: int = 0, rules: Guard = CONVERSION) -> None:
    """Count sends now, some of them verified."""
    now = counters.preview(rules, asked()).now
    for place in range(count):
        counters.limiter.count(after_sending(rules, asked(), now, 0))
        if place < verified:
            counters.limiter.count(after_success(rules, asked(), [now]))


def test_a_place_where_too_few_codes_are_verified_is_stopped(counters: Counters) -> None:
    """Below a fifth of at least ten sends, once the grace is over, for 15 minutes."""
    sent(counters, 10, 1)
    assert passes(counters.charge(CONVERSION, asked()))
    counters.scripts.offset += 30_000
    assert passes(counters.charge(CONVERSION, asked()))
    counters.scripts.offset += 2 * MINUTE * 1000
    stopped = counters.charge(CONVERSION, asked())
    assert (stopped.verdict, stopped.deciding.rule) == ("refuse", "conversion")
    assert stopped.deciding.pause == 15 * MINUTE * 1000
    assert {(one.value, one.limit) for one in stopped.findings} == {(1, 10)}
    counters.scripts.offset += 14 * MINUTE * 1000
    assert not passes(counters.charge(CONVERSION, asked()))
    counters.scripts.offset += MINUTE * 1000 + 1
    assert passes(counters.charge(CONVERSION, asked()))


def let_in(counters: Counters, count: int, rules: Guard = CONVERSION) -> list[Decision]:
    """Charge sends, each with a solved human check."""
    brings = (Allowance(proof=f"{counters.scripts.offset} {n}") for n in range(count))
    found = [counters.charge(rules, asked(), allowance=brought) for brought in brings]
    assert all(map(passes, found))
    return found


def came_back(counters: Counters, decisions: list[Decision], rules: Guard = CONVERSION) -> None:
    """Count admitted sends as sent and verified."""
    for decision in decisions:
        counters.limiter.count(after_sending(rules, asked(), decision.now, 0))
        counters.limiter.count(after_success(rules, asked(), [decision.now]))


def test_sends_in_flight_without_a_check_are_bounded(counters: Counters) -> None:
    """At most as many as can be judged or were verified. A burst would otherwise end before it is judged."""
    decisions = [counters.charge(CONVERSION, asked()) for _ in range(12)]
    assert [one.verdict for one in decisions] == ["allow"] * 10 + ["human_check"] * 2
    assert {one.level for one in decisions[-1].findings} == {"human_check"}
    assert decisions[-1].over == 0
    let_in(counters, 5)
    assert counters.preview(CONVERSION, asked()).over == 0.5
    came_back(counters, decisions[:10])
    assert [counters.charge(CONVERSION, asked()).verdict for _ in range(6)] == ["allow"] * 5 + ["human_check"]
    came_back(counters, decisions[:10])
    assert [counters.charge(CONVERSION, asked()).verdict for _ in range(21)] == ["allow"] * 20 + [
        "human_check"
    ]
    counters.scripts.offset += 2 * MINUTE * 1000
    assert counters.charge(CONVERSION, asked()).verdict == "allow"


def test_a_refunded_send_is_not_in_flight(counters: Counters) -> None:
    """It makes room for another send."""
    charged = [(counters.charge(CONVERSION, asked(), f"{n}").verdict, f"{n}") for n in range(11)]
    assert [verdict for verdict, _ in charged] == ["allow"] * 10 + ["human_check"]
    counters.limiter.refund(lines_of_send(CONVERSION, asked()), "3")
    assert [counters.charge(CONVERSION, asked()).verdict for _ in range(2)] == ["allow", "human_check"]


def test_stops_double_up_to_the_longest_and_are_forgotten(counters: Counters) -> None:
    """15, 30, then 60 minutes. After a quiet time as long as the last stop, the next one is 15 minutes again."""
    holds = []
    for _ in range(5):
        sent(counters, 10)
        counters.scripts.offset += 3 * MINUTE * 1000
        holds.append(counters.charge(CONVERSION, asked()).deciding.pause)
        assert counters.lives()["country-codes"] > 2 * holds[-1]
        counters.scripts.offset += holds[-1] + 1
    assert [hold // (MINUTE * 1000) for hold in holds] == [15, 30, 60, 60, 60]
    counters.scripts.offset += holds[-1] + 15 * MINUTE * 1000
    sent(counters, 10)
    counters.scripts.offset += 3 * MINUTE * 1000
    assert counters.charge(CONVERSION, asked()).deciding.pause == 15 * MINUTE * 1000


def test_a_first_stop_may_be_longer_than_the_longest(counters: Counters) -> None:
    """Then every stop is that long, and is remembered for as long as it affects the next."""
    rules = only({"conversion": {"sends": 10, "hold": "1d", "longest": "1h"}})
    for _ in range(2):
        sent(counters, 10, rules=rules)
        counters.scripts.offset += 3 * MINUTE * 1000
        pause = counters.charge(rules, asked()).deciding.pause
        assert pause == DAY * 1000
        assert counters.lives()["country-codes"] > 2 * pause + 14 * MINUTE * 1000
        counters.scripts.offset += pause + 1


def test_a_stopped_country_requires_checks_and_a_stopped_prefix_refuses(counters: Counters) -> None:
    """A stranger who lets ten codes expire cannot close a country. The check is a heavy one."""
    stopped(counters, CONVERSION)
    sent(counters, 10)
    counters.scripts.offset += 3 * MINUTE * 1000
    for _ in range(2):  # as it begins, and while it lasts
        found = {one.level: one.over for one in counters.charge(CONVERSION, asked()).findings}
        assert found == {"human_check": 1.0, "refuse": 1.0}
        elsewhere = counters.charge(CONVERSION, asked("+12025550143"))
        assert (elsewhere.verdict, elsewhere.over) == ("human_check", 1.0)
    let = counters.charge(CONVERSION, asked("+12025550143"), allowance=Allowance(proof="p"))
    assert let.verdict == "allow"


def test_an_apps_own_rule_stops_that_app_only(counters: Counters) -> None:
    """A rule that only watches stops no app, and other windows have other counters."""
    apps = {
        "watching": changed(CONVERSION, {"conversion": {"mode": "watch"}}, "watching"),
        "strict": changed(CONVERSION, {"conversion": {"sends": 2, "share": 0.9}}, "strict"),
        "patient": changed(CONVERSION, {"conversion": {"within": 1800, "sends": 2}}, "patient"),
    }
    sent(counters, 4, 2)
    counters.scripts.offset += 3 * MINUTE * 1000
    found = [counters.charge(apps["watching"], asked(app="watching")) for _ in range(2)]
    assert [one.verdict for one in found] == ["allow"] * 2
    assert [counters.charge(apps["strict"], asked(app="strict")).verdict for _ in range(2)] == ["refuse"] * 2
    for name, rules in (*apps.items(), ("web", CONVERSION)):
        verdict = counters.charge(rules, asked(app=name)).verdict
        assert (name, verdict) == (name, "refuse" if name == "strict" else "allow")
    sent(counters, 10, rules=apps["watching"])
    counters.scripts.offset += 3 * MINUTE * 1000
    watched = counters.charge(apps["watching"], asked(app="watching"))
    assert (watched.verdict, {one.on for one in watched.findings}) == ("allow", {False})
    assert {"h", "p"}.isdisjoint(
        field[1:2] for field in counters_of(counters, "prefix") if "block" not in field
    )


def test_windows_of_different_lengths_are_independent(counters: Counters) -> None:
    """One app's sends remove nothing from the longer window of another app."""
    longer = changed(CONVERSION, {"conversion": {"within": HOUR, "sends": 2, "grace": 0}}, "patient")
    sent(counters, 2, rules=longer)
    sent(counters, 4, 4)
    counters.scripts.offset += 10 * MINUTE * 1000
    let_in(counters, 1)
    assert counters.charge(longer, asked(app="patient")).verdict == "refuse"


def counters_of(counters: Counters, scope: str) -> set[str]:
    """Name the fields in the counters of a scope that the strict app did not write."""
    return {
        name
        for key, fields in counters.stored().items()
        if f":{scope}:" in key
        for name in fields
        if not name.endswith("strict")
    }


def stopped(counters: Counters, rules: Guard) -> None:
    """Let ten codes expire, and wait until the stop is over."""
    sent(counters, 10, rules=rules)
    counters.scripts.offset += 3 * MINUTE * 1000
    counters.scripts.offset += counters.charge(rules, asked()).deciding.pause + 1


def test_a_place_reopens_when_its_probes_are_verified(counters: Counters) -> None:
    """Until they are judged, no more may be in flight, not even with a human check."""
    rules = only({"conversion": {"sends": 10, "probes": 3}})
    stopped(counters, rules)
    probes = let_in(counters, 3, rules)
    refused = counters.charge(rules, asked(), allowance=Allowance(proof="p"))
    assert (refused.verdict, {one.over for one in refused.findings}) == ("refuse", {1.0})
    came_back(counters, probes[:1], rules)
    assert [counters.charge(rules, asked()).verdict for _ in range(2)] == ["allow", "refuse"]
    came_back(counters, probes[1:], rules)
    counters.scripts.offset += 2 * MINUTE * 1000
    assert [counters.charge(rules, asked()).verdict for _ in range(11)] == ["allow"] * 10 + ["human_check"]


def test_after_a_stop_no_more_is_tried_than_could_cause_one(counters: Counters) -> None:
    """If `sends` is below `probes`."""
    rules = only({"conversion": {"sends": 4, "probes": 10}})
    stopped(counters, rules)
    sent(counters, 4, rules=rules)
    counters.scripts.offset += 2 * MINUTE * 1000
    assert not passes(counters.preview(rules, asked()))


def test_an_honest_crowd_is_never_stopped(counters: Counters) -> None:
    """Three of four codes are verified after some seconds, all day. At worst, some sends need a human check."""
    for _ in range(3 * 24):
        sent(counters, 12, 9)
        counters.scripts.offset += 2 * MINUTE * 1000
        assert counters.charge(CONVERSION, asked()).verdict == "allow"
        counters.scripts.offset += 10_000
        let_in(counters, 40)
        assert counters.charge(CONVERSION, asked()).verdict == "human_check"
        counters.scripts.offset += 20 * MINUTE * 1000


def test_a_late_code_counts_for_the_time_it_was_sent(counters: Counters) -> None:
    """Otherwise the sends of one minute would be judged by the codes of another."""
    now = counters.preview(CONVERSION, asked()).now
    sent(counters, 10)
    counters.scripts.offset += 61_000
    for _ in range(5):
        counters.limiter.count(after_success(CONVERSION, asked(), [now]))
    counters.scripts.offset += 60_000
    assert passes(counters.charge(CONVERSION, asked()))


def test_a_message_that_did_not_leave_is_not_judged(counters: Counters) -> None:
    """While an upstream is away, no code can be verified. That is not an attack."""
    let_in(counters, 40)
    counters.scripts.offset += 5 * MINUTE * 1000
    assert counters.charge(CONVERSION, asked()).verdict == "allow"


def test_a_stop_does_not_shorten_counters_in_its_key(valkey: ValkeyServer, counters: Counters) -> None:
    """A prefix's own budget of a day shares the key, and must outlive a stop of minutes."""
    rules = only({"conversion": {"sends": 1}, "prefix": {"refuse": ["9/d"]}})
    counters.charge(rules, asked())
    began, life = time.monotonic(), counters.lives()["prefix"]
    sent(counters, 1, rules=rules)
    counters.scripts.offset += 3 * MINUTE * 1000
    assert counters.charge(rules, asked()).verdict == "refuse"
    left = counters.lives()["prefix"]
    assert left >= life - 1000 * (time.monotonic() - began) - 1
    assert life > DAY * 1000


def test_sessions_and_devices_are_not_stopped_with_strangers(counters: Counters) -> None:
    """Only the codes of strangers are not verified."""
    sent(counters, 10)
    counters.scripts.offset += 3 * MINUTE * 1000
    assert not passes(counters.charge(CONVERSION, asked()))
    assert passes(counters.charge(CONVERSION, asked(session="s", known="session")))
    assert passes(counters.charge(CONVERSION, asked(known="device")))


def test_a_stop_of_an_apps_own_rule_doubles_and_lasts(counters: Counters) -> None:
    """It is remembered for that app, as the common rule's is for all."""
    rules = changed(CONVERSION, {"conversion": {"sends": 4}}, "strict")
    who, holds = asked(app="strict"), []
    for _ in range(2):
        sent(counters, 4, rules=rules)
        counters.scripts.offset += 3 * MINUTE * 1000
        holds.append(counters.charge(rules, who).deciding.pause)
        counters.scripts.offset += holds[-1] - MINUTE * 1000
        assert counters.charge(rules, who).verdict == "refuse"
        counters.scripts.offset += MINUTE * 1000 + 1
    assert holds == [15 * MINUTE * 1000, 30 * MINUTE * 1000]


def test_each_place_has_one_reason(counters: Counters) -> None:
    """A stopped place is not also too busy; one that waits for its probes is not also judged."""
    rules = only({"conversion": {"sends": 4, "probes": 3}})
    for _ in range(2):
        sent(counters, 4, rules=rules)
        counters.scripts.offset += 3 * MINUTE * 1000
        let_in_blindly(counters, 9)
        found = counters.charge(rules, asked())
        assert [(one.limit, one.level) for one in found.findings] == [(4, "human_check"), (4, "refuse")]
        counters.scripts.offset += found.deciding.pause + 1
    let_in_blindly(counters, 9)
    found = counters.charge(rules, asked())
    assert [(one.limit, one.value) for one in found.findings] == [(3, 9)] * 2


def let_in_blindly(counters: Counters, count: int) -> None:
    """Charge sends under rules that only watch."""
    watching = only({"conversion": {"sends": 4, "mode": "watch"}})
    for _ in range(count):
        assert passes(counters.charge(watching, asked()))


def test_a_busy_place_is_asked_again_after_the_grace(counters: Counters) -> None:
    """Then the first of its messages are judged; after a second at least."""
    counters.charge(only({"conversion": {"sends": 1}}), asked())
    for grace, pause in (("1m", MINUTE * 1000), ("0s", 1000)):
        rules = only({"conversion": {"sends": 1, "grace": grace}})
        assert {one.pause for one in counters.charge(rules, asked()).findings} == {pause}


def test_what_was_verified_in_the_whole_window_may_be_in_flight(counters: Counters) -> None:
    """Not only in its newest part."""
    rules = only({"conversion": {"sends": 1, "within": "15m", "grace": "1m"}})
    for _ in range(3):
        sent(counters, 2, 2, rules)
        counters.scripts.offset += 4 * MINUTE * 1000
    verdicts = [counters.charge(rules, asked()).verdict for _ in range(7)]
    assert verdicts == ["allow"] * 6 + ["human_check"]


def test_what_stopped_a_place_does_not_stop_it_again(counters: Counters) -> None:
    """Though it is still in the window, if stops are shorter than that."""
    rules = only({"conversion": {"sends": 4, "within": "30m", "hold": "5m"}})
    sent(counters, 4, rules=rules)
    counters.scripts.offset += 5 * MINUTE * 1000
    pause = counters.charge(rules, asked()).deciding.pause
    assert pause == 5 * MINUTE * 1000
    counters.scripts.offset += pause + 1
    assert passes(counters.charge(rules, asked()))


def test_a_place_is_judged_by_enough_sends_and_stays_open_at_its_share(counters: Counters) -> None:
    """Nine of ten that are needed, none of them verified; then ten of which a fifth is verified."""
    for count, verified in ((9, 0), (11, 4)):
        sent(counters, count, verified)
        counters.scripts.offset += 3 * MINUTE * 1000
        assert counters.charge(CONVERSION, asked()).verdict == "allow"
