"""Delivery reports open the breaker of an account, independently of the outcomes of sends."""

import time
from collections.abc import Iterator

import pytest

from otp_service.policy import TOLERANCE
from otp_service.upstream.port import Outcome, Verdict
from tests.support.spine import Spine, open_spine
from tests.support.valkey_server import ValkeyServer


@pytest.fixture
def spine(valkey: ValkeyServer) -> Iterator[Spine]:
    """Give the service of two channels."""
    with open_spine(valkey) as made:
        yield made


def test_an_account_that_accepts_all_messages_and_delivers_none_is_paused(spine: Spine) -> None:
    """Messages that it accepts in between do not end a run of failures; an arrival or a fault of the number does."""
    health = spine.account_health
    taken = Outcome(Verdict.ACCEPTED, "")

    def reports(*faults: str | None) -> str:
        for fault in faults:
            health.record_outcome("main", "sms", taken, clean=False)
            health.record_report("main", "sms", fault)
        return spine.breakers.ask("main", "sms").state

    gone = ["upstream_gone"] * (TOLERANCE - 1)
    assert reports(*gone, None, *gone, "unreachable") == "closed"
    assert reports("upstream_gone") == "open"


def test_operators_see_until_when_an_account_is_paused(spine: Spine) -> None:
    """A figure for an alert: a moment ahead while the breaker is open, and 0 once a message went through."""
    health, figures = spine.account_health, spine.metrics.registry

    def open_until(channel: str) -> float | None:
        return figures.get_sample_value(
            "otp_breaker_open_until_seconds", {"upstream": "main", "channel": channel}
        )

    before = time.time()
    health.record_outcome("main", "sms", Outcome(Verdict.REFUSED, "throttled", retry_after=30))
    until = open_until("*")
    assert until is not None
    assert before + 30 <= until <= time.time() + 30
    assert open_until("sms") is None
    health.record_outcome("main", "sms", Outcome(Verdict.ACCEPTED, ""), clean=False)
    assert (open_until("*"), open_until("sms")) == (0, 0)
