"""When a delivery is armed for its usual account at once, and how one is taken back that must not go there."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from otp_service.challenge.model import State, Status, Step
from otp_service.challenge.send_store import SEND_LEASE
from otp_service.verification.send import SendRequest
from tests.support.deployments import Cluster
from tests.support.spine import NUMBERS, Spine, make_spine, open_spine, seen
from tests.support.valkey_server import ValkeyServer
from tests.support.watched import scripts_at

ONCE = ["claim", "read_first+breaker_ask+arm"]
"""The exchanges before a message leaves by the account that was presumed."""
PAUSE = 60.0
"""Seconds for which a breaker is open here: longer than a slow machine needs."""
ONE_STEP = (Step("sms", ("main",), 30, "accepted"),)


@contextmanager
def watched(url: str, steps: tuple[Step, ...] = ONE_STEP) -> Iterator[tuple[Spine, list[str]]]:
    """Give the use cases, and the scripts of each exchange."""
    trips: list[str] = []
    scripts = scripts_at(url, observe=lambda name, _: trips.append(name))
    yield make_spine(scripts, steps=steps), trips
    scripts.close()


def dispatched(spine: Spine, number: str = NUMBERS[0]) -> str:
    """Send, and do what is due for it."""
    id_ = spine.opened(number)
    spine.dispatcher.dispatch(id_, lambda: False)
    return id_


def suppress(spine: Spine, number: str) -> None:
    """Put a number on the list of those that want no more messages."""
    spine.store.suppressions.add(spine.seal.indexes("suppressed", number)[0], {"why": "STOP"}, 60)


@pytest.mark.parametrize("where", ["one server", "cluster"])
def test_a_number_that_wrote_stop_gets_nothing(valkey: ValkeyServer, cluster: Cluster, where: str) -> None:
    """It was armed before that was known, and nothing has left."""
    with watched(valkey.url if where == "one server" else cluster.url) as (spine, _):
        id_ = spine.opened()
        suppress(spine, NUMBERS[0])
        spine.dispatcher.dispatch(id_, lambda: False)
        found = seen(spine.store, id_)
        assert found.state is State.UNDELIVERABLE
        assert [one.status for one in found.deliveries] == [Status.REFUSED]
        assert spine.phone.inbox.empty()
        assert spine.opened(NUMBERS[1])


def test_an_open_breaker_moves_the_delivery_to_the_next_step(valkey: ValkeyServer) -> None:
    """With the code that was hashed; until the account works again, the next ones ask before they hash."""
    steps = (Step("sms", ("main",), 30, "accepted"), Step("voice", ("main",), 30, "accepted"))
    with watched(valkey.url, steps) as (spine, trips):
        assert seen(spine.store, dispatched(spine)).last.channel == "sms"
        spine.breakers.record_fault("main", "sms", PAUSE, 1)
        trips.clear()
        moved = seen(spine.store, dispatched(spine))
        assert (moved.last.channel, moved.last.status) == ("voice", Status.ACCEPTED)
        assert len(moved.live_hashes()) == 1
        assert "disarm" in trips
        trips.clear()
        dispatched(spine)
        assert "disarm" not in trips
        assert "arm" in trips

        spine.scripts.offset += int(PAUSE * 1000) + 1000
        assert (
            seen(spine.store, dispatched(spine)).last.channel == "sms"
        )  # the probe, which closes the breaker
        dispatched(spine)
        trips.clear()
        dispatched(spine)
        assert ONCE[1] in trips


def test_a_delivery_that_was_lost_meanwhile_is_not_sent(valkey: ValkeyServer) -> None:
    """Its lease ended while its code was hashed, and another worker has it."""
    with open_spine(valkey) as spine:
        id_ = spine.send.send(spine.caller, SendRequest(to=NUMBERS[0])).challenge_id

        def later() -> bool:
            spine.scripts.offset += SEND_LEASE
            spine.store.challenges.claim(id_)
            return False

        spine.dispatcher.dispatch(id_, later)
        assert spine.phone.inbox.empty()
        assert seen(spine.store, id_).last.status is Status.CLAIMED
