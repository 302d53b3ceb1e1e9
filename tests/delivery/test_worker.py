"""How a worker works: it wakes, shares its queue, and stays within its limits."""

import threading
from collections.abc import Callable

from otp_service.challenge.model import Status
from otp_service.challenge.send_store import CLAIM_LEASE
from otp_service.upstream.port import Message, Outcome, Verdict
from tests.support.patience import PATIENCE, until
from tests.support.spine import (
    NUMBERS,
    Phone,
    Spine,
    claimed,
    open_spine,
    opened,
    seen,
    working,
)
from tests.support.valkey_server import ValkeyServer
from tests.support.workers import Deaf, Handled, Known, Watching, a_worker, in_partition

# When a worker reads its queue.


def test_a_new_send_wakes_the_worker(spine: Spine) -> None:
    """Messages leave one after the other, as they are requested.

    Each is requested after the previous one has left, while the worker sleeps. Without wake-ups each would wait for the
    next poll, a second later: forty seconds in total, twice the test's patience.
    """
    with working(spine.worker()):
        gone = threading.Event()

        def send_all() -> None:
            for number in NUMBERS[:40]:
                spine.opened(number)
                spine.phone.next()
            gone.set()

        threading.Thread(target=send_all).start()
        assert gone.wait(PATIENCE)


def test_polling_makes_up_for_a_lost_wake_up(spine: Spine) -> None:
    """A worker without wake-ups still finds what is due."""
    handled = Handled(spine.store)
    with working(a_worker(spine, handled, scripts=Deaf(spine.scripts))):
        for _ in range(2):
            id_ = opened(spine.store).id
            until(lambda id_=id_: id_ in handled.order)  # type: ignore[misc]


def test_what_was_due_before_the_worker_started_is_taken(spine: Spine) -> None:
    """A crash leaves deadlines behind; the next worker takes them."""
    ids = [opened(spine.store).id for _ in range(5)]
    handled = Handled(spine.store)
    with working(a_worker(spine, handled)):
        until(lambda: set(handled.order) >= set(ids))


def test_a_deadline_in_the_future_is_met_without_a_wake_up(spine: Spine) -> None:
    """It is read when it becomes due: here, a claim of a dead worker whose lease ends."""
    id_ = opened(spine.store).id
    claimed(spine.store, id_)
    spine.store.scripts.offset += CLAIM_LEASE - 300
    handled = Handled(spine.store)
    with working(a_worker(spine, handled, scripts=Deaf(spine.scripts))):
        until(lambda: id_ in handled.order)


def test_a_backlog_is_handled_without_pauses(spine: Spine) -> None:
    """With more in one partition than fits at once, the worker continues as soon as it has room.

    With one poll a second it would take two hundred seconds.
    """
    ids = {opened(spine.store).id for _ in range(400)}
    handled = Handled(spine.store)
    with working(a_worker(spine, handled, sends=2)):
        until(lambda: set(handled.order) == ids and not handled.now)


def test_a_backlog_in_one_partition_does_not_starve_the_others(shared: Spine) -> None:
    """Partitions take turns: the last one starts long before the backlog of the first one is done."""
    first, last = shared.store.partitions.names()[0], shared.store.partitions.names()[-1]
    backlog = [in_partition(shared.store, first) for _ in range(60)]
    alone = in_partition(shared.store, last)
    handled = Handled(shared.store)
    with working(a_worker(shared, handled, sends=3)):
        until(lambda: len(set(handled.order)) == len(backlog) + 1)
    assert handled.order.index(alone) < len(backlog) / 2


# How much it handles at once.


def test_a_worker_never_exceeds_its_limit(spine: Spine) -> None:
    """At its limit it starts nothing more, however much is due; everything is done in the end."""
    ids = [opened(spine.store).id for _ in range(30)]
    handled = Handled(spine.store)
    handled.gate.clear()
    with working(a_worker(spine, handled, sends=4)):
        until(lambda: handled.now == 4)
        more = opened(spine.store).id  # its wake-up comes while all places are taken
        until(lambda: spine.store.challenges.read_challenge(more)[1] is not None)
        handled.gate.set()
        until(lambda: set(handled.order) >= {*ids, more})
    assert handled.most == 4


def test_one_slow_message_does_not_delay_the_others(valkey: ValkeyServer) -> None:
    """While an upstream keeps one message hanging, all others leave."""
    phone, hang = Phone(), threading.Event()

    class Hanging(Phone):
        def __call__(self, message: Message) -> Outcome:
            if message.to == NUMBERS[0]:
                assert hang.wait(PATIENCE)
            return phone(message)

    with open_spine(valkey, connections=32, partitions=2, phone=Hanging()) as spine:
        with working(spine.worker(sends=4)):
            slow = spine.opened(NUMBERS[0])
            until(lambda: seen(spine.store, slow).last.status is Status.SENDING)
            for number in NUMBERS[1:30]:
                spine.opened(number)
            assert {phone.next()[0] for _ in range(29)} == set(NUMBERS[1:30])
            assert seen(spine.store, slow).last.status is Status.SENDING
            hang.set()
            assert phone.next()[0] == NUMBERS[0]
        assert seen(spine.store, slow).last.status is Status.ACCEPTED


def test_a_challenge_that_is_due_while_it_is_being_handled_is_taken_again(spine: Spine) -> None:
    """If it becomes due during a send, it is handled after it, and never twice at the same time."""
    begun: list[str] = []
    gate = threading.Event()

    def handle(id_: str, _stopping: Callable[[], bool]) -> None:
        begun.append(id_)
        assert gate.wait(PATIENCE)  # the challenge stays due

    watched = Watching(spine.store)
    with working(a_worker(spine, handle, queue=watched)):
        id_ = opened(spine.store).id
        until(lambda: begun == [id_])
        looks = watched.looks
        other = opened(spine.store).id  # wakes the worker, which sees both as due
        until(lambda: watched.looks > looks and other in begun)
        assert begun.count(id_) == 1
        gate.set()
        until(lambda: begun.count(id_) > 1)


# Several workers.


def test_two_workers_share_the_partitions(shared: Spine) -> None:
    """Each partition belongs to one worker, which handles all that is due in it; both have their share."""
    who: dict[str, set[str]] = {}
    did: dict[str, set[str]] = {"one": set(), "two": set()}
    lock = threading.Lock()

    def named(name: str) -> Callable[[str, Callable[[], bool]], None]:
        handled = Handled(shared.store)

        def handle(id_: str, stopping: Callable[[], bool]) -> None:
            with lock:
                who.setdefault(id_[:2], set()).add(name)
                did[name].add(id_)  # a wake-up may make a worker handle a challenge that it has just ended
            handled(id_, stopping)

        return handle

    one = Known(shared.store)
    two = Known(shared.store)
    with working(
        a_worker(shared, named("one"), name="one", membership=one),
        a_worker(shared, named("two"), name="two", membership=two),
    ):
        until(lambda: one.known == two.known == 2 and one.beats > 2 and two.beats > 2)
        for _ in range(5):
            for partition in shared.store.partitions.names():
                in_partition(shared.store, partition)
        until(lambda: sum(map(len, did.values())) >= 40)
    assert {len(names) for names in who.values()} == {1}
    assert {name: len(ids) for name, ids in did.items()} == {"one": 20, "two": 20}


def test_the_partitions_of_a_worker_that_leaves_are_taken_over(shared: Spine) -> None:
    """After one of two workers has stopped, the other serves all partitions."""
    handled = Handled(shared.store)
    known = Known(shared.store)
    with working(a_worker(shared, handled, name="stays", membership=known)):
        with working(a_worker(shared, handled, name="leaves")):
            until(lambda: known.known == 2)
        until(lambda: known.known == 1)
        ids = {in_partition(shared.store, partition) for partition in shared.store.partitions.names()}
        until(lambda: set(handled.order) >= ids)


def test_the_partitions_of_a_worker_that_died_are_taken_over(shared: Spine) -> None:
    """A worker without beats keeps its partitions until its time is over; then the other one takes them."""
    handled = Handled(shared.store)
    shared.store.membership(shared.store.due).beat("ghost", 100)  # the first in the list, and never works
    known = Known(shared.store)
    with working(a_worker(shared, handled, name="one", membership=known)):
        until(lambda: known.beats > 1)
        ids = [in_partition(shared.store, partition) for partition in shared.store.partitions.names()]
        until(lambda: set(handled.order) == set(ids[1::2]))
        shared.store.scripts.offset = 100_000
        until(lambda: set(handled.order) == set(ids))


# What a worker does with the dispatcher.


def test_an_unknown_outcome_moves_on_to_the_next_channel(valkey: ValkeyServer) -> None:
    """If an upstream took the request and did not answer, the next step sends a code after the wait."""
    phone = Phone(Outcome(Verdict.UNKNOWN, "timeout"))
    with open_spine(valkey, connections=32, partitions=1, phone=phone) as spine, working(spine.worker()):
        id_ = spine.opened(NUMBERS[0])
        first = phone.next()[1]
        until(lambda: seen(spine.store, id_).last.status is Status.UNKNOWN)
        spine.store.scripts.offset += 30_000
        second = phone.next()[1]
        until(lambda: seen(spine.store, id_).last.status is Status.ACCEPTED)
        assert [d.channel for d in seen(spine.store, id_).deliveries] == ["sms", "voice"]
        proof = spine.check.verify(spine.caller, id_, first if first == second else second)
        assert proof.view.channel == "voice"
