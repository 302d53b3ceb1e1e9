"""The guard's script on a real server: windows, ladders, holds, conversion, verdicts, pins, blocks, lives of keys."""

import json
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otp_service.crypto.sealing import Seal
from otp_service.durations import DAY, HOUR, MINUTE
from otp_service.guard.history import History
from otp_service.guard.limiter import SPENT, Allowance
from otp_service.guard.rules import (
    Decision,
    Finding,
    Line,
    after_failure,
    after_sending,
    after_success,
    lines_of_send,
)
from otp_service.policy import Budget, Guard, Window
from otp_service.policy.guard_forms import changed
from tests.support.counters import ADDRESS, KEEP, NUMBER, Counters, asked, only, open_counters
from tests.support.spine import PATIENT
from tests.support.valkey_server import ValkeyServer

OTHER = "+14155559999"
PARTS = 10
"""A window moves on by a tenth of it, as docs/security.md says."""


@pytest.fixture
def counters(valkey: ValkeyServer) -> Iterator[Counters]:
    """Counters of this test's own."""
    with open_counters(valkey) as made:
        yield made


def count(subject: str, *windows: tuple[int, int], cost: int = 1, hold: int = 0) -> Line:
    """Make a line that refuses more than some acts within some milliseconds."""
    tiers = [["refuse", limit, ms] for limit, ms in windows]
    return Line(
        rule="number",
        owner="destination",
        kind="count",
        scope="number",
        subject=(subject,),
        cost=cost,
        figures={"tiers": tiers, "hold": hold},
    )


def passes(decision: Decision) -> bool:
    """Say whether a send is let in."""
    return decision.verdict in {"allow", "cheap"}


# Windows.


@dataclass
class Model:
    """What the windows must do, in plain words: a part of a tenth counts until the whole of it has left."""

    counted: dict[tuple[str, int], dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    done: dict[str, int] = field(default_factory=dict)

    def sum(self, subject: str, ms: int, now: int) -> int:
        """Sum what still counts."""
        return sum(n for part, n in self.counted[subject, ms].items() if self._leaves(part, ms) > now)

    def has_room(self, line: Line, now: int) -> bool:
        """Say whether the line lets its cost in."""
        return all(
            self.sum(line.subject[0], ms, now) + line.cost <= limit for _, limit, ms in line.figures["tiers"]
        )

    def add(self, line: Line, at: int, sign: int) -> None:
        """Count in every window."""
        for _, _, ms in line.figures["tiers"]:
            parts, part = self.counted[line.subject[0], ms], at // math.ceil(ms / PARTS)
            parts[part] = parts.get(part, 0) + sign * line.cost

    def room_at(self, line: Line, limit: int, ms: int) -> int | None:
        """Give the moment from which there is room, if nothing else happens."""
        parts = self.counted[line.subject[0], ms]
        for moment in sorted(self._leaves(part, ms) for part in parts):
            if sum(n for part, n in parts.items() if self._leaves(part, ms) > moment) + line.cost <= limit:
                return moment
        return None

    @staticmethod
    def _leaves(part: int, ms: int) -> int:
        return (part + 1) * math.ceil(ms / PARTS) + ms


SUBJECTS = st.sampled_from(["one", "two"])
ACTS = st.lists(
    st.one_of(
        st.tuples(
            st.just("charge"),
            st.lists(SUBJECTS, min_size=1, max_size=2, unique=True),
            st.integers(0, 5),
            st.integers(1, 3),
        ),
        st.tuples(st.just("refund"), st.just([]), st.integers(0, 5), st.just(0)),
        st.tuples(st.just("wait"), st.just([]), st.integers(1, 90_000), st.just(0)),
    ),
    max_size=25,
)
WINDOWS = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from([7_001, 30_000, 60_000, 600_000])),
    min_size=1,
    max_size=3,
    unique_by=lambda window: window[1],
)


@PATIENT
@given(acts=ACTS, windows=WINDOWS)
@example(
    acts=[
        ("charge", ["one"], 0, 1),
        ("wait", [], 9_000, 0),
        ("charge", ["one"], 1, 2),
        ("charge", ["one"], 2, 3),
    ],
    windows=[(3, 60_000)],
)
@example(  # a part counts until the whole of it has left
    acts=[("charge", ["one"], 0, 1), ("wait", [], 60_000, 0), ("charge", ["one"], 1, 1)],
    windows=[(1, 60_000)],
)
@example(  # a refund is of the moment of the charge, or it would be a credit when that has left the window
    acts=[
        ("charge", ["one"], 0, 1),
        ("wait", [], 9_000, 0),
        ("refund", [], 0, 0),
        ("wait", [], 58_000, 0),
        ("charge", ["one"], 1, 1),
        ("charge", ["one"], 2, 1),
    ],
    windows=[(1, 60_000)],
)
def test_windows_are_exactly_what_they_are_said_to_be(
    valkey: ValkeyServer, acts: list[tuple[str, list[str], int, int]], windows: list[tuple[int, int]]
) -> None:
    """All lines or none; once per operation; a refund gives back; `look` agrees and changes nothing.

    Whatever the order of acts, the script decides as the model does, and tells the moment from which there is room.
    """
    with open_counters(valkey) as counters:
        model = Model()
        charged: dict[str, list[Line]] = {}
        for what, subjects, figure, cost in acts:
            lines, operation = [count(s, *windows, cost=cost) for s in subjects], f"operation {figure}"
            if what == "wait":
                counters.scripts.offset += figure
            elif what == "refund":
                _refund(counters, model, charged.pop(operation, []), operation)
            else:
                before = counters.stored()
                looked = counters.limiter.preview(lines, Allowance(), counters.pins_of(asked()))
                assert counters.stored() == before
                decision = counters.lined(lines, operation)
                if operation in charged:
                    assert passes(decision)
                    continue
                _agrees(model, lines, looked)
                _agrees(model, lines, decision)
                if passes(decision):
                    charged[operation] = lines
                    model.done[operation] = decision.now
                    for line in lines:
                        model.add(line, decision.now, 1)


def _refund(counters: Counters, model: Model, lines: list[Line], operation: str) -> None:
    counters.limiter.refund(lines, operation)
    for line in lines:
        model.add(line, model.done[operation], -1)


def _agrees(model: Model, lines: list[Line], decision: Decision) -> None:
    assert passes(decision) == all(model.has_room(line, decision.now) for line in lines)
    expected = [
        (limit, model.sum(line.subject[0], ms, decision.now), _pause(model, line, limit, ms, decision.now))
        for line in lines
        for _, limit, ms in line.figures["tiers"]
        if model.sum(line.subject[0], ms, decision.now) + line.cost > limit
    ]
    assert [(one.limit, one.value, one.pause) for one in decision.findings] == expected


def _pause(model: Model, line: Line, limit: int, ms: int, now: int) -> int:
    at = model.room_at(line, limit, ms)
    return 1000 if at is None else at - now


def test_a_repeated_send_is_decided_as_the_first_time(counters: Counters) -> None:
    """A reply that was lost must not turn "only cheap channels" into anything."""
    rules = only({"app": {"cheap": ["1/h"]}})
    counters.charge(rules, asked())
    for _ in range(2):
        assert counters.charge(rules, asked(), "again", Allowance(cheap=True)).verdict == "cheap"
    assert counters.preview(rules, asked(), Allowance(cheap=True)).findings[0].value == 2


def test_a_refused_send_spends_nothing_of_anybody(counters: Counters) -> None:
    """Neither what stands before the refusal in the table, nor what stands behind it."""
    rules = only(
        {name: {"refuse": ["5/h"]} for name in ("address", "app", "prefix")} | {"number": {"refuse": ["1/h"]}}
    )
    assert passes(counters.charge(rules, asked()))
    before = {
        k: v
        for k, v in counters.stored().items()
        if ":number" not in k and ":blocks" not in k and ":o:" not in k
    }
    for _ in range(20):
        assert not passes(counters.charge(rules, asked()))
    after = counters.stored()
    assert {key: after[key] for key in before} == before


def test_a_refund_of_what_was_never_charged_gives_nothing(counters: Counters) -> None:
    """Also not a second time."""
    rules = only({"number": {"refuse": ["2/h"]}})
    lines = lines_of_send(rules, asked())
    assert passes(counters.charge(rules, asked(), "one"))
    for operation in ("one", "one", "two"):
        counters.limiter.refund(lines, operation)
    assert [passes(counters.charge(rules, asked())) for _ in range(3)] == [True, True, False]


def test_money_that_was_charged_too_high_is_given_back(counters: Counters) -> None:
    """What the upstream reports may be less than the price table said; both directions count."""
    rules = only({"money": {"refuse": ["3/h"], "prices": {"sms": 2}}})
    assert passes(counters.charge(rules, asked()))
    assert not passes(counters.charge(rules, asked()))
    counters.limiter.count(after_sending(rules, asked(), None, -1.0))
    assert passes(counters.charge(rules, asked()))
    counters.limiter.count(after_sending(rules, asked(), None, -2.5))
    counters.limiter.count(after_sending(rules, asked(), None, 2.25))
    assert counters.preview(rules, asked()).findings[0].value == 2.75


# Ladder.


def test_the_ladder_grows_and_is_forgotten(counters: Counters) -> None:
    """30, 60, 120, 120 seconds between messages; refused attempts do not count; 10 minutes without one forget it."""
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


def test_what_is_forgotten_is_not_waited_for(counters: Counters) -> None:
    """Not even where the ladder's step is the longer of both."""
    rules = only({"cooldown": {"ladder": ["10m"], "forget": "1m"}})
    assert passes(counters.charge(rules, asked()))
    counters.scripts.offset += 61_000
    assert passes(counters.charge(rules, asked()))


def test_a_refund_takes_a_step_of_the_ladder_back(counters: Counters) -> None:
    """A send that was not made does not hinder the next."""
    rules = only({"cooldown": {"ladder": ["30s", "10m"], "forget": "1h"}})
    assert passes(counters.charge(rules, asked()))
    counters.scripts.offset += 31_000
    assert passes(counters.charge(rules, asked(), "second"))
    counters.limiter.refund(lines_of_send(rules, asked()), "second")
    assert passes(counters.charge(rules, asked()))
    counters.scripts.offset += 31_000
    assert not passes(counters.charge(rules, asked()))


# Hold.


def test_ten_in_a_minute_then_an_hour(counters: Counters) -> None:
    """Requirement D4; attempts meanwhile do not lengthen it."""
    rules = only({"address": {"refuse": ["10/m"], "hold": "1h"}})
    for _ in range(10):
        assert passes(counters.charge(rules, asked()))
    first = counters.charge(rules, asked())
    assert first.deciding.pause == HOUR * 1000
    until = counters.block("address").until
    for _ in range(6):
        counters.scripts.offset += 9 * MINUTE * 1000
        assert not passes(counters.charge(rules, asked()))
    assert counters.block("address").until == until == first.now + HOUR * 1000
    counters.scripts.offset += 6 * MINUTE * 1000
    assert passes(counters.charge(rules, asked()))


def test_what_asks_for_a_check_is_not_held(counters: Counters) -> None:
    """A hold is a refusal's: who solves a check gets in as long as there is room."""
    rules = only({"address": {"human_check": ["1/h"], "refuse": ["2/h"], "hold": "1h"}})
    assert passes(counters.charge(rules, asked()))
    assert [counters.charge(rules, asked()).verdict for _ in range(2)] == ["human_check"] * 2
    assert passes(counters.charge(rules, asked(), allowance=Allowance(proof="p")))


def test_a_hold_lasts_at_least_until_there_is_room(counters: Counters) -> None:
    """A day's window that is full is not told, nor held, as an hour."""
    rules = only({"address": {"refuse": ["2/d"], "hold": "1h"}})
    for _ in range(2):
        assert passes(counters.charge(rules, asked()))
    looked, refused = counters.preview(rules, asked()), counters.charge(rules, asked())
    assert looked.now + looked.deciding.pause == refused.now + refused.deciding.pause
    assert refused.deciding.pause > DAY * 1000
    counters.scripts.offset += refused.deciding.pause - 1000
    assert not passes(counters.charge(rules, asked()))
    counters.scripts.offset += 1001
    assert passes(counters.charge(rules, asked()))


# Conversion.

CONVERSION = only({"conversion": {"sends": 10, "share": 0.2, "within": "15m", "grace": "1m", "hold": "15m"}})


def sent(counters: Counters, count: int, verified: int = 0, rules: Guard = CONVERSION) -> None:
    """Let challenges be sent now, and some of them be verified."""
    now = counters.preview(rules, asked()).now
    for place in range(count):
        counters.limiter.count(after_sending(rules, asked(), now, 0))
        if place < verified:
            counters.limiter.count(after_success(rules, asked(), now))


def test_codes_that_do_not_come_back_stop_a_place(counters: Counters) -> None:
    """Below a fifth of ten or more; not before their time to come back is over; for a quarter of an hour."""
    sent(counters, 10, 1)
    assert passes(counters.charge(CONVERSION, asked()))
    counters.scripts.offset += 59_000
    assert passes(counters.charge(CONVERSION, asked()))
    counters.scripts.offset += 2 * MINUTE * 1000
    stopped = counters.charge(CONVERSION, asked())
    assert (stopped.verdict, stopped.deciding.rule) == ("refuse", "conversion")
    assert stopped.deciding.pause == 15 * MINUTE * 1000
    assert {(one.value, one.limit) for one in stopped.findings} == {(1, 10)}
    counters.scripts.offset += 15 * MINUTE * 1000 - 1000
    assert not passes(counters.charge(CONVERSION, asked()))
    counters.scripts.offset += 1001
    assert passes(counters.charge(CONVERSION, asked()))


def let_in(counters: Counters, count: int, rules: Guard = CONVERSION) -> list[Decision]:
    """Charge sends, each with a human check that was solved."""
    brings = (Allowance(proof=f"{counters.scripts.offset} {n}") for n in range(count))
    found = [counters.charge(rules, asked(), allowance=brought) for brought in brings]
    assert all(map(passes, found))
    return found


def came_back(counters: Counters, decisions: list[Decision], rules: Guard = CONVERSION) -> None:
    """Let what was let in be sent and verified."""
    for decision in decisions:
        counters.limiter.count(after_sending(rules, asked(), decision.now, 0))
        counters.limiter.count(after_success(rules, asked(), decision.now))


def test_no_more_is_on_its_way_without_a_check_than_would_be_judged_or_came_back(counters: Counters) -> None:
    """A burst would be over before the first of it is judged; who solves a check gets in, and it is a heavier one."""
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


def test_what_is_refunded_is_not_on_its_way(counters: Counters) -> None:
    """A send that was not made makes room for another."""
    charged = [(counters.charge(CONVERSION, asked(), f"{n}").verdict, f"{n}") for n in range(11)]
    assert [verdict for verdict, _ in charged] == ["allow"] * 10 + ["human_check"]
    counters.limiter.refund(lines_of_send(CONVERSION, asked()), "3")
    assert [counters.charge(CONVERSION, asked()).verdict for _ in range(2)] == ["allow", "human_check"]


def test_stops_double_up_to_the_longest_and_are_forgotten(counters: Counters) -> None:
    """15, 30, 60 minutes; quarter of an hour and as long as the last stop without another, and it is 15."""
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
    """Then all are so long, and remembered until none is lately any more."""
    rules = only({"conversion": {"sends": 10, "hold": "1d", "longest": "1h"}})
    for _ in range(2):
        sent(counters, 10, rules=rules)
        counters.scripts.offset += 3 * MINUTE * 1000
        pause = counters.charge(rules, asked()).deciding.pause
        assert pause == DAY * 1000
        assert counters.lives()["country-codes"] > 2 * pause + 14 * MINUTE * 1000
        counters.scripts.offset += pause + 1


def test_a_country_that_is_stopped_asks_for_checks_and_a_prefix_refuses(counters: Counters) -> None:
    """A stranger who lets ten codes lapse closes no country to people; the check is a heavy one."""
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


def test_an_apps_own_figures_stop_that_app_only(counters: Counters) -> None:
    """And what only watches stops nobody; windows of other lengths are other counters."""
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


def test_windows_of_other_lengths_leave_one_another_alone(counters: Counters) -> None:
    """What one app sends takes nothing away of what another app's own window looks back at."""
    longer = changed(CONVERSION, {"conversion": {"within": HOUR, "sends": 2, "grace": 0}}, "patient")
    sent(counters, 2, rules=longer)
    sent(counters, 4, 4)
    counters.scripts.offset += 10 * MINUTE * 1000
    let_in(counters, 1)
    assert counters.charge(longer, asked(app="patient")).verdict == "refuse"


def counters_of(counters: Counters, scope: str) -> set[str]:
    """Name the fields of conversion in the counters of a scope that the strict app did not write."""
    return {
        name
        for key, fields in counters.stored().items()
        if f":{scope}:" in key
        for name in fields
        if not name.endswith("strict")
    }


def test_an_apps_own_hold_is_that_apps(counters: Counters) -> None:
    """Of a number that one app stops for a day, another app's own limits decide there."""
    base = only({"number": {"refuse": ["2/h"]}})
    held = changed(base, {"number": {"hold": DAY}}, "bank")
    for _ in range(2):
        assert passes(counters.charge(held, asked(app="bank")))
    assert not passes(counters.charge(held, asked(app="bank")))
    counters.scripts.offset += 2 * HOUR * 1000
    assert not passes(counters.charge(held, asked(app="bank")))
    assert passes(counters.charge(base, asked()))


def stopped(counters: Counters, rules: Guard) -> None:
    """Let nothing come back of ten, and wait until the stop is over."""
    sent(counters, 10, rules=rules)
    counters.scripts.offset += 3 * MINUTE * 1000
    counters.scripts.offset += counters.charge(rules, asked()).deciding.pause + 1


def test_a_place_is_open_again_as_soon_as_its_probes_have_come_back(counters: Counters) -> None:
    """Until they are judged no more than those may be on their way; who solves a check does not change that."""
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


def test_no_more_is_tried_after_a_stop_than_would_have_caused_it(counters: Counters) -> None:
    """Where `sends` is below `probes`."""
    rules = only({"conversion": {"sends": 4, "probes": 10}})
    stopped(counters, rules)
    sent(counters, 4, rules=rules)
    counters.scripts.offset += 2 * MINUTE * 1000
    assert not passes(counters.preview(rules, asked()))


def test_an_honest_crowd_is_never_stopped(counters: Counters) -> None:
    """Three of four come back after some seconds: however many, all day; at worst some are asked for a check."""
    for _ in range(3 * 24):
        sent(counters, 12, 9)
        counters.scripts.offset += 2 * MINUTE * 1000
        assert counters.charge(CONVERSION, asked()).verdict == "allow"
        counters.scripts.offset += 10_000
        let_in(counters, 40)
        assert counters.charge(CONVERSION, asked()).verdict == "human_check"
        counters.scripts.offset += 20 * MINUTE * 1000


def test_a_code_that_comes_back_late_counts_for_when_it_was_sent(counters: Counters) -> None:
    """Or the messages of one minute were judged by the codes of another."""
    now = counters.preview(CONVERSION, asked()).now
    sent(counters, 10)
    counters.scripts.offset += 61_000
    for _ in range(5):
        counters.limiter.count(after_success(CONVERSION, asked(), now))
    counters.scripts.offset += 60_000
    assert passes(counters.charge(CONVERSION, asked()))


def test_what_was_not_sent_is_not_judged(counters: Counters) -> None:
    """While an upstream is away nothing leaves, so nothing can come back; that is no attack."""
    let_in(counters, 40)
    counters.scripts.offset += 5 * MINUTE * 1000
    assert counters.charge(CONVERSION, asked()).verdict == "allow"


def test_a_stop_takes_no_time_from_counters_beside_it(valkey: ValkeyServer, counters: Counters) -> None:
    """A prefix's own budget of a day shares its key; it must outlive a stop of minutes."""
    rules = only({"conversion": {"sends": 1}, "prefix": {"refuse": ["9/d"]}})
    counters.charge(rules, asked())
    life = counters.lives()["prefix"]
    sent(counters, 1, rules=rules)
    counters.scripts.offset += 3 * MINUTE * 1000
    assert counters.charge(rules, asked()).verdict == "refuse"
    assert counters.lives()["prefix"] >= life - 1000
    assert life > DAY * 1000


def test_another_kind_of_caller_is_not_stopped_with_strangers(counters: Counters) -> None:
    """The codes of strangers do not come back; sessions' and devices' do."""
    sent(counters, 10)
    counters.scripts.offset += 3 * MINUTE * 1000
    assert not passes(counters.charge(CONVERSION, asked()))
    assert passes(counters.charge(CONVERSION, asked(session="s", known="session")))
    assert passes(counters.charge(CONVERSION, asked(known="device")))


# Modes and verdicts.


def test_watch_counts_and_refuses_nothing(counters: Counters) -> None:
    """A finding and a block that say they only watch."""
    rules = only({"number": {"refuse": ["2/h"], "mode": "watch"}})
    for _ in range(4):
        assert counters.charge(rules, asked()).verdict == "allow"
    decision = counters.charge(rules, asked())
    assert decision.verdict == "allow"
    assert [(one.on, one.value) for one in decision.findings] == [(False, 4)]
    block = counters.block("number")
    assert (block.on, block.refused) == (False, 0)


def test_off_counts_nothing(counters: Counters) -> None:
    """No key but that of the operation, whatever happens."""
    for lines in (after_failure(only(), asked()), after_success(only(), asked(), 0)):
        assert lines == []
    assert after_sending(only(), asked(), 0, 1) == []
    counters.charge(only(), asked())
    assert {key.split("}:")[1][:2] for key in counters.stored()} == {"o:"}


def test_a_check_is_asked_for_then_passed_once(counters: Counters) -> None:
    """Nothing is charged without a proof; one proof lets one send in; who is trusted needs none."""
    rules = only({"app": {"human_check": ["1/h"]}})
    counters.charge(rules, asked())
    assert counters.charge(rules, asked()).verdict == "human_check"
    assert counters.charge(rules, asked(), allowance=Allowance(proof="p")).verdict == "allow"
    assert counters.charge(rules, asked(), allowance=Allowance(proof="p")).verdict == "spent"
    assert counters.charge(rules, asked(), allowance=Allowance(proof="q")).verdict == "allow"
    assert counters.charge(rules, asked(), allowance=Allowance(trusted=True)).verdict == "allow"
    assert counters.preview(rules, asked()).findings[0].value == 4


def test_a_check_that_was_too_light_is_asked_for_anew(counters: Counters) -> None:
    """As soon as a counter is further over its threshold than the proof is enough for."""
    rules = only({"app": {"human_check": ["2/h"]}})
    for n in range(3):
        assert passes(counters.charge(rules, asked(), allowance=Allowance(proof=f"{n}")))
    for enough, verdict in ((0.4, "human_check"), (0.5, "allow"), (0.9, "human_check"), (1.0, "allow")):
        allowance = Allowance(proof=f"of {enough}", enough=enough)
        assert counters.charge(rules, asked(), allowance=allowance).verdict == verdict


def test_how_heavy_a_check_must_be_is_said_by_what_asks_for_it(counters: Counters) -> None:
    """Not by a threshold for cheap channels, which is passed long before."""
    rules = only({"app": {"cheap": ["1/h"], "human_check": ["4/h"]}})
    for n in range(5):
        assert passes(counters.charge(rules, asked(), allowance=Allowance(proof=f"{n}", cheap=True)))
    brings = Allowance(proof="light", enough=0.5, cheap=True)
    assert counters.charge(rules, asked(), allowance=brings).verdict == "cheap"


def test_a_refused_send_does_not_spend_its_proof(counters: Counters) -> None:
    """Nobody works for nothing."""
    rules = only({"app": {"human_check": ["1/h"]}, "number": {"refuse": ["1/h"]}})
    counters.charge(rules, asked())
    assert counters.charge(rules, asked(), allowance=Allowance(proof="p")).verdict == "refuse"
    assert counters.charge(rules, asked(OTHER), allowance=Allowance(proof="p")).verdict == "allow"


def test_the_strongest_word_decides(counters: Counters) -> None:
    """Refuse before a check, a check before cheap channels; cheap without a cheap channel is a refusal."""
    tiers = ("cheap", "human_check", "refuse")
    rules = only({"app": {tier: [f"{n}/h"] for n, tier in enumerate(tiers, 1)}})
    cheap, proven = Allowance(cheap=True), Allowance(cheap=True, proof="p")
    assert counters.charge(rules, asked()).verdict == "allow"
    assert counters.charge(rules, asked()).verdict == "refuse"
    assert counters.charge(rules, asked(), allowance=cheap).verdict == "cheap"
    assert counters.charge(rules, asked(), allowance=cheap).verdict == "human_check"
    assert counters.charge(rules, asked(), allowance=proven).verdict == "cheap"
    assert counters.charge(rules, asked(), allowance=proven).verdict == "refuse"


def test_what_nobody_can_wait_out_is_told_first() -> None:
    """Then what lasts longest; what only watches is never told."""

    def finding(rule: str, pause: int, *, on: bool = True) -> Finding:
        return Finding(rule=rule, level="refuse", value=1, limit=1, seconds=1, pause=pause, over=0, on=on)

    short, long, ever = finding("address", 10), finding("number", 99), finding("countries", 0)
    watched = finding("suppression", 0, on=False)
    assert Decision(verdict="refuse", now=0, findings=(short, watched, long)).deciding is long
    assert Decision(verdict="refuse", now=0, findings=(short, long, ever)).deciding is ever


def test_lists_and_fixed_rules_refuse_whatever_was_counted(counters: Counters) -> None:
    """A suppressed number, a recycled one for its purposes, a country or a type that is not allowed."""
    tables = {
        "suppression": {},
        "recycled": {"purposes": ["login"]},
        "countries": {"allow": ["GB"]},
        "number_types": {"refuse": ["toll_free"]},
    }
    found = {
        name: counters.charge(only({name: table}), asked(OTHER)).verdict for name, table in tables.items()
    }
    assert found == {
        "suppression": "allow",
        "recycled": "allow",
        "countries": "refuse",
        "number_types": "allow",
    }
    counters.history.record_recycled(OTHER, 5, 60)
    assert counters.charge(only({"recycled": tables["recycled"]}), asked(OTHER)).verdict == "refuse"
    assert (
        counters.charge(only({"recycled": tables["recycled"]}), asked(OTHER, purpose="signup")).verdict
        == "allow"
    )
    assert (
        counters.charge(only({"number_types": tables["number_types"]}), asked("+18005550100")).deciding.rule
        == "number_types"
    )


# PinNames.

SMALL = {"refuse": ["1/h"]}


@pytest.mark.parametrize(
    ("pins", "verdict"),
    [
        ({"+1": "refuse"}, "refuse"),
        ({"+1415": "allow", "+1": "refuse"}, "allow"),
        ({"+1415": "refuse", "+1": "allow"}, "refuse"),
        ({"+141": "allow", "+1415": "refuse"}, "refuse"),
        ({NUMBER: "allow", "+1415": "refuse", "+1": "refuse"}, "allow"),
        ({NUMBER: "refuse", "+1415": "allow"}, "refuse"),
        ({"+44": "refuse", "+1416": "refuse", OTHER: "refuse"}, "allow"),
    ],
)
def test_whoever_is_named_more_exactly_decides(
    counters: Counters, pins: dict[str, str], verdict: str
) -> None:
    """A number before how it begins, more digits before fewer."""
    for name, what in pins.items():
        named = counters.pin_of_number(name) if len(name) > 6 else f"prefix {name}"
        counters.pins.write(named, {"what": what})
    assert counters.charge(only(), asked()).verdict == verdict


@pytest.mark.parametrize("rule", ["country", "prefix", "number", "cooldown", "failures"])
def test_an_allowed_number_passes_what_destinations_own(counters: Counters, rule: str) -> None:
    """Their limits, their countries and types; it is counted all the same."""
    rules = only({rule: {} if rule == "cooldown" else SMALL, "countries": {"allow": ["GB"]}})
    counters.pins.write(counters.pin_of_number(NUMBER), {"what": "allow"})
    for _ in range(3):
        counters.limiter.count(after_failure(rules, asked()))
        assert counters.charge(rules, asked()).verdict == "allow"
    assert counters.pins.remove(counters.pin_of_number(NUMBER))
    assert rule in {one.rule for one in counters.preview(rules, asked()).findings}


@pytest.mark.parametrize("rule", ["app", "money", "everything", "address", "session"])
def test_an_allowed_number_does_not_pass_what_others_own(counters: Counters, rule: str) -> None:
    """The service's money, and what the caller may do at all."""
    rules, who = only({rule: SMALL}), asked(session="s", known="session")
    counters.pins.write(counters.pin_of_number(NUMBER), {"what": "allow"})
    assert counters.charge(rules, who).verdict == "allow"
    assert counters.charge(rules, who).deciding.rule == rule


@pytest.mark.parametrize("pin", [f"address {ADDRESS}", "number"])
def test_nobody_is_sent_what_he_does_not_want(counters: Counters, pin: str) -> None:
    """An operator's pin does not outweigh a person's STOP."""
    key = f"{{{counters.prefix}:guard}}:x:{counters.seal.index('suppressed', NUMBER)}"
    counters.scripts.call("keep", [key], "{}", 60_000)
    counters.pins.write(counters.pin_of_number(NUMBER) if pin == "number" else pin, {"what": "allow"})
    assert counters.charge(only({"suppression": {}}), asked()).deciding.rule == "suppression"


def test_pins_of_addresses_count_for_what_callers_own(counters: Counters) -> None:
    """An allowed one passes its budget and nobody else's; a refused one gets nothing; an IPv6 one is its network."""
    rules = only({"address": SMALL, "number": {"refuse": ["3/h"]}})
    counters.pins.write(f"address {ADDRESS}", {"what": "allow"})
    assert [passes(counters.charge(rules, asked())) for _ in range(4)] == [True, True, True, False]
    counters.pins.write("address 2001:db8::/64", {"what": "refuse"})
    assert counters.charge(only(), asked(address="2001:db8::7")).deciding.rule == "pin_caller"
    assert counters.charge(only(), asked(address="2001:db9::7")).verdict == "allow"


def test_pins_end(counters: Counters) -> None:
    """At their `until`; the next less exact one decides then."""
    now = counters.preview(only(), asked()).now
    counters.pins.write(counters.pin_of_number(NUMBER), {"what": "refuse", "until": now + 60_000})
    assert counters.charge(only(), asked()).deciding.rule == "pin_destination"
    counters.pins.write("prefix +1", {"what": "allow"})
    assert counters.charge(only(), asked()).verdict == "refuse"
    counters.scripts.offset += 60_001
    assert counters.charge(only(), asked()).verdict == "allow"
    assert set(counters.pins.read_all()) == {counters.pin_of_number(NUMBER), "prefix +1"}
    assert counters.pins.remove("prefix +1")
    assert not counters.pins.remove("prefix +1")


def test_a_pin_that_is_there_already_is_the_newer_one(counters: Counters) -> None:
    """Rotation names the older one anew, and must not undo what an operator said since."""
    older, newer = {"what": "allow"}, {"what": "refuse"}
    counters.pins.write("number old", older)
    counters.pins.write("number new", newer)
    assert counters.pins.rename("number old", older, "number new", {**older, "under": "l2"})
    assert counters.pins.read_all() == {"number new": newer}


def test_a_recycled_number_is_known_under_every_key_of_the_ring(counters: Counters) -> None:
    """And the time that goes with it is the service's."""
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
    now, since, _ = after.read_past(NUMBER)
    assert since == 7
    assert now - started >= HOUR * 1000
    after.record_recycled(NUMBER, 9, 60)
    assert after.read_past(NUMBER).recycled == 9


# Blocks.


def test_a_block_tells_what_there_is_to_know(counters: Counters) -> None:
    """Rule, whose, at what value of what, since when and until when, and what it refused."""
    rules = only({"number": {"refuse": ["2/10m", "3/h"]}})
    assert passes(counters.charge(rules, asked()))
    assert passes(counters.charge(rules, asked()))
    first = counters.charge(rules, asked())
    counters.scripts.offset += 60_000
    last = counters.charge(rules, asked())
    block = counters.block("number")
    assert (block.subject, block.level, block.on, block.refused) == (NUMBER, "refuse", True, 2)
    assert (block.value, block.limit, block.seconds) == (2, 2, 600)
    assert (block.since, block.until) == (first.now, last.now + last.deciding.pause)
    assert counters.blocks.read(block.id) == block
    assert counters.lives()["number"] > KEEP
    counters.scripts.offset += HOUR * 1000 + KEEP
    assert all(passes(counters.charge(rules, asked())) for _ in range(2))
    again = counters.charge(rules, asked())
    block = counters.block("number")
    assert (block.since, block.refused) == (again.now, 1)


def test_only_who_is_refused_is_counted_as_refused(counters: Counters) -> None:
    """By a rule that counts, and not who passed by solving a check."""
    rules = only({"address": {"human_check": ["1/h"]}, "number": {"mode": "watch", "refuse": ["1/h"]}})
    counters.charge(rules, asked())
    counters.charge(rules, asked())
    assert passes(counters.charge(rules, asked(), allowance=Allowance(proof="p")))
    assert (counters.block("address").refused, counters.block("number").refused) == (1, 0)
    assert [block.rule for block in counters.blocks.longest(1)] in (["address"], ["number"])
    assert len(counters.blocks.longest()) == 2


def test_a_block_is_told_as_it_stands(counters: Counters) -> None:
    """Its value stays what it was while the rule holds; its end is that of what it asks now."""
    rules = only(
        {"number": {"human_check": ["1/h"], "refuse": ["2/m"]}, "address": {"refuse": ["2/m"], "hold": "1h"}}
    )
    for n in range(3):
        counters.charge(rules, asked(), allowance=Allowance(proof=f"{n}"))
    held = counters.charge(rules, asked())
    block = counters.block("address")
    assert (block.value, block.limit, block.seconds) == (2, 2, 60)
    assert block.until == held.now + HOUR * 1000 - (held.now - block.since)
    asking = counters.block("number")
    assert (asking.level, asking.until - held.now <= 67_000) == ("refuse", True)


def test_one_refusal_is_one_however_many_windows_are_full(counters: Counters) -> None:
    """The block tells the strongest and longest of them."""
    rules = only({"address": {"human_check": ["1/10m"], "refuse": ["1/h", "1/m"]}})
    counters.charge(rules, asked())
    counters.charge(rules, asked())
    block = counters.block("address")
    assert (block.refused, block.level, block.seconds) == (1, "refuse", 3600)
    assert block.until - block.since > HOUR * 1000


def test_no_number_address_or_session_lies_open(counters: Counters) -> None:
    """Whatever is counted, blocked, pinned or kept (invariant 9); a block's subject is sealed for its counter."""
    names = ("address", "session", "number", "prefix", "failures")
    rules = only(dict.fromkeys(names, SMALL) | {"cooldown": {}, "conversion": {"sends": 1}})
    who = asked(session="the-session", known="session")
    counters.pins.write(counters.pin_of_number(NUMBER), {"what": "allow", "until": 1})
    counters.history.record_recycled(NUMBER, 1, 60)
    for _ in range(2):
        counters.charge(rules, who)
        counters.limiter.count(after_failure(rules, who))
        counters.limiter.count(after_sending(rules, who, counters.preview(rules, who).now, 0))
    counters.scripts.offset += 3 * MINUTE * 1000
    counters.charge(rules, who)
    stored = json.dumps(counters.stored())
    found = {block.rule: block.subject for block in counters.blocks.longest()}
    assert found["number"] == f"{NUMBER} session"
    assert found["address"] == ADDRESS
    assert found["session"] == "web the-session"
    assert found["prefix"] == f"{NUMBER[:-4]} session"
    for secret in (NUMBER[1:], NUMBER[:-4], NUMBER[2:-4], ADDRESS, "the-session"):
        assert secret not in stored


def test_a_lifted_block_lets_the_next_send_in(counters: Counters) -> None:
    """The counter behind it goes, too; what other rules counted of the same number stays."""
    rules = only({"number": {"refuse": ["1/h"], "hold": "1d"}, "cooldown": {"ladder": ["10s"]}})
    assert passes(counters.charge(rules, asked()))
    assert not passes(counters.charge(rules, asked()))
    id_ = counters.block("number").id
    assert counters.blocks.lift(id_)
    assert not counters.blocks.lift(id_)
    assert counters.blocks.read(id_) is None
    assert counters.charge(rules, asked()).deciding.rule == "cooldown"
    counters.scripts.offset += 10_001
    assert passes(counters.charge(rules, asked()))


def test_what_names_no_rule_is_no_block(counters: Counters) -> None:
    """An operator may mistype."""
    assert not counters.blocks.lift("nothing:number:index")


def test_a_caller_hears_of_the_limit_that_is_nearest(counters: Counters) -> None:
    """Nearest by its share that is left, among those that refuse sends: not what asks for checks or counts guesses."""
    tables = {
        "address": {"refuse": ["10/h"]},
        "app": {"human_check": ["2/h"], "refuse": ["4/h"]},
        "failures": {"refuse": ["2/h"]},
        "number": {"refuse": ["5/h"]},
    }
    rules = only(tables)
    counters.limiter.count(after_failure(rules, asked()))
    standing = counters.charge(rules, asked()).standing
    assert standing is not None
    assert (standing.rule, standing.limit, standing.left) == ("app", 4, 3)


def test_money_is_told_in_the_unit_that_its_limits_have(counters: Counters) -> None:
    """In findings, in what is left, and in blocks; its counter stands in parts of it."""
    rules = only({"money": {"refuse": ["3/h"], "prices": {"sms": 1.5}}})
    standing = counters.charge(rules, asked()).standing
    assert standing is not None
    assert (standing.limit, standing.left, standing.rule) == (3, 1, "money")
    counters.charge(rules, asked())
    [finding] = counters.charge(rules, asked()).findings
    block = counters.block("money")
    assert (finding.value, finding.limit) == (block.value, block.limit) == (3.0, 3.0)


def test_there_is_an_end_to_blocks(valkey: ValkeyServer, counters: Counters) -> None:
    """A crowd of blocked numbers does not fill the store: at most 10,000 are listed, those that last longest."""
    rules = only({"number": {"refuse": ["1/d"]}})
    counters.charge(rules, asked())
    now = counters.charge(rules, asked()).now
    index = f"{{{counters.prefix}:guard}}:blocks"
    with valkey.client() as client:
        client.zadd(index, {"number:number:old": now - KEEP - 1})
        counters.charge(rules, asked())
        assert client.zscore(index, "number:number:old") is None
        client.zadd(index, {f"number:number:{n}": now + n for n in range(12_000)})
        counters.charge(rules, asked())
        assert client.zcard(index) == 10_000
        assert client.zscore(index, counters.block("number").id) is not None


# Lives of keys.


def test_nothing_outlives_its_window(counters: Counters) -> None:
    """Every key has an end: its longest window and the part in it, or what its block is told longer."""
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
    counters.limiter.count(after_success(rules, who, decision.now))
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


def test_a_counter_lives_as_long_as_the_longest_that_is_counted_in_it(counters: Counters) -> None:
    """A ladder that is known for ten minutes shares its key with windows of one, whichever is written last."""
    counters.charge(only({"cooldown": {"forget": "10m"}, "number": {"refuse": ["9/m"]}}), asked())
    assert 9 * MINUTE * 1000 < counters.lives()["number"] <= 10 * MINUTE * 1000


def test_counters_of_parts_that_have_left_are_taken_away(counters: Counters) -> None:
    """A counter that is always in use does not grow."""
    rules = only({"app": {"refuse": ["999/m"]}})
    for _ in range(40):
        counters.charge(rules, asked())
        counters.scripts.offset += 6_000
    [parts] = [value for key, value in counters.stored().items() if ":app:" in key]
    assert 10 <= len(parts) <= 12
