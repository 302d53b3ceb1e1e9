"""Missing receipts are fetched in time, and not more often than the budget of the account allows."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle

import pytest

from otp_service.challenge.model import Challenge, Status
from otp_service.delivery.balances import Balances
from otp_service.upstream.get_budget import WINDOW
from tests.support.fault_server import FaultServer, Received, http_json
from tests.support.journeys import CHANNELS, Journeys, Upstream, account, four_channels, open_core, steps
from tests.support.numbers import crowd
from tests.support.spine import deadline, stand_still, together
from tests.support.valkey_server import ValkeyServer

BUDGET = 5


@dataclass
class Pulled(Upstream):
    """An upstream that pushes nothing: it reports `word` for every message if it is asked."""

    word: str = "AWAITING-DLR"
    gets: list[str] = field(default_factory=list)

    def __call__(self, request: Received) -> bytes:
        """Answer a send, or a request for a report or the balance."""
        if request.verb != "GET":
            return super().__call__(request)
        self.gets.append(request.path)
        if request.path.endswith("/balance"):
            return http_json({"status": "OK", "data": [{"service": "T", "name": "T", "credits": 1}]})
        return http_json({"status": "OK", "data": [{"id": request.query["id"], "status": self.word}]})


@contextmanager
def processes(valkey: ValkeyServer, budget: int, count: int = 1) -> Iterator[tuple[Pulled, list[Journeys]]]:
    """Give an upstream, and a number of processes that share one store and one account of it."""
    upstream = Pulled(ends=dict.fromkeys(CHANNELS, "silence"))
    with FaultServer() as server:
        server.respond(upstream)
        text = four_channels(account("main", server.url, f"gets_per_minute = {budget}"))
        first = open_core(valkey, text)
        names = ("redis_prefix", "peppers", "number_keys", "lookup_keys", "signing_keys")
        same = {name: getattr(first.settings, name) for name in names}
        cores = [first, *(open_core(valkey, text, **same) for _ in range(count - 1))]
        numbers = cycle(crowd())
        yield upstream, [Journeys(core, valkey, upstream, numbers=numbers) for core in cores]
        for core in cores:
            core.close()


def asked(journeys: Journeys) -> Challenge:
    """Send by SMS, then move to the time at which the upstream is asked."""
    id_ = journeys.start(*steps(["sms", "voice"]))
    journeys.dispatch(id_)
    journeys.move(journeys.pause(id_) or 0)
    return journeys.dispatch(id_)


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize(("word", "falls_back"), [("DELIVERED", False), ("FAILED", True)])
def test_a_fetched_report_decides_before_the_wait_ends(
    valkey: ValkeyServer, channel: str, word: str, *, falls_back: bool
) -> None:
    """One request before the end of the wait: a delivered message stays, a failed one starts the next step at once."""
    other = "sms" if channel != "sms" else "voice"
    with processes(valkey, 1000) as (upstream, (journeys,)):
        upstream.word = word
        id_ = journeys.start(*steps([channel, other]))
        ends = journeys.dispatch(id_).last.ends or 0
        due = deadline(valkey, journeys.core.store, id_)
        assert due is not None
        assert due < ends
        journeys.move(journeys.pause(id_) or 0)
        challenge = journeys.dispatch(id_)
        assert len(upstream.gets) == 1
        stands = Status.FAILED if falls_back else Status.DELIVERED
        assert challenge.deliveries[0].status is stands
        channels = [d.channel for d in journeys.rest(id_).deliveries]
        assert channels == ([channel, other] if falls_back else [channel])


def test_a_fetched_report_without_news_lets_the_wait_end(valkey: ValkeyServer) -> None:
    """The next step follows at the end of the wait, without further requests."""
    with processes(valkey, 1000) as (upstream, (journeys,)):
        challenge = asked(journeys)
        assert challenge.last.status is Status.ACCEPTED
        assert [d.channel for d in journeys.rest(challenge.id).deliveries] == ["sms", "voice"]
        assert len(upstream.gets) == 1


def test_the_budget_holds_over_all_processes(valkey: ValkeyServer) -> None:
    """Two processes make twenty requests at once: the account gets five, and five again in the next minute.

    A process without budget waits for the push and falls back as usual.
    """
    with processes(valkey, BUDGET, 2) as (upstream, (one, two)):
        for minute in range(1, 3):
            ids = [one.start(*steps(["sms", "voice"])) for _ in range(20)]
            store, sent = one.core.store, one.core.store.facts.time()
            for id_ in ids:
                one.dispatch(id_)
                stand_still(store, sent)  # or the first would not be asked about before the last
            one.move(one.pause(ids[-1]) or 0)
            two.core.scripts.offset = one.core.scripts.offset
            found = together(20, lambda place: (one, two)[place % 2].dispatch(ids[place]))  # noqa: B023 - joined
            assert all(isinstance(end, Challenge) for end in found), found
            assert len(upstream.gets) == minute * BUDGET
            for id_ in ids:
                assert [d.channel for d in one.rest(id_).deliveries] == ["sms", "voice"]
            assert len(upstream.gets) == minute * BUDGET
            one.move(WINDOW * 1000)
            two.core.scripts.offset = one.core.scripts.offset


def test_requests_for_the_balance_count_too(valkey: ValkeyServer) -> None:
    """Once a minute for all processes together, from the same budget; without budget the balance is not read."""
    with processes(valkey, 2, 2) as (upstream, cores):
        for _ in range(3):
            for journeys in cores:
                core = journeys.core
                Balances(
                    active=core.active,
                    facts=core.store.facts,
                    budget=core.store.get_budget,
                    metrics=core.metrics,
                ).read_due()
        assert [path.rsplit("/", 1)[-1] for path in upstream.gets] == ["balance"]
        for _ in range(3):
            asked(cores[0])
        assert len(upstream.gets) == 2


def test_a_spent_budget_leaves_the_balance_for_later(valkey: ValkeyServer) -> None:
    """Requests for reports have used up the budget of the balance, too."""
    with processes(valkey, 2) as (upstream, (journeys,)):
        for _ in range(2):
            asked(journeys)
        core = journeys.core
        Balances(
            active=core.active, facts=core.store.facts, budget=core.store.get_budget, metrics=core.metrics
        ).read_due()
        assert len(upstream.gets) == 2
        assert not any(path.endswith("balance") for path in upstream.gets)
