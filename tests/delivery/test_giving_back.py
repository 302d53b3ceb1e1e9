"""The charge of a message that was dropped as too late is given back."""

from otp_service.challenge.model import State
from otp_service.challenge.transitions import MIN_TIME_LEFT
from otp_service.verification.send import SendRequest
from tests.support.counters import Counters
from tests.support.spine import NUMBERS, Spine, seen
from tests.support.valkey_server import ValkeyServer


def sums(spine: Spine, valkey: ValkeyServer) -> list[int]:
    """List the parts of all windows of the guard."""
    counters = Counters(spine.scripts, valkey)
    counters.prefix = spine.store.prefix
    return [
        int(value)
        for fields in counters.stored().values()
        if isinstance(fields, dict)
        for name, value in fields.items()
        if "." in name
    ]


def test_the_guard_forgets_a_message_that_was_dropped(spine: Spine, valkey: ValkeyServer) -> None:
    """No counter has it any more, although the charge itself is no longer remembered. It happens once."""
    request = SendRequest(to=NUMBERS[0], address="192.0.2.1", session="one")
    id_ = spine.send.send(spine.caller, request).challenge_id
    challenge = seen(spine.store, id_)
    assert all(sums(spine, valkey))
    with valkey.client() as client:
        client.delete(*client.scan_iter(f"{{{spine.store.prefix}:guard}}:o:*"))
    spine.scripts.offset += challenge.plan.ttl * 1000 - MIN_TIME_LEFT + 1000
    for _ in range(2):
        spine.dispatcher.dispatch(id_, lambda: False)
    after = seen(spine.store, id_)
    assert (after.state, after.owed) == (State.UNDELIVERABLE, None)
    assert spine.phone.inbox.empty()
    assert set(sums(spine, valkey)) == {0}
