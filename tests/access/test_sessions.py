"""Sessions of the console in the store: how long they last, and that tries to begin one are limited."""

import json

import pytest

from otp_service.access.sessions import IDLE, LONGEST, MOST_TRIES, TRIES_WITHIN, Sessions
from otp_service.bootstrap.stores import Stores
from otp_service.crypto.sealing import Seal
from tests.support.valkey_server import ValkeyServer

DIGEST = "d" * 64


@pytest.fixture
def sessions(store: Stores) -> Sessions:
    """Sessions with keys of their own."""
    return Sessions(store.scripts, Seal({"n": b"n" * 32}, {"l": b"l" * 32}, b"s" * 32), prefix=store.prefix)


def later(store: Stores, milliseconds: int) -> None:
    """Move the store's clock."""
    store.scripts.offset += milliseconds


def test_a_session_is_known_by_its_id_alone(sessions: Sessions) -> None:
    """Each has an id and a token of its own."""
    first, second = sessions.begin(DIGEST), sessions.begin(DIGEST)
    found = [sessions.read(id_) for id_ in (first, second)]
    assert all(found)
    assert {one.key_digest for one in found if one} == {DIGEST}
    assert len({one.form_token for one in found if one}) == 2
    assert sessions.read("none") is None
    sessions.end(first)
    assert sessions.read(first) is None
    assert sessions.read(second)


def test_reading_lets_a_session_last_but_not_for_ever(store: Stores, sessions: Sessions) -> None:
    """Up to the last millisecond of each bound."""
    id_ = sessions.begin(DIGEST)
    passed = 0
    while passed + IDLE - 60_000 < LONGEST:
        later(store, IDLE - 60_000)
        passed += IDLE - 60_000
        assert sessions.read(id_)
    later(store, LONGEST - passed)
    assert sessions.read(id_) is None
    idle, unread = sessions.begin(DIGEST), sessions.begin(DIGEST)
    assert sessions.read(idle)
    later(store, IDLE)
    assert sessions.read(idle) is None
    assert sessions.read(unread) is None


def test_a_sessions_record_goes_with_it(store: Stores, sessions: Sessions, valkey: ValkeyServer) -> None:
    """The key's own time to live is the idle time, and at the end what is left."""
    id_ = sessions.begin(DIGEST)
    with valkey.client() as client:
        (name,) = client.keys(f"{store.prefix}:session:*")
        assert id_ not in str(name)
        assert IDLE - 60_000 < int(client.pttl(name)) <= IDLE
        record = json.loads(str(client.get(name)))
        record["ends"] = record["idle_ends"] - IDLE + 90_000
        client.set(name, json.dumps(record), px=IDLE)
        assert sessions.read(id_)
        assert int(client.pttl(name)) <= 90_000


def test_tries_are_limited_by_address_and_time(store: Stores, sessions: Sessions) -> None:
    """Exactly so many within the window; each address has its own."""
    assert [sessions.may_try("192.0.2.1") for _ in range(MOST_TRIES + 1)] == [True] * MOST_TRIES + [False]
    assert sessions.may_try("192.0.2.2")
    later(store, TRIES_WITHIN)
    assert sessions.may_try("192.0.2.1")
    for _ in range(MOST_TRIES):
        sessions.may_try("192.0.2.1")
    sessions.forget_tries("192.0.2.1")
    assert sessions.may_try("192.0.2.1")
