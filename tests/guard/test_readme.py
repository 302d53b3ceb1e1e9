"""The worked example in otp_service/guard/README.md, played through with the default limits."""

import re
from dataclasses import replace
from pathlib import Path

import otp_service
from otp_service.guard.rules import GuardedSend
from otp_service.phone import parse
from otp_service.policy.limits import Countries, Guard
from tests.support.counters import Counters, open_counters
from tests.support.valkey_server import ValkeyServer

README = Path(otp_service.__file__).parent / "guard" / "README.md"
RULES = Guard(countries=Countries(allow=("US",)))
STRANGER = GuardedSend(number=parse("+14155552671"), app="web", purpose="login", address="192.0.2.1")
ROW = re.compile(r"^\| (\d+) s \| .* \| (allow|refuse)(?:: `(\w+)`(?:, (\d+) s left)?)?.* \|", re.MULTILINE)
"""Seconds since the first send, the verdict, the rule that refuses, and the seconds that it still does."""


def test_the_worked_example_is_what_the_guard_does(valkey: ValkeyServer) -> None:
    """Each row of the table, and the owner's send at its end."""
    rows = ROW.findall(README.read_text(encoding="utf-8"))
    assert [verdict for _, verdict, *_ in rows] == ["allow", "refuse", "allow", "allow", "refuse"]
    with open_counters(valkey) as counters:
        for seconds, verdict, rule, left in rows:
            counters.scripts.offset = 1000 * int(seconds)
            play(counters, verdict, rule, left)
        owner = replace(STRANGER, known="device")
        assert counters.charge(RULES, owner).verdict == "allow"


def play(counters: Counters, verdict: str, rule: str, left: str) -> None:
    """Send once, and compare the decision with what its row says."""
    decision = counters.charge(RULES, STRANGER)
    assert decision.verdict == verdict
    if verdict == "refuse":
        assert decision.deciding.rule == rule
        # The real time that passes meanwhile makes the pause shorter, never longer.
        assert not left or 0 < decision.deciding.pause <= 1000 * int(left)
