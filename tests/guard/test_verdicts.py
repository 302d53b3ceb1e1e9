"""The guard's verdicts on a real server: modes, human checks, lists, and which limit a caller hears of."""

from otp_service.durations import HOUR, MINUTE
from otp_service.guard.decision import Decision, Finding
from otp_service.guard.limiter import Allowance
from otp_service.guard.rules import after_failure, after_sending, after_success
from tests.support.counters import OTHER, Counters, asked, only, passes


def test_watch_counts_and_refuses_nothing(counters: Counters) -> None:
    """The finding and the block say that the rule only watches."""
    rules = only({"number": {"refuse": ["2/h"], "mode": "watch"}})
    for _ in range(4):
        assert counters.charge(rules, asked()).verdict == "allow"
    decision = counters.charge(rules, asked())
    assert decision.verdict == "allow"
    assert [(one.on, one.value) for one in decision.findings] == [(False, 4)]
    block = counters.block("number")
    assert (block.on, block.refused) == (False, 0)


def test_off_counts_nothing(counters: Counters) -> None:
    """There is no key but that of the operation, whatever happens."""
    for lines in (after_failure(only(), asked()), after_success(only(), asked(), [0])):
        assert lines == []
    assert after_sending(only(), asked(), 0, 1) == []
    counters.charge(only(), asked())
    assert {key.split("}:")[1][:2] for key in counters.stored()} == {"o:"}


def test_a_check_is_required_and_passed_once(counters: Counters) -> None:
    """Without a proof nothing is charged. One proof admits one send. A trusted caller needs none."""
    rules = only({"app": {"human_check": ["1/h"]}})
    counters.charge(rules, asked())
    assert counters.charge(rules, asked()).verdict == "human_check"
    assert counters.charge(rules, asked(), allowance=Allowance(proof="p")).verdict == "allow"
    assert counters.charge(rules, asked(), allowance=Allowance(proof="p")).verdict == "spent"
    assert counters.charge(rules, asked(), allowance=Allowance(proof="q")).verdict == "allow"
    assert counters.charge(rules, asked(), allowance=Allowance(trusted=True)).verdict == "allow"
    assert counters.preview(rules, asked()).findings[0].value == 4


def test_a_check_that_was_too_light_is_required_again(counters: Counters) -> None:
    """When a counter is further over its threshold than the proof is enough for."""
    rules = only({"app": {"human_check": ["2/h"]}})
    for n in range(3):
        assert passes(counters.charge(rules, asked(), allowance=Allowance(proof=f"{n}")))
    for enough, verdict in ((0.4, "human_check"), (0.5, "allow"), (0.9, "human_check"), (1.0, "allow")):
        allowance = Allowance(proof=f"of {enough}", enough=enough)
        assert counters.charge(rules, asked(), allowance=allowance).verdict == verdict


def test_only_counters_that_require_a_check_decide_how_heavy_it_is(counters: Counters) -> None:
    """Not a threshold for cheap channels, which is passed long before."""
    rules = only({"app": {"cheap": ["1/h"], "human_check": ["4/h"]}})
    for n in range(5):
        assert passes(counters.charge(rules, asked(), allowance=Allowance(proof=f"{n}", cheap=True)))
    brings = Allowance(proof="light", enough=0.5, cheap=True)
    assert counters.charge(rules, asked(), allowance=brings).verdict == "cheap"


def test_a_refused_send_does_not_use_up_its_proof(counters: Counters) -> None:
    """The work is not lost."""
    rules = only({"app": {"human_check": ["1/h"]}, "number": {"refuse": ["1/h"]}})
    counters.charge(rules, asked())
    assert counters.charge(rules, asked(), allowance=Allowance(proof="p")).verdict == "refuse"
    assert counters.charge(rules, asked(OTHER), allowance=Allowance(proof="p")).verdict == "allow"


def test_the_strictest_level_decides(counters: Counters) -> None:
    """Refuse, then a check, then cheap channels. Cheap without a cheap channel is a refusal."""
    tiers = ("cheap", "human_check", "refuse")
    rules = only({"app": {tier: [f"{n}/h"] for n, tier in enumerate(tiers, 1)}})
    cheap, proven = Allowance(cheap=True), Allowance(cheap=True, proof="p")
    assert counters.charge(rules, asked()).verdict == "allow"
    assert counters.charge(rules, asked()).verdict == "refuse"
    assert counters.charge(rules, asked(), allowance=cheap).verdict == "cheap"
    assert counters.charge(rules, asked(), allowance=cheap).verdict == "human_check"
    assert counters.charge(rules, asked(), allowance=proven).verdict == "cheap"
    assert counters.charge(rules, asked(), allowance=proven).verdict == "refuse"


def test_a_finding_that_waiting_cannot_resolve_is_reported_first() -> None:
    """Then the one that lasts longest. A rule that only watches is never reported."""

    def finding(rule: str, pause: int, *, on: bool = True) -> Finding:
        return Finding(rule=rule, level="refuse", value=1, limit=1, seconds=1, pause=pause, over=0, on=on)

    short, long, ever = finding("address", 10), finding("number", 99), finding("countries", 0)
    watched = finding("suppression", 0, on=False)
    assert Decision(verdict="refuse", now=0, findings=(short, watched, long)).deciding is long
    assert Decision(verdict="refuse", now=0, findings=(short, long, ever)).deciding is ever


def test_lists_and_fixed_rules_refuse_without_counters(counters: Counters) -> None:
    """A recycled number for its purposes, and a country or a type that is not allowed."""
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
    counters.history.record_recycled([OTHER], 5, 60)
    assert counters.charge(only({"recycled": tables["recycled"]}), asked(OTHER)).verdict == "refuse"
    assert (
        counters.charge(only({"recycled": tables["recycled"]}), asked(OTHER, purpose="signup")).verdict
        == "allow"
    )
    assert (
        counters.charge(only({"number_types": tables["number_types"]}), asked("+18005550100")).deciding.rule
        == "number_types"
    )


def test_a_caller_is_told_the_nearest_limit(counters: Counters) -> None:
    """The one with the smallest share left, among the limits that refuse sends. Checks and guesses do not count."""
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


def test_money_is_shown_in_the_unit_of_its_limits(counters: Counters) -> None:
    """In findings, in what is left, and in blocks. The counter itself counts in parts of it."""
    rules = only({"money": {"refuse": ["3/h"], "prices": {"sms": 1.5}}})
    standing = counters.charge(rules, asked()).standing
    assert standing is not None
    assert (standing.limit, standing.left, standing.rule) == (3, 1, "money")
    counters.charge(rules, asked())
    [finding] = counters.charge(rules, asked()).findings
    block = counters.block("money")
    assert (finding.value, finding.limit) == (block.value, block.limit) == (3.0, 3.0)


def test_a_caller_is_told_when_there_is_more_room(counters: Counters) -> None:
    """When the oldest part of what was counted leaves the window; a whole window if nothing was counted before."""
    rules = only({"app": {"refuse": ["5/h"]}})
    moments, resets = [], []
    for _ in range(3):
        decision = counters.charge(rules, asked())
        assert decision.standing is not None
        moments.append(decision.now)
        resets.append(decision.standing.reset)
        counters.scripts.offset += 20 * MINUTE * 1000
    assert resets[0] == HOUR
    for moment, reset in zip(moments[1:], resets[1:], strict=True):
        left = HOUR - (moment - moments[0]) / 1000  # until the first send is as old as the window
        assert left <= reset <= left + HOUR // 10 + 1


def test_a_limit_that_only_watches_is_not_told(counters: Counters) -> None:
    """A caller who kept to it would wait for nothing."""
    rules = only({"app": {"refuse": ["2/h"], "mode": "watch"}, "number": {"refuse": ["9/h"]}})
    standing = counters.charge(rules, asked()).standing
    assert standing is not None
    assert (standing.rule, standing.left) == ("number", 8)
