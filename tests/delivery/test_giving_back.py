"""The charge of a message that was dropped as too late is given back."""

from otp_service.challenge.model import State, Status, Step
from otp_service.challenge.transitions import MIN_TIME_LEFT
from otp_service.upstream.port import Outcome, Verdict
from otp_service.verification.send import SendRequest
from tests.support.counters import Counters
from tests.support.spine import NUMBERS, Phone, Spine, open_spine, seen
from tests.support.valkey_server import ValkeyServer

REQUEST = SendRequest(to=NUMBERS[0], address="192.0.2.1", session="one")


def parts(spine: Spine, valkey: ValkeyServer) -> dict[tuple[str, str], int]:
    """Give the parts of all windows of the guard by their counter and field."""
    counters = Counters(spine.scripts, valkey)
    counters.prefix = spine.store.prefix
    return {
        (key, name): int(value)
        for key, fields in counters.stored().items()
        if isinstance(fields, dict)
        for name, value in fields.items()
        if "." in name
    }


def drop(spine: Spine, valkey: ValkeyServer, id_: str) -> None:
    """Let the newest delivery be too late, and give its charge back when the guard no longer knows whose it was."""
    challenge = seen(spine.store, id_)
    with valkey.client() as client:
        client.delete(*client.scan_iter(f"{{{spine.store.prefix}:guard}}:o:*"))
    late = challenge.expires - MIN_TIME_LEFT + 1000
    spine.scripts.offset += late - spine.store.facts.time()
    for _ in range(2):
        spine.dispatcher.dispatch(id_, lambda: False)
    assert seen(spine.store, id_).owed is None


def test_the_guard_forgets_a_message_that_was_dropped(spine: Spine, valkey: ValkeyServer) -> None:
    """No counter has it any more, although the charge itself is no longer remembered. It happens once."""
    id_ = spine.send.send(spine.caller, REQUEST).challenge_id
    assert all(parts(spine, valkey).values())
    drop(spine, valkey, id_)
    assert seen(spine.store, id_).state is State.UNDELIVERABLE
    assert spine.phone.inbox.empty()
    assert set(parts(spine, valkey).values()) == {0}


NOT_NOW, REFUSED = (Outcome(verdict, "test") for verdict in (Verdict.DEFERRED, Verdict.REFUSED))
TWO_STEPS = tuple(Step(channel, ("main",), 30) for channel in ("sms", "voice"))


def test_a_dropped_fallback_takes_nothing_from_who_asked(valkey: ValkeyServer) -> None:
    """The guard did not charge it to the address or the session that asked for the message before, which did leave."""
    phone = Phone(Outcome(Verdict.ACCEPTED, "accepted"), NOT_NOW)
    with open_spine(valkey, steps=TWO_STEPS, phone=phone) as spine:
        id_ = spine.send.send(spine.caller, REQUEST).challenge_id
        spine.dispatcher.dispatch(id_, lambda: False)
        before = parts(spine, valkey)
        spine.scripts.offset += 31_000
        for _ in range(2):
            spine.dispatcher.dispatch(id_, lambda: False)
        assert seen(spine.store, id_).last.deferrals == 1
        assert parts(spine, valkey) != before
        drop(spine, valkey, id_)
        assert seen(spine.store, id_).last.status is Status.NOT_SENT
        assert {at: part for at, part in parts(spine, valkey).items() if part} == before


def test_a_dropped_message_that_replaced_a_refused_one_leaves_no_charge(valkey: ValkeyServer) -> None:
    """It had the charge of the first message, which was never sent either: with the address that asked for it."""
    with open_spine(valkey, steps=TWO_STEPS, phone=Phone(REFUSED, NOT_NOW)) as spine:
        id_ = spine.send.send(spine.caller, REQUEST).challenge_id
        for _ in range(2):
            spine.dispatcher.dispatch(id_, lambda: False)
        assert seen(spine.store, id_).last.deferrals == 1
        drop(spine, valkey, id_)
        assert seen(spine.store, id_).state is State.UNDELIVERABLE
        assert set(parts(spine, valkey).values()) == {0}
