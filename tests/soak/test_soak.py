"""A short soak, and that the judge would see what must not happen."""

from collections import Counter

import pytest

from tests.soak.__main__ import soak
from tests.soak.clients import Journey
from tests.soak.faults import FAULTS, PLANNED, plan
from tests.soak.judge import judge
from tests.support.deployments import Sentinel, ask, leads
from tests.support.patience import until

GOOD = Journey(
    number="+12015550100",
    began=1.0,
    ended=2.0,
    challenge_id="00" + "A" * 22,
    code="123456",
    sent="accepted",
    checks=Counter({"right verified": 1, "wrong wrong_code": 2}),
    tokens={"token"},
    redeemed=1,
    last={"status": "verified", "deliveries": [{"channel": "sms", "status": "delivered"}]},
)
INBOX = {GOOD.number: [{"channel": "sms", "code": "123456"}]}


def violations(**changes: object) -> list[str]:
    """Judge a journey that went differently."""
    found = Journey(**{name: changes.get(name, getattr(GOOD, name)) for name in Journey.__dataclass_fields__})  # type: ignore[arg-type]
    return judge([found], INBOX, [], Counter({200: 3}), ["nothing"]).violations


@pytest.mark.parametrize(
    ("changes", "invariant"),
    [
        ({"checks": Counter({"right verified": 2})}, "a code verifies once"),
        ({"checks": Counter({"wrong verified": 1})}, "no wrong code is right"),
        ({"checks": Counter({"wrong wrong_code": 6})}, "five guesses"),
        ({"redeemed": 2}, "a token is redeemed once"),
        ({"checks": Counter({"right wrong_code": 1})}, "a right code is never called wrong"),
        ({"last": {"deliveries": [{"channel": "sms", "status": "sending"}]}}, "no delivery is stuck"),
        ({"number": "+12015550101", "code": ""}, "an accepted send ends"),
        ({"code": "654321"}, "the judge has the messages that people had"),
        ({"sent": "unknown"}, "a send is accepted"),
        ({"sent": "too_many_requests"}, "a send is accepted"),
        ({"ended": 0.0}, "a person gets to an end"),
    ],
)
def test_the_judge_sees_each_violation(changes: dict[str, object], invariant: str) -> None:
    """And nothing else is one."""
    assert violations() == []
    assert [text.partition(":")[0] for text in violations(**changes)] == [invariant]


def test_answers_and_logs_are_judged() -> None:
    """An error that nobody expects, a number in a log, a message that came twice."""
    twice = {GOOD.number: INBOX[GOOD.number] * 2}
    found = judge([GOOD], twice, [], Counter({500: 1}), [f"to {GOOD.number}"]).violations
    assert [text.partition(":")[0] for text in found] == [
        "no message twice without need",
        "answers are definite",
        "no secret or number in a log",
    ]


def test_a_promotion_excuses_what_it_may_lose_and_no_second_use() -> None:
    """Of those journeys that it fell into."""
    lost = Journey("+12015550102", 1.0, 2.0, "c", "", "accepted", Counter({"right wrong_code": 1}))
    for promotions, count in (([1.5], 0), ([50.0], 3)):
        assert len(judge([lost], INBOX, promotions, Counter({200: 1}), ["nothing"]).violations) == count
    lost.checks["right verified"] = 2
    assert len(judge([lost], INBOX, [1.5], Counter({200: 1}), ["nothing"]).violations) == 1


def test_an_empty_history_is_no_proof() -> None:
    """Neither people without answers nor answers without people."""
    assert violations() == []
    for journeys, statuses, logs in (([], {200: 1}, ["x"]), ([GOOD], {}, ["x"]), ([GOOD], {200: 1}, [])):
        assert judge(journeys, INBOX, [], Counter(statuses), logs).violations == ["there is a history: "]


def test_a_server_whose_file_a_full_disk_damaged_comes_back_and_copies_the_other() -> None:
    """As docs/operate.md tells an operator; half an hour of faults once ended at such a server."""
    store = Sentinel()
    try:
        ask(store.master, "SET", "kept", "1")
        until(lambda: ask(store.replica, "GET", "kept") == "1")
        store.master.kill()
        until(lambda: leads(store.replica))
        (written,) = store.master.data.glob("*.incr.aof")
        written.write_bytes(b"*3\r\n$3\r\nSE" + written.read_bytes())
        assert not store.bring_back(store.master)
        until(lambda: not leads(store.master) and ask(store.master, "GET", "kept") == "1")
        store.replica.kill()
        until(lambda: leads(store.master))
        assert store.bring_back(store.replica)
    finally:
        store.close()


def test_a_seed_gives_the_same_faults_again() -> None:
    """Each kind once before any comes again."""
    one, two = plan(7), plan(7)
    steps = [next(one) for _ in range(2 * len(FAULTS))]
    assert steps == [next(two) for _ in steps]
    assert {step.fault.name for step in steps[: len(FAULTS)]} == {fault.name for fault in FAULTS}


@pytest.mark.slow
def test_restarts_and_reloads_of_api_and_workers_lose_no_request_and_no_challenge() -> None:
    """Under fifty people who keep their connections, while policy and keys change, too."""
    planned = [fault for fault in FAULTS if fault.name in PLANNED]
    verdict, happened = soak(60, seed=3, faults=planned, least=len(planned))
    assert (verdict.violations, happened["lost_answers"]) == ([], {}), happened
    assert happened["verified"] > 100, happened
    assert set(happened["faults"]) == set(PLANNED), happened


@pytest.mark.slow
def test_a_minute_of_faults_violates_nothing() -> None:
    """`python -m tests.soak --minutes 30` is the same for longer."""
    verdict, happened = soak(60, seed=1, least=len(FAULTS) // 2)
    assert verdict.violations == [], happened
    assert happened["verified"], happened
    assert len(happened["faults"]) > len(FAULTS) / 3, happened
