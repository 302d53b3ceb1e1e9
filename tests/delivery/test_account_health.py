"""Delivery reports open the breaker of an account, independently of the outcomes of sends."""

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
