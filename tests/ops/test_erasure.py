"""A number is erased on request: nothing in the whole store leads back to it."""

import itertools
import json
import logging
import re
from collections.abc import Iterator

import pytest

from otp_service.challenge.model import State
from otp_service.crypto.sealing import Seal, Unsealable
from otp_service.errors import Busy, ChallengeNotFound, InvalidNumber, NoRoute
from otp_service.guard.rules import FAMILIARITY
from otp_service.policy import CHANNELS
from otp_service.telemetry.logs import log
from otp_service.verification.send import SendRequest
from tests.support.deployments import Cluster
from tests.support.fault_server import FaultServer
from tests.support.furnished import House, open_house, receive_reply
from tests.support.journeys import Upstream
from tests.support.numbers import crowd
from tests.support.spine import seen
from tests.support.valkey_server import ValkeyServer

ERASED, *OTHERS = (number for number, _ in zip(crowd(), range(4), strict=False))


@pytest.fixture
def house(valkey: ValkeyServer) -> Iterator[House]:
    """Make a core on one server."""
    upstream = Upstream()
    with FaultServer() as server:
        server.respond(upstream)
        made = open_house(valkey.url, [valkey], upstream, server.url)
        yield made
        made.core.close()


def traces(house: House, number: str, ids: set[str]) -> set[str]:
    """Find everything that leads to a number: in clear, sealed, as an HMAC of any key, or by the ids of its challenges.

    Gives the keys of the store that hold any of it.
    """
    needles = {number, number[1:], *ids, *(id_[2:] for id_ in ids), *indexes(house.core.seal, number)}
    found = set()
    for key, value in house.kept().items():
        whole = f"{key} {json.dumps(value)}"
        if any(needle in whole for needle in needles) or number in opened(house.core.seal, key, value):
            found.add(key)
    return found


def indexes(seal: Seal, number: str) -> Iterator[str]:
    """List every HMAC that the product makes of a number, under every key."""
    for label in ("number", "suppressed", "recycled", "cooldown", "failures", "send"):
        yield from seal.indexes(label, number)
    for known in FAMILIARITY:
        yield from seal.indexes("number", number, known)
    yield seal.subject("web", number)


def opened(seal: Seal, key: str, value: object) -> str:
    """Open everything sealed in a value, with the name of its key or its field as the owner."""
    name = key.rpartition(":")[2]
    owners = [name, key.partition("}")[0][-2:] + name, *(value if isinstance(value, dict) else ())]
    texts = []
    for sealed, owner in itertools.product(
        re.findall(r"(?:new|old)\.[A-Za-z0-9_-]{30,}", str(value)), owners
    ):
        try:
            texts.append(seal.open(sealed, owner))
        except Unsealable:
            continue
    return " ".join(texts)


def kinds_of(keys: set[str]) -> set[str]:
    """Return the kinds of keys, by the letter before the name."""
    return {
        key.rpartition("}:" if "}" in key else "otp")[2].split(":")[0 if "}" in key else 1] for key in keys
    }


def test_nothing_of_a_number_is_left_anywhere(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """A number leaves every kind of trace; then each key and value of the store is read, opened and compared."""
    theirs = {number: house.live(number) for number in OTHERS}
    ids = house.live(ERASED)
    assert kinds_of(traces(house, ERASED, ids)) >= {
        *("c", "due", "e", "i", "u", "k"),
        *("h", "hl", "hx", "ht"),
        *("x", "r", "number", "streak", "blocks", "pins"),
    }
    others = {number: traces(house, number, theirs[number]) for number in OTHERS}
    with caplog.at_level(logging.INFO):
        erased = house.core.erasure.forget(ERASED, by="anna", and_suppression=True)
    assert traces(house, ERASED, ids) == set()
    assert (erased.unreadable, erased.suppressed) == (0, False)
    assert erased.removed.pop("events") >= 5
    assert erased.removed == {
        "challenges": 2,
        "idempotency_keys": 1,
        "messages": 4,
        "stories": 3,  # of two challenges, and of a request that was refused
        "counters": 4,  # with its wrong codes in a row, its pin, and that it has a new owner
        "open_channels": len(CHANNELS),
        "lookups": 1,
        "suppressions": 1,
    }
    assert {number: traces(house, number, theirs[number]) for number in OTHERS} == others
    (record,) = [one for one in caplog.records if one.getMessage() == "number.forgotten"]
    assert record.fields["by"] == "anna"  # type: ignore[attr-defined]
    assert ERASED[1:-2] not in str(record.__dict__)


def test_a_stop_outlives_its_number(house: House) -> None:
    """Without it the number would get messages again: it stays as a bare HMAC, once, without the sealed number."""
    ids = house.live(ERASED)
    for _ in range(2):
        assert house.core.erasure.forget(ERASED, by="anna").suppressed
        (left,) = traces(house, ERASED, ids)
        record = json.loads(house.kept()[left])
        assert left.endswith(f":x:{house.core.seal.index('suppressed', ERASED)}")
        assert set(record) == {"channel", "upstream", "at", "by", "under"}
    with pytest.raises(NoRoute):
        house.core.send.send(house.caller, SendRequest(to=ERASED))
    receive_reply(house.core, ERASED, "START")
    assert kinds_of(traces(house, ERASED, ids)) == {"k"}


def test_what_a_number_had_under_way_ends_at_once(house: House) -> None:
    """A worker that holds the challenge sends nothing, and its outcome is not written."""
    core = house.core
    id_ = core.send.send(house.caller, SendRequest(to=ERASED)).challenge_id
    lease = core.store.challenges.claim(id_)
    assert lease is not None
    core.erasure.forget(ERASED, by="anna")
    assert not core.store.challenges.arm(lease, "reference", "hash", "main")
    core.dispatcher.dispatch(id_, lambda: False)
    assert house.upstream.took == []
    with pytest.raises(ChallengeNotFound):
        core.manage.status(house.caller, id_)
    assert traces(house, ERASED, {id_}) == set()
    again = core.send.send(house.caller, SendRequest(to=ERASED))
    assert again.status is State.PENDING


def test_a_challenge_that_nobody_can_open_is_told(house: House) -> None:
    """A challenge sealed with a dropped key may be of any number: it stays, and the operator is told."""
    core = house.core
    id_ = core.send.send(house.caller, SendRequest(to=ERASED)).challenge_id
    rings = {"lookup_keys": core.settings.lookup_keys, "subject_key": core.settings.subject_key}
    without = Seal({"other": b"k" * 32}, **rings)  # type: ignore[arg-type]
    erasure = type(core.erasure)(
        challenges=core.store.challenge_eraser,
        events=core.store.events,
        facts=core.store.facts,
        suppressions=core.store.suppressions,
        seal=without,
        counters=lambda _: 0,
        record=log,
        stories=lambda _number, _ids: 0,
    )
    erased = erasure.forget(ERASED, by="anna")
    assert (erased.unreadable, erased.removed["challenges"]) == (1, 0)
    assert seen(core.store, id_).state is State.PENDING


def test_what_is_no_number_is_refused(house: House) -> None:
    """The number is refused before anything is read."""
    heard: list[str] = []
    with pytest.raises(InvalidNumber):
        house.core.erasure.forget("12", by="anna", progress=heard.append)
    assert heard == []


def test_a_number_is_forgotten_on_every_node_of_a_cluster(cluster: Cluster) -> None:
    """Its traces are spread over all of them."""
    upstream = Upstream()
    with FaultServer() as server:
        server.respond(upstream)
        house = open_house(cluster.url, cluster.nodes, upstream, server.url)
        ids = house.live(OTHERS[0]) and house.live(ERASED)
        assert traces(house, ERASED, ids)
        erased = house.core.erasure.forget(ERASED, by="anna", and_suppression=True)
        assert erased.removed["challenges"] == 2
        assert traces(house, ERASED, ids) == set()
        assert traces(house, OTHERS[0], set())
        house.core.close()


def test_a_request_does_not_walk_through_a_large_store(house: House) -> None:
    """If that takes longer than it may, nothing is erased and the caller is told of the command, which may."""
    with pytest.raises(Busy, match="otp-service forget"):
        house.core.erasure.forget(ERASED, by="anna", seconds=-1)
    assert house.core.erasure.forget(ERASED, by="anna").removed["challenges"] == 0
