"""What a dispatcher does with time that has passed, an account that is gone, and a store that is down."""

import threading
from collections.abc import Iterator

import pytest

from otp_service.bootstrap.core import Core
from otp_service.challenge.model import State, Status
from otp_service.errors import StoreUnavailable
from otp_service.verification.caller import Caller
from otp_service.verification.send import SendRequest
from tests.conftest import make_core
from tests.support.other_process import NUMBER, ChosenUpstream, other_process, running
from tests.support.valkey_server import ValkeyServer


@pytest.fixture
def own_server() -> Iterator[ValkeyServer]:
    """Start a server that a test may kill."""
    server = ValkeyServer()
    yield server
    server.close()


def test_a_message_says_how_long_the_code_still_counts(core: Core, caller: Caller) -> None:
    """A code that is sent late does not promise the whole life of its challenge."""
    upstream = ChosenUpstream()
    id_ = core.send.send(caller, SendRequest(to=NUMBER)).challenge_id
    other_process(core, upstream).dispatcher.dispatch(id_, running)
    core.scripts.offset += 180_000
    core.resend.resend(caller, id_)
    other_process(core, upstream).dispatcher.dispatch(id_, running)
    assert "5 minutes" in upstream.texts[0]
    assert "2 minutes" in upstream.texts[1]


def test_an_upstream_that_left_the_policy_refuses(core: Core, caller: Caller) -> None:
    """An older plan may still name it. The challenge ends as undeliverable."""
    id_ = core.send.send(caller, SendRequest(to=NUMBER)).challenge_id
    other_process(core, None).dispatcher.dispatch(id_, running)
    view = core.manage.status(caller, id_)
    assert view.status is State.UNDELIVERABLE
    assert [delivery["status"] for delivery in view.deliveries] == [Status.REFUSED]


def test_an_outcome_waits_for_a_store_that_is_away(own_server: ValkeyServer) -> None:
    """The outcome of a message that was sent is stored as soon as the store is back."""
    core = make_core(own_server.url, "http://127.0.0.1:9")
    caller = Caller(app=core.policy.apps["web"], active=core.active(), request_id="r")
    upstream = ChosenUpstream()
    dispatcher = other_process(core, upstream).dispatcher
    id_ = core.send.send(caller, SendRequest(to=NUMBER)).challenge_id
    back = threading.Timer(1.0, own_server.start)

    def lose_the_store() -> None:
        own_server.kill()
        back.start()

    upstream.meanwhile = lose_the_store
    dispatcher.dispatch(id_, running)
    back.join()
    assert [d["status"] for d in core.manage.status(caller, id_).deliveries] == [Status.ACCEPTED]
    assert len(upstream.texts) == 1


def test_a_worker_that_stops_does_not_wait_for_the_store(own_server: ValkeyServer) -> None:
    """It ends in time, and the outcome becomes unknown later."""
    core = make_core(own_server.url, "http://127.0.0.1:9")
    caller = Caller(app=core.policy.apps["web"], active=core.active(), request_id="r")
    upstream = ChosenUpstream()
    upstream.meanwhile = own_server.kill
    id_ = core.send.send(caller, SendRequest(to=NUMBER)).challenge_id
    stopping = iter([False, True])
    with pytest.raises(StoreUnavailable):
        other_process(core, upstream).dispatcher.dispatch(id_, lambda: next(stopping, True))


def test_a_stopping_worker_hands_back_what_has_not_left(core: Core, caller: Caller) -> None:
    """A delivery that was claimed but not armed is queued again at once, and nothing is sent."""
    upstream = ChosenUpstream()
    id_ = core.send.send(caller, SendRequest(to=NUMBER)).challenge_id
    other_process(core, upstream).dispatcher.dispatch(id_, lambda: True)
    assert upstream.texts == []
    assert id_ in core.store.due.due([id_[:2]], 10)[id_[:2]].ids
    other_process(core, upstream).dispatcher.dispatch(id_, running)
    assert len(upstream.texts) == 1
