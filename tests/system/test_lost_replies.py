"""An act whose reply was lost is done once, and the caller sees no difference."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from otp_service.bootstrap.stores import Stores
from otp_service.challenge.guess import Guess, TokenId
from otp_service.challenge.model import Answer, Challenge, State, Status
from otp_service.challenge.send_store import SEND_LEASE
from otp_service.challenge.store import Recorded
from otp_service.challenge.transitions import MIN_TIME_LEFT, Again, GiveUp, Next
from otp_service.crypto.sealing import Seal
from otp_service.events import queue
from otp_service.guard.blocks import BlockStore
from otp_service.guard.history import History
from otp_service.guard.limiter import Allowance, Limiter
from otp_service.guard.pins import PinNames
from otp_service.guard.rules import GuardedSend, after_failure, lines_of_send
from otp_service.history.store import Lines
from otp_service.history.story import read_story
from otp_service.phone import parse
from otp_service.policy import Budget, Guard, Window
from otp_service.policy.limits import Consecutive, Cooldown, Countries
from otp_service.upstream.port import Verdict
from tests.support.fault_proxy import FaultProxy
from tests.support.spine import (
    PLAN,
    armed,
    brought,
    claimed,
    ended,
    new_challenge,
    new_delivery,
    open_store,
    opened,
    prefix_of,
    proxied_store,
    resent,
    seen,
)
from tests.support.valkey_server import ValkeyServer

LATE = PLAN.ttl * 1000 - MIN_TIME_LEFT + 1
"""Milliseconds after which a code has too little time left."""


@pytest.fixture
def store(valkey: ValkeyServer) -> Iterator[Stores]:
    """Give a store with keys of its own, on a connection that works."""
    with open_store(valkey) as made:
        yield made


@dataclass(frozen=True)
class Twice:
    """Something that is done over a connection that loses the reply, and what it must leave behind."""

    prepare: Callable[[Stores], str]
    act: Callable[[Stores, Stores, str], object]


def _resting(store: Stores) -> str:
    challenge = opened(store)
    brought(store, challenge.id)
    store.scripts.offset += 60_000
    return challenge.id


def _open_again(flaky: Stores, store: Stores, id_: str) -> None:
    made = new_challenge(store, id=store.challenges.new_id("key"))
    answer = flaky.challenges.open(made, idempotency="key", fingerprint="f")
    assert answer.challenge is not None
    assert answer.challenge.id == made.id
    assert store.challenges.recall("key") == f"{made.id}f"


def _attempt(flaky: Stores, store: Stores, id_: str) -> None:
    what, _, challenge = flaky.challenges.take_attempt(id_, "web", 6)
    assert challenge is not None
    assert (what, challenge.attempts, seen(store, id_).attempts) == ("counted", 1, 1)


def _last_attempt(flaky: Stores, store: Stores, id_: str) -> None:
    for _ in range(PLAN.max_attempts - 1):
        store.challenges.take_attempt(id_, "web", 6)
    assert flaky.challenges.take_attempt(id_, "web", 6)[0] == "counted"
    assert store.challenges.take_attempt(id_, "web", 6)[0] == "exhausted"


def _taken_over_attempt(flaky: Stores, store: Stores, id_: str) -> None:
    first = Guess(names=("name",))
    store.challenges.take_attempt(id_, "web", 6, first)
    store.challenges.record_answer(id_, first, "unchecked")
    assert flaky.challenges.take_attempt(id_, "web", 6, Guess(names=("name",)))[0] == "counted"
    assert seen(store, id_).attempts == 1


def _repeated_attempt(flaky: Stores, store: Stores, id_: str) -> None:
    store.challenges.take_attempt(id_, "web", 6, Guess(names=("name",)))
    store.challenges.finish(
        id_, "web", State.VERIFIED, 0, TokenId(jti="j", kid="s1", life=60_000, name="name")
    )
    for _ in range(PLAN.max_attempts - 1):
        assert store.challenges.take_attempt(id_, "web", 6, Guess(names=("name",)))[0] == "won"
    assert flaky.challenges.take_attempt(id_, "web", 6, Guess(names=("name",)))[0] == "won"


def _answer(flaky: Stores, store: Stores, id_: str) -> None:
    guess = Guess(names=("name",))
    store.challenges.take_attempt(id_, "web", 6, guess)
    flaky.challenges.record_answer(id_, guess, "wrong", 4, "digest")
    assert seen(store, id_).answers == (Answer("name", 4, "digest"),)


def _finish(flaky: Stores, store: Stores, id_: str) -> None:
    won = flaky.challenges.finish(id_, "web", State.VERIFIED, 0)[1]
    assert won is not None
    assert won == seen(store, id_)
    assert store.challenges.finish(id_, "web", State.VERIFIED, 0)[1] is None


def _resend(flaky: Stores, store: Stores, id_: str) -> None:
    what, _, challenge = flaky.challenges.resend(id_, "web", new_delivery())
    assert isinstance(challenge, Challenge)
    assert (what, len(challenge.deliveries), len(seen(store, id_).deliveries)) == ("queued", 2, 2)


def _last_resend(flaky: Stores, store: Stores, id_: str) -> None:
    for _ in range(PLAN.max_sends - 2):
        resent(store, id_)
    store.scripts.offset += 60_000
    flaky.scripts.offset = store.scripts.offset
    assert flaky.challenges.resend(id_, "web", new_delivery())[0] == "queued"
    assert len(seen(store, id_).deliveries) == PLAN.max_sends


def _claim(flaky: Stores, store: Stores, id_: str) -> None:
    lease = flaky.challenges.claim(id_)
    assert lease is not None
    assert lease.what == "send"
    assert store.challenges.claim(id_) is None
    assert store.challenges.arm(lease, "reference", "hash", "main")


def _claim_waited(flaky: Stores, store: Stores, id_: str) -> None:
    armed(store, id_)
    store.scripts.offset += SEND_LEASE
    flaky.scripts.offset = store.scripts.offset
    lease = flaky.challenges.claim(id_)
    assert lease is not None
    assert (lease.what, lease.challenge.last.status) == ("waited", Status.UNKNOWN)


def _arm(flaky: Stores, store: Stores, id_: str) -> None:
    lease = claimed(store, id_)
    assert flaky.challenges.arm(lease, "reference", "hash", "main")
    assert seen(store, id_).live_hashes() == [(0, "hash")]


def _disarm(flaky: Stores, store: Stores, id_: str) -> None:
    lease, reference = armed(store, id_)
    assert flaky.challenges.disarm(lease, reference)
    assert seen(store, id_).live_hashes() == []
    assert store.challenges.arm(lease, reference, "other", "main")


def _settle(verdict: Verdict, deliveries: int, deferrals: int) -> Callable[[Stores, Stores, str], None]:
    def act(flaky: Stores, store: Stores, id_: str) -> None:
        lease, reference = armed(store, id_)
        ended(flaky, lease, reference, verdict)
        after = seen(store, id_)
        assert (len(after.deliveries), after.last.deferrals) == (deliveries, deferrals)

    return act


def _settle_waited(flaky: Stores, store: Stores, id_: str) -> None:
    armed(store, id_)
    store.scripts.offset += SEND_LEASE
    flaky.scripts.offset = store.scripts.offset
    settled = flaky.challenges.settle(claimed(store, id_), Next(1))
    assert settled is not None
    assert settled.move == "next"
    assert [d.step for d in seen(store, id_).deliveries] == [0, 1]


def _give_up(flaky: Stores, store: Stores, id_: str) -> None:
    settled = flaky.challenges.settle(claimed(store, id_), GiveUp())
    assert settled is not None
    assert settled.move == "give_up"
    assert seen(store, id_).state is State.UNDELIVERABLE


def _release(flaky: Stores, store: Stores, id_: str) -> None:
    flaky.challenges.release(claimed(store, id_))
    assert claimed(store, id_).what == "send"


def _may_get(flaky: Stores, store: Stores, id_: str) -> None:
    assert flaky.get_budget.take(id_, 2)
    assert store.get_budget.take(id_, 2)
    assert not store.get_budget.take(id_, 2)


def _last_get(flaky: Stores, store: Stores, id_: str) -> None:
    assert flaky.get_budget.take(id_, 1)
    assert not store.get_budget.take(id_, 1)


ASKED = GuardedSend(number=parse("+14155552671"), app="web", purpose="login", address="192.0.2.1")
TWO = Guard(
    countries=Countries(allow=("*",)),
    cooldown=Cooldown(mode="off"),
    consecutive=Consecutive(mode="off"),
    number=Budget(refuse=(Window(2, 60),)),
)


SEAL = Seal({"n1": b"n" * 32}, {"l1": b"l" * 32}, subject_key=b"s" * 32)


def _limiter(store: Stores) -> Limiter:
    return Limiter(store.scripts, SEAL, prefix=prefix_of(store), keep_blocks=60_000)


def _blocks(store: Stores) -> BlockStore:
    return BlockStore(store.scripts, SEAL, prefix=prefix_of(store))


def _history(store: Stores) -> History:
    return History(store.scripts, SEAL, store.pins, prefix=prefix_of(store))


def _charge(flaky: Stores, store: Stores, id_: str) -> None:
    """Charge the last but one act on a lost reply, and see that one is left."""
    lines = lines_of_send(TWO, ASKED)
    charged = [_limiter(flaky).charge(lines, id_, Allowance(), PinNames()).verdict]
    charged += [_limiter(store).charge(lines, f"{id_}{n}", Allowance(), PinNames()).verdict for n in range(2)]
    assert charged == ["allow", "allow", "refuse"]


def _refund(flaky: Stores, store: Stores, id_: str) -> None:
    lines = lines_of_send(TWO, ASKED)
    for operation in ("one", "two"):
        assert _limiter(store).charge(lines, operation, Allowance(), PinNames()).verdict == "allow"
    _limiter(flaky).refund(lines, "one")
    charged = [_limiter(store).charge(lines, f"{id_}{n}", Allowance(), PinNames()).verdict for n in range(2)]
    assert charged == ["allow", "refuse"]


def _add(flaky: Stores, store: Stores, id_: str) -> None:
    rules = replace(TWO, failures=Budget(refuse=(Window(2, 60),)))
    _limiter(flaky).count(after_failure(rules, ASKED))
    lines = lines_of_send(rules, ASKED)
    assert _limiter(store).charge(lines, id_, Allowance(), PinNames()).verdict == "allow"
    _limiter(store).count(after_failure(rules, ASKED))
    assert _limiter(store).charge(lines, f"{id_}2", Allowance(), PinNames()).verdict == "refuse"


def _lift(flaky: Stores, store: Stores, id_: str) -> None:
    lines = lines_of_send(TWO, ASKED)
    for n in range(3):
        _limiter(store).charge(lines, f"{id_}{n}", Allowance(), PinNames())
    [block] = _blocks(store).longest()
    assert _blocks(flaky).lift(block.id)
    assert not _blocks(store).lift(block.id)
    assert _limiter(store).charge(lines, id_, Allowance(), PinNames()).verdict == "allow"


def _pin(flaky: Stores, store: Stores, id_: str) -> None:
    flaky.pins.write("prefix +1", {"what": "refuse"})
    assert store.pins.read_all() == {"prefix +1": {"what": "refuse"}}


def _unpin(flaky: Stores, store: Stores, id_: str) -> None:
    _pin(store, store, id_)
    assert flaky.pins.remove("prefix +1")
    assert not store.pins.remove("prefix +1")
    assert store.pins.read_all() == {}


def _repin(flaky: Stores, store: Stores, id_: str) -> None:
    _pin(store, store, id_)
    assert flaky.pins.rename("prefix +1", {"what": "refuse"}, "prefix +2", {"what": "allow"})
    assert not store.pins.rename("prefix +1", {"what": "refuse"}, "prefix +3", {"what": "allow"})
    assert store.pins.read_all() == {"prefix +2": {"what": "allow"}}


def _forget_counters(flaky: Stores, store: Stores, id_: str) -> None:
    lines = lines_of_send(TWO, ASKED)
    for n in range(3):
        _limiter(store).charge(lines, f"{id_}{n}", Allowance(), PinNames())
    _history(flaky).erase(ASKED.number.e164)
    assert _blocks(store).longest() == []
    assert _limiter(store).charge(lines, id_, Allowance(), PinNames()).verdict == "allow"


def _recycled(flaky: Stores, store: Stores, id_: str) -> None:
    store.scripts.offset += 5000
    _history(store).record_recycled([ASKED.number.e164], 7, 60)
    assert _history(flaky).read_past(ASKED.number.e164).recycled == 7


def _recycle(flaky: Stores, store: Stores, id_: str) -> None:
    _limiter(store).charge(lines_of_send(TWO, ASKED), id_, Allowance(), PinNames())
    _history(flaky).record_recycled([ASKED.number.e164], 7, 60)
    assert _blocks(store).longest() == []
    assert _history(store).read_past(ASKED.number.e164).recycled == 7


def _met(flaky: Stores, store: Stores, id_: str) -> None:
    flaky.scripts.call_each([_history(flaky).recording_session("web", id_, ASKED.number.e164, 60)])
    assert _history(store).read_past(ASKED.number.e164, "web", id_, 60).met


def _use_once(flaky: Stores, store: Stores, id_: str) -> None:
    assert flaky.facts.use_once(id_, 60)
    assert not store.facts.use_once(id_, 60)


def _beat(flaky: Stores, store: Stores, id_: str) -> None:
    assert flaky.membership(flaky.due).beat("one", 3) == ["one"]
    flaky.membership(flaky.due).leave("one")


def _leave(flaky: Stores, store: Stores, id_: str) -> None:
    store.membership(store.due).beat("one", 3)
    flaky.membership(flaky.due).leave("one")
    assert store.membership(store.due).beat("two", 3) == ["two"]


def _record_receipt(flaky: Stores, store: Stores, id_: str) -> None:
    lease, reference = armed(store, id_)
    ended(store, lease, reference, Verdict.ACCEPTED)
    found = flaky.challenges.record_receipt(
        id_, "main", upstream_id="", reference=reference, status=Status.DELIVERED, reason=""
    )
    assert found == Recorded("changed", seen(store, id_), 0, Status.ACCEPTED, first=True, at=found.at)
    assert found.at >= seen(store, id_).last.at
    assert seen(store, id_).last.status is Status.DELIVERED
    again = store.challenges.record_receipt(
        id_, "main", upstream_id="", reference=reference, status=Status.DELIVERED, reason=""
    )
    assert again == Recorded("known")


def _end_expired(flaky: Stores, store: Stores, id_: str) -> None:
    store.scripts.offset += 1000 * PLAN.ttl
    flaky.scripts.offset = store.scripts.offset
    assert flaky.challenges.end_expired([id_]) == [(id_, seen(store, id_))]
    assert seen(store, id_).state is State.UNDELIVERABLE
    assert store.challenges.end_expired([id_]) == []


def _claim_expired(flaky: Stores, store: Stores, id_: str) -> None:
    armed(store, id_)
    store.scripts.offset += 1000 * PLAN.ttl
    flaky.scripts.offset = store.scripts.offset
    lease = flaky.challenges.claim(id_)
    assert lease is not None
    assert (lease.what, lease.challenge) == ("ended", seen(store, id_))
    assert store.challenges.claim(id_) is None


def _claim_late(flaky: Stores, store: Stores, id_: str) -> None:
    """Drop a fallback that was not charged: the challenge ends with it."""
    lease, reference = armed(store, id_)
    store.challenges.settle(lease, Next(1), reference=reference, status=Status.FAILED)
    store.scripts.offset += LATE
    flaky.scripts.offset = store.scripts.offset
    lost = flaky.challenges.claim(id_)
    assert lost is not None
    assert (lost.what, lost.challenge) == ("ended", seen(store, id_))


def _claim_late_and_charged(flaky: Stores, store: Stores, id_: str) -> None:
    """Drop a first message: its end is counted by whoever gives its charge back, here the repeated call."""
    store.scripts.offset += LATE
    flaky.scripts.offset = store.scripts.offset
    lost = flaky.challenges.claim(id_)
    assert lost is not None
    assert (lost.what, lost.challenge.owed) == ("owed", 0)


def _settle_account(flaky: Stores, store: Stores, id_: str) -> None:
    lease, reference = armed(store, id_)
    flaky.challenges.settle(lease, Again(0), reference=reference, status=Status.REFUSED, account="main")
    assert seen(store, id_).last.tried == ("main",)


def _put_events(flaky: Stores, store: Stores, id_: str) -> None:
    flaky.events.put(id_, ["0s"], {"0s": {"n": 1}})
    assert len(store.events_due.due([id_[:2]], 10)[id_[:2]].ids) == 1
    assert seen(store, id_).told == ("0s",)


def _an_event(store: Stores) -> str:
    id_ = store.challenges.new_id()
    store.events.put(id_, [""], {"": {"n": 1}})
    [event] = store.events_due.due([id_[:2]], 10)[id_[:2]].ids
    return event


def _claim_event(flaky: Stores, store: Stores, id_: str) -> None:
    taken = flaky.events.claim(id_)
    assert taken is not None
    assert (taken.tries, taken.record["n"]) == (0, 1)
    assert store.events.claim(id_) is None
    store.scripts.offset += queue.LEASE
    again = store.events.claim(id_)
    assert again is not None
    assert again.tries == 1


def _finish_event(flaky: Stores, store: Stores, id_: str) -> None:
    flaky.events.finish(id_)
    assert store.events_due.due([id_[:2]], 10)[id_[:2]].ids == {}


def _put_fact(flaky: Stores, store: Stores, id_: str) -> None:
    flaky.facts.put(id_, "value", 60)
    assert store.facts.get(id_) == "value"


def _forget(flaky: Stores, store: Stores, id_: str) -> None:
    store.suppressions.add(id_, {"by": "a test"}, 60)
    flaky.suppressions.remove(id_)
    assert store.suppressions.read(id_) is None


def _read_first(flaky: Stores, store: Stores, id_: str) -> None:
    store.suppressions.add(id_, {"by": "a test"}, 60)
    assert flaky.suppressions.read("older", id_) == {"by": "a test"}


def _erase(flaky: Stores, store: Stores, id_: str) -> None:
    flaky.challenge_eraser.erase(id_)
    assert store.challenges.read_challenge(id_)[1] is None
    assert id_ not in store.due.due([id_[:2]], 10)[id_[:2]].ids


def _rename(flaky: Stores, store: Stores, id_: str) -> None:
    store.suppressions.add(id_, {"n": 1}, 60)
    assert flaky.suppressions.rename(id_, {"n": 1}, "new", {"n": 2})
    assert (store.suppressions.read(id_), store.suppressions.read("new")) == (None, {"n": 2})


def _due(flaky: Stores, store: Stores, id_: str) -> None:
    assert id_ in flaky.due.due([id_[:2]], 10)[id_[:2]].ids


def _read_challenge(flaky: Stores, store: Stores, id_: str) -> None:
    assert flaky.challenges.read_challenge(id_)[1] == seen(store, id_)


LINES = Lines("00" + "a" * 22, "c482000", "a|1|Aweb\n", ["n" * 22], 0)


def _write_story(flaky: Stores, store: Stores, id_: str) -> None:
    flaky.stories.write([LINES])
    assert len(read_story(LINES.id, store.stories.read([LINES.id])[LINES.id]).notes) == 1
    assert store.stories.search_names(LINES.names) == [LINES.id]


def _drop_story(flaky: Stores, store: Stores, id_: str) -> None:
    store.stories.write([LINES, replace(LINES, id="00" + "b" * 22)])
    flaky.stories.drop({LINES.id: LINES.names})
    assert store.stories.search_names(LINES.names) == ["00" + "b" * 22]
    assert sum(store.stories.count_bytes().values()) == len(LINES.text) + LINES.cost


def _unlist_story(flaky: Stores, store: Stores, id_: str) -> None:
    store.stories.write([LINES, replace(LINES, id="00" + "b" * 22)])
    assert flaky.stories.unlist(LINES.hour, [LINES.id]) == 1
    assert store.stories.read_hour(LINES.hour, 0, -1) == ["00" + "b" * 22]


def _fresh(store: Stores) -> str:
    return opened(store).id


TWICE = {
    "open": Twice(_fresh, _open_again),
    "attempt": Twice(_fresh, _attempt),
    "attempt, the last": Twice(_fresh, _last_attempt),
    "attempt, taken over": Twice(_fresh, _taken_over_attempt),
    "attempt, repeated": Twice(_resting, _repeated_attempt),
    "answer": Twice(_fresh, _answer),
    "finish": Twice(_resting, _finish),
    "resend": Twice(_resting, _resend),
    "resend, the last": Twice(_resting, _last_resend),
    "claim": Twice(_fresh, _claim),
    "claim, waited": Twice(_fresh, _claim_waited),
    "arm": Twice(_fresh, _arm),
    "disarm": Twice(_fresh, _disarm),
    "settle, accepted": Twice(_fresh, _settle(Verdict.ACCEPTED, 1, 0)),
    "settle, refused": Twice(_fresh, _settle(Verdict.REFUSED, 2, 0)),
    "settle, deferred": Twice(_fresh, _settle(Verdict.DEFERRED, 1, 1)),
    "settle, unknown": Twice(_fresh, _settle(Verdict.UNKNOWN, 1, 0)),
    "settle, waited": Twice(_fresh, _settle_waited),
    "settle, given up": Twice(_fresh, _give_up),
    "settle, another account": Twice(_fresh, _settle_account),
    "record_receipt": Twice(_fresh, _record_receipt),
    "end_expired": Twice(_fresh, _end_expired),
    "claim, expired": Twice(_fresh, _claim_expired),
    "claim, too late": Twice(_fresh, _claim_late),
    "claim, too late and charged": Twice(_fresh, _claim_late_and_charged),
    "put_events": Twice(_fresh, _put_events),
    "claim_event": Twice(_an_event, _claim_event),
    "finish_event": Twice(_an_event, _finish_event),
    "put": Twice(_fresh, _put_fact),
    "delete": Twice(_fresh, _forget),
    "release": Twice(_fresh, _release),
    "charge": Twice(_fresh, _may_get),
    "charge, the last": Twice(_fresh, _last_get),
    "guard": Twice(_fresh, _charge),
    "guard, refund": Twice(_fresh, _refund),
    "guard, add": Twice(_fresh, _add),
    "guard_lift_block": Twice(_fresh, _lift),
    "guard_pin": Twice(_fresh, _pin),
    "guard_pin, away": Twice(_fresh, _unpin),
    "guard_rename_pin": Twice(_fresh, _repin),
    "guard_erase": Twice(_fresh, _forget_counters),
    "guard_recycle": Twice(_fresh, _recycle),
    "guard_record_session": Twice(_fresh, _met),
    "guard_read_past": Twice(_fresh, _recycled),
    "use_once": Twice(_fresh, _use_once),
    "beat": Twice(_fresh, _beat),
    "leave": Twice(_fresh, _leave),
    "due": Twice(_fresh, _due),
    "read_with_time": Twice(_fresh, _read_challenge),
    "read_first": Twice(_fresh, _read_first),
    "erase": Twice(_fresh, _erase),
    "rename": Twice(_fresh, _rename),
    "write_stories": Twice(_fresh, _write_story),
    "drop_stories": Twice(_fresh, _drop_story),
    "unlist_stories": Twice(_fresh, _unlist_story),
}


@pytest.mark.parametrize("what", TWICE)
def test_a_lost_reply_is_invisible_and_counts_once(store: Stores, valkey: ValkeyServer, what: str) -> None:
    """The server did it, the reply was lost, and the call is repeated: it is done once."""
    case = TWICE[what]
    id_ = case.prepare(store)
    with FaultProxy(valkey.socket) as proxy, proxied_store(proxy.url, prefix_of(store)) as flaky:
        flaky.scripts.offset = store.scripts.offset
        proxy.lose_reply()
        case.act(flaky, store, id_)
        assert proxy.lost == 1
