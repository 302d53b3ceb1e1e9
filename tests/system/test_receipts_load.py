"""Receipts by the thousand, shuffled and repeated, through the webhook: every message ends where it belongs."""

import itertools
import random
from collections.abc import Iterator

import pytest

from otp_service.access.api_keys import digest
from otp_service.challenge.model import Status
from otp_service.http import app as http_app
from tests.support.fault_server import FaultServer
from tests.support.journeys import Journeys, Upstream, account, four_channels, open_core, steps
from tests.support.spine import seen, together
from tests.support.valkey_server import ValkeyServer

SECRET = "whs_of-the-test"
PATH = f"/webhooks/mobtexting/main/{SECRET}"
COURSES = {
    ("sent", "delivered", "read"): Status.READ,
    ("sent", "delivered"): Status.DELIVERED,
    ("failed", "delivered"): Status.DELIVERED,
    ("sent", "failed"): Status.FAILED,
    ("sent",): Status.SENT,
    ("queued",): Status.ACCEPTED,
}
"""What is reported of a message in any order, and where that leaves it: the last to be true counts."""
MESSAGES, CLIENTS = 500, 4
REPEATED = 0.2


@pytest.fixture
def journeys(valkey: ValkeyServer) -> Iterator[Journeys]:
    """Give a core whose messages are accepted, and whose receipts the test pushes."""
    upstream = Upstream(ends={"whatsapp": "silence"})
    receipts = f'pull = false\nreceipts = {{ secrets = ["{digest(SECRET)}"] }}'
    with FaultServer() as server:
        server.respond(upstream)
        core = open_core(valkey, four_channels(account("main", server.url, receipts)))
        yield Journeys(core, valkey, upstream)
        core.close()


def pushes(ids: dict[str, str], dice: random.Random) -> tuple[list[dict[str, str]], dict[str, Status]]:
    """Write the reports of all messages, shuffled and some twice; gives them and where each challenge must stand."""
    reports, stands = [], {}
    for (id_, upstream_id), course in zip(ids.items(), itertools.cycle(COURSES), strict=False):
        stands[id_] = COURSES[course]
        reports += [{"id": upstream_id, "status": word} for word in course]
    reports += dice.sample(reports, int(REPEATED * len(reports)))
    dice.shuffle(reports)
    return reports, stands


def test_thousands_of_shuffled_and_repeated_receipts_leave_the_right_states(journeys: Journeys) -> None:
    """Four clients push at once; not one report is lost, refused or counted back, and no second message leaves."""
    ids = {}
    for _ in range(MESSAGES):
        id_ = journeys.start(*steps(["whatsapp"]))
        ids[id_] = journeys.dispatch(id_).last.upstream_id
    reports, stands = pushes(ids, random.Random(20))
    web = http_app.web(journeys.core)

    def push(place: int) -> set[int]:
        client = web.test_client()
        return {client.post(PATH, json=report).status_code for report in reports[place::CLIENTS]}

    assert together(CLIENTS, push) == [{200}] * CLIENTS
    assert {id_: seen(journeys.core.store, id_).last.status for id_ in ids} == stands
    assert len(journeys.upstream.took) == MESSAGES


def test_many_reports_in_one_request_are_each_taken_in(journeys: Journeys) -> None:
    """A push of a hundred reports counts as a hundred, in whatever order they stand, repetitions included."""
    ids = {}
    for _ in range(40):
        id_ = journeys.start(*steps(["whatsapp"]))
        ids[id_] = journeys.dispatch(id_).last.upstream_id
    reports, stands = pushes(ids, random.Random(7))
    answer = http_app.web(journeys.core).test_client().post(PATH, json=reports)
    assert answer.get_json() == {"received": len(reports)}
    assert {id_: seen(journeys.core.store, id_).last.status for id_ in ids} == stands
