"""What the use cases do when something they lean on is gone: keys, an upstream, the store between two steps."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from otp_service import app
from otp_service.app import Core
from otp_service.challenge import State, Status
from otp_service.delivery import Outcome, Verdict
from otp_service.errors import ChallengeNotFound, StoreUnavailable
from otp_service.service import Caller, SendRequest, Service
from tests.conftest import make_core
from tests.numbers import crowd
from tests.valkey_server import ValkeyServer

NUMBER = next(crowd())


class Upstream:
    """A sender whose answer and side effect a test chooses; remembers the texts."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.verdict = Verdict.ACCEPTED
        self.meanwhile: Callable[[], None] = lambda: None

    def __call__(self, *, to: str, text: str, reference: str) -> Outcome:
        """Take a message."""
        assert to.startswith("+")
        assert reference
        self.texts.append(text)
        self.meanwhile()
        return Outcome(self.verdict, "chosen")


def service_of(core: Core, upstream: Upstream | None, **changes: object) -> Service:
    """Give the service of a core with another upstream, or with other keys."""
    other = app.build(
        replace(core.settings, **changes),  # type: ignore[arg-type]
        core.policy,
        threads=4,
        hash_slots=1,
        role="other",
        offset=core.store.offset,
    )
    senders = {("sms", "main"): upstream} if upstream else {}
    made = other.service
    made._senders = senders  # noqa: SLF001 - the composition root would hand them in
    return made


def running() -> bool:
    """Nobody asked the worker to stop."""
    return False


def test_a_challenge_sealed_with_a_lost_key_is_over(core: Core, caller: Caller) -> None:
    """Nobody can read its number: callers are told there is none, the worker gives it up."""
    id_ = core.service.send(caller, SendRequest(to=NUMBER)).challenge_id
    stranger = service_of(core, Upstream(), number_keys={"n2": b"2" * 32})
    with pytest.raises(ChallengeNotFound):
        stranger.status(caller, id_)
    with pytest.raises(ChallengeNotFound):
        stranger.verify(caller, id_, "123456")
    stranger.attend(id_, running)
    assert core.service.status(caller, id_).status is State.UNDELIVERABLE


def test_a_challenge_of_a_lost_pepper_is_over(core: Core, caller: Caller) -> None:
    """Its codes cannot be made or checked any more."""
    without = service_of(core, Upstream(), peppers={"p2": b"2" * 32})
    unsent = core.service.send(caller, SendRequest(to=NUMBER)).challenge_id
    without.attend(unsent, running)
    assert core.service.status(caller, unsent).status is State.UNDELIVERABLE
    core.store.offset += 60_000
    sent = core.service.send(caller, SendRequest(to=NUMBER)).challenge_id
    service_of(core, Upstream()).attend(sent, running)
    with pytest.raises(ChallengeNotFound):
        without.verify(caller, sent, "123456")


def test_an_upstream_that_left_the_policy_refuses(core: Core, caller: Caller) -> None:
    """A plan made before may name it still; the challenge ends truthfully."""
    id_ = core.service.send(caller, SendRequest(to=NUMBER)).challenge_id
    service_of(core, None).attend(id_, running)
    view = core.service.status(caller, id_)
    assert view.status is State.UNDELIVERABLE
    assert [delivery["status"] for delivery in view.deliveries] == [Status.REFUSED]


def test_the_first_code_that_nobody_could_have_is_wrong(core: Core, caller: Caller) -> None:
    """Before any message has left, a guess counts and is wrong, whatever it is."""
    id_ = core.service.send(caller, SendRequest(to=NUMBER)).challenge_id
    with pytest.raises(Exception, match="The code is wrong"):
        core.service.verify(caller, id_, "000000")
    assert core.service.status(caller, id_).checks_left == 4


@pytest.fixture
def own_server() -> Iterator[ValkeyServer]:
    """A server that may be killed."""
    server = ValkeyServer()
    yield server
    server.close()


def test_an_outcome_waits_for_a_store_that_is_away(own_server: ValkeyServer) -> None:
    """The message has left; what became of it is written down as soon as the store is back."""
    core = make_core(own_server.url, "http://127.0.0.1:9")
    caller = Caller(app=core.policy.apps["web"], request_id="r")
    upstream = Upstream()
    service = service_of(core, upstream)
    id_ = core.service.send(caller, SendRequest(to=NUMBER)).challenge_id
    back = threading.Timer(1.0, own_server.start)

    def lose_the_store() -> None:
        own_server.kill()
        back.start()

    upstream.meanwhile = lose_the_store
    service.attend(id_, running)
    back.join()
    assert [d["status"] for d in core.service.status(caller, id_).deliveries] == [Status.ACCEPTED]
    assert len(upstream.texts) == 1


def test_a_worker_that_stops_does_not_wait_for_the_store(own_server: ValkeyServer) -> None:
    """It must end in time; the message counts as unknown later."""
    core = make_core(own_server.url, "http://127.0.0.1:9")
    caller = Caller(app=core.policy.apps["web"], request_id="r")
    upstream = Upstream()
    upstream.meanwhile = own_server.kill
    id_ = core.service.send(caller, SendRequest(to=NUMBER)).challenge_id
    stopping = iter([False, True])
    with pytest.raises(StoreUnavailable):
        service_of(core, upstream).attend(id_, lambda: next(stopping, True))


def test_a_stopping_worker_hands_back_what_has_not_left(core: Core, caller: Caller) -> None:
    """Claimed but not armed: the delivery is queued again at once, and nothing was sent."""
    upstream = Upstream()
    id_ = core.service.send(caller, SendRequest(to=NUMBER)).challenge_id
    service_of(core, upstream).attend(id_, lambda: True)
    assert upstream.texts == []
    assert id_ in core.store.due(id_[:2], 10).ids
    service_of(core, upstream).attend(id_, running)
    assert len(upstream.texts) == 1
