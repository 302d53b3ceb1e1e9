"""The worked example in otp_service/guard/README.md, played through with the default limits."""

from dataclasses import replace

from otp_service.guard.rules import Asked
from otp_service.phone import parse
from otp_service.policy.limits import Countries, Guard
from tests.support.gates import Counters, open_counters
from tests.support.valkey_server import ValkeyServer

RULES = Guard(countries=Countries(allow=("US",)))
STRANGER = Asked(number=parse("+14155552671"), app="web", purpose="login", address="192.0.2.1")
SENDS = [
    (0, "allow", None),
    (10, "refuse", "cooldown"),
    (30, "allow", None),
    (90, "allow", None),
    (210, "refuse", "number"),
]
"""Seconds since the first send, the verdict, and the rule that refuses."""


def test_the_worked_example_is_what_the_guard_does(valkey: ValkeyServer) -> None:
    """Each row of the table, and the owner's send at its end."""
    with open_counters(valkey) as counters:
        _play(counters)


def _play(counters: Counters) -> None:
    now = 0
    for seconds, verdict, rule in SENDS:
        counters.scripts.offset += 1000 * (seconds - now)
        now = seconds
        decision = counters.charge(RULES, STRANGER)
        assert (decision.verdict, decision.deciding.rule if rule else None) == (verdict, rule)
    owner = replace(STRANGER, known="device")
    assert counters.charge(RULES, owner).verdict == "allow"
