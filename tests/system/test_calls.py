"""How often the store is called by each act of an app, counted on a real server by the product's own client."""

import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from otp_service.errors import WrongCode
from otp_service.policy import Guard
from otp_service.policy.limits import ConversionRule
from otp_service.verification.proof import Verification
from otp_service.verification.resend import ResendRequest
from otp_service.verification.send import SendRequest
from tests.support.deployments import Cluster
from tests.support.spine import NUMBERS, OPEN, PLAN, Spine, make_spine, open_spine, prefix_of, together
from tests.support.valkey_server import ValkeyServer, scripts_run
from tests.support.watched import scripts_at

CODE, WRONG = "123456", "654321"


@contextmanager
def counted(url: str, guard: Guard = OPEN) -> Iterator[tuple[Spine, list[str]]]:
    """Give the use cases on a store, and what they ask of it: the names of the scripts of each round trip."""
    trips: list[str] = []
    scripts = scripts_at(url, observe=lambda name, _: trips.append(name))
    yield make_spine(scripts, guard=guard), trips
    scripts.close()


@pytest.fixture
def alone() -> Iterator[ValkeyServer]:
    """Give a server whose figures are the test's own."""
    server = ValkeyServer()
    yield server
    server.close()


def with_code(spine: Spine, session: str = "") -> str:
    """Open a challenge whose code is known."""
    id_ = spine.send.send(spine.caller, SendRequest(to=NUMBERS[0], session=session)).challenge_id
    spine.code_for(id_, CODE)
    return id_


def sending(spine: Spine, *, key: str | None = None) -> Callable[[], object]:
    """Prepare a send."""
    return lambda: spine.send.send(spine.caller, SendRequest(to=NUMBERS[0]), key)


def resending(spine: Spine) -> Callable[[], object]:
    """Prepare another message of a challenge."""
    id_ = with_code(spine)
    spine.store.scripts.offset += 60_000
    return lambda: spine.resend.resend(spine.caller, id_, ResendRequest())


def checking(spine: Spine, *, key: str | None = None, session: str = "") -> Callable[[], object]:
    """Prepare a check of the right code."""
    id_ = with_code(spine, session=session)
    return lambda: spine.check.verify(spine.caller, id_, CODE, idempotency_key=key)


def guessing(spine: Spine, *, key: str | None = None) -> Callable[[], object]:
    """Prepare a check of a wrong code."""
    id_ = with_code(spine)

    def guess() -> None:
        with pytest.raises(WrongCode):
            spine.check.verify(spine.caller, id_, WRONG, idempotency_key=key)

    return guess


def redeeming(spine: Spine, *, key: str | None = None) -> Callable[[], object]:
    """Prepare the redemption of a token."""
    token = spine.check.verify(spine.caller, with_code(spine), CODE).token
    return lambda: spine.redeem.redeem(spine.caller, token, idempotency_key=key)


KEY = {"key": secrets.token_hex(16)}
ACTS: dict[str, tuple[Callable[..., Callable[[], object]], dict[str, str], list[str]]] = {
    "send": (sending, {}, ["guard", "open"]),
    "send with a key": (sending, KEY, ["get", "guard", "open"]),
    "resend": (resending, {}, ["read_with_time", "guard", "resend"]),
    "right code": (checking, {}, ["attempt", "finish+guard"]),
    "right code with a key": (checking, KEY, ["attempt", "finish+guard"]),
    "right code of a session": (
        checking,
        {"session": "s"},
        ["attempt", "finish+guard+guard_record_session"],
    ),
    "wrong code": (guessing, {}, ["attempt", "guard"]),
    "wrong code with a key": (guessing, KEY, ["attempt", "guard+answer"]),
    "redemption": (redeeming, {}, ["use_once"]),
    "redemption with a key": (redeeming, KEY, ["use_once", "use_once"]),
}


@pytest.mark.parametrize("act", ACTS)
def test_an_act_needs_few_round_trips(alone: ValkeyServer, act: str) -> None:
    """One server: a send calls two scripts, a check makes two round trips. Other scripts do not run."""
    prepare, more, expected = ACTS[act]
    with counted(alone.url) as (spine, trips):
        prepare(spine)()  # the server has all scripts from now on
        do = prepare(spine, **more)
        trips.clear()
        before = scripts_run(alone)
        do()
        assert trips == expected
        assert scripts_run(alone) - before == sum(name != "get" for trip in trips for name in trip.split("+"))


def delivering(spine: Spine) -> Callable[[], object]:
    """Prepare a delivery whose message is accepted, as a worker does it that is told of a send."""
    id_ = spine.opened()
    return lambda: spine.dispatcher.dispatch(id_, lambda: False)


COUNTED = replace(OPEN, conversion=ConversionRule(mode="watch"))
"""Rules by which the guard counts a message that was accepted."""


def test_a_delivery_needs_three_round_trips(alone: ValkeyServer) -> None:
    """One server: claim it; ask whether it may be sent and arm it; settle it, with the index and what is counted."""
    with counted(alone.url, guard=COUNTED) as (spine, trips):
        delivering(spine)()  # the server has all scripts from now on
        deliver = delivering(spine)
        trips.clear()
        before = scripts_run(alone)
        deliver()
        assert trips == ["claim", "read_first+breaker_ask+arm", "put+settle+read_first+guard"]
        assert scripts_run(alone) - before == sum(len(trip.split("+")) for trip in trips)
        assert spine.phone.inbox.qsize() == 2


def test_a_delivery_on_a_cluster_needs_eight_calls(cluster: Cluster) -> None:
    """What is asked and what is counted has slots of its own there."""
    with counted(cluster.url, guard=COUNTED) as (spine, trips):
        deliver = delivering(spine)
        trips.clear()
        deliver()
        asked = ["claim", "read_first", "breaker_ask", "arm"]
        assert trips == [*asked, "put", "settle", "read_first", "guard"]


def test_acts_on_a_cluster_need_few_calls(cluster: Cluster) -> None:
    """A send calls two scripts there, too, and a check three."""
    with counted(cluster.url) as (spine, trips):
        for act, expected in ((sending, ["guard", "open"]), (checking, ["attempt", "finish", "guard"])):
            do = act(spine)
            trips.clear()
            do()
            assert trips == expected
        do = checking(spine, session="s")
        trips.clear()
        do()
        assert trips == ["attempt", "finish", "guard+guard_record_session"]


def test_a_right_code_counts_once_however_many_type_it(valkey: ValkeyServer) -> None:
    """Of several at once one wins; the guard counts one code that came back."""
    with open_spine(valkey, guard=replace(OPEN, conversion=ConversionRule(mode="watch"))) as spine:
        id_ = with_code(spine)
        answers = together(PLAN.max_attempts, lambda _: spine.check.verify(spine.caller, id_, CODE))
        assert [type(answer) for answer in answers].count(Verification) == 1
        with valkey.client() as client:
            [key] = client.scan_iter(f"{{{prefix_of(spine.store)}:guard}}:country-codes:*", count=10_000)
            fields = client.hgetall(key).items()
        assert [value for name, value in fields if re.match(r"v\d+v\.", name)] == ["1"]
