"""A limit within any window of time, on a real server."""

from otp_service.bootstrap.stores import Stores
from otp_service.store.recent import Recent
from tests.support.valkey_server import ValkeyServer

WINDOW = 60_000


def test_places_are_free_again_as_the_window_moves_on(store: Stores) -> None:
    """Exactly so many in any window, and the wait is told to the millisecond of the store's clock."""
    recent, key = Recent(store.scripts), f"{store.prefix}:tries:x"
    assert recent.take(key, 2, WINDOW) == 0
    store.scripts.offset += 20_000
    assert recent.take(key, 2, WINDOW) == 0
    store.scripts.offset += 30_000
    assert 0 < recent.take(key, 2, WINDOW) <= WINDOW - 50_000
    store.scripts.offset += 10_000
    assert recent.take(key, 2, WINDOW) == 0
    assert WINDOW - 50_000 < recent.take(key, 2, WINDOW) <= WINDOW - 40_000
    assert recent.take(f"{key}y", 2, WINDOW) == 0


def test_a_repeated_call_takes_one_place(store: Stores, valkey: ValkeyServer) -> None:
    """The same operation reached the server twice: one member, with a time to live."""
    key = f"{store.prefix}:tries:x"
    for _ in range(3):
        assert store.scripts.call("take_recent", [key], "once", 1, WINDOW) == 0
    assert store.scripts.call("take_recent", [key], "another", 1, WINDOW) > 0
    with valkey.client() as client:
        assert client.zcard(key) == 1
        assert 0 < int(client.pttl(key)) <= WINDOW
