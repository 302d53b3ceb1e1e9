"""If one account of a step fails, in any of the usual ways, the other one takes over."""

import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from otp_service.challenge.model import Challenge, Status
from otp_service.policy import StepRule
from otp_service.upstream.faults import FIRST_PAUSE, PROBE_LEASE
from tests.support.fault_server import FaultServer, http
from tests.support.journeys import CHANNELS, Journeys, Upstream, account, four_channels, open_core, steps
from tests.support.spine import deadline, together
from tests.support.valkey_server import ValkeyServer

BOTH = ("main", "spare")
TOLERANCE = 5
ROOM = 60_000
"""Milliseconds by which a test turns its clock back once a breaker is open: its pause of seconds then outlasts what
follows, however slow the machine is."""
ANSWERS = {
    "unauthorized": http(status="401 Unauthorized"),
    "throttled": http(status="429 Too Many Requests", headers=("Retry-After: 30",)),
    "unavailable": http(status="503 Service Unavailable", headers=("Retry-After: 30",)),
}


@contextmanager
def black_hole() -> Iterator[str]:
    """Listen with a full backlog, so that no connection is made; gives the address."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0)
            filler.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/api/v2/"


@contextmanager
def two_accounts(valkey: ValkeyServer, main: str, *, connect_timeout: float = 5.0) -> Iterator[Journeys]:
    """Give a core whose account `main` is at an address, and whose account `spare` works."""
    upstream = Upstream()
    with FaultServer() as spare:
        spare.respond(upstream)
        core = open_core(
            valkey,
            four_channels(
                account("main", main, connect_timeout=connect_timeout), account("spare", spare.url)
            ),
        )
        yield Journeys(core, valkey, upstream)
        core.close()


def sent(journeys: Journeys, *, channel: str = "sms") -> Challenge:
    """Send one message, without waiting for later steps."""
    id_ = journeys.start(*steps([channel], *BOTH))
    return journeys.go_on(id_, lambda c: c.last.status not in {Status.QUEUED, Status.CLAIMED, Status.SENDING})


def dead_address(kind: str, stack: ExitStack) -> str:
    """Give an address that accepts no connection."""
    if kind == "black hole":
        return stack.enter_context(black_hole())
    bound = stack.enter_context(socket.socket())  # nobody listens, and nobody else gets the port
    bound.bind(("127.0.0.1", 0))
    return f"http://127.0.0.1:{bound.getsockname()[1]}/api/v2/"


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("kind", ["refused", "black hole"])
def test_a_dead_account_hands_over_to_the_next_one_of_its_step(
    valkey: ValkeyServer, kind: str, channel: str
) -> None:
    """Each message leaves once by the spare account, as one delivery of the step's channel."""
    with ExitStack() as stack:
        journeys = stack.enter_context(two_accounts(valkey, dead_address(kind, stack), connect_timeout=0.2))
        for count in range(1, 3):
            challenge = sent(journeys, channel=channel)
            assert [(d.upstream, d.status, d.tried) for d in challenge.deliveries] == [
                ("spare", Status.DELIVERED, ("main",))
            ]
            assert journeys.upstream.took == [channel] * count


@pytest.mark.parametrize("way", ANSWERS)
@pytest.mark.parametrize("channel", CHANNELS)
def test_an_account_that_refuses_every_message_hands_over_at_once(
    valkey: ValkeyServer, way: str, channel: str
) -> None:
    """401, 429 and 503 mean that nothing left, and are not about the number: the spare account sends the message."""
    with FaultServer() as main, two_accounts(valkey, main.url) as journeys:
        main.respond(lambda _: ANSWERS[way])
        assert sent(journeys, channel=channel).last.upstream == "spare"
        assert len(main.received) == 1
        assert journeys.upstream.took == [channel]


def test_a_server_error_may_have_sent_and_is_not_repeated_by_the_next_account(valkey: ValkeyServer) -> None:
    """After a 500 the fate is unknown, so the step waits; once the breaker is open, the spare sends the next ones."""
    with FaultServer() as main, two_accounts(valkey, main.url) as journeys:
        main.respond(lambda _: http(status="500 Internal Server Error"))
        for _ in range(TOLERANCE):
            assert sent(journeys).last.status is Status.UNKNOWN
        journeys.move(-ROOM)
        assert journeys.upstream.took == []
        assert sent(journeys).last.upstream == "spare"
        assert len(main.received) == TOLERANCE


def test_an_open_breaker_keeps_every_send_away_and_lets_one_probe_through(valkey: ValkeyServer) -> None:
    """After five faults the account gets no request; later one send in each lease tries it, until it works."""
    with FaultServer() as main, two_accounts(valkey, main.url) as journeys:
        main.respond(lambda _: ANSWERS["unauthorized"])
        for pause, tries in ((0.0, TOLERANCE), (FIRST_PAUSE, 1)):
            journeys.move(int(pause * 1000))
            before = len(main.received)
            for _ in range(tries):
                assert sent(journeys).last.upstream == "spare"
            journeys.move(-ROOM)
            for _ in range(3):
                assert sent(journeys).last.upstream == "spare"
            assert len(main.received) == before + tries
            journeys.move(ROOM)
        main.respond(Upstream())
        journeys.move(int(4 * FIRST_PAUSE * 1000))
        assert [sent(journeys).last.upstream for _ in range(3)] == ["main"] * 3
        states = journeys.core.breakers.states({"main": ["sms"]})
        assert states == {"main": {"*": "closed", "sms": "closed"}}


def test_of_many_sends_at_once_one_probes(valkey: ValkeyServer) -> None:
    """Twenty callers ask a breaker whose pause is over: one passes, and another after its lease without a result."""
    with FaultServer() as main, two_accounts(valkey, main.url) as journeys:
        breakers = journeys.core.breakers
        journeys.break_open("sms", 5)
        journeys.move(5000)
        for _ in range(2):
            asked = together(20, lambda _: breakers.ask("main", "sms").state)
            assert sorted(map(str, asked)) == ["open"] * 19 + ["probe"]
            journeys.move(int(PROBE_LEASE * 1000))


def test_a_bad_token_alarms_the_operators(valkey: ValkeyServer, caplog: pytest.LogCaptureFixture) -> None:
    """Each 401 until the breaker opens is logged as an error; without a spare account there is no flood either."""
    caplog.set_level(logging.INFO, logger="otp_service")
    with FaultServer() as main, two_accounts(valkey, main.url) as journeys:
        main.respond(lambda _: ANSWERS["unauthorized"])
        for count in range(TOLERANCE + 3):
            if count == TOLERANCE:
                journeys.move(-ROOM)
            id_ = journeys.start(StepRule(channel="sms", upstreams=("main",), wait=10))
            journeys.dispatch(id_)
        assert len(main.received) == TOLERANCE
    alarms = [record for record in caplog.records if record.getMessage() == "upstream.alarm"]
    assert [record.levelno for record in alarms] == [logging.ERROR] * TOLERANCE


def test_all_processes_obey_a_429(valkey: ValkeyServer) -> None:
    """After a 429 with Retry-After no process calls this account on any channel until that time is over."""
    with FaultServer() as main, two_accounts(valkey, main.url) as one:
        main.respond(lambda _: http(status="429 Too Many Requests", headers=("Retry-After: 240",)))
        two = Journeys(
            open_core(valkey, _text_of(one), **_settings_of(one)), valkey, one.upstream, numbers=one.numbers
        )
        sent(one)
        for journeys in (two, one):
            for channel in CHANNELS:
                assert sent(journeys, channel=channel).last.upstream == "spare"
        assert len(main.received) == 1
        for journeys in (one, two):
            journeys.move(180_000)
        assert sent(two).last.upstream == "spare"
        assert len(main.received) == 1
        main.respond(Upstream())
        for journeys in (one, two):
            journeys.move(61_000)
        assert sent(two).last.upstream == "main"
        two.core.close()


def test_a_number_that_meets_a_503_delays_no_bystander(valkey: ValkeyServer) -> None:
    """A 503 with Retry-After is a fault like any other: below the tolerance all others are served at once."""
    with FaultServer() as main, two_accounts(valkey, main.url) as journeys:
        only_main = StepRule(channel="sms", upstreams=("main",), wait=60)
        for _ in range(TOLERANCE - 1):
            main.respond(lambda _: ANSWERS["unavailable"])
            unlucky, before = journeys.start(only_main), journeys.core.store.facts.time()
            assert journeys.dispatch(unlucky).last.status is Status.QUEUED
            due = deadline(valkey, journeys.core.store, unlucky)
            assert due is not None
            assert due >= before + 30_000  # the message itself waits as long as it was told to
            main.respond(Upstream())
            bystander = journeys.dispatch(journeys.start(only_main))
            assert [d.status for d in bystander.deliveries] == [Status.ACCEPTED]


def test_an_account_that_answers_only_503_is_paused_as_long_as_it_asks(valkey: ValkeyServer) -> None:
    """At its tolerance the breaker opens, for the time in Retry-After."""
    with FaultServer() as main, two_accounts(valkey, main.url) as journeys:
        main.respond(lambda _: ANSWERS["unavailable"])
        time, began = journeys.core.store.facts.time, journeys.core.store.facts.time()
        for _ in range(TOLERANCE + 1):
            assert sent(journeys).last.upstream == "spare"
        assert len(main.received) == TOLERANCE
        pause = journeys.core.breakers.ask("main", "sms").pause
        assert 30 - (time() - began) / 1000 <= pause <= 30


def test_a_throttled_account_without_a_spare_is_tried_again_when_it_allows(valkey: ValkeyServer) -> None:
    """If Retry-After is within the step's time, the same delivery is sent then, not before, and is accepted."""
    with FaultServer() as main, two_accounts(valkey, main.url) as journeys:
        time = journeys.core.store.facts.time
        main.respond(lambda _: ANSWERS["throttled"])
        id_, before = journeys.start(StepRule(channel="sms", upstreams=("main",), wait=60)), time()
        assert journeys.dispatch(id_).last.status is Status.QUEUED
        due = deadline(valkey, journeys.core.store, id_)
        assert due is not None
        assert before + 30_000 <= due <= time() + 30_000
        main.respond(Upstream())
        journeys.move(due - time())
        challenge = journeys.dispatch(id_)
        assert [d.status for d in challenge.deliveries] == [Status.ACCEPTED]
        assert len(main.received) == 2


def test_weights_and_lists_decide_who_is_asked_first(valkey: ValkeyServer) -> None:
    """A list always uses its first account; weights of nine to one use both, mostly the heavy one."""
    with FaultServer() as main, two_accounts(valkey, main.url) as journeys:
        main.respond(Upstream())
        assert {sent(journeys).last.upstream for _ in range(20)} == {"main"}
        weighted = StepRule(channel="sms", upstreams=BOTH, weights=(9, 1), wait=10)
        by = [journeys.dispatch(journeys.start(weighted)).last.upstream for _ in range(200)]
        assert 140 < by.count("main") < 200


def _text_of(journeys: Journeys) -> str:
    upstreams = journeys.core.policy.upstreams
    return four_channels(*(account(name, upstreams[name].base_url) for name in BOTH))


def _settings_of(journeys: Journeys) -> dict[str, object]:
    """Give the settings that the processes of one deployment share."""
    names = ("redis_prefix", "peppers", "number_keys", "lookup_keys", "signing_keys", "partitions")
    return {name: getattr(journeys.core.settings, name) for name in names}
