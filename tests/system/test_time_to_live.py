"""Every key of the store has an end."""

import random

from otp_service.challenge.guess import Guess
from otp_service.challenge.model import State, Status
from otp_service.challenge.transitions import (
    Again,
    GiveUp,
    Hold,
    Move,
    Next,
    Wait,
)
from otp_service.figures.counters import Counters
from otp_service.history.note import Note, What
from otp_service.policy.versions import Policies
from otp_service.upstream.breakers import Breakers
from tests.support.spine import (
    NUMBERS,
    armed,
    new_delivery,
    open_spine,
    opened,
    prefix_of,
    queued_events,
)
from tests.support.valkey_server import ValkeyServer

MOVES: tuple[Move, ...] = (Hold(), Wait(1), Again(1), Next(1), GiveUp())


def test_every_key_has_a_time_to_live(valkey: ValkeyServer) -> None:
    """After any workload only the policy's key has no time to live."""
    with open_spine(valkey) as spine:
        store, dice = spine.store, random.Random(7)
        ids = [spine.opened(number, f"key {n}" if n % 2 else None) for n, number in enumerate(NUMBERS[:100])]
        for _ in range(300):
            id_ = dice.choice(ids)
            match dice.randrange(6):
                case 0:
                    store.challenges.take_attempt(id_, "web", 6)
                case 1:
                    store.challenges.resend(id_, "web", new_delivery())
                case 2:
                    store.challenges.finish(id_, "web", dice.choice([State.VERIFIED, State.CANCELLED]))
                case 3:
                    spine.dispatcher.dispatch(id_, lambda: dice.random() < 0.5)
                case 4 if lease := store.challenges.claim(id_):
                    store.challenges.settle(lease, dice.choice(MOVES))
                case _:
                    store.scripts.offset += dice.randrange(10_000)
        answered, guess = opened(store).id, Guess(names=("name",))
        store.challenges.take_attempt(answered, "web", 6, guess)
        store.challenges.record_answer(answered, guess, "wrong", 4, "digest")
        id_ = opened(store, watched=True).id
        _, reference = armed(store, id_)
        store.challenges.record_receipt(
            id_, "main", upstream_id="", reference=reference, status=Status.READ, reason=""
        )
        store.events.put(id_, ["0s"], {"0s": {"app": "web"}})
        for event_id in queued_events(store):
            store.events.claim(event_id)
            store.events.finish(event_id, 5, untried=True)
        store.challenges.index_message("name", id_, 60_000)
        store.suppressions.add("name", {"by": "the person"}, 60)
        store.facts.put("open:sms:name", "1", 60)
        store.get_budget.take("main", 10)
        breakers = Breakers(spine.scripts, prefix=prefix_of(store))
        for pause in (None, 0.0):
            breakers.record_fault("main", "sms", pause, 2)
        assert breakers.ask("main", "sms").state == "probe"
        Counters(spine.scripts, prefix=prefix_of(store)).take([Note(what=What.ASKED, at=1)])
        policies = Policies(spine.scripts, prefix=prefix_of(store))
        policies.apply("text", author="anna", reason="a test")
        store.facts.use_once("token", 300)
        store.membership(store.due).beat("worker", 3)
        store.facts.ping()
        with valkey.client() as client:
            keys = list(client.scan_iter(f"*{prefix_of(store)}*"))
            lasting = [key for key in keys if client.ttl(key) == -1]  # some end meanwhile
        assert len(keys) > 200
        assert lasting == [f"{prefix_of(store)}:policy"]  # it is configuration
