"""The guard's windows and holds on a real server."""

import math
from collections import defaultdict
from dataclasses import dataclass, field

from hypothesis import example, given
from hypothesis import strategies as st

from otp_service.durations import DAY, HOUR, MINUTE
from otp_service.guard.decision import Decision
from otp_service.guard.limiter import Allowance
from otp_service.guard.lines import Line
from otp_service.guard.rules import after_sending, lines_of_send
from otp_service.policy.guard_forms import changed
from otp_service.policy.limits import Figures
from tests.support.counters import Counters, asked, only, open_counters, passes
from tests.support.examples import PATIENT
from tests.support.valkey_server import ValkeyServer

PARTS = 10

"""A window moves on by a tenth of it, as docs/security.md says."""


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
        figures=Figures(tiers=tiers, hold=hold),
    )


@dataclass
class Model:
    """The documented behavior of windows: a part is a tenth, and counts until all of it has left the window."""

    counted: dict[tuple[str, int], dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    done: dict[str, int] = field(default_factory=dict)

    def sum(self, subject: str, ms: int, now: int) -> int:
        """Sum what still counts."""
        return sum(n for part, n in self.counted[subject, ms].items() if self._leaves(part, ms) > now)

    def has_room(self, line: Line, now: int) -> bool:
        """Tell whether the line has room for its cost."""
        return all(
            self.sum(line.subject[0], ms, now) + line.cost <= limit for _, limit, ms in line.figures["tiers"]
        )

    def add(self, line: Line, at: int, sign: int) -> None:
        """Count in every window."""
        for _, _, ms in line.figures["tiers"]:
            parts, part = self.counted[line.subject[0], ms], at // math.ceil(ms / PARTS)
            parts[part] = parts.get(part, 0) + sign * line.cost

    def room_at(self, line: Line, limit: int, ms: int) -> int | None:
        """Give the time at which there is room, if nothing else happens."""
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
    st.tuples(st.integers(1, 4), st.sampled_from([30_000, 60_000, 70_001, 600_000])),
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
def test_windows_behave_exactly_as_documented(
    valkey: ValkeyServer, acts: list[tuple[str, list[str], int, int]], windows: list[tuple[int, int]]
) -> None:
    """All lines or none; once per operation; a refund gives back; `preview` agrees and changes nothing.

    In any order of acts, the script decides as the model does, and gives the time at which there is room again.
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


def test_a_repeated_send_gets_the_first_decision(counters: Counters) -> None:
    """A lost reply must not change "only cheap channels" into another verdict."""
    rules = only({"app": {"cheap": ["1/h"]}})
    counters.charge(rules, asked())
    for _ in range(2):
        assert counters.charge(rules, asked(), "again", Allowance(cheap=True)).verdict == "cheap"
    assert counters.preview(rules, asked(), Allowance(cheap=True)).findings[0].value == 2


def test_a_refused_send_uses_up_no_budget(counters: Counters) -> None:
    """Neither of the rules before the one that refuses, nor of those after it."""
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


def test_a_refund_without_a_charge_gives_nothing(counters: Counters) -> None:
    """A second refund gives nothing either."""
    rules = only({"number": {"refuse": ["2/h"]}})
    lines = lines_of_send(rules, asked())
    assert passes(counters.charge(rules, asked(), "one"))
    for operation in ("one", "one", "two"):
        counters.limiter.refund(lines, operation)
    assert [passes(counters.charge(rules, asked())) for _ in range(3)] == [True, True, False]


def test_a_charge_that_was_too_high_is_corrected(counters: Counters) -> None:
    """The upstream may report less than the price table says, or more."""
    rules = only({"money": {"refuse": ["3/h"], "prices": {"sms": 2}}})
    assert passes(counters.charge(rules, asked()))
    assert not passes(counters.charge(rules, asked()))
    counters.limiter.count(after_sending(rules, asked(), None, -1.0))
    assert passes(counters.charge(rules, asked()))
    counters.limiter.count(after_sending(rules, asked(), None, -2.5))
    counters.limiter.count(after_sending(rules, asked(), None, 2.25))
    assert counters.preview(rules, asked()).findings[0].value == 2.75


def test_ten_in_a_minute_are_followed_by_a_hold_of_an_hour(counters: Counters) -> None:
    """Attempts during the hold do not lengthen it."""
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


def test_a_required_check_is_not_a_hold(counters: Counters) -> None:
    """Only a refusal holds. A solved check passes as long as there is room."""
    rules = only({"address": {"human_check": ["1/h"], "refuse": ["2/h"], "hold": "1h"}})
    assert passes(counters.charge(rules, asked()))
    assert [counters.charge(rules, asked()).verdict for _ in range(2)] == ["human_check"] * 2
    assert passes(counters.charge(rules, asked(), allowance=Allowance(proof="p")))


def test_a_hold_lasts_at_least_until_there_is_room(counters: Counters) -> None:
    """If a window of a day is full, the pause is not shown or held as an hour."""
    rules = only({"address": {"refuse": ["2/d"], "hold": "1h"}})
    for _ in range(2):
        assert passes(counters.charge(rules, asked()))
    looked, refused = counters.preview(rules, asked()), counters.charge(rules, asked())
    assert looked.now + looked.deciding.pause == refused.now + refused.deciding.pause
    assert refused.deciding.pause > DAY * 1000
    counters.scripts.offset += refused.deciding.pause - 60_000
    assert not passes(counters.charge(rules, asked()))
    counters.scripts.offset += 60_001
    assert passes(counters.charge(rules, asked()))


def test_an_apps_own_hold_applies_to_that_app_only(counters: Counters) -> None:
    """If one app holds a number for a day, another app's limits still decide there."""
    base = only({"number": {"refuse": ["2/h"]}})
    held = changed(base, {"number": {"hold": DAY}}, "bank")
    for _ in range(2):
        assert passes(counters.charge(held, asked(app="bank")))
    assert not passes(counters.charge(held, asked(app="bank")))
    counters.scripts.offset += 2 * HOUR * 1000
    assert not passes(counters.charge(held, asked(app="bank")))
    assert passes(counters.charge(base, asked()))


def test_a_hold_of_a_rule_that_only_watched_does_not_begin(counters: Counters) -> None:
    """Whoever enforces it after a look at what it would do refuses nobody for what happened before."""
    watching = only({"number": {"refuse": ["1/m"], "hold": "1d", "mode": "watch"}})
    for _ in range(3):
        assert passes(counters.charge(watching, asked()))
    counters.scripts.offset += 5 * MINUTE * 1000
    assert passes(counters.charge(changed(watching, {"number": {"mode": "enforce"}}), asked()))
