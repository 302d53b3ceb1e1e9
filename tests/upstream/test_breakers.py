"""Breakers of accounts on a real server, shared by all processes: when they open, let a probe pass, and close."""

import secrets
import time
from collections.abc import Iterator

import pytest

from otp_service.upstream.breakers import MEMORY, WHOLE, Breakers
from otp_service.upstream.faults import FIRST_PAUSE, LONGEST_PAUSE, PROBE_LEASE
from tests.support.fault_proxy import FaultProxy
from tests.support.spine import PatientScripts, proxied_store, together
from tests.support.valkey_server import ValkeyServer

CROWD = 50
TOLERANCE = 3


@pytest.fixture
def scripts(valkey: ValkeyServer) -> Iterator[PatientScripts]:
    """Give scripts with their own clock and enough connections."""
    made = PatientScripts(valkey, CROWD)
    yield made
    made.close()


@pytest.fixture
def breakers(scripts: PatientScripts) -> Breakers:
    """Give breakers with their own keys."""
    return Breakers(scripts, prefix=f"t{secrets.token_hex(6)}")


def opened(breakers: Breakers, channel: str = "sms") -> None:
    """Open a breaker by faults in a row."""
    told = [breakers.record_fault("main", channel, None, TOLERANCE) for _ in range(TOLERANCE)]
    assert told == [0, 0, FIRST_PAUSE]


def test_an_account_without_faults_lets_every_request_pass(breakers: Breakers) -> None:
    """The passage is clean, so that a success needs no record."""
    passage = breakers.ask("main", "sms")
    assert (passage.state, passage.pause, passage.clean) == ("closed", 0, True)
    breakers.record_fault("main", "sms", None, TOLERANCE)
    passage = breakers.ask("main", "sms")
    assert (passage.state, passage.clean) == ("closed", False)


def test_faults_in_a_row_open_it(breakers: Breakers) -> None:
    """For its channel only; a success in between starts a new row."""
    for _ in range(TOLERANCE - 1):
        assert breakers.record_fault("main", "sms", None, TOLERANCE) == 0
    breakers.close("main", "sms")
    began = time.monotonic()
    opened(breakers)
    passage = breakers.ask("main", "sms")
    assert passage.state == "open"
    assert FIRST_PAUSE - (time.monotonic() - began) - 0.01 <= passage.pause <= FIRST_PAUSE
    assert breakers.ask("main", "voice").state == "closed"
    assert breakers.ask("spare", "sms").state == "closed"


def test_the_breaker_of_the_account_applies_to_each_channel(breakers: Breakers) -> None:
    """A fault that all channels share stops them all; a success closes both breakers."""
    opened(breakers, WHOLE)
    for channel in ("sms", "voice"):
        assert breakers.ask("main", channel).state == "open"
    breakers.close("main", "sms")
    assert breakers.ask("main", "voice").state == "closed"


def test_a_given_pause_is_kept_when_it_opens(breakers: Breakers, scripts: PatientScripts) -> None:
    """The upstream says for how long, the account's tolerance after how many faults."""
    told = [breakers.record_fault("main", "sms", 42.0, TOLERANCE) for _ in range(TOLERANCE)]
    assert told == [0, 0, 42]
    assert FIRST_PAUSE < breakers.ask("main", "sms").pause <= 42
    scripts.offset += 42_000
    assert breakers.ask("main", "sms").state == "probe"
    assert breakers.record_fault("main", "sms", 7.0, TOLERANCE) == 7


def test_faults_of_requests_that_left_before_it_opened_change_nothing(breakers: Breakers) -> None:
    """Many requests are running when it opens; their ends do not make the pause longer."""
    assert breakers.record_fault("main", "sms", 60.0, 1) == 60
    assert [breakers.record_fault("main", "sms", None, TOLERANCE) for _ in range(10)] == [0] * 10
    assert breakers.ask("main", "sms").pause <= 60


def test_one_probe_passes_in_each_lease(breakers: Breakers, scripts: PatientScripts) -> None:
    """After the pause one request may pass; another only if the first gave no result within its lease."""
    opened(breakers)
    scripts.offset += int(FIRST_PAUSE * 1000)
    assert breakers.ask("main", "sms").state == "probe"
    second = breakers.ask("main", "sms")
    assert second.state == "open"
    assert 0 < second.pause <= PROBE_LEASE
    scripts.offset += int(PROBE_LEASE * 1000)
    assert breakers.ask("main", "sms").state == "probe"


def test_a_probe_that_fails_doubles_the_pause(breakers: Breakers, scripts: PatientScripts) -> None:
    """Up to the longest pause; a probe that succeeds closes the breaker, and pauses start again from the first."""
    opened(breakers)
    pause = FIRST_PAUSE
    for _ in range(8):
        scripts.offset += int(pause * 1000)
        assert breakers.ask("main", "sms").state == "probe"
        pause = min(2 * pause, LONGEST_PAUSE)
        assert breakers.record_fault("main", "sms", None, TOLERANCE) == pause
        assert breakers.ask("main", "sms").state == "open"
    assert pause == LONGEST_PAUSE
    breakers.close("main", "sms")
    assert breakers.ask("main", "sms").clean
    opened(breakers)


def test_a_probe_that_is_told_to_wait_waits_no_longer(breakers: Breakers, scripts: PatientScripts) -> None:
    """The pause that the upstream gives counts, and not what is left of the probe's lease."""
    opened(breakers)
    scripts.offset += int(FIRST_PAUSE * 1000)
    assert breakers.ask("main", "sms").state == "probe"
    pause = PROBE_LEASE / 4
    assert breakers.record_fault("main", "sms", pause, TOLERANCE) == pause
    assert 0 < breakers.ask("main", "sms").pause <= pause
    scripts.offset += int(pause * 1000)
    assert breakers.ask("main", "sms").state == "probe"


def test_of_fifty_at_once_exactly_one_probes(breakers: Breakers, scripts: PatientScripts) -> None:
    """All others must wait."""
    opened(breakers)
    scripts.offset += int(FIRST_PAUSE * 1000)
    together(
        CROWD, lambda _: breakers.ask("main", "voice")
    )  # connects all, so that a lease outlasts what follows
    found = together(CROWD, lambda _: breakers.ask("main", "sms").state)
    assert sorted(map(str, found)) == ["open"] * (CROWD - 1) + ["probe"]


def test_fifty_faults_at_once_open_it_once(breakers: Breakers) -> None:
    """One caller learns that it opened the breaker; the others change nothing."""
    told = together(CROWD, lambda _: breakers.record_fault("main", "sms", 60.0, TOLERANCE))
    assert sorted(map(str, told)) == ["0.0"] * (CROWD - 1) + ["60.0"]


def test_reading_the_states_uses_up_no_probe(breakers: Breakers, scripts: PatientScripts) -> None:
    """The operators' page shows the breakers, and the next send may still probe."""
    opened(breakers)
    accounts = {"main": ["sms", "voice"]}
    shown = breakers.states(accounts)["main"]
    assert (shown[WHOLE], shown["voice"]) == ("closed", "closed")
    assert shown["sms"].startswith("open for ")
    scripts.offset += int(FIRST_PAUSE * 1000)
    for _ in range(3):
        assert breakers.states(accounts)["main"]["sms"] == "half open"
    assert breakers.ask("main", "sms").state == "probe"


def test_a_lost_reply_counts_one_fault_and_tells_that_it_opened(valkey: ValkeyServer) -> None:
    """The server acted, the reply got lost, and the call is repeated."""
    prefix = f"t{secrets.token_hex(6)}"
    for pauses in ([0], [FIRST_PAUSE]):
        with FaultProxy(valkey.socket) as proxy, proxied_store(proxy.url, prefix) as store:
            flaky = Breakers(store.scripts, prefix=prefix)
            proxy.lose_reply()
            assert [flaky.record_fault("main", "sms", None, 2)] == pauses
            assert proxy.lost == 1


def test_faults_are_forgotten_after_a_while(
    breakers: Breakers, scripts: PatientScripts, valkey: ValkeyServer
) -> None:
    """An account that is not used any more leaves no keys."""
    opened(breakers)
    scripts.offset += int(FIRST_PAUSE * 1000)
    breakers.ask("main", "sms")
    with valkey.client() as client:
        [key] = client.scan_iter(f"*{breakers._prefix}*", count=10_000)  # noqa: SLF001
        assert 0 < client.pttl(key) <= MEMORY
