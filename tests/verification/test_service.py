"""What the use cases do when something they lean on is gone: keys, an upstream, the store between two steps."""

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from otp_service.bootstrap.configuration import with_policy
from otp_service.bootstrap.core import Core
from otp_service.challenge.model import State, Status
from otp_service.challenge.store import CLAIM_LEASE
from otp_service.errors import Busy, ChallengeNotFound, IdempotencyKeyReused, StoreUnavailable, WrongCode
from otp_service.upstream.port import Message, Outcome, Verdict
from otp_service.verification.caller import Caller
from otp_service.verification.send import SendRequest
from tests.conftest import POLICY, SECRET, make_core
from tests.support.numbers import crowd
from tests.support.valkey_server import ValkeyServer

NUMBER = next(crowd())


class Upstream:
    """A sender whose answer and side effect a test chooses; remembers the texts."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.verdict = Verdict.ACCEPTED
        self.meanwhile: Callable[[], None] = lambda: None

    def __call__(self, message: Message) -> Outcome:
        """Take a message."""
        assert message.to.startswith("+")
        assert message.reference
        assert message.code in message.text
        assert 0 < message.seconds <= 300
        self.texts.append(message.text)
        self.meanwhile()
        return Outcome(self.verdict, "chosen")


def other(core: Core, upstream: Upstream | None, **changes: object) -> Core:
    """Give another process of the same deployment: with another upstream, or with other keys."""
    made = Core(
        with_policy(
            replace(core.settings, **changes),  # type: ignore[arg-type]
            POLICY.replace("UPSTREAM/", "http://127.0.0.1:9/"),
        ),
        threads=4,
        hash_slots=1,
        role="other",
        offset=core.scripts.offset,
    )
    active = replace(core.active(), senders={("sms", "main"): upstream} if upstream else {})
    made.dispatcher._active = lambda: active  # noqa: SLF001 - the composition root would hand it in
    return made


def running() -> bool:
    """Nobody asked the worker to stop."""
    return False


def test_a_process_without_the_seal_says_so_and_leaves_the_work_to_others(core: Core, caller: Caller) -> None:
    """While number keys are rotated, one process may lack what another holds: nothing is lost or called wrong."""
    id_ = core.send.send(caller, SendRequest(to=NUMBER)).challenge_id
    stranger, upstream = other(core, Upstream(), number_keys={"n2": b"2" * 32}), Upstream()
    with pytest.raises(Busy):
        stranger.manage.status(caller, id_)
    with pytest.raises(Busy):
        stranger.check.verify(caller, id_, "123456")
    stranger.dispatcher.dispatch(id_, running)
    assert core.manage.status(caller, id_).status is State.PENDING
    core.scripts.offset += CLAIM_LEASE
    other(core, upstream).dispatcher.dispatch(id_, running)
    assert len(upstream.texts) == 1


def test_a_process_without_the_pepper_calls_no_right_code_wrong(core: Core, caller: Caller) -> None:
    """It cannot tell, and says so; a worker leaves the delivery to one that holds the pepper."""
    upstream = Upstream()
    without = other(core, upstream, peppers={"p2": b"2" * 32})
    id_ = core.send.send(caller, SendRequest(to=NUMBER)).challenge_id
    without.dispatcher.dispatch(id_, running)
    assert upstream.texts == []
    core.scripts.offset += CLAIM_LEASE
    other(core, upstream).dispatcher.dispatch(id_, running)
    code = upstream.texts[0][:6]
    with pytest.raises(Busy):
        without.check.verify(caller, id_, code)
    assert core.check.verify(caller, id_, code).view.status is State.VERIFIED


def test_a_message_says_how_long_the_code_still_counts(core: Core, caller: Caller) -> None:
    """A code sent late in the challenge's life does not promise the whole of it."""
    upstream = Upstream()
    id_ = core.send.send(caller, SendRequest(to=NUMBER)).challenge_id
    other(core, upstream).dispatcher.dispatch(id_, running)
    core.scripts.offset += 180_000
    core.resend.resend(caller, id_)
    other(core, upstream).dispatcher.dispatch(id_, running)
    assert "5 minutes" in upstream.texts[0]
    assert "2 minutes" in upstream.texts[1]


def test_an_exhausted_challenge_cannot_be_cancelled(core: Core, caller: Caller) -> None:
    """A final state stays."""
    id_ = core.send.send(caller, SendRequest(to=NUMBER)).challenge_id
    for _ in range(5):
        with pytest.raises(WrongCode):
            core.check.verify(caller, id_, "000000")
    with pytest.raises(ChallengeNotFound):
        core.manage.cancel(caller, id_)
    assert core.manage.status(caller, id_).status is State.EXHAUSTED


def test_the_longest_binding_gives_a_token_that_can_be_redeemed(client: FlaskClient, core: Core) -> None:
    """What a send takes, a redeem takes back."""
    caller, upstream = Caller(app=core.policy.apps["web"], active=core.active(), request_id="r"), Upstream()
    wanted = SendRequest(to=NUMBER, binding="\U0001f600" * 256, reference="r" * 64)
    id_ = core.send.send(caller, wanted).challenge_id
    other(core, upstream).dispatcher.dispatch(id_, running)
    token = core.check.verify(caller, id_, upstream.texts[0][:6]).token
    answer = client.post(
        "/otp/token/redeem", json={"token": token}, headers={"Authorization": f"Bearer {SECRET}"}
    )
    assert answer.status_code == 200, answer.text
    assert answer.get_json()["binding"] == wanted.binding


def test_one_key_for_many_numbers_at_once_spends_one_budget(core: Core, caller: Caller) -> None:
    """The losers of a race over an idempotency key get their numbers' charges back."""
    numbers = list(itertools.islice(crowd(), 10))

    def send(number: str) -> str | None:
        try:
            core.send.send(caller, SendRequest(to=number), "same-key")
        except IdempotencyKeyReused:
            return None
        return number

    with ThreadPoolExecutor(len(numbers)) as pool:
        won = [number for number in pool.map(send, numbers) if number]
    assert len(won) == 1
    for number in set(numbers) - set(won):
        core.send.send(caller, SendRequest(to=number))


def test_an_upstream_that_left_the_policy_refuses(core: Core, caller: Caller) -> None:
    """A plan made before may name it still; the challenge ends truthfully."""
    id_ = core.send.send(caller, SendRequest(to=NUMBER)).challenge_id
    other(core, None).dispatcher.dispatch(id_, running)
    view = core.manage.status(caller, id_)
    assert view.status is State.UNDELIVERABLE
    assert [delivery["status"] for delivery in view.deliveries] == [Status.REFUSED]


def test_the_first_code_that_nobody_could_have_is_wrong(core: Core, caller: Caller) -> None:
    """Before any message has left, a guess counts and is wrong, whatever it is."""
    id_ = core.send.send(caller, SendRequest(to=NUMBER)).challenge_id
    with pytest.raises(WrongCode):
        core.check.verify(caller, id_, "000000")
    assert core.manage.status(caller, id_).checks_left == 4


@pytest.fixture
def own_server() -> Iterator[ValkeyServer]:
    """A server that may be killed."""
    server = ValkeyServer()
    yield server
    server.close()


def test_an_outcome_waits_for_a_store_that_is_away(own_server: ValkeyServer) -> None:
    """The message has left; what became of it is written down as soon as the store is back."""
    core = make_core(own_server.url, "http://127.0.0.1:9")
    caller = Caller(app=core.policy.apps["web"], active=core.active(), request_id="r")
    upstream = Upstream()
    dispatcher = other(core, upstream).dispatcher
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
    """It must end in time; the message counts as unknown later."""
    core = make_core(own_server.url, "http://127.0.0.1:9")
    caller = Caller(app=core.policy.apps["web"], active=core.active(), request_id="r")
    upstream = Upstream()
    upstream.meanwhile = own_server.kill
    id_ = core.send.send(caller, SendRequest(to=NUMBER)).challenge_id
    stopping = iter([False, True])
    with pytest.raises(StoreUnavailable):
        other(core, upstream).dispatcher.dispatch(id_, lambda: next(stopping, True))


def test_a_stopping_worker_hands_back_what_has_not_left(core: Core, caller: Caller) -> None:
    """Claimed but not armed: the delivery is queued again at once, and nothing was sent."""
    upstream = Upstream()
    id_ = core.send.send(caller, SendRequest(to=NUMBER)).challenge_id
    other(core, upstream).dispatcher.dispatch(id_, lambda: True)
    assert upstream.texts == []
    assert id_ in core.store.due.due(id_[:2], 10).ids
    other(core, upstream).dispatcher.dispatch(id_, running)
    assert len(upstream.texts) == 1
